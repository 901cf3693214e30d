"""Custody of wallet keys: two sealed layers, and the keys that must stay outside the database.

What opens a wallet's key is never in one place. Two layers of XChaCha20-Poly1305:

    outer  under a key-encryption key (KEK), versioned, in a file outside the database
    inner  under argon2id(PIN, salt), which nobody stores

Opening the inner layer *is* the PIN check: there is no PIN hash to steal. Both layers bind the
account, the key's version, the argon2 cost and the KEK's version as associated data, so that rows
swapped by somebody who can write to the database refuse to open. The outer layer can be replaced
without any PIN (`Vault.rewrap`), which is what rotates a KEK.

A wallet whose owner has yet to choose a PIN has the outer layer only. Such a key is good for one
thing, being replaced: which layers a blob has is its first byte, authentic like the rest, and
`open` and `open_without_pin` each refuse what is the other's.

Nothing here stores, logs or counts. No secret may enter an exception's text or a repr.
"""

import asyncio
import hashlib
import hmac
import struct
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Final

from nacl import bindings
from nacl.exceptions import CryptoError
from nacl.pwhash import argon2id

from gateway.clock import Entropy
from gateway.kek import KEY_BYTES, Kek, KekError, KekVersionMissing
from menus.kinds import Pin

SALT_BYTES: Final = argon2id.SALTBYTES
_NONCE_BYTES: Final = bindings.crypto_aead_xchacha20poly1305_ietf_NPUBBYTES

TWO_LAYERS: Final = 1  # the first byte of a blob; a later form gets another number
OUTER_ONLY: Final = 2
_HEAD: Final = struct.Struct(">BII")  # form, argon2 passes, argon2 KiB
_VERSION: Final = struct.Struct(">I")


class VaultError(Exception):
    """Anything refused here on purpose. Its text never carries a secret."""


class DoesNotOpen(VaultError):
    """Not sealed by us at this address: another row's bytes, a damaged one, a lost KEK version."""


class WrongPinKey(VaultError):
    """The outer layer opened, the inner one did not: the PIN is another."""


class VaultBusy(VaultError):
    """More PINs are waiting for argon2 than could be answered in time; nothing was tried."""


@dataclass(frozen=True, slots=True)
class Cost:
    """How dear one argon2id guess is. The default is OWASP's minimum."""

    passes: int = 2
    kib: int = 19 * 1024


OWASP_LEAST: Final = Cost()


@dataclass(frozen=True, slots=True, eq=False)
class PinKey:
    """What argon2id made of a PIN and a salt: opens an inner layer as the PIN would."""

    cost: Cost
    salt: bytes
    key: bytes = field(repr=False)

    def same(self, other: "PinKey") -> bool:
        """In constant time."""
        return hmac.compare_digest(self.key, other.key)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A wallet's key as its row holds it."""

    key_version: int
    kek_version: int
    salt: bytes  # empty while no PIN is chosen
    blob: bytes = field(repr=False)

    @property
    def has_pin(self) -> bool:
        return bool(self.salt)


