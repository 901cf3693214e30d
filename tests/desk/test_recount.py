"""The rows beside the ledger itself: its blocks, and what it says that each wallet holds."""

import pytest
from clocks import FakeClock
from custody_parts import WALLET
from money_parts import (
    DARA,
    HOLDING,
    RECEIPT,
    THIDA,
    TRANSFER,
    Desk,
    MemoryLedger,
    account,
    execute,
    fetch,
    khr,
    person,
)
from sqlalchemy import delete, update

from gateway.desk import recount
from gateway.desk.amounts import Assets
from gateway.desk.blocks import start_cursor
from gateway.desk.journal import Journal
from gateway.stores.tables import Cursor, Movement, table_of
from ledger_client.ledger import LedgerUnreachable, Reached, TransferAsset

MOVEMENT, CURSOR = table_of(Movement), table_of(Cursor)


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger(auto=False)


@pytest.fixture
async def desk(sql, clock, ledger) -> Desk:
    """Three blocks: a payment, money from elsewhere, and nothing."""
    await person(sql, DARA, ledger, riel=400_000)
    await person(sql, THIDA, ledger, riel=50_000, cents=125)
    await sql.run(start_cursor, [Reached(0)])
    desk = Desk(sql, ledger, clock, any_pin=True)
    await sql.run(begin, [desk.journal])
    await desk.pay(DARA, THIDA, khr(5_000), wait_s=0.01)
    await desk.outbox.round()
    ledger.block()
    ledger.pay_in(account(THIDA), "1200")
    ledger.block()
    for block in ledger.blocks_made:
        assert await desk.follower._settle(block)
    return desk


def begin(connection, journals: list[Journal]) -> list[bytes]:
    return [journal.key(connection) for journal in journals]


async def of_blocks(desk: Desk) -> tuple[int, list[tuple[str, str]]]:
    looked, drifts = 0, []
    async for step in recount.blocks(desk.sql, desk.ledger, Assets()):
        looked += step.rows
        drifts += [(drift.table, drift.why) for drift in step.drifts]
    return looked, drifts


async def of_balances(desk: Desk) -> list[str]:
    clock = FakeClock(skipping=True)
    steps = recount.balances(desk.sql, desk.ledger, Assets(), clock)
    return [drift.row async for step in steps for drift in step.drifts]


@pytest.mark.parametrize("span", [1, 2, 50])
async def test_every_block_has_its_rows(desk, monkeypatch, span):
    monkeypatch.setattr(recount, "SPAN", span)
    assert await of_blocks(desk) == (3, [])
    assert await of_balances(desk) == []


async def test_a_wallet_taken_back_whole_is_found_in_the_blocks(desk, sql):
    """All that was written of a payment from elsewhere, as if it had never come."""
    await execute(
        sql,
        delete(MOVEMENT).where(MOVEMENT.c.height == 2),
        delete(RECEIPT).where(RECEIPT.c.amount == 1200),
        update(HOLDING)
        .where(HOLDING.c.account_id == account(THIDA), HOLDING.c.currency == "KHR")
        .values(settled=HOLDING.c.settled - 1200, movement=HOLDING.c.movement - 1),
    )
    assert await of_blocks(desk) == (3, [("movement", "is not what block 2 moved")])
    assert await of_balances(desk) == ["85512345602@bank KHR"]


async def test_a_payment_without_its_row_is_found_in_the_blocks(desk, sql):
    await execute(sql, delete(TRANSFER))
    assert await of_blocks(desk) == (3, [("transfer", "took money, and no row says so")])


async def test_one_riel_more_than_the_ledger_holds_is_found(desk, sql):
    await execute(sql, update(HOLDING).values(settled=HOLDING.c.settled + 1))
    assert await of_balances(desk) == [
        "85512345601@bank KHR",
        "85512345602@bank KHR",
        "85512345602@bank USD",
    ]


async def test_money_that_left_without_a_payment_of_ours_is_told_at_its_block(desk, ledger):
    move = TransferAsset(account(DARA), "shop@otherbank", "khr#nbc", "700")
    assert await desk.follower._settle(ledger.block((account(DARA), [move])))
    found = desk.meters.registry.get_sample_value("gateway_drifts_total", {"table": "block"})
    assert found == 1
    assert (await of_blocks(desk))[1] == [("transfer", "took money, and no row says so")]


async def test_a_payment_that_looks_like_ours_and_has_no_row_is_told_at_its_block(desk, ledger):
    """Its row was lost with a database, or somebody else has the key of that wallet."""
    move = TransferAsset(account(DARA), "shop@otherbank", "khr#nbc", "700", "A1B2C3D4")
    assert await desk.follower._settle(ledger.block((account(DARA), [move])))
    found = desk.meters.registry.get_sample_value("gateway_drifts_total", {"table": "block"})
    assert found == 1
    assert (await of_blocks(desk))[1] == [], "it is written now"


async def test_balances_wait_for_whoever_settles(desk, sql, ledger, monkeypatch):
    monkeypatch.setattr(recount, "AGAIN_S", 0.01)
    clock = FakeClock(skipping=True)
    assert await recount.is_settled(sql, ledger, clock)
    block = ledger.pay_in(account(DARA), "1")
    assert not await recount.is_settled(sql, ledger, clock)
    assert await desk.follower._settle(block)
    assert await recount.is_settled(sql, ledger, clock)


async def test_a_block_that_no_peer_tells_is_said_by_its_height(desk, sql, monkeypatch):
    monkeypatch.setattr(recount, "PATIENCE_S", 0.01)
    await execute(sql, update(CURSOR).values(height=4))
    with pytest.raises(LedgerUnreachable, match="block 4"):
        await of_blocks(desk)


# ---- keys


async def test_a_wallet_whose_key_on_the_ledger_is_not_ours_is_found(desk, sql, monkeypatch):
    told = {row["account_id"]: [row["public_key"]] for row in await fetch(sql, WALLET)}

    async def signatories(account_id: str) -> list[str] | None:
        return told.get(account_id)

    async def adrift() -> list[str]:
        steps = recount.keys(sql, desk.ledger, FakeClock(skipping=True))
        return [drift.row async for step in steps for drift in step.drifts]

    monkeypatch.setattr(desk.ledger, "signatories", signatories)
    assert await adrift() == []
    told[account(DARA)] = [*told[account(DARA)], "5e" * 32]
    assert await adrift() == [account(DARA)]
    told[account(DARA)] = ["5e" * 32]
    del told[account(THIDA)]
    assert await adrift() == [account(DARA), account(THIDA)]


async def test_a_key_that_is_replaced_at_that_moment_is_asked_for_again(desk, sql, monkeypatch):
    told = {row["account_id"]: row["public_key"] for row in await fetch(sql, WALLET)}
    asked: list[str] = []

    async def signatories(account_id: str) -> list[str]:
        asked.append(account_id)
        return [told[account_id] if len(asked) > 2 else "5e" * 32]

    monkeypatch.setattr(desk.ledger, "signatories", signatories)
    steps = recount.keys(sql, desk.ledger, FakeClock(skipping=True))
    assert [step.drifts async for step in steps] == [[]]
