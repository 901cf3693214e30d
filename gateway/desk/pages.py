"""What reconciliation reads: pages of rows, each of one moment, whoever writes meanwhile.

Operations only, and they change nothing. `audit` says what is right and what is not.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    CursorResult,
    Select,
    String,
    Table,
    and_,
    bindparam,
    exists,
    false,
    or_,
    select,
    tuple_,
)

from gateway.desk.chain import SENT, Line, Link, of_line
from gateway.desk.unclaimed import AGAIN_MS
from gateway.stores.dialects import in_list, listed, one_moment
from gateway.stores.tables import (
    Counter,
    Dispute,
    Holding,
    Movement,
    Receipt,
    Submission,
    Transfer,
    Unclaimed,
    Wallet,
    table_of,
)

ROWS: Final = 100  # of one page: a few milliseconds, in which SQLite's reader keeps turns waiting
MAY_MOVE: Final = ("signed", "committed")  # a payment that has moved money, or still may

_MOVEMENT, _HOLDING, _COUNTER = table_of(Movement), table_of(Holding), table_of(Counter)
_TRANSFER, _SUBMISSION, _RECEIPT = table_of(Transfer), table_of(Submission), table_of(Receipt)
_UNCLAIMED, _WALLET, _DISPUTE = table_of(Unclaimed), table_of(Wallet), table_of(Dispute)
_LINKS = (
    select(*(_MOVEMENT.c[name] for name in (*Link._fields, "hash")))
    .where(
        tuple_(_MOVEMENT.c.account_id, _MOVEMENT.c.number)
        > tuple_(bindparam("after", type_=String), bindparam("number", type_=BigInteger))
    )
    .order_by(_MOVEMENT.c.account_id, _MOVEMENT.c.number)
    .limit(ROWS)
)
SENT_NOW: Final = (*SENT, "state", "settled_at", "height")
_PAYMENTS = (
    select(_TRANSFER, *(_SUBMISSION.c[name].label(f"s_{name}") for name in SENT_NOW))
    .select_from(_TRANSFER)
    .outerjoin(_SUBMISSION, _SUBMISSION.c.tx_hash == _TRANSFER.c.tx_hash)
    .where(_TRANSFER.c.tx_hash.in_(select(listed("hashes").c.value)))
)
_ARRIVALS = (
    select(_RECEIPT)
    .where(_RECEIPT.c.tx_hash.in_(select(listed("hashes").c.value)))
    .order_by(_RECEIPT.c.tx_hash, _RECEIPT.c.command_index)
)
_DISPUTES = select(_DISPUTE).where(_DISPUTE.c.tx_hash.in_(select(listed("hashes").c.value)))
_of_accounts = select(listed("accounts").c.value)
_HELD = select(
    _HOLDING.c.account_id,
    _HOLDING.c.currency,
    _HOLDING.c.settled,
    _HOLDING.c.outgoing,
    _HOLDING.c.incoming,
    _HOLDING.c.movement,
).where(_HOLDING.c.account_id.in_(_of_accounts))
_COUNTED = select(
    _COUNTER.c.account_id,
    _COUNTER.c.bucket,
    _COUNTER.c.period,
    _COUNTER.c.amount,
    _COUNTER.c.count,
    _COUNTER.c.movement,
).where(_COUNTER.c.account_id.in_(_of_accounts))
_KEPT = select(_WALLET.c.account_id).where(_WALLET.c.account_id.in_(_of_accounts))
_OPEN = select(_TRANSFER.c.src_account, _TRANSFER.c.tx_hash, _TRANSFER.c.ref).where(
    _TRANSFER.c.src_account.in_(_of_accounts), _TRANSFER.c.state == "signed"
)


@dataclass(slots=True)
class Standing:
    """What an account's rows say of it."""

    lines: dict[Line, tuple[int, ...]] = field(default_factory=dict)  # and movement
    open: dict[str, str] = field(default_factory=dict)  # ref by hash of its unsettled payments
    wallet: bool = False  # is there one?


@dataclass(frozen=True, slots=True)
class Page:
    """Movements in order, the rows they came with, and all of each account that ends here."""

    links: Sequence[tuple[Link, bytes]]
    payments: Mapping[str, Mapping[str, Any]]  # by hash
    arrivals: Mapping[tuple[str, Line], Sequence[Mapping[str, Any]]]  # by hash and holding
    disputes: Mapping[str, Mapping[str, Any]]  # by hash of the payment
    standings: Mapping[str, Standing]  # of accounts of which no more movements follow


