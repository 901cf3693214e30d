"""Key-encryption keys (KEKs): the file that must never lie where the database does.

A TOML file, mode 0600, of versions and 32-byte keys. The newest version seals, any version opens,
so a KEK is rotated by adding a version and re-wrapping (`Vault.rewrap`), and retired by deleting
its line once no row names it. Whoever holds database *and* this file still has to guess PINs.

A process that meets a version it does not know reads its file again, and from then on seals with
the newest there. So a version may be added while gateways run, and spreads by being used.
"""

import fcntl
import hashlib
import os
import stat
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gateway.clock import Entropy

KEY_BYTES: Final = 32
_WIDER_THAN_OWNER: Final = stat.S_IRWXG | stat.S_IRWXO
_FILE_HEAD: Final = """\
# Key-encryption keys of wallet keys: the newest version seals, any version opens.
# Losing this file loses every wallet key: keep a copy offline, and never beside the database.
"""


class KekError(ValueError):
    """The file is missing, readable by others, or not one of ours; never quotes what is in it."""


class KekVersionMissing(KekError):
    """Something was sealed under a version that the file no longer holds."""


class Kek:
    """The key-encryption keys, by version. Everything else keyed is derived from them.

    With the `path` of their file, a version unknown so far is looked for there.
    """

    def __init__(self, keys: Mapping[int, bytes], path: Path | None = None) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys.values()) or min(keys) < 1:
            raise KekError("a key-encryption key is 32 bytes under a version from 1 on")
        self._path = path
        self._keys = dict(keys)
        self._derived: dict[tuple[int, str], bytes] = {}  # every turn asks for one of them twice
        self.newest = max(keys)

    @property
    def versions(self) -> tuple[int, ...]:
        """Newest first."""
        return tuple(sorted(self._keys, reverse=True))

    def derive(self, version: int, purpose: str) -> bytes:
        """A key for one purpose: what leaks from one use says nothing about another."""
        derived = self._derived.get((version, purpose))
        if derived is None:
            if version not in self._keys:
                self._read_again(version)
            derived = self._derived[version, purpose] = hashlib.blake2b(
                purpose.encode(),
                key=self._keys[version],
                digest_size=KEY_BYTES,
                person=b"gateway/kek",
            ).digest()
        return derived

    def _read_again(self, version: int) -> None:
        """Learn what was added to the file; what is known stays as it is, whatever it says now."""
        try:
            found = _read(self._path) if self._path is not None else {}
        except KekError as error:
            raise KekVersionMissing(f"version {version} is not known; {error}") from None
        if version not in found:
            raise KekVersionMissing(f"version {version} is not in GATEWAY_KEK_FILE")
        self._keys = {**found, **self._keys}
        self.newest = max(self._keys)

    @classmethod
    def load(cls, path: Path) -> "Kek":
        """Read the file; refuses one that others could read."""
        return cls(_read(path), path)

    @classmethod
    def create(cls, path: Path, entropy: Entropy) -> "Kek":
        """Make the file with a first version; refuses to replace one."""
        keys = {1: entropy(KEY_BYTES)}
        _write(path, keys)
        return cls(keys, path)

    @classmethod
    def add_version(cls, path: Path, entropy: Entropy) -> "Kek":
        """Add a newest version to the file, in one step: it is always there, old or new, and whole.

        Give the new file to every host before anything is re-wrapped: a process that knows the
        newest version seals with it at once, and the others must be able to open that.
        """
        real = path.resolve()  # a link stays one
        with _alone(real.parent):
            keys = _read(real)
            newest = cls(keys).newest + 1
            keys[newest] = entropy(KEY_BYTES)
            beside = real.with_name(real.name + ".new")
            beside.unlink(missing_ok=True)  # of a process that died: nothing was sealed with it
            _write(beside, keys, owner=real.stat())
            beside.replace(real)
            _settle(real.parent)
        return cls(keys, path)


def _read(path: Path) -> dict[int, bytes]:
    where = f"GATEWAY_KEK_FILE={path}"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        hint = "`ussd-gateway keys DIR` makes one"
        raise KekError(f"{where}: {error.strerror}; {hint}") from None
    with os.fdopen(descriptor, encoding="utf-8", errors="replace") as file:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode) or mode & _WIDER_THAN_OWNER:
            raise KekError(f"{where}: only its owner may read it (mode 0600)")
        return _parse(file.read(), where)


def _parse(text: str, where: str) -> dict[int, bytes]:
    try:
        return {int(version): bytes.fromhex(key) for version, key in tomllib.loads(text).items()}
    except (ValueError, TypeError):  # whose own text would quote the line
        raise KekError(f'{where}: not lines of `version = "64 hex digits"`') from None


def _write(path: Path, keys: Mapping[int, bytes], *, owner: os.stat_result | None = None) -> None:
    """Create, never replace; on disk before this returns, for what it seals is lost without it."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise KekError(f"{path}: {error.strerror}") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        if owner is not None:  # whoever runs this, the gateway must still be able to read it
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        file.write(_FILE_HEAD)
        file.writelines(f'{version} = "{key.hex()}"\n' for version, key in sorted(keys.items()))
        file.flush()
        os.fsync(descriptor)
    _settle(path.parent)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time; the lock goes with the process that holds it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _settle(folder: Path) -> None:
    """A file's name is durable only once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
