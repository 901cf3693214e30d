"""What was promised, judged by histories alone: these rooms know nothing of the code they judge.

They read what phones were told, what people agreed to, what the ledger's blocks moved, and the rows
at the end.
"""

import promises_of_disputes
import promises_of_money
import promises_of_strangers
import promises_of_words
from histories import History
from judging import PROMISES

__all__ = [
    "PROMISES",
    "broken",
    "promises_of_disputes",
    "promises_of_money",
    "promises_of_strangers",
    "promises_of_words",
]


def broken(history: History) -> list[str]:
    """Every broken promise, with where it was broken."""
    return [f"{name}: {how}" for name, judge in PROMISES.items() for how in judge(history)]
