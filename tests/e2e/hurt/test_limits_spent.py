"""Sixty-four sessions spend one limit at the same moment: all of it, and not one riel more."""

import pytest
from limits_spent import spend_limits
from people import crowd
from stands import Ground

ROUNDS = 1


@pytest.mark.parametrize("kind", ["sqlite", "pair"])
def test_all_of_a_limit_is_spent_and_no_more_by_sessions_on(ground: Ground, kind: str):
    payers = [person for person in crowd() if person.tier == "tight"][:ROUNDS]
    assert not spend_limits(ground, kind, payers).wrong
