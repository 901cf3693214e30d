"""What an operator hears of a ledger that refuses or is away: the reason, and not every second."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from money_parts import DARA, Desk, MemoryLedger, account, eventually, holding, person
from structlog.testing import capture_logs

from gateway.follower import PAUSE_MOST_S
from ledger_client.ledger import Block, Doubt, LedgerUnreachable, QueryRefused, Reached


class Refusing(MemoryLedger):
    """Refuses to tell blocks as long as the test says, and notes when it was asked."""

    def __init__(self, clock) -> None:
        super().__init__(auto=False)
        self.clock, self.refuses = clock, True
        self.why: Exception = QueryRefused("STATEFUL_INVALID", 2, "no permission")
        self.asked_at: list[float] = []

    def blocks(self, after: Reached) -> AsyncIterator[Block | Doubt]:
        self.asked_at.append(self.clock.monotonic())
        if self.refuses:
            raise self.why
        return super().blocks(after)


@pytest.fixture
async def ledger(clock) -> Refusing:
    return Refusing(clock)


@pytest.fixture
async def desk(sqlite_sql, clock, ledger) -> Desk:
    await person(sqlite_sql, DARA, ledger, riel=400_000)
    return Desk(sqlite_sql, ledger, clock, any_pin=True)


async def test_a_refusal_is_told_with_its_reason_and_ever_less_often(desk, clock, ledger):
    async def asked(times: int) -> bool:
        await clock.advance(1)
        return len(ledger.asked_at) >= times

    with capture_logs() as lines:
        async with desk.running():
            await eventually(lambda: asked(8))
    told = [line for line in lines if line["event"] == "blocks cannot be followed"]
    assert (told[0]["reason"], told[0]["code"]) == ("STATEFUL_INVALID", 2)
    assert "no permission" in told[0]["said"]
    assert "GATEWAY_OPENER_KEY_FILE" in told[0]["hint"]
    assert "GATEWAY_BANK_DOMAIN" in told[0]["hint"]
    gaps = [after - before for before, after in pairwise(ledger.asked_at)]
    assert all(gap >= least for gap, least in zip(gaps, (1, 2, 4, 8, 16, 30, 30), strict=False))


async def test_peers_that_answer_and_give_no_block_are_told_and_asked_again_at_once(
    desk, clock, ledger
):
    ledger.why = LedgerUnreachable("a peer: DEADLINE_EXCEEDED")

    async def asked(times: int) -> bool:
        await clock.advance(1)
        return len(ledger.asked_at) >= times

    with capture_logs() as lines:
        async with desk.running():
            await eventually(lambda: asked(6))
    told = [line for line in lines if line["event"] == "blocks cannot be followed"]
    assert told[0]["said"] == "a peer: DEADLINE_EXCEEDED"
    assert "GATEWAY_LEDGER_PEERS" in told[0]["hint"]
    gaps = [after - before for before, after in pairwise(ledger.asked_at)]
    assert max(gaps) <= 3


async def test_once_the_refusal_is_mended_blocks_are_settled(desk, sqlite_sql, clock, ledger):
    ledger.pay_in(account(DARA), "1")

    async def settled() -> bool:
        await clock.advance(1)
        if len(ledger.asked_at) > 2:
            ledger.refuses = False
        return (await holding(sqlite_sql, DARA))[0] == 400_001

    async with desk.running():
        await eventually(settled)
    assert ledger.asked_at[-1] <= 4 * PAUSE_MOST_S


async def test_a_ledger_that_is_away_is_told_once_and_once_when_it_is_back(desk, clock, ledger):
    def up() -> float:
        return desk.meters.ledger_up._value.get()

    ledger.refuses = False
    with capture_logs() as lines:
        async with desk.running():
            await clock.advance(10)
            assert up() == 1
            ledger.away = True
            await clock.advance(30)
            assert up() == 0
            ledger.away = False
            await clock.advance(30)
            assert up() == 1
            await asyncio.sleep(0)
    told = [line["event"] for line in lines if "the ledger" in line["event"]]
    assert told == ["the ledger does not answer", "the ledger answers again"]


async def test_a_block_not_believed_is_counted_and_told_and_the_others_are_settled(
    desk, sqlite_sql, ledger
):
    ledger.refuses = False
    ledger.doubts = [Doubt("192.0.2.7:50051", 1, "2 pinned peers signed it, not 3")]
    ledger.pay_in(account(DARA), "1")

    async def settled() -> bool:
        return (await holding(sqlite_sql, DARA))[0] == 400_001

    with capture_logs() as lines:
        async with desk.running():
            await eventually(settled)
    (told,) = [line for line in lines if line["event"] == "a block is not believed"]
    assert told["peer"] == "192.0.2.7:50051"
    assert "GATEWAY_LEDGER_PEER_KEYS" in told["hint"]
    assert desk.meters.registry.get_sample_value("gateway_ledger_doubts_total") == 1
