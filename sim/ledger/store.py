"""The ledger on disk: one SQLite file of blocks, of every hash ever decided, and of the world.

A block and all it changed are one commit, so that a crash leaves the block before or the block
after, never half of one. Readers have their own connection; writing happens wherever the caller
puts it, one call at a time.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sim.ledger.pool import Tx
from sim.ledger.world import Account, Shelf, World

FILE_NAME = "ledger.sqlite3"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS blocks (
    height INTEGER PRIMARY KEY, hash TEXT NOT NULL, block BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS verdicts (
    hash BLOB PRIMARY KEY, height INTEGER NOT NULL,
    position INTEGER  -- within the block's transactions; NULL: rejected
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS parts (
    account_id TEXT, height INTEGER, position INTEGER, created_time INTEGER, asset_id TEXT,
    PRIMARY KEY (account_id, height, position, asset_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS accounts (
    account_id TEXT PRIMARY KEY, quorum INTEGER NOT NULL, signatories TEXT NOT NULL,
    roles TEXT NOT NULL, balances TEXT NOT NULL, grants TEXT NOT NULL, details TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS furniture (
    kind TEXT, id TEXT, value, PRIMARY KEY (kind, id)
) WITHOUT ROWID;
"""

_FURNITURE = ("domains", "assets", "roles", "peers", "settings")


@dataclass(frozen=True, slots=True)
class Sealed:
    """A finished block, as it is stored and handed out."""

    height: int
    block_hash: str
    block: bytes
    committed: Sequence[Tx]
    rejected: Sequence[str]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a decided hash stands."""

    height: int
    position: int | None  # None: rejected


_ASKED_MOST = 500  # hashes in one question


@dataclass(frozen=True, slots=True)
class Part:
    """Where an account had a part in a committed transaction."""

    height: int
    position: int
    created_time: int
    asset_id: str  # what was moved from or to it; "": it is the creator


class Store:
    """Blocks, verdicts and world in `folder`, made if missing."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._writer = _connect(folder / FILE_NAME)
        self._writer.executescript(_SCHEMA)
        self._reader = _connect(folder / FILE_NAME)

    def close(self) -> None:
        self._reader.close()
        self._writer.close()

    def append(self, sealed: Sealed, changes: World) -> None:
        """One commit: the block, its verdicts and what it changed."""
        with self._writer:  # commits, or rolls back what raised
            self._writer.execute("BEGIN IMMEDIATE")
            self._writer.execute(
                "INSERT INTO blocks VALUES (?, ?, ?)",
                (sealed.height, sealed.block_hash, sealed.block),
            )
            # In the order of their keys, which SQLite takes in half the time.
            self._writer.executemany(
                "INSERT INTO verdicts VALUES (?, ?, ?)", sorted(_verdicts(sealed))
            )
            self._writer.executemany("INSERT INTO parts VALUES (?, ?, ?, ?, ?)", _parts(sealed))
            self._writer.executemany(
                "INSERT OR REPLACE INTO accounts VALUES (?, ?, ?, ?, ?, ?, ?)",
                [_row(account) for account in changes.accounts.own.values() if account],
            )
            for kind in _FURNITURE:
                changed = getattr(changes, kind).own.items()
                self._writer.executemany(
                    "INSERT OR REPLACE INTO furniture VALUES (?, ?, ?)",
                    [(kind, key, value) for key, value in changed],
                )

    def load(self) -> World:
        """The world as the last block left it; accounts follow when they are asked for."""
        world = World()
        world.accounts = _StoredAccounts(self._reader)
        for kind, key, value in self._reader.execute("SELECT kind, id, value FROM furniture"):
            getattr(world, kind)[key] = value
        return world

    def top(self) -> tuple[int, str]:
        """Height and hash of the last block; (0, "") of an empty store."""
        found = self._reader.execute(
            "SELECT height, hash FROM blocks ORDER BY height DESC LIMIT 1"
        ).fetchone()
        return (found[0], found[1]) if found else (0, "")

    def block(self, height: int) -> bytes | None:
        """The serialised block at a height."""
        found = self._reader.execute(
            "SELECT block FROM blocks WHERE height = ?", (height,)
        ).fetchone()
        return bytes(found[0]) if found else None

    def block_hash(self, height: int) -> str | None:
        """The hash of the block at a height."""
        found = self._reader.execute(
            "SELECT hash FROM blocks WHERE height = ?", (height,)
        ).fetchone()
        return str(found[0]) if found else None

    def place(self, tx_hash: str) -> Place | None:
        """Where this hash was decided, if it ever was."""
        found = self._reader.execute(
            "SELECT height, position FROM verdicts WHERE hash = ?", (bytes.fromhex(tx_hash),)
        ).fetchone()
        return Place(*found) if found else None

    def decided(self, hashes: Sequence[str]) -> set[str]:
        """Which of these hashes stand in a block."""
        found: set[str] = set()
        for first in range(0, len(hashes), _ASKED_MOST):
            asked = [bytes.fromhex(it) for it in hashes[first : first + _ASKED_MOST]]
            marks = ",".join("?" * len(asked))
            rows = self._reader.execute(
                f"SELECT hash FROM verdicts WHERE hash IN ({marks})",  # noqa: S608 - only marks
                asked,
            ).fetchall()
            found.update(bytes(row[0]).hex() for row in rows)
        return found

    def parts(self, account_id: str) -> list[Part]:
        """Every part an account had in committed transactions, in order of blocks."""
        found = self._reader.execute(
            "SELECT height, position, created_time, asset_id FROM parts WHERE account_id = ?"
            " ORDER BY height, position, asset_id",
            (account_id,),
        )
        return [Part(*row) for row in found]


