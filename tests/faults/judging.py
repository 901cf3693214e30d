"""How histories are judged: promises by name, and the readings that they share.

A promise is a function from a history to the sentences that say where it was broken.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

from histories import History

Promise = Callable[[History], Iterator[str]]
PROMISES: dict[str, Promise] = {}
WRONG_PINS_MOST = 3


def promise(name: str) -> Callable[[Promise], Promise]:
    """Name a promise as the table of `make faults` shows it."""

    def named(broken: Promise) -> Promise:
        PROMISES[name] = broken
        return broken

    return named


def agreed(history: History) -> Counter:
    """How often each payment was agreed to with the right PIN."""
    return Counter(
        (number, to, minor) for _, number, to, minor, right, _ in history.of("agreed") if right
    )


def paid(history: History) -> Counter:
    numbers = {account: number for number, account in history.accounts.items()}
    return Counter(
        (numbers[one.src], f"+{one.dest.partition('@')[0]}", one.minor)
        for one in history.moved
        if one.src in numbers
    )


def told(history: History) -> Iterator[tuple[float, str, str]]:
    """Every text that reached a phone."""
    for at_s, kind, *what in history.events:
        if kind in ("page", "sms") and what[-1]:
            yield at_s, what[0], what[-1]


def by_period(history: History) -> dict[tuple[str, str], list[dict]]:
    """Payments that count, by account and business day, and by account and month."""
    periods = defaultdict(list)
    for row in history.rows["transfer"]:
        if row["state"] in ("signed", "committed"):
            for period in (row["business_day"], row["business_day"][:7]):
                periods[row["src_account"], period].append(row)
    return dict(periods)
