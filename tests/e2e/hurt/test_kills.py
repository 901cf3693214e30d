"""`kill -9` under load: nothing is lost, doubled or stuck."""

import pytest
from callers import town_of
from kills import kill
from stands import Ground

CYCLES = 10


@pytest.mark.parametrize(("kind", "seed"), [("sqlite", 1), ("postgres", 2)])
async def test_a_gateway_killed_again_and_again_loses_and_doubles_nothing(
    ground: Ground, kind: str, seed: int
):
    with ground.stack(kind) as stack:
        stack.start()
        async with town_of(stack) as town:
            kills, found = await kill(town, CYCLES, seed=seed, hurried=True)
    assert not kills.missed
    assert not found.wrong
    assert found.paid
