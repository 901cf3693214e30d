"""Every change of a payment's state together with the rows that go with it, each exactly once.

signed → committed | rejected | cancelled (| expired, later). Called inside a caller's commit, on
rows that `lock_wallets` has locked. A change happens where `UPDATE … WHERE state = …` says that
it happened, and only those rows move reservations: a late or repeated verdict moves nothing.

Reserved by `reserve`, all or nothing: the sender's counters of the day and month, its `outgoing`,
the receiver's `incoming`. A commit consumes `outgoing` and `incoming` and leaves the counters; a
payment that can never commit gives all three back, the counters to the day they were taken from.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, Update, bindparam, insert, select, update

from gateway.desk.books import Books
from gateway.desk.checks import Want
from gateway.stores.sql import insert_ignore
from gateway.stores.tables import Counter, Holding, Submission, Transfer, Wallet, table_of
from ledger_client.ledger import Signed
from menus.kinds import Currency

_WALLET, _HOLDING, _COUNTER = table_of(Wallet), table_of(Holding), table_of(Counter)
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
    signed: Signed
    at_ms: int


# ---- locks


_LOCK = (
    select(_WALLET.c.account_id)
    .where(_WALLET.c.account_id.in_(bindparam("accounts", expanding=True)))
    .order_by(_WALLET.c.account_id)
    .with_for_update()
)


def lock_wallets(connection: Connection, accounts: Iterable[str]) -> set[str]:
    """Lock these wallets in the one order everybody uses; which of them are ours.

    A wallet's row is the lock of its holdings, counters, submissions and transfers too: one lock
    per wallet leaves no two orders to take them in.
    """
    rows = connection.execute(_LOCK, {"accounts": sorted(set(accounts))})
    return {account for (account,) in rows}


# ---- reserving


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
    ]
    insert_ignore(connection, Counter, [_empty_counter(row) for row in counters])
    _make_holdings(connection, {(row["b_account"], row["b_currency"]) for row in incoming})
    _each(connection, _TAKE_COUNTER, counters)
    _each(connection, _TAKE_OUTGOING, outgoing)
    _each(connection, _TAKE_INCOMING, incoming)
    connection.execute(insert(_TRANSFER), [_transfer_row(books, order) for order in orders])
    connection.execute(insert(_SUBMISSION), [_submission_row(order) for order in orders])


def _each(connection: Connection, statement: Update, rows: Sequence[Mapping[str, Any]]) -> None:
    changed = connection.execute(statement, rows).rowcount
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
        "dest_msisdn": want.to.e164,
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


# ---- ending


class Ended(NamedTuple):
    """A submission that has just reached a final state, with its payment if it is one."""

    tx_hash: str
    purpose: str
    account_id: str
    batch: str
    before: str  # "signed", or the state that the ledger has now contradicted
    payment: "EndedPayment | None"


class EndedPayment(NamedTuple):
    """What must be given back or told when a payment ends."""

    tx_hash: str
    ref: str
    src_account: str
    dest_account: str
    src_msisdn: str
    dest_msisdn: str
    currency: str
    amount: int
    bucket: str
    counted: int
    business_day: str


class Submitted(NamedTuple):
    """A submission among some hashes, and whose wallets its end concerns."""

    tx_hash: str
    state: str
    account_id: str
    src_account: str | None
    dest_account: str | None


_SUBMITTED = (
    select(
        _SUBMISSION.c.tx_hash,
        _SUBMISSION.c.state,
        _SUBMISSION.c.account_id,
        _TRANSFER.c.src_account,
        _TRANSFER.c.dest_account,
    )
    .select_from(_SUBMISSION)
    .outerjoin(_TRANSFER, _TRANSFER.c.tx_hash == _SUBMISSION.c.tx_hash)
    .where(_SUBMISSION.c.tx_hash.in_(bindparam("hashes", expanding=True)))
)


def lock_for_ending(
    connection: Connection, hashes: Sequence[str], others: Iterable[str] = ()
) -> tuple[list[Submitted], set[str]]:
    """Lock the wallets that these submissions, and `others`, concern.

    The submissions of ours with their states under the lock, and which accounts are ours.
    """
    found = _submitted(connection, hashes)
    accounts = {account for row in found for account in row[2:] if account is not None}
    ours = lock_wallets(connection, {*accounts, *others})
    # Accounts never change, states do: read again now that nobody else can change them.
    return _submitted(connection, [row.tx_hash for row in found]), ours


def _submitted(connection: Connection, hashes: Sequence[str]) -> list[Submitted]:
    if not hashes:
        return []
    rows = connection.execute(_SUBMITTED, {"hashes": list(hashes)})
    return [Submitted(*row) for row in rows]


def end(
    connection: Connection,
    hashes: Sequence[str],
    state: str,
    at_ms: int,
    *,
    height: int | None = None,
    before: str = "signed",
    never_sent: bool = False,
) -> list[Ended]:
    """Move those of `hashes` that are `before` to `state`, and their payments with them.

    With `never_sent` only what no byte of has left, which is what makes a cancellation safe.
    Reservations are the caller's: `Changes.end`.
    """
    if not hashes:
        return []
    statement = (
        update(_SUBMISSION)
        .where(_SUBMISSION.c.tx_hash.in_(hashes), _SUBMISSION.c.state == before)
        .values(state=state, settled_at=at_ms, height=height)
        .returning(
            _SUBMISSION.c.tx_hash,
            _SUBMISSION.c.purpose,
            _SUBMISSION.c.account_id,
            _SUBMISSION.c.batch,
        )
    )
    if never_sent:
        statement = statement.where(_SUBMISSION.c.first_sent_at.is_(None))
    moved = connection.execute(statement).all()
    if not moved:
        return []
    payments = connection.execute(
        update(_TRANSFER)
        .where(_TRANSFER.c.tx_hash.in_([row.tx_hash for row in moved]))
        .values(state=state, settled_at=at_ms)
        .returning(*(_TRANSFER.c[name] for name in EndedPayment._fields))
    )
    by_hash = {row.tx_hash: EndedPayment(*row) for row in payments}
    return [
        Ended(row.tx_hash, row.purpose, row.account_id, row.batch, before, by_hash.get(row.tx_hash))
        for row in moved
    ]


def end_openings(
    connection: Connection, accounts: Sequence[str], state: str, at_ms: int
) -> list[tuple[str, str]]:
    """Move wallets that are opening to `state` (open, closed); (account, number) of each moved."""
    if not accounts:
        return []
    rows = connection.execute(
        update(_WALLET)
        .where(_WALLET.c.account_id.in_(accounts), _WALLET.c.state == "opening")
        .values(state=state, opened_at=at_ms if state == "open" else _WALLET.c.opened_at)
        .returning(_WALLET.c.account_id, _WALLET.c.msisdn)
    )
    return sorted((row.account_id, row.msisdn) for row in rows)


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
