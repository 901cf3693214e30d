"""Time stands while anything can run; the order is drawn, and nobody outside has a say."""

import asyncio
from contextlib import closing
from random import Random

import pytest
from virtual_time import Dry, VirtualLoop


def run(coroutine_function, seed=0):
    with closing(VirtualLoop(Random(seed))) as loop:
        return loop.run_until_complete(coroutine_function(loop))


def test_a_year_passes_at_once():
    async def sleeps(loop):
        await asyncio.sleep(365 * 86_400)
        return loop.time()

    assert run(sleeps) == 365 * 86_400


def test_the_order_of_what_is_ready_is_drawn_from_the_seed():
    async def race(_loop):
        order = []

        async def one(number):
            await asyncio.sleep(0)
            order.append(number)

        await asyncio.gather(*map(one, range(6)))
        return tuple(order)

    assert run(race, 1) == run(race, 1)
    assert len({run(race, seed) for seed in range(20)}) > 10


def test_threads_are_refused():
    async def thread(_loop):
        await asyncio.to_thread(print)

    with pytest.raises(RuntimeError, match="no threads"):
        run(thread)


def test_a_world_in_which_nothing_can_happen_any_more_says_so():
    async def waits(loop):
        await loop.create_future()

    with pytest.raises(Dry):
        run(waits)
