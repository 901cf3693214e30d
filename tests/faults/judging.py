"""How histories are judged: promises by name, and the readings that they share.

A promise is a function from a history to the sentences that say where it was broken.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from histories import History, Moved

Promise = Callable[[History], Iterator[str]]
PROMISES: dict[str, Promise] = {}
WRONG_PINS_MOST = 3
CLOCKS_S = 2.0  # wrong at most


def promise(name: str) -> Callable[[Promise], Promise]:
    """Name a promise as the table of `make faults` shows it."""

    def named(broken: Promise) -> Promise:
        PROMISES[name] = broken
        return broken

    return named


def agreed(history: History, *kinds: str) -> Counter:
    """How often each payment was agreed to with the right PIN, also one that gives money back."""
    return Counter(
        (number, to, much)
        for kind in kinds or ("agreed", "gives back")
        for _, number, to, much, right, _ in history.of(kind)
        if right
    )


def paid(history: History) -> Counter:
    """How often each payment was made; what goes back was agreed to by nobody."""
    numbers, back = {account: number for number, account in history.accounts.items()}, gone(history)
    return Counter(
        (numbers[one.src], number_of(one.dest), one.sum)
        for one in history.moved
        if one.src in numbers and one.ref not in back
    )


def number_of(account: str) -> str:
    """Whose it is: a number's second wallet ends in _2."""
    return f"+{account.partition('@')[0].partition('_')[0]}"


def gone(history: History) -> dict[str, dict]:
    """The rows of what goes back unclaimed, by ref."""
    return {row["ref"]: row for row in history.rows["transfer"] if row["channel"] == "return"}


def given_back(history: History) -> dict[str, dict]:
    """The rows of what was asked back and is given, by ref."""
    asked = {row["id"] for row in history.rows["dispute"]}
    return {row["ref"]: row for row in history.rows["transfer"] if row["intent_id"] in asked}


@dataclass(frozen=True, slots=True)
class Step:
    """A block: what it moved, and which wallets had no owner before it, or got one in it."""

    at_s: float
    moved: list[Moved]
    ownerless: frozenset[str]
    claimed: frozenset[str]
    opened: frozenset[str]  # by their owners


def blocks(history: History) -> Iterator[Step]:
    """All blocks. A wallet that is paid in the block that opens it has no owner yet."""
    moved = iter(history.moved)
    ownerless: set[str] = set()
    opened: set[str] = set()
    keyed: set[str] = set()
    for at_s, kind, *what in history.events:
        if kind == "opened":
            opened.add(what[0])
        elif kind == "new key":
            keyed.add(what[0])
        elif kind == "block":
            here = list(islice(moved, len(what[1])))
            made = opened & {one.dest for one in here}
            ownerless |= made
            claimed = frozenset(keyed & ownerless)
            yield Step(at_s, here, frozenset(ownerless), claimed, frozenset(opened - made))
            ownerless -= keyed
            opened, keyed = set(), set()


def told(history: History) -> Iterator[tuple[float, str, str]]:
    """Every text that reached a phone."""
    for at_s, kind, *what in history.events:
        if kind in ("page", "sms") and what[-1]:
            yield at_s, what[0], what[-1]


def free(history: History) -> set[str]:
    """The refs of what uses no limit: what goes back, in either way."""
    return gone(history).keys() | given_back(history).keys()


def overtaken(history: History) -> set[str]:
    """The refs of what was on its way while the database forgot it: no limit could count it."""
    from_s, until_s = history.forgotten
    start_s = history.start.timestamp()
    late = {ref for at_s, _, told, _ in history.of("block") if at_s > until_s for ref, _ in told}
    made = {row["ref"]: row["created_at"] / 1000 - start_s for row in history.rows["transfer"]}
    return {
        ref
        for ref in late & made.keys()
        if from_s - CLOCKS_S < made[ref] < until_s + CLOCKS_S and until_s
    }


def by_period(history: History) -> dict[tuple[str, str, str], list[dict]]:
    """Payments that count, by account and currency and business day, and likewise by month."""
    periods, back = defaultdict(list), free(history)
    for row in history.rows["transfer"]:
        if row["state"] in ("signed", "committed") and row["ref"] not in back:
            for period in (row["business_day"], row["business_day"][:7]):
                periods[row["src_account"], row["currency"], period].append(row)
    return dict(periods)
