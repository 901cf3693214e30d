"""What no block can hold any more expires by the blocks' own clock, and all of it is given back."""

import pytest
from money_parts import (
    DARA,
    MESSAGE,
    SUBMISSION,
    THIDA,
    TRANSFER,
    Desk,
    MemoryLedger,
    counters,
    eventually,
    execute,
    fetch,
    holding,
    khr,
    person,
)
from sqlalchemy import update

from gateway.desk.blocks import EXPIRES_MS, PROOF_BLOCKS, start_cursor
from gateway.desk.times import to_ms
from gateway.follower import NUDGE_S, Follower
from ledger_client.ledger import Reached
from menus.effects import InProgress, LastPayment, PaymentState, ReadLastPayment

NOTHING = ("opener@other", [])  # some other bank's transaction: it makes a block


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger(auto=False)


@pytest.fixture
async def desk(sql, clock, ledger) -> Desk:
    await person(sql, DARA, ledger, riel=400_000)
    await person(sql, THIDA, ledger, riel=50_000)
    await sql.run(start_cursor, [Reached(0)])
    return Desk(sql, ledger, clock, any_pin=True)


async def unseen(desk: Desk, ledger: MemoryLedger) -> dict:
    """A payment that was sent and that the ledger has lost."""
    ledger.deaf = True
    outcome = await desk.pay(DARA, THIDA, khr(5_000), wait_s=0.01)
    assert isinstance(outcome, InProgress)
    await desk.outbox.round()
    ledger.deaf = False
    return (await fetch(desk.sql, SUBMISSION))[0]


async def blocks(desk: Desk, ledger: MemoryLedger, count: int, at_ms: int) -> None:
    """So many blocks of others, made from `at_ms` on, are settled."""
    for number in range(count):
        ledger.now_ms = at_ms + number
        ledger.block(NOTHING)
        assert await desk.follower._settle(ledger.blocks_made[-1])


async def state(desk: Desk) -> str:
    return (await fetch(desk.sql, TRANSFER))[0]["state"]


async def test_after_a_dozen_blocks_of_a_day_later_it_has_expired_and_all_is_given_back(
    desk, sql, ledger
):
    row = await unseen(desk, ledger)
    over = row["created_time"] + EXPIRES_MS + 1
    await blocks(desk, ledger, PROOF_BLOCKS - 1, over)
    assert await state(desk) == "signed"
    assert await holding(sql, DARA) == (400_000, 5_000, 0)
    await blocks(desk, ledger, 1, over + PROOF_BLOCKS)
    assert await state(desk) == "expired"
    assert await holding(sql, DARA) == (400_000, 0, 0)
    assert await holding(sql, THIDA) == (50_000, 0, 0)
    assert set((await counters(sql, DARA)).values()) == {(0, 0)}
    (sms,) = await fetch(sql, MESSAGE)
    assert sms["msisdn"] == DARA.e164
    last = await desk.reads.read_last_payment(ReadLastPayment(), desk.origin(DARA))
    assert isinstance(last, LastPayment)
    assert last.state is PaymentState.NOT_PAID
    assert desk.meters.registry.get_sample_value(
        "gateway_settled_total", {"state": "expired"}
    ) == 1  # fmt: skip


async def test_blocks_made_within_its_time_prove_nothing_however_many(desk, sql, ledger):
    row = await unseen(desk, ledger)
    await blocks(desk, ledger, 3 * PROOF_BLOCKS, row["created_time"] + EXPIRES_MS - 100)
    assert await state(desk) == "signed"
    assert await holding(sql, DARA) == (400_000, 5_000, 0)


async def test_one_early_block_among_them_begins_the_count_again(desk, ledger):
    row = await unseen(desk, ledger)
    over = row["created_time"] + EXPIRES_MS + 1
    await blocks(desk, ledger, PROOF_BLOCKS - 1, over)
    await blocks(desk, ledger, 1, row["created_time"])
    await blocks(desk, ledger, PROOF_BLOCKS - 1, over)
    assert await state(desk) == "signed"


async def test_the_last_block_itself_may_still_hold_it(desk, sql, clock, ledger):
    row = await unseen(desk, ledger)
    await blocks(desk, ledger, PROOF_BLOCKS - 1, row["created_time"] + EXPIRES_MS + 1)
    await clock.advance(61)
    await desk.outbox.round()  # sent again, and taken this time
    ledger.now_ms = row["created_time"] + EXPIRES_MS + 1000
    ledger.block()
    assert await desk.follower._settle(ledger.blocks_made[-1])
    assert await state(desk) == "committed"
    assert (await holding(sql, DARA))[:2] == (395_000, 0)


async def test_what_commits_after_it_expired_is_settled_counted_and_raised(
    desk, sql, clock, ledger
):
    row = await unseen(desk, ledger)
    over = row["created_time"] + EXPIRES_MS + 1
    await blocks(desk, ledger, PROOF_BLOCKS, over)
    assert await state(desk) == "expired"
    await ledger.submit([row["data"]])
    ledger.now_ms = over + 1000
    ledger.block()
    assert await desk.follower._settle(ledger.blocks_made[-1])
    assert await state(desk) == "committed"
    assert (await holding(sql, DARA))[:2] == (395_000, 0)
    assert desk.meters.registry.get_sample_value(
        "gateway_settled_total", {"state": "contradicted"}
    ) == 1  # fmt: skip


async def test_an_idle_ledger_is_sent_something_that_makes_blocks(desk, sql, clock, ledger):
    sent: list[int] = []

    def no_op(now_ms: int) -> bytes:
        sent.append(now_ms)
        return b""

    follower = Follower(
        sql,
        ledger,
        desk.waiters,
        desk.receipts,
        journal=desk.journal,
        clock=clock,
        meters=desk.meters,
        no_op=no_op,
    )
    row = await unseen(desk, ledger)
    desk.follower = follower
    yesterday = row["created_time"] - EXPIRES_MS + 150_000
    await execute(sql, update(SUBMISSION).values(created_time=yesterday))

    async def nudged() -> bool:
        await clock.advance(NUDGE_S)
        return bool(sent)

    async with desk.running():
        for _ in range(3):
            await clock.advance(NUDGE_S)
        assert not sent
        await eventually(nudged)
    assert sent[0] - yesterday > EXPIRES_MS
    assert sent[0] <= to_ms(clock.now())


async def test_a_refusal_after_it_expired_gives_nothing_back_again(desk, sql, ledger):
    row = await unseen(desk, ledger)
    over = row["created_time"] + EXPIRES_MS + 1
    await blocks(desk, ledger, PROOF_BLOCKS, over)
    before = await holding(sql, DARA), await holding(sql, THIDA), await counters(sql, DARA)
    ledger.now_ms = over + 1000
    assert await desk.follower._settle(ledger.append([], [row["tx_hash"]]))
    assert await state(desk) == "expired"
    after = await holding(sql, DARA), await holding(sql, THIDA), await counters(sql, DARA)
    assert after == before
