"""Signing keys in both of Iroha's forms, verification, and key files.

The form of the public key chooses the scheme, as inside irohad:

=============  ===================  ==========================================================
form           public key           signature
=============  ===================  ==========================================================
``raw``        64 hex digits        Ed25519 with SHA3-512, over SHA3-256 of the payload; the
                                    only one that a stock irohad takes
``multihash``  ``ed0120`` + 64      RFC 8032 Ed25519, over the payload itself; needs an irohad
                                    built with Ursa
=============  ===================  ==========================================================

A key file holds what Iroha's own ``*.priv`` files hold: one line of hex, the 32-byte seed for
``raw``, seed and public key for ``multihash``. Beside it lies its public key, in a file that may
be given to others. A seed and a raw public key look alike, so the name of a file says which it
is. Secrets never appear in a repr or a message.
"""

import os
import re
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha3_256
from pathlib import Path
from typing import Final, Literal

from nacl.bindings import (
    crypto_sign,
    crypto_sign_BYTES,
    crypto_sign_open,
    crypto_sign_seed_keypair,
)
from nacl.exceptions import BadSignatureError

from ledger_client import ed25519_sha3
from ledger_client.ledger import LedgerError

KeyForm = Literal["raw", "multihash"]

SEED_BYTES: Final = 32
PUBLIC_SUFFIX: Final = ".pub"
SECRET_SUFFIXES: Final = frozenset({".key", ".priv"})
MULTIHASH: Final = "ed0120"  # code of an Ed25519 public key, then its length
_RAW = re.compile(r"[0-9a-f]{64}")
_FILE = re.compile(rb"\s*([0-9A-Fa-f]{64}|[0-9A-Fa-f]{128})\s*")
_FILE_BYTES_MAX = 1024


class InvalidKey(LedgerError):
    """A seed, or a public key, that cannot be one; the message never shows a seed."""


class KeyFileError(LedgerError):
    """A key file that is missing, unsafe or malformed; the message says what to do."""


class SigningKey:
    """One Ed25519 key; `public_key` is its name on the ledger, `seed` its secret."""

    __slots__ = ("_expanded", "_secret", "_seed", "form", "public_key")

    def __init__(self, seed: bytes, form: KeyForm) -> None:
        if len(seed) != SEED_BYTES:
            raise InvalidKey(f"a seed has {SEED_BYTES} bytes, not {len(seed)}")
        self.form: Final[KeyForm] = form
        self._seed = seed
        self._expanded: ed25519_sha3.Expanded | None = None
        self._secret = b""
        if form == "raw":
            self._expanded = ed25519_sha3.Expanded.from_seed(seed)
            self.public_key = self._expanded.public.hex()
        elif form == "multihash":
            public, self._secret = crypto_sign_seed_keypair(seed)
            self.public_key = MULTIHASH + public.hex()
        else:
            raise InvalidKey(f"no key form {form!r}: raw or multihash")

    @classmethod
    def generate(cls, entropy: Callable[[int], bytes], form: KeyForm = "raw") -> "SigningKey":
        """Make a new key; `entropy(n)` gives n random bytes."""
        return cls(entropy(SEED_BYTES), form)

    @classmethod
    def from_seed(cls, seed: bytes, form: KeyForm = "raw") -> "SigningKey":
        """Make the key of a stored seed."""
        return cls(seed, form)

    @property
    def seed(self) -> bytes:
        """The secret itself: for sealing and for key files, nothing else."""
        return self._seed

    def sign(self, payload: bytes) -> bytes:
        """Sign a serialised payload (never its hash: the form says whether to hash first)."""
        if self._expanded is not None:
            return self._expanded.sign(sha3_256(payload).digest())
        return crypto_sign(payload, self._secret)[:crypto_sign_BYTES]

    def __repr__(self) -> str:
        return f"SigningKey({self.public_key})"

    def __reduce__(self) -> str:
        raise TypeError("a signing key is not to be pickled or copied")


