"""What only the store in memory promises: bounds, and forgetting by itself."""

import asyncio

from clocks import FakeClock

from gateway.stores.sessions import SessionKey
from gateway.stores.sessions_memory import LINGER_S, MemorySessions


def key(number: int) -> SessionKey:
    return SessionKey(f"+8551200{number:04}", "at", f"s{number}")


async def claim(sessions, number, *, length=0, create=True):
    return await sessions.claim(
        key(number), worker=f"w{number}", length=length, lease_s=5, create=create
    )


async def turn(sessions, number, ttl_s=600.0):
    await claim(sessions, number)
    await sessions.finish(key(number), worker=f"w{number}", record=b"page", ttl_s=ttl_s)


async def test_a_session_is_gone_after_its_time(clock: FakeClock):
    sessions = MemorySessions(clock)
    await turn(sessions, 1, ttl_s=180)
    await clock.advance(179)
    assert await sessions.wait(key(1), version=0, timeout_s=0) == b"page"
    await clock.advance(1)
    assert (await claim(sessions, 1, create=False)).state == "missing"


async def test_a_session_nobody_finished_is_gone_too(clock: FakeClock):
    sessions = MemorySessions(clock)
    await claim(sessions, 1)
    await clock.advance(5 + LINGER_S)
    assert (await claim(sessions, 1, create=False)).state == "missing"
    assert not await sessions.finish(key(1), worker="w1", record=b"late", ttl_s=1)


async def test_the_room_of_what_expired_is_given_back_as_others_come(clock: FakeClock):
    sessions = MemorySessions(clock)
    for number in range(100):
        await turn(sessions, number)
    await clock.advance(601)
    for number in range(100, 150):
        await turn(sessions, number)
    assert len(sessions._of_number) == 50


async def test_of_too_many_the_one_untouched_for_longest_makes_room(clock: FakeClock):
    sessions = MemorySessions(clock, most=10)
    for number in range(10):
        await turn(sessions, number)
    await claim(sessions, 0, length=1)
    await turn(sessions, 10)
    assert len(sessions._of_number) <= 10
    assert (await claim(sessions, 0, length=1, create=False)).state == "busy"
    assert (await claim(sessions, 1, create=False)).state == "missing"


async def test_who_waits_looks_again_when_the_claim_runs_out(clock: FakeClock):
    sessions = MemorySessions(clock)
    await claim(sessions, 1)
    waiting = asyncio.create_task(sessions.wait(key(1), version=0, timeout_s=60))
    await clock.advance(4.9)
    assert not waiting.done()
    await clock.advance(0.2)
    assert await waiting is None
    assert clock.sleepers == 0, "nothing is left behind"


async def test_closing_lets_those_who_wait_go(clock: FakeClock):
    sessions = MemorySessions(clock)
    await claim(sessions, 1)
    waiting = asyncio.create_task(sessions.wait(key(1), version=0, timeout_s=60))
    await asyncio.sleep(0)
    await sessions.close()
    assert await waiting is None
