"""What payments reserve of holdings and counters: taken, consumed and given back, exactly once.

Reserved by `reserve`, all or nothing: the sender's counters of the day and month, its `outgoing`,
the receiver's `incoming`. A commit consumes `outgoing` and `incoming` and leaves the counters; a
payment that can never commit gives all three back, the counters to the day they were taken from.

Called inside a caller's commit, on wallets that `lock_wallets` has locked. That a payment has ended
is `settlement`'s to say: nothing here reads or sets a state. Whatever changes a figure is written
as a movement, too (`chain`), and no figure changes without one.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection, Update, bindparam, insert, update

from gateway.desk import chain
from gateway.desk.books import Books
from gateway.desk.chain import ARRIVAL, MOVED, PAYMENT, RESERVED, SENT, Entry, Line
from gateway.desk.checks import Want
from gateway.desk.journal import Journal
from gateway.desk.settlement import Ended, EndedPayment
from gateway.stores.dialects import insert_ignore
from gateway.stores.tables import Counter, Holding, Submission, Transfer, table_of
from ledger_client.ledger import Signed
from menus.kinds import Currency

_HOLDING, _COUNTER = table_of(Holding), table_of(Counter)
_SUBMISSION, _TRANSFER = table_of(Submission), table_of(Transfer)
_COUNT_MOST = 2**31 - 1
_NOTHING_HELD = {"settled": 0, "outgoing": 0, "incoming": 0}


class GuardFailed(Exception):
    """A guarded UPDATE did not find its row as it was read under lock: nothing may be kept."""


@dataclass(frozen=True, slots=True)
class Order:
    """A payment signed and ready for its one commit. It holds no PIN and no key."""

    want: Want
    ref: str
    turn_key: str
    src_account: str
    key_version: int  # of the key that signed
    signed: Signed
    at_ms: int


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
_TAKE_OUTGOING = (
    update(_HOLDING)
    .where(*_of_holding, _HOLDING.c.settled - _HOLDING.c.outgoing >= bindparam("b_amount"))
    .values(outgoing=_HOLDING.c.outgoing + bindparam("b_amount"), movement=bindparam("b_movement"))
)
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


def reserve(
    journal: Journal, connection: Connection, books: Books, orders: Sequence[Order]
) -> None:
    """Write accepted payments: rows, exact signed bytes and reservations; or raise, all of it.

    `books` were read under the locks and have already said yes; the guards ask the rows again.
    """
    transfers = [_transfer_row(books, order) for order in orders]
    submissions = [_submission_row(order) for order in orders]
    key = journal.key(connection)
    outgoing = [
        _of_money(
            order,
            order.src_account,
            (0, order.want.amount.minor, 0),
            bound=chain.bound(key, chain.picked(transfer, PAYMENT), chain.picked(signed, SENT)),
        )
        for order, transfer, signed in zip(orders, transfers, submissions, strict=True)
    ]
    incoming = [
        _of_money(
            order,
            order.want.dest_account,
            (0, 0, order.want.amount.minor),
            cap=_held_cap(books, order),
        )
        for order in orders
        if order.want.dest_account in books.accounts  # another bank keeps its own books
    ]
    counters = [taking for order in orders for taking in _of_counters(books, order)]
    insert_ignore(connection, Counter, [_empty_counter(taking.entry.line) for taking in counters])
    _make_holdings(connection, {taking.entry.line[:2] for taking in incoming})
    takings = [*outgoing, *incoming, *counters]
    numbers = journal.write(connection, [taking.entry for taking in takings])
    for taking, number in zip(takings, numbers, strict=True):
        taking.row["b_movement"] = number
    for transfer, taking in zip(transfers, outgoing, strict=True):
        transfer["movement"] = taking.row["b_movement"]
    _each(connection, _TAKE_COUNTER, counters)
    _each(connection, _TAKE_OUTGOING, outgoing)
    _each(connection, _TAKE_INCOMING, incoming)
    connection.execute(insert(_TRANSFER), transfers)
    connection.execute(insert(_SUBMISSION), submissions)


def _each(connection: Connection, statement: Update, takings: Sequence[Taking]) -> None:
    rows = [taking.row for taking in takings]
    changed = connection.execute(statement, rows).rowcount if rows else 0
    if changed != len(rows):
        raise GuardFailed(f"{len(rows) - changed} of {len(rows)} guarded changes refused")


def _of_counters(books: Books, order: Order) -> list[Taking]:
    amount = order.want.amount
    caps = books.limits.counter_caps(books.accounts[order.src_account].tier, amount.currency)
    bucket, counted = books.limits.bucket(amount.currency), books.limits.counted(amount)
    day = {"b_cap": caps.day, "b_count_cap": caps.count_per_day}
    month = {"b_cap": caps.month, "b_count_cap": _COUNT_MOST}
    return [
        Taking(
            _entry(order, (order.src_account, bucket, period), (counted, 1, 0)),
            {
                "b_account": order.src_account,
                "b_bucket": bucket,
                "b_period": period,
                "b_amount": counted,
                **guard,
            },
        )
        for period, guard in ((books.day, day), (books.day[:7], month))
    ]


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


def _empty_counter(line: Line) -> dict[str, Any]:
    account_id, bucket, period = line
    return {"account_id": account_id, "bucket": bucket, "period": period, "amount": 0, "count": 0}


def _held_cap(books: Books, order: Order) -> int:
    payee = books.accounts[order.want.dest_account]
    return books.caps(payee, order.want.amount.currency).held


def _transfer_row(books: Books, order: Order) -> dict[str, Any]:
    want = order.want
    return {
        "ref": order.ref,
        "intent_id": want.intent,
        "turn_key": order.turn_key,
        "tx_hash": order.signed.tx_hash,
        "src_account": order.src_account,
        "dest_account": want.dest_account,
        "src_msisdn": want.sender.e164,
        "dest_msisdn": want.dest_msisdn,
        "beneficiary": want.beneficiary,
        "currency": want.amount.currency.value,
        "amount": want.amount.minor,
        "bucket": books.limits.bucket(want.amount.currency),
        "counted": books.limits.counted(want.amount),
        "business_day": books.day,
        "channel": want.channel,
        "state": "signed",
        "created_at": order.at_ms,
    }


def _submission_row(order: Order) -> dict[str, Any]:
    return {
        "tx_hash": order.signed.tx_hash,
        "purpose": "transfer",
        "account_id": order.src_account,
        "batch": order.signed.tx_hash,
        "position": 0,
        "created_time": order.signed.created_time,
        "data": order.signed.data,
        "state": "signed",
        "next_send_at": order.at_ms,
        "sends": 0,
    }


# ---- consumed or given back


_CHANGE_HOLDING = (
    update(_HOLDING)
    .where(*_of_holding)
    .values(
        settled=_HOLDING.c.settled + bindparam("b_settled"),
        outgoing=_HOLDING.c.outgoing + bindparam("b_outgoing"),
        incoming=_HOLDING.c.incoming + bindparam("b_incoming"),
        movement=bindparam("b_movement"),
    )
)
_CHANGE_COUNTER = (
    update(_COUNTER)
    .where(
        _COUNTER.c.account_id == bindparam("b_account"),
        _COUNTER.c.bucket == bindparam("b_bucket"),
        _COUNTER.c.period == bindparam("b_period"),
    )
    .values(
        amount=_COUNTER.c.amount + bindparam("b_amount"),
        count=_COUNTER.c.count + bindparam("b_count"),
        movement=bindparam("b_movement"),
    )
)


@dataclass(slots=True)
class Change:
    """What one transaction changes of one line."""

    a: int = 0
    b: int = 0
    c: int = 0
    why: str = MOVED
    arrivals: list[Sequence[object]] = field(default_factory=list)  # columns of ARRIVAL


class Changes:
    """What one commit changes of holdings and counters, added up, then written in key order."""

    def __init__(self) -> None:
        self._of: defaultdict[tuple[Line, str], Change] = defaultdict(Change)
        self._moved: set[tuple[str, str]] = set()

    def move(self, account_id: str, currency: Currency, minor: int, tx_hash: str) -> None:
        """The ledger has moved money into (or, below zero, out of) a wallet of ours."""
        self._of[(account_id, currency.value, ""), tx_hash].a += minor
        self._moved.add((account_id, currency.value))

    def arrive(self, row: Mapping[str, Any]) -> None:
        """What has moved is told by this row."""
        line = (row["account_id"], row["currency"], "")
        self._of[line, row["tx_hash"]].arrivals.append(chain.picked(row, ARRIVAL))

    def end(self, ended: Ended, *, committed: bool) -> None:
        """Consume or give back what this payment had reserved."""
        payment = ended.payment
        if payment is None:
            return
        src = self._of[(payment.src_account, payment.currency, ""), ended.tx_hash]
        src.why = ended.state
        if ended.before != "signed":
            # Given back already, and now the money moved all the same: it counts after all.
            if committed:
                self._count(payment, ended, 1)
            return
        src.b -= payment.amount
        dest = self._of[(payment.dest_account, payment.currency, ""), ended.tx_hash]
        dest.why = ended.state
        dest.c -= payment.amount
        if not committed:
            self._count(payment, ended, -1)

    def _count(self, payment: EndedPayment, ended: Ended, sign: int) -> None:
        for period in (payment.business_day, payment.business_day[:7]):
            counter = self._of[(payment.src_account, payment.bucket, period), ended.tx_hash]
            counter.a += sign * payment.counted
            counter.b += sign
            counter.why = ended.state

    def write(
        self, journal: Journal, connection: Connection, *, at_ms: int, height: int | None
    ) -> dict[tuple[Line, str], int]:
        """Write them all; the number of each line's movement by each transaction, 0 for none."""
        _make_holdings(connection, self._moved)
        key = journal.key(connection) if self._of else b""
        changes = sorted(self._of.items(), key=lambda item: item[0])
        entries = [
            Entry(
                line,
                (change.a, change.b, change.c),
                change.why,
                tx_hash,
                height,
                at_ms,
                chain.bound(key, *change.arrivals) if change.arrivals else b"",
            )
            for (line, tx_hash), change in changes
        ]
        numbers = journal.write(connection, entries)
        self._change(connection, chain.last_of(entries, numbers))
        return {at: number for (at, _), number in zip(changes, numbers, strict=True)}

    def _change(self, connection: Connection, last: Mapping[Line, int]) -> None:
        sums: defaultdict[Line, list[int]] = defaultdict(lambda: [0, 0, 0])
        for (line, _), change in self._of.items():
            for index, by in enumerate((change.a, change.b, change.c)):
                sums[line][index] += by
        holdings, counters = [], []
        for line in sorted(last):
            (a, b, c), (account, item, period) = sums[line], line
            row = {"b_account": account, "b_movement": last[line]}
            if period:
                row |= {"b_bucket": item, "b_period": period, "b_amount": a, "b_count": b}
                counters.append(row)
            else:
                row |= {"b_currency": item, "b_settled": a, "b_outgoing": b, "b_incoming": c}
                holdings.append(row)
        if holdings:
            connection.execute(_CHANGE_HOLDING, holdings)
        if counters:
            connection.execute(_CHANGE_COUNTER, counters)


def _make_holdings(connection: Connection, keys: Iterable[tuple[str, str]]) -> None:
    insert_ignore(
        connection,
        Holding,
        [
            {"account_id": account, "currency": currency, **_NOTHING_HELD}
            for account, currency in sorted(keys)
        ],
    )
