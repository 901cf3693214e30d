"""What payments and the ledger change of holdings and counters: gathered, then written, once.

A commit consumes what `reservations` has taken of `outgoing` and `incoming` and leaves the
counters; a payment that can never commit gives all three back, the counters to the day they were
taken from. Beside it stands what the ledger has moved, by our payments or by anybody's.

Called inside a caller's commit, on wallets that `lock_wallets` has locked. That a payment has ended
is `settlement`'s to say: nothing here reads or sets a state. Whatever changes a figure is written
as a movement, too (`chain`), and no figure changes without one.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, bindparam, update

from gateway.desk import chain
from gateway.desk.chain import ARRIVAL, MOVED, Entry, Line
from gateway.desk.journal import Journal
from gateway.desk.settlement import Ended, EndedPayment
from gateway.stores.dialects import insert_ignore
from gateway.stores.tables import Counter, Holding, table_of
from menus.kinds import Currency

_HOLDING, _COUNTER = table_of(Holding), table_of(Counter)

_CHANGE_HOLDING = (
    update(_HOLDING)
    .where(
        _HOLDING.c.account_id == bindparam("b_account"),
        _HOLDING.c.currency == bindparam("b_currency"),
    )
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
            self._count(payment, ended, 1)
            return
        src.b -= payment.amount
        dest = self._of[(payment.dest_account, payment.currency, ""), ended.tx_hash]
        dest.why = ended.state
        dest.c -= payment.amount
        if not committed:
            self._count(payment, ended, -1)

    def _count(self, payment: EndedPayment, ended: Ended, sign: int) -> None:
        if not payment.bucket:
            return  # a return, which used none
        for period in (payment.business_day, payment.business_day[:7]):
            counter = self._of[(payment.src_account, payment.bucket, period), ended.tx_hash]
            counter.a += sign * payment.counted
            counter.b += sign
            counter.why = ended.state

    def write(
        self, journal: Journal, connection: Connection, *, at_ms: int, height: int | None
    ) -> dict[tuple[Line, str], int]:
        """Write them all; the number of each line's movement by each transaction, 0 for none."""
        make_holdings(connection, self._moved)
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


def make_holdings(connection: Connection, keys: Iterable[tuple[str, str]]) -> None:
    """Rows for what is held from now on, where there are none: account and currency of each."""
    insert_ignore(
        connection,
        Holding,
        [{"account_id": account, "currency": currency} for account, currency in sorted(keys)],
    )
