"""A payment of ours that a block holds and no row does, as after a restore from backup."""

import asyncio

import pytest
from audit_parts import found
from money_parts import (
    DARA,
    MESSAGE,
    SUBMISSION,
    THIDA,
    TRANSFER,
    Desk,
    MemoryLedger,
    account,
    counters,
    fetch,
    holding,
    khr,
    person,
)
from structlog.testing import capture_logs

from gateway.desk.amounts import Assets
from gateway.desk.blocks import Settle, settle, start_cursor
from gateway.follower import Follower
from ledger_client.ledger import Doubt, LedgerUnreachable, Reached, TransferAsset
from menus.effects import Committed, InProgress, Unconfirmed

REF = "A1B2C3D4"
LIMIT = 2_000_000  # of a day, for whom only a number is known


@pytest.fixture
async def desk(sql, clock) -> Desk:
    ledger = MemoryLedger(auto=False)
    await person(sql, DARA, ledger, riel=3_000_000, tier="basic")
    await person(sql, THIDA, ledger, riel=50_000, name="Chan Thida")
    await sql.run(start_cursor, [Reached(0)])
    return Desk(sql, ledger, clock, any_pin=True)


def paid(desk: Desk, amount: int = 5_000, *, creator: str = "", said: str = REF):
    """A block that holds this payment of Dara's to Thida."""
    src = account(DARA)
    command = TransferAsset(src, account(THIDA), "khr#nbc", str(amount), said)
    return desk.ledger.block((creator or src, [command]))


async def settled(desk: Desk, block, *, restored: bool = False):
    def operation(connection, asked):
        return settle(desk.receipts, Assets(), "bank", connection, asked, journal=desk.journal)

    asked = Settle(block, block.created_time, "2026-11-22", restored)
    (done,) = await desk.sql.run(operation, [asked])
    return done


async def test_it_is_written_again_with_its_limits_its_balances_and_its_receipts(desk):
    done = await settled(desk, block := paid(desk))
    assert done.rebuilt == (block.transactions[0].tx_hash,)
    assert (done.committed, done.astray, done.contradicted) == (1, (), 0)
    (row,) = await fetch(desk.sql, TRANSFER)
    assert (row["ref"], row["state"], row["amount"]) == (REF, "committed", 5_000)
    assert (row["src_msisdn"], row["dest_msisdn"]) == (DARA.e164, THIDA.e164)
    assert await holding(desk.sql, DARA) == (2_995_000, 0, 0)
    assert await holding(desk.sql, THIDA) == (55_000, 0, 0)
    assert set((await counters(desk.sql, DARA)).values()) == {(5_000, 1)}
    messages = await fetch(desk.sql, MESSAGE)
    assert sorted(row["msisdn"] for row in messages) == [DARA.e164, THIDA.e164]
    assert all(REF in row["text"] for row in messages)
    assert not await found(desk, desk.journal)


