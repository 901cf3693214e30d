"""Old rows go, a few at a time; whatever a promise still needs stays."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, select

from gateway.desk.times import to_ms
from gateway.housekeeping import (
    ATTEMPT,
    CHALLENGE,
    EVERY_S,
    HEARD,
    MESSAGE,
    ROWS_MOST,
    RULES,
    Housekeeping,
)
from gateway.messages import FINAL
from gateway.meters import Meters
from gateway.stores import tables
from gateway.stores.runners import open_sql
from gateway.stores.sql import StoreUnavailable
from gateway.stores.tables import table_of

MOMENT = timedelta(milliseconds=1)
AGES = timedelta(days=3000)
ACCOUNT = "85512345601@bank"


def a_row(model, name: str, **values):
    """A row of a table with just what its columns demand."""
    blank = {str: name, bytes: name.encode(), int: 0, bool: False}
    wanted = {
        column.name: blank[model.model_fields[column.name].annotation]
        for column in table_of(model).columns
        if not column.nullable and column.server_default is None
    }
    return wanted | values


async def put(sql, model, *rows):
    def write(connection, items):
        connection.execute(insert(table_of(model)), list(rows))
        return items

    await sql.run(write, [None])


async def names(sql, model):
    """The first key column of every row."""
    (key, *_) = table_of(model).primary_key.columns

    def read(connection, _):
        return [sorted(connection.execute(select(key)).scalars())]

    return (await sql.run(read, [None]))[0]


@pytest.fixture
def housekeeping(sql, clock) -> Housekeeping:
    clock.skipping = True
    return Housekeeping(sql, clock, Meters())


@pytest.mark.parametrize(
    ("model", "since", "age", "state"),
    [
        (tables.Heard, "at", HEARD, {}),
        *((tables.Message, "next_try_at", MESSAGE, {"state": state}) for state in FINAL),
        (tables.DeliveryReport, "at", MESSAGE, {}),
        (tables.Attempt, "at", ATTEMPT, {"state": "right"}),
        (tables.Attempt, "at", ATTEMPT, {"state": "given_back"}),
        (tables.Challenge, "expires_at", CHALLENGE, {}),
    ],
)
async def test_a_row_stays_for_its_time_and_then_goes(housekeeping, model, since, age, state):
    sql, now = housekeeping._sql, housekeeping._clock.now()
    moments = {"young": now - age, "old": now - age - MOMENT, "older": now - AGES}
    rows = [a_row(model, name, **state, **{since: to_ms(at)}) for name, at in moments.items()]
    await put(sql, model, *rows)
    await housekeeping.sweep()
    assert await names(sql, model) == ["young"]
    assert housekeeping._meters.swept.labels(table_of(model).name)._value.get() == 2


@pytest.mark.parametrize("state", ["queued", "sending"])
async def test_a_message_that_is_not_final_stays_however_old(sql, housekeeping, state):
    await put(sql, tables.Message, a_row(tables.Message, "m", state=state))
    await housekeeping.sweep()
    assert await names(sql, tables.Message) == ["m"]


@pytest.mark.parametrize(
    ("wallet", "left"),
    [
        ({"wrong_pins": 2}, ["reserved", "wrong"]),
        ({"wrong_pins": 10, "state": "held"}, ["reserved", "wrong"]),
        ({"wrong_pins": 0}, []),
        ({"wrong_pins": 2, "state": "closed"}, []),
    ],
)
async def test_attempts_stay_as_long_as_they_count_for_a_lock(sql, housekeeping, wallet, left):
    row = a_row(tables.Wallet, "w", **({"account_id": ACCOUNT, "state": "open"} | wallet))
    await put(sql, tables.Wallet, row)
    states = ("right", "given_back", "wrong", "reserved")
    await put(
        sql,
        tables.Attempt,
        *(a_row(tables.Attempt, state, account_id=ACCOUNT, state=state) for state in states),
    )
    await housekeeping.sweep()
    assert await names(sql, tables.Attempt) == left


@pytest.mark.parametrize(
    ("now", "left"),
    [
        (datetime(2026, 11, 30, 16, 59, tzinfo=UTC), ["2026-10", "2026-10-01", "2026-11-30"]),
        (datetime(2026, 11, 30, 17, 0, tzinfo=UTC), ["2026-11-30"]),  # December in Phnom Penh
        (datetime(2027, 1, 1, tzinfo=UTC), []),
    ],
)
async def test_counters_of_this_month_and_the_last_stay(sql, clock, housekeeping, now, left):
    await clock.advance((now - clock.now()).total_seconds())
    periods = ["2025-12", "2026-09", "2026-09-30", "2026-10", "2026-10-01", "2026-11-30"]
    rows = [a_row(tables.Counter, period, period=period) for period in periods]
    await put(sql, tables.Counter, *rows)
    await housekeeping.sweep()
    assert await names(sql, tables.Counter) == left


async def test_wallets_and_all_that_tells_of_money_stay_for_ever(sql, housekeeping):
    swept = {rule.table for rule in RULES}
    stay = [model for model in tables.SQLModel.__subclasses__() if table_of(model) not in swept]
    assert {table_of(model).name for model in stay} >= {
        "cursor",
        "holding",
        "receipt",
        "submission",
        "subscriber",
        "transfer",
        "wallet",
    }
    for model in stay:
        await put(sql, model, a_row(model, "ancient"))
    await housekeeping.sweep()
    for model in stay:
        assert len(await names(sql, model)) == 1, model


class Watched:
    """The store, noting how many rows each statement took and what else got a turn meanwhile."""

    def __init__(self, sql) -> None:
        self._sql = sql
        self.counts: list[int] = []
        self.away = 0

    async def run(self, operation, items, *, timeout_s=None, only_reads=False):
        if self.away:
            self.away -= 1
            raise StoreUnavailable("away")
        results = await self._sql.run(operation, items, timeout_s=timeout_s, only_reads=only_reads)
        self.counts.extend(results)
        return results

    async def close(self) -> None:
        pass


async def test_many_old_rows_go_in_small_steps_with_pauses(sql, clock):
    clock.skipping = True
    many = 2 * ROWS_MOST + 7
    await put(sql, tables.Heard, *(a_row(tables.Heard, f"c{n}") for n in range(many)))
    watched = Watched(sql)
    before = clock.monotonic()
    await Housekeeping(watched, clock, Meters()).sweep()
    assert [count for count in watched.counts if count] == [ROWS_MOST, ROWS_MOST, 7]
    assert clock.monotonic() > before
    assert await names(sql, tables.Heard) == []


async def test_two_processes_share_the_work(database_url, clock):
    clock.skipping = True
    sqls = [open_sql(database_url) for _ in range(2)]
    meters = Meters()
    many = 4 * ROWS_MOST
    await put(sqls[0], tables.Heard, *(a_row(tables.Heard, f"c{n}") for n in range(many)))
    await asyncio.gather(*(Housekeeping(sql, clock, meters).sweep() for sql in sqls))
    await Housekeeping(
        sqls[0], clock, meters
    ).sweep()  # one that met the other's end may stop early
    assert await names(sqls[0], tables.Heard) == []
    assert meters.swept.labels("heard")._value.get() == many
    for sql in sqls:
        await sql.close()


async def test_what_somebody_else_holds_is_passed_over(postgres_sql, postgres_url, clock):
    clock.skipping = True
    await put(postgres_sql, tables.Heard, a_row(tables.Heard, "held"), a_row(tables.Heard, "free"))
    other = open_sql(postgres_url, timeout_s=60)

    holding, go_on = threading.Event(), threading.Event()

    def hold(connection, items):
        heard = table_of(tables.Heard)
        connection.execute(select(heard).where(heard.c.carrier == "held").with_for_update())
        holding.set()
        assert go_on.wait(30)
        return items

    holder = asyncio.create_task(other.run(hold, [None], timeout_s=60))
    assert await asyncio.to_thread(holding.wait, 30)
    await Housekeeping(postgres_sql, clock, Meters()).sweep()
    assert await names(postgres_sql, tables.Heard) == ["held"]
    go_on.set()
    await holder
    await other.close()


async def test_it_goes_on_after_the_database_was_away(sqlite_sql, clock):
    watched = Watched(sqlite_sql)
    watched.away = 1
    await put(sqlite_sql, tables.Heard, a_row(tables.Heard, "old"))
    running = asyncio.create_task(Housekeeping(watched, clock, Meters()).run())
    await clock.advance(1)
    assert await names(sqlite_sql, tables.Heard) == ["old"]
    await clock.advance(EVERY_S)
    async with asyncio.timeout(10):
        while await names(sqlite_sql, tables.Heard):
            await asyncio.sleep(0.005)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
