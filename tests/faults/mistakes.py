"""Mistakes on purpose: what a good programmer might write on a bad day, each by its name.

None of them is in the product: they are patched in, one at a time, to see whether the world would
notice. A mistake that no history betrays is a hole in the world, not a proof of luck. The world
that has shown it is tried first; when it no longer does, others are looked through.
"""

import mistakes_with_disputes
import mistakes_with_money
import mistakes_with_strangers
import mistakes_with_words
import pytest
from making import MISTAKES
from promises import broken
from simulated_town import live

__all__ = [
    "MISTAKES",
    "SEEDS_MOST",
    "mistakes_with_disputes",
    "mistakes_with_money",
    "mistakes_with_strangers",
    "mistakes_with_words",
    "noticed",
]
SEEDS_MOST = 2_000


def noticed(name: str, most: int = SEEDS_MOST) -> tuple[int, str] | None:
    """The world in which it was noticed, and how; None when it never was."""
    one = MISTAKES[name]
    with pytest.MonkeyPatch.context() as patch:
        one.make(patch)
        seeds = range(-1, -most - 1, -1) if one.seed < 0 else range(most)
        for seed in [one.seed, *(seed for seed in seeds if seed != one.seed)]:
            if found := broken(live(seed)):
                return seed, found[0]
    return None