def read_links(connection: Connection, places: Sequence[tuple[str, int]]) -> list[Page]:
    """The page after this account and number."""
    one_moment(connection)
    return [_read_links(connection, place) for place in places]


def _read_links(connection: Connection, after: tuple[str, int]) -> Page:
    found = connection.execute(_LINKS, dict(zip(("after", "number"), after, strict=True)))
    links = [(Link(*row[:-1]), row[-1]) for row in found]
    hashes = in_list({link.tx_hash for link, _ in links if link.tx_hash})
    payments = connection.execute(_PAYMENTS, {"hashes": hashes}).mappings()
    disputes = connection.execute(_DISPUTES, {"hashes": hashes}).mappings()
    arrivals: defaultdict[tuple[str, Line], list[Mapping[str, Any]]] = defaultdict(list)
    for row in connection.execute(_ARRIVALS, {"hashes": hashes}).mappings():
        line = (row["account_id"], row["currency"], "")
        arrivals[row["tx_hash"], line].append(dict(row))
    accounts = dict.fromkeys((after[0], *(link.account_id for link, _ in links)))
    accounts.pop("", None)
    if len(links) == ROWS:
        accounts.pop(links[-1][0].account_id)
    return Page(
        links,
        {row["tx_hash"]: dict(row) for row in payments},
        arrivals,
        {row["tx_hash"]: dict(row) for row in disputes},
        _standings(connection, list(accounts)),
    )


def _standings(connection: Connection, accounts: Sequence[str]) -> dict[str, Standing]:
    standings = {account: Standing() for account in accounts}
    if not accounts:
        return standings
    asked = {"accounts": in_list(accounts)}
    for account, currency, *figures in connection.execute(_HELD, asked):
        standings[account].lines[account, currency, ""] = tuple(figures)
    for account, bucket, period, amount, count, movement in connection.execute(_COUNTED, asked):
        standings[account].lines[account, bucket, period] = (amount, count, 0, movement)
    for account, tx_hash, ref in connection.execute(_OPEN, asked):
        standings[account].open[tx_hash] = ref
    for account in connection.execute(_KEPT, asked).scalars():
        standings[account].wallet = True
    return standings


# ---- each row beside what vouches for it


class Shelf(NamedTuple):
    """A table whose rows others vouch for: their keys, and what is wrong with a row."""

    name: str
    key: Sequence["Column[Any]"]
    movement: ColumnElement[bool]  # the one it names
    wrong: ColumnElement[bool]


class Beside(NamedTuple):
    """One row's key, and whether the movement it names says otherwise."""

    key: tuple[Any, ...]
    wrong: bool


def _figures(table: Table, *columns: ColumnElement[int]) -> ColumnElement[bool]:
    """Are these the figures of the movement, or nothing where no movement was ever?"""
    empty = and_(table.c.movement == 0, *(column == 0 for column in columns))
    of_movement = (_MOVEMENT.c.a, _MOVEMENT.c.b, _MOVEMENT.c.c)
    same = and_(*(a == b for a, b in zip(columns, of_movement, strict=False)))
    return ~or_(empty, and_(_MOVEMENT.c.number.is_not(None), same))


def _arrived(table: Table, account: ColumnElement[str]) -> ColumnElement[bool]:
    return and_(
        _MOVEMENT.c.account_id == account,
        _MOVEMENT.c.number == table.c.movement,
        _MOVEMENT.c.tx_hash == table.c.tx_hash,
    )


_SAME_ARRIVAL = and_(
    _UNCLAIMED.c.tx_hash == _RECEIPT.c.tx_hash,
    _UNCLAIMED.c.command_index == _RECEIPT.c.command_index,
    _UNCLAIMED.c.account_id == _RECEIPT.c.account_id,
)
_IS_LOST = and_(_RECEIPT.c.due_at.is_not(None), ~exists().where(_SAME_ARRIVAL))
_IS_RETURN, _MAY_MOVE = _TRANSFER.c.channel == "return", _TRANSFER.c.state.in_(MAY_MOVE)
# Of no arrival, or of one that would go back once more.
_IS_ASTRAY = and_(_IS_RETURN, _MAY_MOVE, ~exists().where(_UNCLAIMED.c.ref == _TRANSFER.c.ref))


