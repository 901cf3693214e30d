"""One PIN guessed on many numbers: what a minute bears of wrong ones, and when nobody is tried.

Each wallet counts its own wrong PINs, and a guesser who moves on from number to number meets no
such count twice. So wrong PINs are also bounded together: of everybody, and of each block of a
million numbers, so that who guesses along one block shuts that block and not the bank. While the
last minute's wrong ones have used up a budget, no PIN is tried, right or wrong, and nothing is
counted against anybody.

Nothing is written for this: the attempts judged wrong are there, and an index holds no others, so
payments do not wait for each other here. What is under way when a budget is used up is still
judged: in each process as many as were counted and wait for argon2, which `Vault` bounds.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import Connection, bindparam, literal_column, select

from gateway.stores.dialects import Prepared
from gateway.stores.tables import Attempt, table_of

MINUTE_MS: Final = 60_000
BLOCK_DIGITS: Final = 6  # numbers alike but for these are one block
SHARE_OF_BLOCK: Final = 3  # of the bank's budget

_ATTEMPT = table_of(Attempt)
# The state is in the statement's text, for only then do planners use the index of wrong ones.
_WRONG = Prepared(
    select(_ATTEMPT.c.account_id)
    .where(_ATTEMPT.c.state == literal_column("'wrong'"), _ATTEMPT.c.at > bindparam("since"))
    .limit(bindparam("most"))
)


@dataclass(frozen=True, slots=True)
class Budget:
    """Wrong PINs that a minute bears, of the whole bank."""

    bank: int = 100

    @property
    def block(self) -> int:
        return max(1, self.bank // SHARE_OF_BLOCK)


@dataclass(frozen=True, slots=True)
class Exhausted:
    """Not tried: too many PINs were wrong within a minute, of the bank or of this block."""

    of: Literal["bank", "block"]
    block: str


class Spent:
    """What of the budget the last minute's wrong PINs have used, at one moment."""

    def __init__(self, connection: Connection, budget: Budget, now_ms: int) -> None:
        self._budget = budget
        rows = _WRONG.rows(connection, {"since": now_ms - MINUTE_MS, "most": budget.bank})
        self._blocks = Counter(block_of(account) for (account,) in rows)
        self._all = len(rows)

    def exhausted(self, account_id: str) -> Exhausted | None:
        """Why this account's PIN may not be tried now."""
        block = block_of(account_id)
        if self._all >= self._budget.bank:
            return Exhausted("bank", block)
        if self._blocks[block] >= self._budget.block:
            return Exhausted("block", block)
        return None


def block_of(account_id: str) -> str:
    """The block of the number in an account: "85512" of 85512345678@bank and 85512345678_2@bank."""
    number = account_id.partition("@")[0].partition("_")[0]
    return number[:-BLOCK_DIGITS]
