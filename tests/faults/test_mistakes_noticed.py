"""The world is known to see: each mistake on purpose breaks a promise that is kept without it."""

import pytest
from mistakes import MISTAKES, noticed
from promises import broken
from simulated_town import live
from test_promises_kept import BACK, WORLDS


def test_there_are_mistakes_enough_to_try_the_world():
    assert len(MISTAKES) >= 25


@pytest.mark.parametrize("name", MISTAKES)
def test_it_is_noticed(name):
    found = noticed(name)
    assert found is not None
    seed, how = found
    assert "a fault in" not in how, "it does not fit the code that it is patched into"
    # `test_promises_kept` lives the first worlds without it.
    assert -BACK <= seed < WORLDS or not broken(live(seed)), (
        "it was the mistake that broke the promise"
    )
