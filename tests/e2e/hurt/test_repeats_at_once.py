"""However often a callback comes at once, its answers are equal and it pays once."""

import pytest
from callers import town_of
from repeats import repeat
from stands import Ground

SESSIONS = 50


@pytest.mark.parametrize("kind", ["sqlite", "pair"])
async def test_sessions_whose_callbacks_all_come_several_times_at_once_on(
    ground: Ground, kind: str
):
    with ground.stack(kind) as stack:
        stack.start()
        async with town_of(stack) as town:
            assert not (await repeat(town, SESSIONS)).wrong