def _is_told_truly() -> ColumnElement[bool]:
    """Is this unclaimed money as its receipt, its wallet and the payment that returns it say?"""
    goes = and_(  # back by this payment
        _IS_RETURN,
        _TRANSFER.c.src_account == _RECEIPT.c.account_id,
        _TRANSFER.c.dest_account == _RECEIPT.c.src_account,
        _TRANSFER.c.currency == _RECEIPT.c.currency,
        _TRANSFER.c.amount == _RECEIPT.c.amount,
    )
    untried = and_(_UNCLAIMED.c.ref.is_(None), _UNCLAIMED.c.due_at == _RECEIPT.c.due_at)
    again_at = _TRANSFER.c.settled_at + AGAIN_MS
    in_vain = and_(goes, ~_MAY_MOVE, _UNCLAIMED.c.due_at == again_at)
    there = or_(untried, in_vain)
    state, claim, now = _UNCLAIMED.c.state, _WALLET.c.claim, _TRANSFER.c.state
    return (
        exists()
        .select_from(
            _RECEIPT.join(_WALLET, _WALLET.c.account_id == _RECEIPT.c.account_id).outerjoin(
                _TRANSFER, _TRANSFER.c.ref == _UNCLAIMED.c.ref
            )
        )
        .where(
            _SAME_ARRIVAL,
            _RECEIPT.c.due_at.is_not(None),
            or_(
                and_(state == "waiting", claim != "", there),
                and_(state == "claimed", claim == "", there),
                and_(state == "returning", claim.in_(("returning", "")), goes, now == "signed"),
                and_(state == "returned", goes, now == "committed"),
            ),
        )
        .correlate(_UNCLAIMED)
    )


SHELVES: Final = (
    Shelf(
        "holding",
        list(_HOLDING.primary_key),
        of_line(_HOLDING, _HOLDING.c.currency, ""),
        _figures(_HOLDING, _HOLDING.c.settled, _HOLDING.c.outgoing, _HOLDING.c.incoming),
    ),
    Shelf(
        "counter",
        list(_COUNTER.primary_key),
        of_line(_COUNTER, _COUNTER.c.bucket, _COUNTER.c.period),
        _figures(_COUNTER, _COUNTER.c.amount, _COUNTER.c.count),
    ),
    Shelf(
        "transfer",
        list(_TRANSFER.primary_key),
        _arrived(_TRANSFER, _TRANSFER.c.src_account),
        or_(_MOVEMENT.c.number.is_(None), _IS_ASTRAY),
    ),
    Shelf(
        "receipt",
        list(_RECEIPT.primary_key),
        _arrived(_RECEIPT, _RECEIPT.c.account_id),
        or_(_MOVEMENT.c.number.is_(None), _IS_LOST),
    ),
    Shelf(
        "dispute",
        list(_DISPUTE.primary_key),
        _arrived(_DISPUTE, _DISPUTE.c.dest_account),
        _MOVEMENT.c.number.is_(None),
    ),
    Shelf(
        "unclaimed",
        list(_UNCLAIMED.primary_key),
        false(),  # it names none
        ~_is_told_truly(),
    ),
)


class Place(NamedTuple):
    """Where on which shelf; `after` is empty before the first row."""

    shelf: Shelf
    after: tuple[Any, ...] = ()


def read_shelf(connection: Connection, places: Sequence[Place]) -> list[list[Beside]]:
    """The page of rows after this place."""
    return [
        [Beside(tuple(row[:-1]), bool(row[-1])) for row in _rows_of(connection, *place)]
        for place in places
    ]


def _rows_of(
    connection: Connection, shelf: Shelf, after: tuple[Any, ...]
) -> CursorResult[tuple[Any, ...]]:
    first, following = _SHELVED[shelf.name]
    if not after:
        return connection.execute(first)
    names = (column.name for column in shelf.key)
    return connection.execute(following, dict(zip(names, after, strict=True)))


def _shelved(shelf: Shelf) -> tuple[Select[Any], Select[Any]]:
    first = (
        select(*shelf.key, shelf.wrong.label("wrong"))
        .select_from(shelf.key[0].table)
        .outerjoin(_MOVEMENT, shelf.movement)
        .order_by(*shelf.key)
        .limit(ROWS)
    )
    after = (bindparam(column.name, type_=column.type) for column in shelf.key)
    return first, first.where(tuple_(*shelf.key) > tuple_(*after))


_SHELVED: Final = {shelf.name: _shelved(shelf) for shelf in SHELVES}
