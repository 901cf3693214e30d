"""Whatever the weather, every promise is kept: a few hundred worlds of the many."""

import pytest
from figures import report
from promises import broken
from simulated_town import live

WORLDS, TOGETHER = 500, 25
BACK = 50  # more of them in which the database goes back


@pytest.mark.parametrize("first", range(-BACK, WORLDS, TOGETHER))
def test_every_promise_is_kept_in_worlds_from(first):
    for seed in range(first, first + TOGETHER):
        found = broken(live(seed))
        assert not found, report(seed, found)
