"""More than a process can carry: new conversations come back later, those under way go on."""

import asyncio

import pytest
from clocks import FakeClock
from test_turn import PIN, STEPS, Desk, World

from gateway.admission import WAITS_S, Admission
from gateway.stores.sessions import open_sessions
from menus.kinds import Msisdn

SLOW, LATE = Msisdn("+85512345602"), Msisdn("+85512345603")


@pytest.fixture
async def world(entropy):
    clock = FakeClock()
    sessions = open_sessions(None, clock)
    yield World(sessions, clock, entropy, Desk())
    await sessions.close()


class Stuck:
    """Facts that do not come until they are let through."""

    def __init__(self, world) -> None:
        self._facts, self._through = world.facts, asyncio.Event()
        self.waiting = 0
        world.turns._facts = self

    async def __call__(self, msisdn):
        self.waiting += 1
        await self._through.wait()
        return await self._facts(msisdn)

    def let_through(self) -> None:
        self._through.set()


async def begun(world, stuck):
    """A dial that waits for its facts."""
    already = stuck.waiting
    dialling = asyncio.create_task(world.post("", "slow", SLOW))
    while stuck.waiting == already:
        await asyncio.sleep(0)
    return dialling


async def test_a_new_dial_is_sent_away_while_turns_wait_too_long_and_taken_when_they_do_not(world):
    stuck = Stuck(world)
    slow = await begun(world, stuck)
    await world.clock.advance(WAITS_S + 0.01)
    page = await world.post("", "late", LATE)
    assert page.end
    assert "Many people" in page.text
    assert world.meters.registry.get_sample_value("gateway_dials_sent_away_total") == 1
    stuck.let_through()
    assert not (await slow).end
    assert "1 Send money" in (await world.post("", "late", LATE)).text


async def test_conversations_under_way_go_on_when_new_ones_are_sent_away(world):
    await world.walk(*STEPS[:1])
    stuck = Stuck(world)
    slow = await begun(world, stuck)
    await world.clock.advance(WAITS_S + 0.01)
    going_on = asyncio.create_task(world.post("*".join(STEPS[:2])))
    assert "Many people" in (await world.post("", "late", LATE)).text
    stuck.let_through()
    assert "How much" in (await going_on).text
    await slow


async def test_payments_that_wait_for_the_ledger_keep_nobody_away(world):
    world.desk.go_on.clear()
    paying = asyncio.create_task(world.walk(*STEPS))
    while not world.desk.transfers:
        await asyncio.sleep(0)
    repeat = asyncio.create_task(world.post("*".join(STEPS)))
    await asyncio.sleep(0)
    await world.clock.advance(2.5)
    assert "1 Send money" in (await world.post("", "late", LATE)).text
    world.desk.go_on.set()
    assert "REF12345" in (await paying).text
    assert await repeat == await paying
    assert PIN not in repr(world.turns._admission.__dict__)


async def test_the_number_of_turns_under_way_is_bounded():
    admission = Admission(FakeClock(), turns_most=3)
    for turn in "abc":
        admission.begin(turn)
        admission.waits(turn)
        assert not admission.full
    admission.begin("d")
    assert admission.full
    admission.end("a")
    assert not admission.full


async def test_every_turn_leaves_whatever_became_of_it(world):
    await world.walk(*STEPS)
    world.fault = RuntimeError("broken")
    await world.post("", "s9")
    admission = world.turns._admission
    assert (admission._since, admission._patient) == ({}, set())
