"""How mistakes on purpose are made: each by its name, and patched in for as long as it is tried."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest


@dataclass(frozen=True, slots=True)
class Mistake:
    """How to make it, and a world that has shown it."""

    make: Callable[[pytest.MonkeyPatch], None]
    seed: int


MISTAKES: dict[str, Mistake] = {}


def mistake(name: str, seed: int = 0):
    """Name a mistake, and a world that has shown it."""

    def named(make):
        MISTAKES[name] = Mistake(make, seed)
        return make

    return named


def fields(value) -> dict:
    """What a dataclass holds, by name."""
    return {name: getattr(value, name) for name in value.__dataclass_fields__}