async def test_it_counts_also_beyond_what_a_day_allows(desk):
    await settled(desk, paid(desk, LIMIT))
    await settled(desk, paid(desk, LIMIT // 4, said="A1B2C3D5"))
    assert set((await counters(desk.sql, DARA)).values()) == {(LIMIT + LIMIT // 4, 2)}


async def test_it_may_be_of_money_that_the_same_block_has_brought(desk):
    src, dest = account(DARA), account(THIDA)
    brought = TransferAsset(src, dest, "khr#nbc", "60000", REF)
    spent = TransferAsset(dest, src, "khr#nbc", "110000", "A1B2C3D5")
    done = await settled(desk, desk.ledger.block((src, [brought]), (dest, [spent])))
    assert (len(done.rebuilt), done.astray) == (2, ())
    assert await holding(desk.sql, THIDA) == (0, 0, 0)
    assert await holding(desk.sql, DARA) == (3_050_000, 0, 0)
    assert not await found(desk, desk.journal)


async def test_it_may_be_of_money_that_is_reserved_for_another_since(desk):
    other = await desk.pay(THIDA, DARA, khr(50_000), wait_s=0.01)
    assert isinstance(other, InProgress)
    paid = TransferAsset(account(THIDA), account(DARA), "khr#nbc", "30000", REF)
    done = await settled(desk, desk.ledger.block((account(THIDA), [paid])))
    assert (len(done.rebuilt), done.astray) == (1, ())
    assert await holding(desk.sql, THIDA) == (20_000, 50_000, 0)
    thida = next(
        row["text"] for row in await fetch(desk.sql, MESSAGE) if row["msisdn"] == THIDA.e164
    )
    assert "Balance 0 KHR" in thida
    await desk.outbox.round()
    done = await settled(desk, desk.ledger.block())
    assert (done.committed, done.rejected) == (0, 1)
    assert await holding(desk.sql, THIDA) == (20_000, 0, 0)
    assert not await found(desk, desk.journal)


async def test_its_bytes_are_never_sent(desk):
    await settled(desk, paid(desk))
    assert {row["state"] for row in await fetch(desk.sql, SUBMISSION)} == {"committed"}
    assert not await desk.outbox.round()
    assert not desk.ledger.calls


@pytest.mark.parametrize(
    ("creator", "said"),
    [
        ("somebody@bank", REF),  # who was granted it; no gateway signs so
        ("", "from elsewhere"),
    ],
)
async def test_money_that_left_otherwise_still_stands_out(desk, creator, said):
    block = paid(desk, creator=creator, said=said)
    done = await settled(desk, block)
    assert done.astray == (block.transactions[0].tx_hash,)
    assert not done.rebuilt
    assert not await fetch(desk.sql, TRANSFER)
    assert await holding(desk.sql, DARA) == (2_995_000, 0, 0)


async def test_money_that_is_neither_riel_nor_dollars_is_none_of_ours(desk):
    src = account(DARA)
    with capture_logs() as lines:
        gold = TransferAsset(src, account(THIDA), "gold#nbc", "5", REF)
        riel = TransferAsset(src, account(THIDA), "khr#nbc", "5", "A1B2C3D5")
        done = await settled(desk, desk.ledger.block((src, [gold]), (src, [riel])))
    assert (len(done.rebuilt), done.astray) == (1, ())
    assert "cannot be written again" in lines[0]["event"]
    (row,) = await fetch(desk.sql, TRANSFER)
    assert row["ref"] == "A1B2C3D5"


async def test_a_payment_that_has_its_row_is_left_as_it_is(desk):
    paying = asyncio.ensure_future(desk.pay(DARA, THIDA, khr(700), wait_s=0.01))
    await paying
    await desk.outbox.round()
    done = await settled(desk, desk.ledger.block())
    assert (done.committed, done.rebuilt) == (1, ())
    assert len(await fetch(desk.sql, TRANSFER)) == 1


async def test_a_ref_that_another_payment_has_is_no_reason_to_stop_settling(desk):
    await settled(desk, paid(desk))
    done = await settled(desk, block := paid(desk, 300))
    assert done.astray == (block.transactions[0].tx_hash,)
    assert await holding(desk.sql, DARA) == (2_994_700, 0, 0)


# ---- nothing is signed before


def following(desk: Desk, is_last) -> Follower:
    return Follower(
        desk.sql,
        desk.ledger,
        desk.waiters,
        desk.receipts,
        journal=desk.journal,
        clock=desk.clock,
        meters=desk.meters,
        is_last=is_last,
    )


async def test_nothing_is_signed_before_the_end_of_the_chain_and_people_are_told_to_look(desk):
    async def never(_last: Reached) -> bool:
        raise LedgerUnreachable("away")

    desk.transfers._may_sign = following(desk, never).walked
    assert await desk.pay(DARA, THIDA, khr(700), wait_s=0.01) == Unconfirmed()
    desk.transfers._may_sign = not_yet
    assert await desk.pay(DARA, THIDA, khr(700)) == Unconfirmed()
    assert not await fetch(desk.sql, TRANSFER)


async def not_yet(_patience_s: float) -> bool:
    return False


async def test_a_payment_waits_for_the_end_of_the_chain_as_long_as_its_turn_may(desk):
    asked: list[int] = []

    async def told(last: Reached) -> bool:
        asked.append(last.height)
        return last.height == 1

    follower = following(desk, told)
    desk.ledger.auto = True
    block = paid(desk)
    desk.transfers._may_sign = follower.walked
    paying = asyncio.ensure_future(desk.pay(DARA, THIDA, khr(700)))
    running = [asyncio.ensure_future(room.run()) for room in (follower, desk.outbox)]
    try:
        while not paying.done():
            # As slow as real time, or a busy database would seem too late.
            await desk.clock.advance(0.01)
            await asyncio.sleep(0.01)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    assert isinstance(paying.result(), Committed)
    assert asked[-1] == 1
    rows = {row["ref"]: row["state"] for row in await fetch(desk.sql, TRANSFER)}
    assert rows[REF] == "committed"
    assert block.height == 1


async def test_while_the_last_settled_block_is_gone_nothing_is_signed(desk):
    """A ledger that was rewound, or is another one, would take what nobody could settle."""
    there = True

    async def is_last(_last: Reached) -> bool:
        return there

    async def moment() -> bool:
        for _ in range(40):
            await desk.clock.advance(0.05)
            await asyncio.sleep(0.005)
        return await follower.walked(0.0)

    follower = following(desk, is_last)
    running = asyncio.ensure_future(follower.run())
    try:
        assert await moment()
        desk.ledger.doubts.append(Doubt("192.0.2.7:50051", 1, "unlinked"))
        desk.ledger.block()
        assert await moment(), "one peer that lies stops nothing"
        there = False
        desk.ledger.doubts.append(Doubt("every peer", 1, "it is gone", gone=True))
        desk.ledger.block()
        assert not await moment()
        there = True
        assert await moment()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
