"""Rows that are not as they were read under their lock: nothing is kept, and nobody pays for it.

Locks make this impossible, so a trigger of the database does it in the middle of the commit.
"""

import pytest
from custody_parts import WALLET
from dispute_parts import DISPUTE, DisputeDesk
from money_parts import (
    DARA,
    THIDA,
    TRANSFER,
    MemoryLedger,
    counters,
    execute,
    fetch,
    holding,
    khr,
    person,
)
from sqlalchemy import text
from unclaimed_parts import BOPHA, Town, TownLedger

from gateway.stores.tables import Movement, table_of
from menus.effects import Committed, Disputed, JustOpening, Unavailable

MOVEMENT = table_of(Movement)
DAY_S = 24 * 60 * 60
LOSES = """UPDATE holding SET outgoing = 0
    WHERE EXISTS (SELECT 1 FROM dispute WHERE amount = 700 AND held = 0)"""


@pytest.fixture
async def desk(sqlite_sql, clock) -> DisputeDesk:
    ledger = MemoryLedger()
    await person(sqlite_sql, DARA, ledger, riel=400_000)
    await person(sqlite_sql, THIDA, ledger, riel=50_000, name="Chan Thida")
    return DisputeDesk(sqlite_sql, ledger, clock)


async def moves(sql, change: str, when: str = "AFTER INSERT ON movement") -> None:
    """From now on this happens in the middle of each commit."""
    await execute(sql, text(f"CREATE TRIGGER meddler {when} BEGIN {change}; END"))


async def moves_no_more(sql) -> None:
    await execute(sql, text("DROP TRIGGER meddler"))


async def disputed(desk: DisputeDesk, amount: int) -> None:
    outcome = await desk.pay(DARA, THIDA, khr(amount))
    assert isinstance(outcome, Committed)
    assert await desk.ask(DARA, outcome.ref) == Disputed()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE holding SET settled = 4999",
        "UPDATE holding SET settled = 2000000000 WHERE account_id LIKE '%602@%'",
        "UPDATE counter SET amount = 2000000",
        "UPDATE counter SET count = 20",
        "DELETE FROM holding",
    ],
    ids=["spent", "filled", "limit used", "count used", "gone"],
)
async def test_a_payment_whose_guards_no_longer_hold_is_not_stored(desk, sqlite_sql, change):
    before = await fetch(sqlite_sql, MOVEMENT)
    await moves(sqlite_sql, change)
    assert await desk.pay(DARA, THIDA, khr(5_000)) == Unavailable()
    assert await fetch(sqlite_sql, TRANSFER) == []
    assert await fetch(sqlite_sql, MOVEMENT) == before
    assert await holding(sqlite_sql, DARA) == (400_000, 0, 0)
    assert await counters(sqlite_sql, DARA) == {}


async def test_a_number_that_got_a_wallet_in_that_moment_is_not_given_another(sqlite_sql, clock):
    town = Town(sqlite_sql, TownLedger(), clock)
    await town.begin(DARA)
    names = [column.name for column in WALLET.columns]
    copied = ({"account_id": "'other'", "msisdn": "NEW.msisdn"}.get(name, name) for name in names)
    another = (
        f"INSERT INTO wallet ({','.join(names)}) SELECT {','.join(copied)} FROM wallet LIMIT 1"  # noqa: S608 - our own
    )
    await moves(sqlite_sql, another, "BEFORE INSERT ON wallet")
    assert await town.send(DARA, BOPHA, 5_000) == JustOpening(BOPHA)
    assert await fetch(sqlite_sql, WALLET, msisdn=BOPHA.e164) == []
    assert await fetch(sqlite_sql, TRANSFER) == []
    assert await holding(sqlite_sql, DARA) == (400_000, 0, 0)


async def test_money_that_is_spent_in_that_moment_is_not_held(desk, sqlite_sql):
    async with desk.running():
        outcome = await desk.pay(DARA, THIDA, khr(5_000))
    await moves(sqlite_sql, "UPDATE holding SET settled = 0")
    assert await desk.ask(DARA, outcome.ref) == Unavailable()
    assert await fetch(sqlite_sql, DISPUTE) == []
    assert await holding(sqlite_sql, THIDA) == (55_000, 0, 0)


async def test_a_hold_that_is_lost_in_that_moment_gives_nothing_back_and_stops_no_other(
    desk, sqlite_sql, clock
):
    async with desk.running():
        await disputed(desk, 700)
        await clock.advance(1)
        await disputed(desk, 5_000)
        await moves(sqlite_sql, LOSES)
        assert await desk.agree(THIDA, await desk.asked(THIDA)) == Unavailable()
        assert await holding(sqlite_sql, THIDA) == (55_700, 5_700, 0)
        clock.skipping = True
        await clock.sleep(DAY_S)
        assert await desk.disputes.end_due() == 1, "the other one's hold ends all the same"
        assert await holding(sqlite_sql, THIDA) == (55_700, 700, 0)
        await moves_no_more(sqlite_sql)
        assert await desk.disputes.end_due() == 1
    assert await holding(sqlite_sql, THIDA) == (55_700, 0, 0)
    assert {row["state"] for row in await fetch(sqlite_sql, DISPUTE)} == {"asked"}
