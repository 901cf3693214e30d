"""What payments reserve of holdings and counters: taken, consumed and given back, exactly once.

Reserved by `reserve`, all or nothing: the sender's counters of the day and month, its `outgoing`,
the receiver's `incoming`. A commit consumes `outgoing` and `incoming` and leaves the counters; a
payment that can never commit gives all three back, the counters to the day they were taken from.

Called inside a caller's commit, on wallets that `lock_wallets` has locked. That a payment has ended
is `settlement`'s to say: nothing here reads or sets a state.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Update, bindparam, insert, update

from gateway.desk.books import Books
from gateway.desk.checks import Want
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
    .values(amount=_COUNTER.c.amount + bindparam("b_amount"), count=_COUNTER.c.count + 1)
)
_of_holding = (
    _HOLDING.c.account_id == bindparam("b_account"),
    _HOLDING.c.currency == bindparam("b_currency"),
)
_TAKE_OUTGOING = (
    update(_HOLDING)
    .where(*_of_holding, _HOLDING.c.settled - _HOLDING.c.outgoing >= bindparam("b_amount"))
    .values(outgoing=_HOLDING.c.outgoing + bindparam("b_amount"))
)
_TAKE_INCOMING = (
    update(_HOLDING)
    .where(
        *_of_holding,
        _HOLDING.c.settled + _HOLDING.c.incoming + bindparam("b_amount") <= bindparam("b_cap"),
    )
    .values(incoming=_HOLDING.c.incoming + bindparam("b_amount"))
)


def reserve(connection: Connection, books: Books, orders: Sequence[Order]) -> None:
    """Write accepted payments: rows, exact signed bytes and reservations; or raise, all of it.

    `books` were read under the locks and have already said yes; the guards ask the rows again.
    """
    counters = [row for order in orders for row in _counter_rows(books, order)]
    outgoing = [_holding_row(order.src_account, order) for order in orders]
    incoming = [
        _holding_row(order.want.dest_account, order, cap=_held_cap(books, order))
        for order in orders
        if order.want.dest_account in books.accounts  # another bank keeps its own books
    ]
    insert_ignore(connection, Counter, [_empty_counter(row) for row in counters])
    _make_holdings(connection, {(row["b_account"], row["b_currency"]) for row in incoming})
    _each(connection, _TAKE_COUNTER, counters)
    _each(connection, _TAKE_OUTGOING, outgoing)
    _each(connection, _TAKE_INCOMING, incoming)
    connection.execute(insert(_TRANSFER), [_transfer_row(books, order) for order in orders])
    connection.execute(insert(_SUBMISSION), [_submission_row(order) for order in orders])


def _each(connection: Connection, statement: Update, rows: Sequence[Mapping[str, Any]]) -> None:
    changed = connection.execute(statement, rows).rowcount if rows else 0
    if changed != len(rows):
        raise GuardFailed(f"{len(rows) - changed} of {len(rows)} guarded changes refused")


def _counter_rows(books: Books, order: Order) -> list[dict[str, Any]]:
    amount = order.want.amount
    caps = books.limits.counter_caps(books.accounts[order.src_account].tier, amount.currency)
    shared = {
        "b_account": order.src_account,
        "b_bucket": books.limits.bucket(amount.currency),
        "b_amount": books.limits.counted(amount),
    }
    day = {"b_period": books.day, "b_cap": caps.day, "b_count_cap": caps.count_per_day}
    month = {"b_period": books.day[:7], "b_cap": caps.month, "b_count_cap": _COUNT_MOST}
    return [shared | day, shared | month]


def _empty_counter(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "account_id": row["b_account"],
        "bucket": row["b_bucket"],
        "period": row["b_period"],
        "amount": 0,
        "count": 0,
    }


def _holding_row(account_id: str, order: Order, **cap: int) -> dict[str, Any]:
    amount = order.want.amount
    row = {
        "b_account": account_id,
        "b_currency": amount.currency.value,
        "b_amount": amount.minor,
    }
    return row | {f"b_{name}": value for name, value in cap.items()}


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
        outgoing=_HOLDING.c.outgoing - bindparam("b_outgoing"),
        incoming=_HOLDING.c.incoming - bindparam("b_incoming"),
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
    )
)


class Changes:
    """What one commit changes of holdings and counters, added up, then written in key order."""

    def __init__(self) -> None:
        self._settled: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._outgoing: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._incoming: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._counters: defaultdict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0])

    def move(self, account_id: str, currency: Currency, minor: int) -> None:
        """The ledger has moved money into (or, below zero, out of) a wallet of ours."""
        self._settled[account_id, currency.value] += minor

    def end(self, ended: Ended, *, committed: bool) -> None:
        """Consume or give back what this payment had reserved."""
        payment = ended.payment
        if payment is None:
            return
        if ended.before != "signed":
            # Given back already, and now the money moved all the same: it counts after all.
            if committed:
                self._count(payment, 1)
            return
        self._outgoing[payment.src_account, payment.currency] += payment.amount
        self._incoming[payment.dest_account, payment.currency] += payment.amount
        if not committed:
            self._count(payment, -1)

    def _count(self, payment: EndedPayment, sign: int) -> None:
        for period in (payment.business_day, payment.business_day[:7]):
            counter = self._counters[payment.src_account, payment.bucket, period]
            counter[0] += sign * payment.counted
            counter[1] += sign

    def write(self, connection: Connection) -> None:
        _make_holdings(connection, self._settled)
        holdings = sorted({*self._settled, *self._outgoing, *self._incoming})
        if holdings:
            connection.execute(
                _CHANGE_HOLDING,
                [
                    {
                        "b_account": key[0],
                        "b_currency": key[1],
                        "b_settled": self._settled.get(key, 0),
                        "b_outgoing": self._outgoing.get(key, 0),
                        "b_incoming": self._incoming.get(key, 0),
                    }
                    for key in holdings
                ],
            )
        if self._counters:
            connection.execute(
                _CHANGE_COUNTER,
                [
                    {
                        "b_account": account,
                        "b_bucket": bucket,
                        "b_period": period,
                        "b_amount": amount,
                        "b_count": count,
                    }
                    for (account, bucket, period), (amount, count) in sorted(self._counters.items())
                ],
            )


def _make_holdings(connection: Connection, keys: Iterable[tuple[str, str]]) -> None:
    insert_ignore(
        connection,
        Holding,
        [
            {"account_id": account, "currency": currency, **_NOTHING_HELD}
            for account, currency in sorted(keys)
        ],
    )
