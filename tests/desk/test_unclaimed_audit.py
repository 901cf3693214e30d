"""Days on which money came for nobody leave no drift, and an edited row of them is found."""

from collections.abc import AsyncIterator

import pytest
from audit_parts import found, key_of, other
from clocks import FakeClock
from custody_parts import WALLET
from money_parts import COUNTER, DARA, RECEIPT, THIDA, TRANSFER, account, execute, fetch
from sqlalchemy import delete, insert, update
from unclaimed_parts import BOPHA, SREY, UNCLAIMED, Town, TownLedger

from gateway.desk import recount
from gateway.desk.amounts import Assets
from gateway.desk.books import MADE
from gateway.stores.sql import Sql
from menus.kinds import Msisdn

NOBODY = Msisdn("+85512345607")  # whose wallet the ledger refuses


async def days(town: Town) -> AsyncIterator[str]:
    """Money claimed, returned, refused, refused and then returned, going back, and waiting."""
    await town.begin(DARA, THIDA)
    await town.send(DARA, BOPHA, 5_000)
    await town.send(THIDA, SREY, 900)
    yield "two wallets are being made"
    await town.through()
    yield "both wait for their owners"
    town.ledger.refuse_all = True
    await town.send(DARA, NOBODY, 300)
    await town.through()
    yield "one was not made"
    assert await town.claim(SREY)
    await town.through()
    yield "a claim was refused"
    town.ledger.refuse_all = False
    assert await town.claim(SREY)
    yield "a claim is under way"
    await town.through()
    yield "a wallet has its owner"
    await town.later(days=1)
    town.ledger.pay_in(account(BOPHA), "250", src="srey@aba")
    await town.later(days=0.4)
    await town.send(THIDA, BOPHA, 700)
    await town.through()
    await town.later(days=0.4)
    await town.send(DARA, BOPHA, 400)
    await town.through()
    await town.later(days=3)
    await town.send(DARA, BOPHA, 600)
    await town.through()
    yield "more has come"
    town.ledger.closed.add(account(DARA))
    await town.later(days=25.3)
    await town.go_back()
    yield "a return was refused"
    town.ledger.closed.clear()
    await town.later(days=1.1)
    await town.returns.sweep()
    yield "two returns are under way"
    await town.through()
    yield "both are done"
    town.ledger.closed.add(account(THIDA))
    await town.later(days=0.35)
    await town.go_back()
    town.ledger.closed.clear()
    yield "another return was refused"
    await town.later(days=0.4)
    await town.returns.sweep()
    yield "the last return is under way"


@pytest.fixture
async def town(sqlite_sql, clock: FakeClock) -> Town:
    """After those days."""
    return await after_those_days(sqlite_sql, clock)


async def after_those_days(sql: Sql, clock: FakeClock) -> Town:
    town = Town(sql, TownLedger(), clock)
    async for _ in days(town):
        pass
    return town


async def test_no_moment_of_unclaimed_money_drifts(sql, clock):
    town = Town(sql, TownLedger(), clock)
    async for moment in days(town):
        assert await found(town.desk) == [], moment
    assert await town.states() == [
        "claimed",
        "returned",
        "returned",
        "returning",
        "waiting",
        "waiting",
    ]
    async for step in recount.blocks(sql, town.ledger, Assets()):
        assert step.drifts == []
    async for step in recount.balances(sql, town.ledger, Assets(), FakeClock(skipping=True)):
        assert step.drifts == []


async def test_every_edited_column_of_unclaimed_money_is_found(town: Town):
    for row in await fetch(town.sql, UNCLAIMED):
        for column in UNCLAIMED.columns:
            if column.name == "due_at" and row["state"] in ("returning", "returned"):
                continue  # its time is over
            if column.name == "told":
                continue  # it moves no money: an SMS more or less
            edited = {column.name: other(row[column.name], column)}
            here = update(UNCLAIMED).where(*key_of(UNCLAIMED, row))
            await execute(town.sql, here.values(edited))
            assert await found(town.desk) != [], (column.name, row["state"])
            back = update(UNCLAIMED).where(*key_of(UNCLAIMED, row | edited))
            await execute(town.sql, back.values(row))
    assert await found(town.desk) == []


async def test_unclaimed_money_that_is_deleted_or_said_to_be_elsewhere_is_found(sql, clock):
    town = await after_those_days(sql, clock)
    for row in await fetch(town.sql, UNCLAIMED):
        here = key_of(UNCLAIMED, row)
        for state in {"waiting", "claimed", "returning", "returned"} - {row["state"]}:
            await execute(town.sql, update(UNCLAIMED).where(*here).values(state=state))
            assert await found(town.desk) != [], (row["state"], state)
        await execute(town.sql, delete(UNCLAIMED).where(*here))
        assert await found(town.desk) != []
        await execute(town.sql, insert(UNCLAIMED).values(row))
    assert await found(town.desk) == []


async def test_money_that_went_back_cannot_be_made_to_go_back_again_unseen(town: Town):
    """As if it had never been tried."""
    for row in await fetch(town.sql, UNCLAIMED, state="returned"):
        key = {"tx_hash": row["tx_hash"], "command_index": row["command_index"]}
        (receipt,) = await fetch(town.sql, RECEIPT, **key)
        anew = {"state": "waiting", "ref": None, "due_at": receipt["due_at"]}
        here = update(UNCLAIMED).where(*key_of(UNCLAIMED, row))
        await execute(town.sql, here.values(anew))
        assert [(drift.table, drift.row) for drift in await found(town.desk)] == [
            ("transfer", row["ref"])
        ]
        await execute(town.sql, here.values(row))


async def test_an_edited_return_is_found(town: Town):
    for row in await fetch(town.sql, TRANSFER, channel="return"):
        here = update(TRANSFER).where(TRANSFER.c.ref == row["ref"])
        for name in ("amount", "dest_account", "state", "channel"):
            edited = {name: other(row[name], TRANSFER.c[name])}
            await execute(town.sql, here.values(edited))
            drifts = [(drift.table, drift.row) for drift in await found(town.desk)]
            assert ("transfer", row["ref"]) in drifts, name
            await execute(town.sql, here.values(row))


async def test_a_wallet_that_is_said_to_have_another_owner_is_found(town: Town):
    for number, claim in ((BOPHA, ""), (BOPHA, "waiting"), (SREY, "waiting")):
        before = (await town.wallet(number))["claim"]
        here = update(WALLET).where(WALLET.c.account_id == account(number))
        await execute(town.sql, here.values(claim=claim))
        assert "unclaimed" in [drift.table for drift in await found(town.desk)]
        await execute(town.sql, here.values(claim=before))


async def test_an_edited_count_of_wallets_made_is_found(town: Town):
    await execute(town.sql, update(COUNTER).where(COUNTER.c.bucket == MADE).values(count=0))
    assert {drift.table for drift in await found(town.desk)} == {"counter"}
