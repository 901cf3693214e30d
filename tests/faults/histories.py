"""What happened in a world, as it could be seen from outside, and what it left behind.

Plain values only: whoever judges a history needs nothing of the code that made it.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

DECIMALS = {"KHR": 0, "USD": 2}
SUM = re.compile(r"([\d,.]+) (KHR|USD)")


class Sum(NamedTuple):
    """An amount of money, in minor units of its currency."""

    minor: int
    currency: str

    @property
    def typed(self) -> str:
        """As people type it who have said in which currency."""
        whole, part = divmod(self.minor, 10 ** DECIMALS[self.currency])
        return f"{whole}.{part:02}" if DECIMALS[self.currency] else str(whole)


def sum_in(text: str) -> Sum:
    """The first amount that a text names."""
    found, currency = SUM.search(text).groups()
    whole, _, part = found.replace(",", "").partition(".")
    return Sum(int(whole + part.ljust(DECIMALS[currency], "0")), currency)


@dataclass(frozen=True, slots=True)
class Moved:
    """Money that a block moved. `ref` is how it is told to people."""

    tx_hash: str
    src: str
    dest: str
    asset: str
    minor: int
    ref: str

    @property
    def sum(self) -> Sum:
        """How much."""
        return Sum(self.minor, self.asset.partition("#")[0].upper())


@dataclass(slots=True)
class History:
    """Of one seed. Amounts are minor units by account and asset; texts are whole."""

    seed: int
    start: datetime
    caps: dict[str, int]  # in minor units of either currency
    unclaimed: dict[str, int]  # terms of wallets that nobody has claimed
    accounts: dict[str, str]  # of our people, by number; of strangers as soon as they have one
    opening: dict[tuple[str, str], int]
    events: list[tuple] = field(default_factory=list)  # (seconds, kind, …), as they came
    moved: list[Moved] = field(default_factory=list)  # in the order of blocks
    closing: dict[tuple[str, str], int] = field(default_factory=dict)
    rows: dict[str, list[dict]] = field(default_factory=dict)  # of each table, at the end
    strange: list[str] = field(default_factory=list)  # faults that no weather explains
    adrift: list[str] = field(default_factory=list)  # rows that an audit at the end complains of
    ended: bool = False  # was everything that was under way brought to an end?

    def of(self, kind: str) -> list[tuple]:
        """The events of one kind, without it."""
        return [(event[0], *event[2:]) for event in self.events if event[1] == kind]

    @property
    def forgotten(self) -> tuple[float, float]:
        """From when until when the database forgot what was done; no time at all in most worlds."""
        copied, back = self.of("copied"), self.of("went back")
        return (copied[0][0], back[0][0]) if back else (0.0, 0.0)

    def __str__(self) -> str:
        return "\n".join(
            f"{at_s:9.3f}  " + " ".join(str(one).replace("\n", " | ") for one in what)
            for at_s, *what in self.events
        )
