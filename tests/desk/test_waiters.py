"""Who waits for a hash hears of it, also when it came a moment too early."""

import asyncio

from gateway.desk.waiters import Waiters


async def test_all_who_wait_for_a_hash_are_woken_and_nobody_else():
    waiters = Waiters()
    waiting = [asyncio.ensure_future(waiters.settled(one, 5)) for one in ("a", "a", "b")]
    await asyncio.sleep(0)
    waiters.wake("a", "committed")
    assert await asyncio.gather(*waiting[:2]) == ["committed", "committed"]
    assert not waiting[2].done()
    waiting[2].cancel()


async def test_a_verdict_that_came_before_the_wait_is_heard():
    waiters = Waiters()
    waiters.wake("a", "rejected")
    assert await waiters.settled("a", 0) == "rejected"


async def test_a_wait_ends_in_time_and_leaves_nothing_behind():
    waiters = Waiters()
    assert await waiters.settled("a", 0.001) is None
    assert await waiters.settled("a", -1) is None
    assert waiters._waiting == {}


async def test_memory_is_bounded():
    waiters = Waiters(remembered_most=2)
    for one in "abc":
        waiters.wake(one, "committed")
    assert await waiters.settled("a", 0) is None
    assert await waiters.settled("c", 0) == "committed"
