"""Days of disputes and of money unclaimed leave no drift; an edited dispute is found."""

from collections import Counter
from collections.abc import AsyncIterator

import pytest
from audit_parts import found, key_of, other
from clocks import FakeClock
from dispute_parts import DISPUTE, DisputeDesk
from money_parts import DARA, HOLDING, THIDA, TRANSFER, account, execute, fetch, khr
from sqlalchemy import delete, insert, update
from unclaimed_parts import BOPHA, Town, TownLedger

from gateway.desk import recount
from gateway.desk.amounts import Assets
from gateway.stores.sql import Sql
from menus.effects import Disputed, InProgress, MoneyKept, NotDisputable

STATES = ("asked", "ended", "held", "refused", "returned")


def town_of(sql: Sql, clock: FakeClock) -> Town:
    return Town(sql, TownLedger(), clock, desk=DisputeDesk)


async def mistake(town: Town, amount: int) -> str:
    """The ref of a payment to the wrong person, which is asked back."""
    paid = await town.desk.pay(DARA, THIDA, khr(amount), wait_s=0.001)
    await town.through()
    assert await town.desk.ask(DARA, paid.ref) == Disputed()
    return paid.ref


async def agree(town: Town) -> None:
    asked = await town.desk.asked(THIDA)
    assert isinstance(await town.desk.agree(THIDA, asked, wait_s=0.001), InProgress)


async def days(town: Town) -> AsyncIterator[str]:
    """Given back, kept, not taken back by the ledger, not answered; and money unclaimed."""
    await town.begin(DARA, THIDA)
    for amount in (5_000, 6_000, 7_000):
        await mistake(town, amount)
        yield f"{amount} is asked back"
    await agree(town)
    yield "one is on its way back"
    await town.through()
    yield "one is back"
    assert await town.desk.keep(THIDA, (await town.desk.asked(THIDA)).dispute) == MoneyKept()
    yield "one is kept"
    town.ledger.refuse_all = True
    await agree(town)
    await town.through()
    town.ledger.refuse_all = False
    yield "one was not taken"
    stranger = await town.send(DARA, BOPHA, 900)
    await town.through()
    assert await town.desk.ask(DARA, stranger.ref) == NotDisputable(stranger.ref)
    yield "money waits for somebody who cannot be asked"
    await town.later(days=0.6)
    await mistake(town, 800)
    await town.later(days=1)
    assert await town.desk.disputes.end_due() == 1
    yield "what was held is free"
    await town.later(days=2)
    assert await town.desk.disputes.end_due() == 1
    yield "nobody has answered"
    await mistake(town, 350)
    await town.later(days=1)
    assert await town.desk.disputes.end_due() == 1
    await mistake(town, 450)
    yield "one is asked, one is held"
    await town.later(days=27)
    await town.go_back()
    assert await town.states() == ["returned"]
    assert await town.desk.disputes.end_due() == 2
    await mistake(town, 370)
    await town.later(days=1)
    assert await town.desk.disputes.end_due() == 1
    await mistake(town, 470)
    await mistake(town, 570)
    yield "the money of nobody is back with its sender"


async def check_holds(town: Town) -> None:
    """A wallet's `outgoing` is its payments on their way, and what open disputes hold."""
    going: Counter[str] = Counter()
    for row in await fetch(town.sql, TRANSFER, state="signed"):
        going[row["src_account"]] += row["amount"]
    for row in await fetch(town.sql, DISPUTE):
        assert bool(row["held"]) == (row["state"] == "held")
        going[row["dest_account"]] += row["held"]
    for row in await fetch(town.sql, HOLDING, currency="KHR"):
        assert row["outgoing"] == going[row["account_id"]]


@pytest.fixture
async def town(sqlite_sql, clock: FakeClock) -> Town:
    """After those days."""
    town = town_of(sqlite_sql, clock)
    async for _ in days(town):
        pass
    return town


async def test_no_moment_of_disputes_and_unclaimed_money_drifts(sql, clock):
    town = town_of(sql, clock)
    async for moment in days(town):
        assert await found(town.desk) == [], moment
        await check_holds(town)
    assert sorted({row["state"] for row in await fetch(sql, DISPUTE)}) == list(STATES)
    async for step in recount.blocks(sql, town.ledger, Assets()):
        assert step.drifts == []
    async for step in recount.balances(sql, town.ledger, Assets(), FakeClock(skipping=True)):
        assert step.drifts == []


async def test_every_edited_column_of_a_dispute_is_found(town: Town):
    one_each = {row["state"]: row for row in await fetch(town.sql, DISPUTE)}
    for row in one_each.values():
        for column in DISPUTE.columns:
            edited = {column.name: other(row[column.name], column)}
            here = update(DISPUTE).where(*key_of(DISPUTE, row))
            await execute(town.sql, here.values(edited))
            assert "dispute" in {each.table for each in await found(town.desk)}, column.name
            back = update(DISPUTE).where(*key_of(DISPUTE, row | edited))
            await execute(town.sql, back.values(row))
    assert await found(town.desk) == []


async def test_a_dispute_that_is_said_to_be_elsewhere_deleted_or_made_up_is_found(sql, clock):
    town = town_of(sql, clock)
    async for _ in days(town):
        pass
    one_each = {row["state"]: row for row in await fetch(sql, DISPUTE)}
    for row in one_each.values():
        here = key_of(DISPUTE, row)
        for state in {*STATES} - {row["state"]}:
            await execute(sql, update(DISPUTE).where(*here).values(state=state))
            assert {each.table for each in await found(town.desk)} == {"dispute"}
        await execute(sql, delete(DISPUTE).where(*here))
        assert {each.table for each in await found(town.desk)} == {"dispute"}
        await execute(sql, insert(DISPUTE).values(row))
    forged = row | {"id": "forged", "ref": "FORGED", "tx_hash": "forged"}
    await execute(sql, insert(DISPUTE).values(forged))
    assert [(each.table, each.row) for each in await found(town.desk)] == [("dispute", "forged")]


async def test_money_that_is_let_go_by_hand_is_found(town: Town):
    """Both the dispute and the balance, so that they agree with one another."""
    (row,) = [row for row in await fetch(town.sql, DISPUTE, state="held") if row["held"] == 470]
    here, wallet = key_of(DISPUTE, row), HOLDING.c.account_id == account(THIDA)
    await execute(
        town.sql,
        update(DISPUTE).where(*here).values(state="asked", held=0),
        update(HOLDING)
        .where(wallet, HOLDING.c.currency == "KHR")
        .values(outgoing=HOLDING.c.outgoing - row["held"]),
    )
    assert {each.table for each in await found(town.desk)} == {"dispute", "holding"}
