"""How a peer of the development ledger may behave, by the names that people use.

Said by the simulator, in a line of text, to the ledger's process; `sim.ledger.orders` carries it
out. Finer faults are for tests: `sim.ledger.misbehaviour`.
"""

from enum import StrEnum


class Manner(StrEnum):
    """What one peer does from now on."""

    UP = "up"  # what it should
    STOPPED = "stopped"  # its port is closed and its memory lost, as after a crash
    SLOW = "slow"  # answers, each time seconds late
    SILENT = "silent"  # takes calls and never answers
    LYING = "lying"  # shows blocks nobody signed, denies what is committed


def order(number: int, manner: Manner) -> str:
    """One line for the ledger's process; peers count from 1."""
    return f"{number} {manner}"