class Vault:
    """Seals and opens; runs argon2 beside the event loop, never more than `at_once` at a time.

    With `executor` None it runs inline, as the simulated world wants it.
    """

    def __init__(
        self,
        kek: Kek,
        entropy: Entropy,
        executor: Executor | None,
        *,
        cost: Cost = OWASP_LEAST,
        at_once: int = 2,
        waiting_most: int = 64,
    ) -> None:
        self._kek = kek
        self._entropy = entropy
        self._executor = executor
        self._cost = cost
        self._free = asyncio.Semaphore(at_once)
        self._waiting = 0
        self._waiting_most = waiting_most

    @property
    def kek_version(self) -> int:
        """What seals now."""
        return self._kek.newest

    async def derive(self, pin: Pin) -> PinKey:
        """The key of a newly chosen PIN, under a fresh salt and today's cost."""
        return await self._argon2(pin, self._entropy(SALT_BYTES), self._cost)

    async def derive_like(self, pin: Pin, other: PinKey) -> PinKey:
        """The key of `pin` under the salt and cost of another, to compare them."""
        return await self._argon2(pin, other.salt, other.cost)

    def seal(self, account_id: str, key_version: int, secret: bytes, under: PinKey) -> Sealed:
        """Both layers around `secret`, for this account's row only."""
        head = _HEAD.pack(TWO_LAYERS, under.cost.passes, under.cost.kib)
        inner = self._lock(under.key, secret, _inner_address(account_id, key_version, head))
        return self._outer(account_id, key_version, head, under.salt, inner)

    def seal_without_pin(self, account_id: str, key_version: int, secret: bytes) -> Sealed:
        """The outer layer alone, until the owner chooses a PIN."""
        head = _HEAD.pack(OUTER_ONLY, 0, 0)
        return self._outer(account_id, key_version, head, b"", secret)

    def open_without_pin(self, account_id: str, sealed: Sealed) -> bytes:
        """The secret that `seal_without_pin` sealed."""
        _, secret = self._unwrap(account_id, sealed, OUTER_ONLY)
        return secret

    async def open(self, account_id: str, sealed: Sealed, pin: Pin) -> bytes:
        """The secret. `WrongPinKey` alone says that the PIN is another.

        The outer layer opens first, so that damaged rows cost no argon2, and what the head says of
        the cost is authentic before it is spent.
        """
        head, inner = self._unwrap(account_id, sealed, TWO_LAYERS)
        _, passes, kib = _HEAD.unpack(head)
        under = await self._argon2(pin, sealed.salt, Cost(passes, kib))
        try:
            return _unlock(under.key, inner, _inner_address(account_id, sealed.key_version, head))
        except DoesNotOpen:
            raise WrongPinKey from None

    def rewrap(self, account_id: str, sealed: Sealed) -> Sealed:
        """What is inside under the newest KEK; needs no PIN."""
        if sealed.kek_version == self._kek.newest:
            return sealed
        head, inner = self._unwrap(account_id, sealed, TWO_LAYERS, OUTER_ONLY)
        return self._outer(account_id, sealed.key_version, head, sealed.salt, inner)

    def wrap(self, purpose: str, address: tuple[str, ...], secret: bytes) -> bytes:
        """One layer under the newest KEK, for what lives minutes (session tokens)."""
        version = self._kek.newest
        key = self._key(version, f"wrap/{purpose}")
        return _VERSION.pack(version) + self._lock(key, secret, _address(purpose, *address))

    def unwrap(self, purpose: str, address: tuple[str, ...], wrapped: bytes) -> bytes:
        """What `wrap` sealed for this purpose at this address."""
        if len(wrapped) < _VERSION.size:
            raise DoesNotOpen
        (version,) = _VERSION.unpack_from(wrapped)
        key = self._key(version, f"wrap/{purpose}")
        return _unlock(key, wrapped[_VERSION.size :], _address(purpose, *address))

    def mac(self, purpose: str, data: bytes, like: bytes = b"") -> bytes:
        """A keyed hash that means nothing under another purpose; 36 bytes.

        It begins with the KEK version that made it, so that it is known again after a rotation:
        what is to be compared is made `like` it, while that version is kept.
        """
        purpose = f"mac/{purpose}"
        version = int.from_bytes(like[: _VERSION.size]) if like else self._kek.newest
        try:
            key = self._kek.derive(version, purpose)
        except KekVersionMissing:  # nothing is like it any longer
            version = self._kek.newest
            key = self._kek.derive(version, purpose)
        made = hashlib.blake2b(data, key=key, digest_size=KEY_BYTES).digest()
        return _VERSION.pack(version) + made

    def is_mac(self, purpose: str, data: bytes, mac: bytes) -> bool:
        """Was `mac` made of `data`, under a KEK version that is kept? In constant time."""
        return hmac.compare_digest(self.mac(purpose, data, mac), mac)

    def _key(self, version: int, purpose: str) -> bytes:
        try:
            return self._kek.derive(version, purpose)
        except KekVersionMissing as error:
            raise DoesNotOpen(str(error)) from None

    async def _argon2(self, pin: Pin, salt: bytes, cost: Cost) -> PinKey:
        if self._waiting >= self._waiting_most:
            raise VaultBusy
        self._waiting += 1
        try:
            async with self._free:
                if self._executor is None:
                    key = _argon2(pin, salt, cost)
                else:
                    loop = asyncio.get_running_loop()
                    key = await loop.run_in_executor(self._executor, _argon2, pin, salt, cost)
        finally:
            self._waiting -= 1
        return PinKey(cost, salt, key)

    def _outer(
        self, account_id: str, key_version: int, head: bytes, salt: bytes, inner: bytes
    ) -> Sealed:
        version = self._kek.newest
        address = _outer_address(account_id, key_version, version, head, salt)
        outer = self._lock(self._key(version, "wallet"), inner, address)
        return Sealed(key_version, version, salt, head + outer)

    def _unwrap(self, account_id: str, sealed: Sealed, *forms: int) -> tuple[bytes, bytes]:
        head, outer = sealed.blob[: _HEAD.size], sealed.blob[_HEAD.size :]
        if len(head) < _HEAD.size or head[0] not in forms:
            raise DoesNotOpen("not a form of sealed key that is wanted here")
        address = _outer_address(
            account_id, sealed.key_version, sealed.kek_version, head, sealed.salt
        )
        return head, _unlock(self._key(sealed.kek_version, "wallet"), outer, address)

    def _lock(self, key: bytes, secret: bytes, address: bytes) -> bytes:
        nonce = self._entropy(_NONCE_BYTES)
        return nonce + bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(
            secret, address, nonce, key
        )


def _unlock(key: bytes, locked: bytes, address: bytes) -> bytes:
    nonce, body = locked[:_NONCE_BYTES], locked[_NONCE_BYTES:]
    if len(body) < bindings.crypto_aead_xchacha20poly1305_ietf_ABYTES:
        raise DoesNotOpen
    try:
        return bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(body, address, nonce, key)
    except CryptoError:
        raise DoesNotOpen from None


def _argon2(pin: Pin, salt: bytes, cost: Cost) -> bytes:
    return argon2id.kdf(
        KEY_BYTES, pin.digits.encode(), salt, opslimit=cost.passes, memlimit=cost.kib * 1024
    )


def _inner_address(account_id: str, key_version: int, head: bytes) -> bytes:
    return _address("wallet/inner", account_id, str(key_version), head)


def _outer_address(
    account_id: str, key_version: int, kek_version: int, head: bytes, salt: bytes
) -> bytes:
    versions = (str(key_version), str(kek_version))
    return _address("wallet/outer", account_id, *versions, head, salt)


def _address(*parts: str | bytes) -> bytes:
    """Parts as one associated datum; each with its length, so that no two lists look alike."""
    encoded = (part if isinstance(part, bytes) else part.encode() for part in parts)
    return b"".join(len(part).to_bytes(4) + part for part in encoded)


__all__ = [
    "OWASP_LEAST",
    "Cost",
    "DoesNotOpen",
    "Kek",
    "KekError",
    "PinKey",
    "Sealed",
    "Vault",
    "VaultBusy",
    "VaultError",
    "WrongPinKey",
]
