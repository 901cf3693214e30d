"""Reconciliation goes on by itself: what drifts is counted and named within a minute."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from money_parts import (
    DARA,
    HOLDING,
    THIDA,
    Desk,
    MemoryLedger,
    execute,
    fetch,
    khr,
    person,
)
from sqlalchemy import update
from structlog.testing import capture_logs

from gateway.desk.blocks import start_cursor
from gateway.desk.pages import SHELVES
from gateway.reconciler import ROUND_LEAST_S, Reconciler
from gateway.stores.runners import InlineSql
from gateway.stores.sql import StoreUnavailable
from gateway.stores.tables import Movement, table_of
from ledger_client.ledger import Reached

MOVEMENT = table_of(Movement)


@pytest.fixture
async def desk(sql, clock) -> Desk:
    ledger = MemoryLedger(auto=False)
    await person(sql, DARA, ledger, riel=400_000)
    await person(sql, THIDA, ledger, riel=50_000)
    await sql.run(start_cursor, [Reached(0)])
    desk = Desk(sql, ledger, clock, any_pin=True)
    await desk.pay(DARA, THIDA, khr(5_000), wait_s=0.01)
    return desk


def reconciler(desk: Desk, sql=None) -> Reconciler:
    return Reconciler(
        sql or desk.sql, desk.journal, clock=desk.clock, meters=desk.meters, rows_per_s=5000
    )


def sample(desk: Desk, name: str, **labels: str) -> float | None:
    return desk.meters.registry.get_sample_value(name, labels)


@asynccontextmanager
async def going_on(room: Reconciler):
    task = asyncio.ensure_future(room.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def within_a_minute(desk: Desk, *, adrift: float) -> bool:
    """Is it told before a minute has gone? Threads of the store need real turns."""
    for _ in range(600):
        await desk.clock.advance(0.1)
        await asyncio.sleep(0.001)
        if sample(desk, "gateway_rows_adrift") == adrift:
            return True
    return False


async def test_a_drift_of_one_riel_is_counted_and_named_within_a_minute(desk, sql):
    with capture_logs() as logs:
        async with going_on(reconciler(desk)):
            assert await within_a_minute(desk, adrift=0)
            await execute(sql, update(HOLDING).values(settled=HOLDING.c.settled + 1))
            count = len(await fetch(sql, HOLDING))
            assert await within_a_minute(desk, adrift=count)
            assert sample(desk, "gateway_drifts_total", table="holding") == count
            told = [line for line in logs if line["event"] == "drift"]
            assert {(line["table"], line["row"]) for line in told} == {
                ("holding", "85512345601@bank KHR"),
                ("holding", "85512345602@bank KHR"),
            }
            await execute(sql, update(HOLDING).values(settled=HOLDING.c.settled - 1))
            assert await within_a_minute(desk, adrift=0)


def test_the_first_drift_of_every_table_is_a_step_from_nought(desk):
    """An alarm on an increase sees none of a series that begins with its first event."""
    tables = {*(shelf.name for shelf in SHELVES), "movement", "wallet", "chain_key", "block"}
    assert {sample(desk, "gateway_drifts_total", table=table) for table in tables} == {0.0}


async def test_a_row_that_drifts_is_told_once_in_many_rounds(desk, sql):
    await execute(sql, update(MOVEMENT).values(at=MOVEMENT.c.at + 1))
    room = reconciler(desk)
    desk.clock.skipping = True
    with capture_logs() as logs:
        for _ in range(3):
            await room.round()
    told = [line["row"] for line in logs if line["event"] == "drift"]
    assert len(told) == len(set(told)) == len(await fetch(sql, MOVEMENT))


async def test_reconciliation_outlives_its_database(clock):
    class Away(InlineSql):
        tries = 0

        async def run(self, *_args, **_options):
            self.tries += 1
            raise StoreUnavailable("away")

    sql = Away()
    desk = Desk(sql, MemoryLedger(), clock)
    async with going_on(reconciler(desk)):
        for _ in range(5):
            await clock.advance(ROUND_LEAST_S)
    assert sql.tries > 5
    await sql.close()
