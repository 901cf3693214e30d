"""Housekeeping: rows that no promise needs any more are deleted, a few at a time.

Each rule says of one table what is old, and why not sooner. Nothing here touches wallets, money or
what the ledger has moved (transfers, submissions, receipts, holdings): those stay. Look-ups of
other people are counted in the subscriber's own row and begin anew each day, so there is nothing
of them to delete; conversations lie in the session store, which forgets by itself.

Any number of processes may do this at once: what another one is deleting is passed over. Every
statement is a transaction of its own on few rows, so nobody waits for it for long.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    FromClause,
    Table,
    delete,
    or_,
    select,
    tuple_,
)

from gateway import logs
from gateway.clock import Clock
from gateway.desk.times import to_ms
from gateway.messages import FINAL
from gateway.meters import Meters
from gateway.stores import tables
from gateway.stores.sql import Sql, StoreUnavailable
from gateway.stores.tables import table_of
from menus.limits import business_day

EVERY_S: Final = 600.0
PAUSE_S: Final = 0.2  # between two statements, for everybody else
ROWS_MOST: Final = 500  # of one statement: a few milliseconds

# A carrier brings an SMS again for half a day; three cover a gateway that was away for a weekend.
HEARD: Final = timedelta(days=3)
# Longer than the age of any backup that one would go back to: blocks walked again queue their
# receipts again, and a message that is still there is not sent twice. Also a month of complaints.
MESSAGE: Final = timedelta(days=35)
# No carrier repeats a turn after a day and no lock lasts longer; a week to look into a complaint.
ATTEMPT: Final = timedelta(days=7)
# Expired, it can pay nothing; an hour for processes whose clocks differ.
CHALLENGE: Final = timedelta(hours=1)

LOG = logs.get("housekeeping")
_wallet = table_of(tables.Wallet)


@dataclass(frozen=True, slots=True)
class Rule:
    """Which rows of a table nobody needs at a moment."""

    table: Table
    old: Callable[[FromClause, datetime], ColumnElement[bool]]


def _heard(row: FromClause, now: datetime) -> ColumnElement[bool]:
    return row.c.at < to_ms(now - HEARD)


def _message(row: FromClause, now: datetime) -> ColumnElement[bool]:
    return row.c.state.in_(FINAL) & (row.c.next_try_at < to_ms(now - MESSAGE))


def _delivery_report(row: FromClause, now: datetime) -> ColumnElement[bool]:
    return row.c.at < to_ms(now - MESSAGE)


def _attempt(row: FromClause, now: datetime) -> ColumnElement[bool]:
    """Wrong ones stay while they count: until a right PIN comes, or the wallet is closed."""
    counting = select(_wallet.c.account_id).where(
        _wallet.c.account_id == row.c.account_id,
        _wallet.c.wrong_pins > 0,
        _wallet.c.state != "closed",
    )
    over = or_(row.c.state.in_(("right", "given_back")), ~counting.exists())
    return (row.c.at < to_ms(now - ATTEMPT)) & over


def _challenge(row: FromClause, now: datetime) -> ColumnElement[bool]:
    return row.c.expires_at < to_ms(now - CHALLENGE)


def _counter(row: FromClause, now: datetime) -> ColumnElement[bool]:
    """This month and the last stay: payments give back to the day that they were taken from.

    "2026-10" sorts before all of its days, and after all of September's.
    """
    first_of_month = datetime.fromisoformat(business_day(now)).replace(day=1)
    last_month = first_of_month - timedelta(days=1)
    return row.c.period < last_month.date().isoformat()[:7]


RULES: Final = (
    Rule(table_of(tables.Heard), _heard),
    Rule(table_of(tables.Message), _message),
    Rule(table_of(tables.DeliveryReport), _delivery_report),
    Rule(table_of(tables.Attempt), _attempt),
    Rule(table_of(tables.Challenge), _challenge),
    Rule(table_of(tables.Counter), _counter),
)


class Housekeeping:
    """Applies the rules, in the background, until it is cancelled."""

    def __init__(self, sql: Sql, clock: Clock, meters: Meters) -> None:
        self._sql = sql
        self._clock = clock
        self._meters = meters

    async def run(self) -> None:
        """Sweep now and then."""
        while True:
            try:
                await self.sweep()
            except StoreUnavailable as error:
                LOG.warning("housekeeping waits", error=error)
            await self._clock.sleep(EVERY_S)

    async def sweep(self) -> None:
        """Delete all that is old by now."""
        now = self._clock.now()
        for rule in RULES:
            while await self._some(rule, now) == ROWS_MOST:
                await self._clock.sleep(PAUSE_S)

    async def _some(self, rule: Rule, now: datetime) -> int:
        (count,) = await self._sql.run(partial(_delete, rule), [now])
        self._meters.swept.labels(rule.table.name).inc(count)
        return count


def _delete(rule: Rule, connection: Connection, moments: Sequence[datetime]) -> Sequence[int]:
    """Delete a few of the rows that are old at each of these moments; how many."""
    return [connection.execute(_deletion(rule, now)).rowcount for now in moments]


def _deletion(rule: Rule, now: datetime) -> Delete:
    row = rule.table.alias("old")
    names = [column.name for column in rule.table.primary_key]
    some = (
        select(*(row.c[name] for name in names))
        .where(rule.old(row, now))
        .limit(ROWS_MOST)
        .with_for_update(skip_locked=True, of=row)
    )
    return delete(rule.table).where(tuple_(*(rule.table.c[name] for name in names)).in_(some))
