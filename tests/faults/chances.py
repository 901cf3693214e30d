"""All choices of a world, drawn from one seed, and how bad its weather is.

Each part of the world draws from a stream of its own, so that one more choice in one part does not
change all others. The weather is drawn first: in most worlds only a few things go wrong, but these
often, since what goes wrong everywhere at once hides what one fault alone would have shown.
"""

from dataclasses import dataclass, fields
from random import Random


class Chances:
    """Streams of chance by name, all of one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def stream(self, *names: object) -> Random:
        return Random("/".join(map(str, (self.seed, *names))))


@dataclass(frozen=True, slots=True)
class Habits:
    """How often people do what makes a gateway's life hard."""

    hang_up: float = 0.1
    wrong_pin: float = 0.3
    wrong_code: float = 0.3
    same_again: float = 0.4
    by_sms: float = 0.6
    at_once: float = 0.8  # by USSD and by SMS
    stepwise: float = 0.4  # from menu to menu, and not all dialled at once
    look: float = 0.3  # at what became of a payment
    thief: float = 0.2  # somebody who has the phone, and not its PIN
    newcomer: float = 0.9  # dials for a wallet
    new_pin: float = 0.4
    regret: float = 0.9  # says that a payment went to the wrong person

    @classmethod
    def of(cls, chance: Random) -> "Habits":
        """The habits of one world's people."""
        return cls(*(row.default * chance.random() for row in fields(cls)))


@dataclass(frozen=True, slots=True)
class Weather:
    """How often each thing goes wrong, at most as often as said here; 0 in many worlds."""

    crash: float = 0.01  # at each step of a process where another may see its traces
    sql_refuses: float = 0.04
    sql_unknown: float = 0.15  # the reply to a commit is lost
    sql_slow: float = 0.05
    sessions_refuse: float = 0.04
    sessions_lost: float = 0.01  # all of them
    submit_lost: float = 0.3
    submit_unanswered: float = 0.3  # arrived, but its sender does not hear so
    queue_lost: float = 0.5  # taken, and forgotten
    block_late: float = 0.6
    reject: float = 0.7  # by the ledger, for reasons of its own
    peer_lies: float = 0.8
    ledger_away: float = 0.1  # for a while
    sms_fails: float = 0.3
    sms_uncertain: float = 0.5
    sms_slow: float = 0.3
    repeat: float = 0.5  # a callback comes more than once
    reply_lost: float = 0.2  # the phone does not see the page

    @classmethod
    def of(cls, chance: Random) -> "Weather":
        """The weather of a world: each thing strong, or not at all."""
        rough = chance.random()
        drawn = {}
        for row in fields(cls):
            strong = row.default * (0.5 + 0.5 * chance.random())
            drawn[row.name] = strong if chance.random() < rough else 0.0
        return cls(**drawn)

    @classmethod
    def fine(cls) -> "Weather":
        """Nothing goes wrong any more."""
        return cls(**{row.name: 0.0 for row in fields(cls)})
