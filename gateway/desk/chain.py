"""Movements: what changed a holding or a counter, each wallet's in a chain that nobody can forge.

A movement's `hash` is keyed, over its own columns and the hash of the one before it of the same
wallet; numbers have no gaps. So whoever can write to the database, but lacks the key (`journal`),
can change, take out or put in nothing unseen. `bound` is a keyed hash of the row that the movement
came with: a payment as it was reserved, with its signed bytes, what has reached a wallet, or a
dispute as this movement left it. States and times of ending are in the movements themselves.

One chain for each wallet, and not one for all: a wallet's row is locked by whoever changes anything
of it, so its chain needs no lock, no order and no waiting of its own, and processes that pay from
different wallets never meet. What a single chain would see beside is a wallet taken back whole,
with everything that others' chains say of it, and against that stand the ledger's blocks.

A movement follows from the one before it, not from what the holding or counter says now: a figure
that somebody has edited stays apart from its movements until it is mended.

Called inside a caller's commit, on wallets that `lock_wallets` has locked. Writing only; `audit`
compares.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    Table,
    and_,
    func,
    select,
    true,
)

from gateway.stores.dialects import Prepared, PreparedInsert, in_list, listed
from gateway.stores.tables import (
    Counter,
    Dispute,
    Holding,
    Movement,
    Receipt,
    Submission,
    Transfer,
    table_of,
)

Line = tuple[str, str, str]
"""A holding or a counter: account, currency or bucket, "" or period."""

RESERVED: Final = "signed"  # why: the state of a payment or a dispute, or one of these
MOVED: Final = "moved"
BROUGHT: Final = "brought"
RECOVERED: Final = "recovered"

# What a payment is from its first commit to its last, what has reached a wallet, and what of it is
# asked back, as it stands.
PAYMENT: Final = tuple(
    column.name
    for column in table_of(Transfer).columns
    if column.name not in ("state", "settled_at", "movement")
)
SENT: Final = ("purpose", "account_id", "batch", "position", "created_time", "data")
ARRIVAL: Final = tuple(
    column.name for column in table_of(Receipt).columns if column.name != "movement"
)
DISPUTE: Final = tuple(
    column.name for column in table_of(Dispute).columns if column.name != "movement"
)
_HASH_BYTES: Final = 32
_BOUND_BYTES: Final = 16

_HOLDING, _COUNTER, _MOVEMENT = table_of(Holding), table_of(Counter), table_of(Movement)
_SUBMISSION = table_of(Submission)


class Entry(NamedTuple):
    """One change, to be written: `by` what figures of which line, why, and when."""

    line: Line
    by: tuple[int, int, int]
    why: str
    tx_hash: str
    height: int | None  # of the block that settled it
    at: int  # ms
    bound: bytes = b""


class Link(NamedTuple):
    """A movement's columns in the order that its hash covers."""

    account_id: str
    number: int
    item: str
    period: str
    by_a: int
    by_b: int
    by_c: int
    a: int
    b: int
    c: int
    why: str
    tx_hash: str
    height: int | None
    at: int
    bound: bytes

    @property
    def line(self) -> Line:
        return (self.account_id, self.item, self.period)

    def hash(self, key: bytes, before: bytes) -> bytes:
        """What ties it to the one before."""
        # repr tells any two tuples of texts, integers, bytes and None apart.
        said = repr((before, *self)).encode()
        return hashlib.blake2b(said, key=key, digest_size=_HASH_BYTES, person=b"movement").digest()


def bound(key: bytes, *rows: Sequence[object]) -> bytes:
    """A keyed hash of rows, each as its columns in order."""
    said = repr([tuple(row) for row in rows]).encode()
    return hashlib.blake2b(said, key=key, digest_size=_BOUND_BYTES, person=b"bound").digest()


def picked(row: Mapping[str, object] | RowMapping, names: Sequence[str]) -> tuple[object, ...]:
    """Some columns of a row, in order; one that is not there yet is None."""
    return tuple(row.get(name) for name in names)


# ---- written


def _heads() -> Select[Any]:
    """The last link of each account."""
    accounts, last = listed("accounts"), _MOVEMENT.alias("last")
    newest = (
        select(func.max(last.c.number))
        .where(last.c.account_id == accounts.c.value)
        .correlate(accounts)
        .scalar_subquery()
    )
    return (
        select(_MOVEMENT.c.account_id, _MOVEMENT.c.number, _MOVEMENT.c.hash)
        .select_from(accounts)
        .join(
            _MOVEMENT,
            and_(_MOVEMENT.c.account_id == accounts.c.value, _MOVEMENT.c.number == newest),
        )
    )


