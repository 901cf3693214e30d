"""What payments reserve of holdings and counters, written with the payments themselves.

All or nothing: the sender's counters of the day and month, its `outgoing`, the receiver's
`incoming`. What comes of it is `changes`'s. Money that goes back, unclaimed or because it was asked
back, reserves no limit: it uses no counter (its `bucket` is empty) and has always room.

Called inside a caller's commit, on wallets that `lock_wallets` has locked. Whatever changes a
figure is written as a movement, too (`chain`), and no figure changes without one.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Update, bindparam, insert, update

from gateway.desk import chain
from gateway.desk.books import MADE, Books
from gateway.desk.chain import PAYMENT, RESERVED, SENT, Entry, Line
from gateway.desk.changes import make_holdings
from gateway.desk.checks import Want
from gateway.desk.journal import Journal
from gateway.desk.limits import Limits
from gateway.desk.openings import Opening
from gateway.desk.times import from_ms
from gateway.stores.dialects import insert_ignore
from gateway.stores.tables import Counter, Holding, Submission, Transfer, table_of
from ledger_client.ledger import Signed
from menus.limits import business_day

_HOLDING, _COUNTER = table_of(Holding), table_of(Counter)
_SUBMISSION, _TRANSFER = table_of(Submission), table_of(Transfer)
_INSERT_TRANSFER, _INSERT_SUBMISSION = insert(_TRANSFER), insert(_SUBMISSION)
_COUNT_MOST = 2**31 - 1
_MINOR_MOST = 2**62  # more than can ever be held
RETURN: Final = "return"  # the purpose of what goes back unclaimed


class GuardFailed(Exception):
    """A guarded UPDATE did not find its row as it was read under lock: nothing may be kept."""


@dataclass(frozen=True, slots=True)
class Order:
    """A payment signed and ready for its one commit. It holds no PIN and no key."""

    want: Want
    ref: str
    src_account: str
    key_version: int  # of the key that signed
    signed: Signed
    at_ms: int
    opening: Opening | None = None  # of the wallet that it makes, whose batch it ends

    @property
    def day(self) -> str:
        """The business day that it counts on: that of its time, whenever it gets its commit."""
        return business_day(from_ms(self.at_ms))


# ---- taken


_TAKE_COUNTER = (
    update(_COUNTER)
    .where(
        _COUNTER.c.account_id == bindparam("b_account"),
        _COUNTER.c.bucket == bindparam("b_bucket"),
        _COUNTER.c.period == bindparam("b_period"),
        _COUNTER.c.amount + bindparam("b_amount") <= bindparam("b_cap"),
        _COUNTER.c.count < bindparam("b_count_cap"),
    )
    .values(
        amount=_COUNTER.c.amount + bindparam("b_amount"),
        count=_COUNTER.c.count + 1,
        movement=bindparam("b_movement"),
    )
)
_of_holding = (
    _HOLDING.c.account_id == bindparam("b_account"),
    _HOLDING.c.currency == bindparam("b_currency"),
)
# What a block holds has been paid, be it of money that the same block has brought, or that we have
# reserved for something else since.
_TAKE_PAID = (
    update(_HOLDING)
    .where(*_of_holding)
    .values(outgoing=_HOLDING.c.outgoing + bindparam("b_amount"), movement=bindparam("b_movement"))
)
_TAKE_OUTGOING = _TAKE_PAID.where(_HOLDING.c.settled - _HOLDING.c.outgoing >= bindparam("b_amount"))
_TAKE_INCOMING = (
    update(_HOLDING)
    .where(
        *_of_holding,
        _HOLDING.c.settled + _HOLDING.c.incoming + bindparam("b_amount") <= bindparam("b_cap"),
    )
    .values(incoming=_HOLDING.c.incoming + bindparam("b_amount"), movement=bindparam("b_movement"))
)


class Taking(NamedTuple):
    """One guarded UPDATE of a line: its parameters, and the movement that tells of it."""

    entry: Entry
    row: dict[str, Any]


class Placing(NamedTuple):
    """A payment to be written: its row, and how much its receiver may hold at most."""

    order: Order
    row: dict[str, Any]
    cap: int | None  # None: another bank keeps its own books


def reserve(
    journal: Journal,
    connection: Connection,
    books: Books,
    orders: Sequence[Order],
    *,
    wallets_per_day: int = 0,  # that payments of one sender may make
) -> None:
    """Write accepted payments: rows, exact signed bytes and reservations; or raise, all of it.

    `books` were read under the locks and have already said yes; the guards ask the rows again.
    """
    limited = [order for order in orders if not order.want.returns]
    counters = [taking for order in limited for taking in _of_counters(books, order)]
    counters += [_of_making(order, wallets_per_day) for order in orders if order.opening]
    insert_ignore(connection, Counter, [empty_counter(taking.entry.line) for taking in counters])
    placings = [
        Placing(order, _payment_row(books, order), _held_cap(books, order)) for order in orders
    ]
    _write(journal, connection, placings, counters)


def reserve_returns(
    journal: Journal,
    connection: Connection,
    ours: Collection[str],
    orders: Sequence[Order],
    *,
    paid: bool = False,  # a block holds them already
) -> None:
    """Write returns, as `reserve` does, but they use no limit: everybody has room for his own."""
    placings = [
        Placing(
            order,
            _transfer_row(order, "", 0),
            _MINOR_MOST if order.want.dest_account in ours else None,
        )
        for order in orders
    ]
    _write(journal, connection, placings, [], paid=paid)


def reserve_rebuilt(
    journal: Journal,
    connection: Connection,
    limits: Limits,
    ours: Collection[str],
    rebuilt: Sequence[tuple[Order, str | None]],  # each with its beneficiary
) -> None:
    """Write payments that a block holds already, as `reserve` does, but beyond any cap."""
    beyond = {"b_cap": _MINOR_MOST, "b_count_cap": _COUNT_MOST}
    placings, counters = list[Placing](), list[Taking]()
    for order, beneficiary in rebuilt:
        day, amount = order.day, order.want.amount
        bucket, counted = limits.bucket(amount.currency), limits.counted(amount)
        row = _transfer_row(order, bucket, counted) | {"beneficiary": beneficiary}
        cap = _MINOR_MOST if order.want.dest_account in ours else None
        placings.append(Placing(order, row, cap))
        counters += [
            _of_counter(order, (bucket, period), (counted, 1), beyond) for period in (day, day[:7])
        ]
    insert_ignore(connection, Counter, [empty_counter(taking.entry.line) for taking in counters])
    _write(journal, connection, placings, counters, paid=True)


def _write(
    journal: Journal,
    connection: Connection,
    placings: Sequence[Placing],
    counters: Sequence[Taking],
    *,
    paid: bool = False,
) -> None:
    transfers = [placing.row for placing in placings]
    submissions = [_submission_row(placing.order) for placing in placings]
    key = journal.key(connection)
    outgoing = [
        _of_money(
            order,
            order.src_account,
            (0, order.want.amount.minor, 0),
            bound=chain.bound(key, chain.picked(transfer, PAYMENT), chain.picked(signed, SENT)),
        )
        for (order, transfer, _), signed in zip(placings, submissions, strict=True)
    ]
    incoming = [
        _of_money(order, order.want.dest_account, (0, 0, order.want.amount.minor), cap=cap)
        for order, _, cap in placings
        if cap is not None
    ]
    make_holdings(connection, {taking.entry.line[:2] for taking in incoming})
    takings = [*outgoing, *incoming, *counters]
    numbers = journal.write(connection, [taking.entry for taking in takings])
    for taking, number in zip(takings, numbers, strict=True):
        taking.row["b_movement"] = number
    for transfer, taking in zip(transfers, outgoing, strict=True):
        transfer["movement"] = taking.row["b_movement"]
    _each(connection, _TAKE_COUNTER, counters)
    _each(connection, _TAKE_PAID if paid else _TAKE_OUTGOING, outgoing)
    _each(connection, _TAKE_INCOMING, incoming)
    connection.execute(_INSERT_TRANSFER, transfers)
    connection.execute(_INSERT_SUBMISSION, submissions)


def _each(connection: Connection, statement: Update, takings: Sequence[Taking]) -> None:
    rows = [taking.row for taking in takings]
    changed = connection.execute(statement, rows).rowcount if rows else 0
    if changed != len(rows):
        raise GuardFailed(f"{len(rows) - changed} of {len(rows)} guarded changes refused")


def _of_counters(books: Books, order: Order) -> list[Taking]:
    amount = order.want.amount
    caps = books.limits.counter_caps(books.accounts[order.src_account].tier, amount.currency)
    bucket, counted = books.limits.bucket(amount.currency), books.limits.counted(amount)
    today, day = order.day, {"b_cap": caps.day, "b_count_cap": caps.count_per_day}
    month = {"b_cap": caps.month, "b_count_cap": _COUNT_MOST}
    return [
        _of_counter(order, (bucket, period), (counted, 1), guard)
        for period, guard in ((today, day), (today[:7], month))
    ]


def _of_making(order: Order, most: int) -> Taking:
    return _of_counter(order, (MADE, order.day), (0, 1), {"b_cap": 0, "b_count_cap": most})


def _of_counter(
    order: Order, item: tuple[str, str], by: tuple[int, int], guard: Mapping[str, int]
) -> Taking:
    bucket, period = item
    row = {"b_account": order.src_account, "b_bucket": bucket, "b_period": period}
    return Taking(
        _entry(order, (order.src_account, bucket, period), (*by, 0)),
        {**row, "b_amount": by[0], **guard},
    )


def _of_money(
    order: Order,
    account_id: str,
    by: tuple[int, int, int],
    *,
    bound: bytes = b"",
    cap: int | None = None,
) -> Taking:
    amount = order.want.amount
    currency = amount.currency.value
    row = {"b_account": account_id, "b_currency": currency, "b_amount": amount.minor}
    guard = {} if cap is None else {"b_cap": cap}
    return Taking(_entry(order, (account_id, currency, ""), by, bound), row | guard)


def _entry(order: Order, line: Line, by: tuple[int, int, int], bound: bytes = b"") -> Entry:
    return Entry(line, by, RESERVED, order.signed.tx_hash, None, order.at_ms, bound)


def empty_counter(line: Line) -> dict[str, Any]:
    """A counter of which nothing is used, to be inserted where there is none."""
    account_id, bucket, period = line
    return {"account_id": account_id, "bucket": bucket, "period": period, "amount": 0, "count": 0}


def _held_cap(books: Books, order: Order) -> int | None:
    payee = books.accounts.get(order.want.dest_account)
    if payee is None:
        return None
    caps = books.caps(payee, order.want.amount.currency)
    return _MINOR_MOST if order.want.returns else caps.held


def _payment_row(books: Books, order: Order) -> dict[str, Any]:
    amount = order.want.amount
    if order.want.returns:
        return _transfer_row(order, "", 0)
    bucket, counted = books.limits.bucket(amount.currency), books.limits.counted(amount)
    return _transfer_row(order, bucket, counted)


def _transfer_row(order: Order, bucket: str, counted: int) -> dict[str, Any]:
    want = order.want
    return {
        "ref": order.ref,
        "intent_id": want.intent,
        "turn_key": want.turn_key,
        "tx_hash": order.signed.tx_hash,
        "src_account": order.src_account,
        "dest_account": want.dest_account,
        "src_msisdn": want.sender.e164,
        "dest_msisdn": want.dest_msisdn,
        "beneficiary": want.beneficiary,
        "currency": want.amount.currency.value,
        "amount": want.amount.minor,
        "bucket": bucket,
        "counted": counted,
        "business_day": order.day,
        "channel": want.channel,
        "state": "signed",
        "created_at": order.at_ms,
    }


def _submission_row(order: Order) -> dict[str, Any]:
    return {
        "tx_hash": order.signed.tx_hash,
        "purpose": RETURN if order.want.channel == "return" else "transfer",
        "account_id": order.src_account,
        "batch": order.opening.batch if order.opening else order.signed.tx_hash,
        "position": len(order.opening.signed) if order.opening else 0,
        "created_time": order.signed.created_time,
        "data": order.signed.data,
        "state": "signed",
        "next_send_at": order.at_ms,
        "sends": 0,
    }