def verify(public_key: str, payload: bytes, signature: bytes) -> bool:
    """Is `signature` over `payload` by `public_key`? Malformed input is a plain no."""
    form, point = _parse(public_key)
    if form is None or len(signature) != crypto_sign_BYTES:
        return False
    if form == "raw":
        return ed25519_sha3.verify(point, sha3_256(payload).digest(), signature)
    try:
        crypto_sign_open(signature + payload, point)
    except BadSignatureError:
        return False
    return True


def is_public_key(text: str) -> bool:
    """Is it a public key in either form, and a point that somebody can have the secret of?

    An account whose only key is not such a point would be locked for ever.
    """
    form, point = _parse(text)
    return form is not None and ed25519_sha3.is_public(point)


def _parse(public_key: str) -> tuple[KeyForm | None, bytes]:
    """Tell the form and take out the point; the length decides, as in irohad."""
    text = public_key.lower()
    if _RAW.fullmatch(text):
        return "raw", bytes.fromhex(text)
    if text.startswith(MULTIHASH) and _RAW.fullmatch(text, len(MULTIHASH)):
        return "multihash", bytes.fromhex(text[len(MULTIHASH) :])
    return None, b""


def save_key(path: Path, key: SigningKey) -> None:
    """Write a new key file, mode 0600; an existing file is never overwritten."""
    public = key.public_key.removeprefix(MULTIHASH) if key.form == "multihash" else ""
    _write(path, key.seed.hex() + public, mode=0o600)


def save_public_key(path: Path, key: SigningKey) -> None:
    """Write what others may know, and read; an existing file is never overwritten."""
    _write(path, key.public_key, mode=0o644)


def load_key(path: Path) -> SigningKey:
    """Read a key file that only its owner may read."""
    content, mode = _read(path)
    if mode & 0o077:
        raise KeyFileError(f"key file {path} is open to others; run: chmod 600 {path}")
    found = _FILE.fullmatch(content)
    if found is None:
        raise KeyFileError(f"key file {path} holds no key: one line of 64 or 128 hex digits")
    secret = bytes.fromhex(found[1].decode("ascii"))
    if len(secret) == SEED_BYTES:
        return SigningKey(secret, "raw")
    key = SigningKey(secret[:SEED_BYTES], "multihash")
    if key.public_key != MULTIHASH + secret[SEED_BYTES:].hex():
        raise KeyFileError(f"key file {path} is damaged: its two halves do not belong together")
    return key


def load_public_key(path: Path) -> str:
    """Read the public key off a `.pub` file, or off a key file (`.key`, or Iroha's `.priv`)."""
    if path.suffix in SECRET_SUFFIXES:
        return load_key(path).public_key
    if path.suffix != PUBLIC_SUFFIX:
        raise KeyFileError(f"{path}: the name of a file with a key ends in .pub, .key or .priv")
    text = _read(path)[0].decode("ascii", "replace").strip().lower()
    if not is_public_key(text):
        raise KeyFileError(f"{path} holds no public key: 64 hex digits, or {MULTIHASH} and 64")
    return text


def _write(path: Path, line: str, *, mode: int) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except FileExistsError:
        raise KeyFileError(f"key file {path} exists and is not overwritten") from None
    except OSError as error:
        raise KeyFileError(f"key file {path} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            os.fchmod(handle, mode)  # whatever the umask
            file.write(line + "\n")
            file.flush()
            os.fsync(handle)
    except OSError as error:
        with suppress(OSError):
            path.unlink()
        raise KeyFileError(f"key file {path} cannot be written: {error.strerror}") from None


def _read(path: Path) -> tuple[bytes, int]:
    """What is in a file, and who may read it."""
    try:
        with path.open("rb") as file:
            return file.read(_FILE_BYTES_MAX), os.fstat(file.fileno()).st_mode
    except OSError as error:
        raise KeyFileError(f"key file {path} cannot be read: {error.strerror}") from None