def of_line(table: Table, item: ColumnElement[str], period: ColumnElement[str] | str) -> Any:  # noqa: ANN401 - a join's condition
    """Is this movement the last that a row of `table` names, and of its line?"""
    return and_(
        _MOVEMENT.c.account_id == table.c.account_id,
        _MOVEMENT.c.number == table.c.movement,
        _MOVEMENT.c.item == item,
        _MOVEMENT.c.period == period,
    )


def _held() -> Select[Any]:
    """Each holding of some accounts, with the figures of its last movement."""
    accounts = listed("accounts")
    return (
        select(_HOLDING.c.account_id, _HOLDING.c.currency, *_figures_of_last)
        .select_from(accounts)
        .join(_HOLDING, _HOLDING.c.account_id == accounts.c.value)
        .outerjoin(_MOVEMENT, of_line(_HOLDING, _HOLDING.c.currency, ""))
    )


def _counted() -> Select[Any]:
    """Likewise the counters, of these buckets and periods."""
    accounts, buckets, periods = listed("accounts"), listed("buckets"), listed("periods")
    return (
        select(_COUNTER.c.account_id, _COUNTER.c.bucket, _COUNTER.c.period, *_figures_of_last)
        .select_from(accounts)
        .join(buckets, true())
        .join(
            _COUNTER,
            and_(
                _COUNTER.c.account_id == accounts.c.value,
                _COUNTER.c.bucket == buckets.c.value,
                # An expression, or SQLite would read everybody's counters of these periods.
                (_COUNTER.c.period + "").in_(select(periods.c.value)),
            ),
        )
        .outerjoin(_MOVEMENT, of_line(_COUNTER, _COUNTER.c.bucket, _COUNTER.c.period))
    )


_figures_of_last = (_MOVEMENT.c.a, _MOVEMENT.c.b, _MOVEMENT.c.c)
_INSERT = PreparedInsert(Movement, (*Link._fields, "hash"))
_HEADS, _HELD, _COUNTED = Prepared(_heads()), Prepared(_held()), Prepared(_counted())
_NOTHING: Final = (0, 0, 0)


def write(connection: Connection, key: bytes, entries: Sequence[Entry]) -> list[int]:
    """Add links, in order; the number of each in its wallet's chain, or 0 where no line is.

    The caller says in each line's own row which movement was its last.
    """
    if not entries:
        return []
    accounts = in_list({entry.line[0] for entry in entries})
    heads = {row[0]: (row[1], row[2]) for row in _HEADS.rows(connection, {"accounts": accounts})}
    figures = _figures(connection, accounts, {entry.line[1:] for entry in entries})
    rows, numbers = [], []
    for entry in entries:
        was = figures.get(entry.line)
        if was is None:  # another bank's account, or a counter that was deleted for its age
            numbers.append(0)
            continue
        account_id, item, period = entry.line
        number, before = heads.get(account_id, (0, b""))
        came = (was[0] + entry.by[0], was[1] + entry.by[1], was[2] + entry.by[2])
        link = Link(
            account_id,
            number + 1,
            item,
            period,
            *entry.by,
            *came,
            entry.why,
            entry.tx_hash,
            entry.height,
            entry.at,
            entry.bound,
        )
        made = link.hash(key, before)
        figures[entry.line], heads[account_id] = came, (number + 1, made)
        numbers.append(number + 1)
        rows.append((*link, made))
    if rows:
        _INSERT.write(connection, rows)
    return numbers


def _figures(
    connection: Connection, accounts: str, wanted: set[tuple[str, str]]
) -> dict[Line, tuple[int, int, int]]:
    """What the last movement of each line left; nothing of one that has a row and no movement."""
    found: dict[Line, tuple[int, int, int]] = {}
    counted = [each for each in wanted if each[1]]
    if len(counted) < len(wanted):
        for account, item, a, b, c in _HELD.rows(connection, {"accounts": accounts}):
            found[account, item, ""] = _NOTHING if a is None else (a, b, c)
    if counted:
        asked = {
            "accounts": accounts,
            "buckets": in_list({item for item, _ in counted}),
            "periods": in_list({period for _, period in counted}),
        }
        for account, item, period, a, b, c in _COUNTED.rows(connection, asked):
            found[account, item, period] = _NOTHING if a is None else (a, b, c)
    return found


def last_of(entries: Iterable[Entry], numbers: Iterable[int]) -> dict[Line, int]:
    """The last movement of each line that these were written to."""
    return {entry.line: number for entry, number in zip(entries, numbers, strict=True) if number}
