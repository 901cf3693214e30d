"""The key files of one bank: made once, never again, never overwritten.

Each secret lies beside its public key, which may be given to others. A key whose public half is
there counts as made even when the secret is not: it was moved to where it belongs, as the
recoverer's second key must be.
"""

from collections.abc import Iterator
from errno import ENOTDIR
from pathlib import Path
from typing import Final

from gateway.clock import Entropy
from gateway.kek import Kek
from ledger_client.genesis import BANK_KEYS
from ledger_client.keys import SigningKey, load_key, save_key, save_public_key

_SECOND: Final = "recoverer_second"
_MOVE: Final = ": move it to another host, to be kept by another person; its .pub stays here"


def make_key_files(folder: Path, entropy: Entropy) -> Iterator[str]:
    """Make what is missing in `folder`; yields a line for each secret made."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(ENOTDIR, "a file; name a folder", str(folder)) from None
    for name in BANK_KEYS:
        secret, public = folder / f"{name}.key", folder / f"{name}.pub"
        if public.exists():
            continue
        if secret.exists():  # of a release that made no public halves, or of a run cut off
            save_public_key(public, load_key(secret))
            continue
        make_key_pair(secret, entropy)
        yield f"made {secret}{_MOVE if name == _SECOND else ''}"
    kek = folder / "kek.toml"
    if not kek.exists():
        Kek.create(kek, entropy)
        yield f"made {kek}: keep a copy of it apart from the database's backups"


def make_key_pair(secret: Path, entropy: Entropy) -> str:
    """Make one key and its public half beside it; returns the public key."""
    if secret.suffix != ".key":
        raise ValueError(f"{secret}: the name of a file with a secret key ends in .key")
    key = SigningKey.generate(entropy)
    save_key(secret, key)
    save_public_key(secret.with_suffix(".pub"), key)
    return key.public_key
