"""A stopped part delays nobody for long, and nothing is lost over it."""

from callers import town_of
from stands import Ground
from stops import stop_each, stoppable

STOPPED_S = 1.5


async def test_people_get_their_pages_in_time_while_each_part_in_turn_stands_still(ground: Ground):
    with stoppable(ground) as parts:
        async with town_of(parts.stack) as town:
            seen, found = await stop_each(town, parts, STOPPED_S, hurried=True)
            assert not town.faults()
    assert all(one.kept for one in seen), seen
    assert not found.wrong