class _StoredAccounts(Shelf[Account]):
    """The lowest layer of accounts: read when first needed, so that starting costs nothing."""

    __slots__ = ("_reader",)

    def __init__(self, reader: sqlite3.Connection) -> None:
        super().__init__()
        self._reader = reader

    def fetch(self, key: str) -> Account | None:
        row = self._reader.execute("SELECT * FROM accounts WHERE account_id = ?", (key,)).fetchone()
        if row is None:
            return None
        self.own[key] = account = _account(row)
        return account

    def all(self) -> dict[str, Account]:
        for (account_id,) in self._reader.execute("SELECT account_id FROM accounts").fetchall():
            self[account_id]
        return super().all()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _verdicts(sealed: Sealed) -> Iterator[tuple[bytes, int, int | None]]:
    for position, tx in enumerate(sealed.committed):
        yield bytes.fromhex(tx.tx_hash), sealed.height, position
    for tx_hash in sealed.rejected:
        yield bytes.fromhex(tx_hash), sealed.height, None


def _parts(sealed: Sealed) -> list[tuple[str, int, int, int, str]]:
    """The creator has a part in a transaction, and so has everybody whose money it moves."""
    found = set()
    for position, tx in enumerate(sealed.committed):
        place = (sealed.height, position, tx.created_time)
        found.add((tx.creator, *place, ""))
        for command in tx.proto.payload.reduced_payload.commands:
            if command.HasField("transfer_asset"):
                it = command.transfer_asset
                for account_id in (tx.creator, it.src_account_id, it.dest_account_id):
                    found.add((account_id, *place, it.asset_id))
    return sorted(found)


def _row(account: Account) -> tuple[str, int, str, str, str, str, str]:
    return (
        account.account_id,
        account.quorum,
        json.dumps(sorted(account.signatories)),
        json.dumps(sorted(account.roles)),
        json.dumps(account.balances),
        json.dumps(account.grants),
        json.dumps(account.details),
    )


def _account(row: Sequence[object]) -> Account:
    account_id, quorum, *columns = row
    signatories, roles, balances, grants, details = (json.loads(str(it)) for it in columns)
    return Account(
        account_id=str(account_id),
        quorum=int(str(quorum)),
        signatories=frozenset(signatories),
        roles=frozenset(roles),
        balances=balances,
        grants=grants,
        details=details,
    )
