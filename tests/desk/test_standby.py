"""The database goes back while we run: a standby that lacked its last commits took over."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from money_parts import (
    DARA,
    MESSAGE,
    THIDA,
    TRANSFER,
    Desk,
    MemoryLedger,
    account,
    counters,
    eventually,
    fetch,
    khr,
    person,
)
from structlog.testing import capture_logs

from gateway.desk.blocks import start_cursor
from gateway.desk.outbox import UNSENT_MOST_MS
from gateway.stores.runners import open_sql
from ledger_client.ledger import Reached
from menus.effects import InProgress, Unconfirmed


async def is_last(_last: Reached) -> bool:
    return True


async def not_yet(_last: Reached) -> bool:
    return False


@pytest.fixture
async def desk(sqlite_url, clock) -> AsyncIterator[Desk]:
    sql, ledger = open_sql(sqlite_url), MemoryLedger(auto=False)
    await person(sql, DARA, ledger, riel=3_000_000, tier="basic")
    await person(sql, THIDA, ledger, riel=50_000)
    await sql.run(start_cursor, [Reached(0)])
    yield Desk(sql, ledger, clock, any_pin=True, is_last=is_last)
    await sql.close()


def copy(source: Path, to: Path) -> None:
    with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(to, timeout=5)) as other:
        one.backup(other)


@pytest.mark.parametrize("idle", [True, False], ids=["no more blocks", "another block"])
async def test_nothing_is_signed_until_what_was_lost_is_written_again(
    desk, sqlite_url, clock, idle
):
    primary = Path(sqlite_url.removeprefix("sqlite:///"))
    standby = primary.with_name("standby.db")
    follower = desk.follower

    async def lost_is_back() -> bool:
        await clock.advance(0.1)
        return bool(await fetch(desk.sql, TRANSFER)) and await follower.walked(0.0)

    async def is_settled() -> bool:
        return follower.settled == 1

    running = asyncio.ensure_future(follower.run())
    try:
        await eventually(lambda: follower.walked(0.0))
        copy(primary, standby)
        lost = await desk.pay(DARA, THIDA, khr(1_000_000), wait_s=0.001)
        await desk.outbox.round()
        desk.ledger.block()
        await eventually(is_settled)
        copy(standby, primary)
        assert await fetch(desk.sql, TRANSFER) == []
        assert await desk.pay(DARA, THIDA, khr(1_000_000), wait_s=0.001) == Unconfirmed()
        if not idle:
            desk.ledger.block()
        await eventually(lost_is_back)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert isinstance(lost, InProgress)
    (row,) = await fetch(desk.sql, TRANSFER)
    assert (row["ref"], row["state"]) == (lost.ref, "committed")
    assert desk.ledger.held[account(THIDA), "khr#nbc"] == 1_050_000
    assert (1_000_000, 1) in (await counters(desk.sql, DARA)).values()


async def test_it_is_noticed_once_however_long_its_blocks_take(desk, sqlite_url, clock):
    """Reading on is not begun anew every second, or a long way would never end."""
    primary = Path(sqlite_url.removeprefix("sqlite:///"))
    standby = primary.with_name("standby.db")
    follower, blocks, given = desk.follower, desk.ledger.blocks, asyncio.Event()

    async def slow(after: Reached) -> AsyncIterator[object]:
        await given.wait()
        async for found in blocks(after):
            yield found

    async def is_settled() -> bool:
        return follower.settled == 1

    async def is_over() -> bool:
        await clock.advance(0.1)
        return await follower.walked(0.0)

    running = asyncio.ensure_future(follower.run())
    try:
        await eventually(lambda: follower.walked(0.0))
        copy(primary, standby)
        desk.ledger.block()
        await eventually(is_settled)
        desk.ledger.blocks, follower._is_last = slow, not_yet
        copy(standby, primary)
        with capture_logs() as lines:
            for _ in range(100):
                await clock.advance(0.1)
                await asyncio.sleep(0.002)
            follower._is_last = is_last
            given.set()
            await eventually(is_over)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert [line["event"] for line in lines].count("the database went back") == 1


async def test_nothing_is_placed_where_fewer_blocks_are_known_than_were_seen(desk):
    """The last look before a commit: whether all are settled was asked before the PIN was tried."""
    desk.follower._walked.set()
    desk.follower.settled = 1
    assert await desk.pay(DARA, THIDA, khr(5_000), wait_s=0.001) == Unconfirmed()
    assert await fetch(desk.sql, TRANSFER) == []
    desk.follower.settled = 0
    assert isinstance(await desk.pay(DARA, THIDA, khr(5_000), wait_s=0.001), InProgress)


async def test_what_was_on_its_way_when_the_database_went_back_is_written_again(desk, sqlite_url):
    """No settled block was lost, so nobody has noticed."""
    primary = Path(sqlite_url.removeprefix("sqlite:///"))
    standby = primary.with_name("standby.db")
    follower = desk.follower

    async def is_settled() -> bool:
        return follower.settled == 1

    running = asyncio.ensure_future(follower.run())
    try:
        await eventually(lambda: follower.walked(0.0))
        copy(primary, standby)
        lost = await desk.pay(DARA, THIDA, khr(1_000_000), wait_s=0.001)
        await desk.outbox.round()
        copy(standby, primary)
        desk.ledger.block()
        await eventually(is_settled)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert isinstance(lost, InProgress)
    (row,) = await fetch(desk.sql, TRANSFER)
    assert (row["ref"], row["state"]) == (lost.ref, "committed")
    assert set((await counters(desk.sql, DARA)).values()) == {(1_000_000, 1)}


async def test_what_the_lost_commits_have_sent_is_not_cancelled_as_never_sent(
    desk, sqlite_url, clock
):
    primary = Path(sqlite_url.removeprefix("sqlite:///"))
    standby = primary.with_name("standby.db")

    async def is_settled() -> bool:
        return desk.follower.settled == 1

    running = asyncio.ensure_future(desk.follower.run())
    try:
        await eventually(lambda: desk.follower.walked(0.0))
        paid = await desk.pay(DARA, THIDA, khr(1_000_000), wait_s=0.001)
        copy(primary, standby)
        await desk.outbox.round()
        desk.ledger.block()
        await eventually(is_settled)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    copy(standby, primary)
    await clock.advance(UNSENT_MOST_MS / 1000)
    await desk.outbox.round()
    assert isinstance(paid, InProgress)
    (row,) = await fetch(desk.sql, TRANSFER)
    assert row["state"] == "signed"
    assert not await fetch(desk.sql, MESSAGE)
