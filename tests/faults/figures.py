"""What the table of `make faults` is made of: promises, and the figures asked and reached.

A measure runs for as long as its effort says and yields rows. Those of the simulated world are
here. A measure of real processes is a function like these in a file of its own, and one line in
`MEASURES` of `__main__`.
"""

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice

from mistakes import MISTAKES, SEEDS_MOST, noticed
from promises import PROMISES, broken
from simulated_town import live

CHUNK = 64  # worlds asked of a worker at once …
BACK = 8  # … and more of them in which the database goes back
SHOWN_MOST = 3  # histories of broken worlds
# Not forked: a fork of a process that has spoken with a ledger spins in what it inherits of gRPC.
FRESH = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class Row:
    """One promise, and how far it was kept."""

    promise: str
    asked: str
    reached: str
    kept: bool


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is to be tried. `say` shows progress, `show` what was found on the way.

    `times`: what has a figure of its own is tried that many times as often.
    """

    seeds: int
    seconds: float
    workers: int
    say: Callable[[str], None]
    show: Callable[[str], None]
    times: float = 1.0

    def many(self, usual: int) -> int:
        """How often, where this is usual."""
        return max(1, round(usual * self.times))


def worlds(effort: Effort) -> Iterator[Row]:
    """Worlds from as many seeds as time allows."""
    began, tried, bad = time.monotonic(), 0, Counter[str]()
    with ProcessPoolExecutor(effort.workers, FRESH) as workers:
        chunks = iter(range(0, effort.seeds, CHUNK))
        under_way = [workers.submit(judged, first) for first in islice(chunks, effort.workers + 1)]
        while under_way:
            found = under_way.pop(0).result()
            tried += CHUNK + BACK
            for seed, sentences in found:
                bad.update({sentence.partition(": ")[0] for sentence in sentences})
                if bad.total() <= SHOWN_MOST:
                    effort.show(report(seed, sentences))
            spent_s = time.monotonic() - began
            effort.say(f"{tried:,} worlds in {spent_s:,.0f} s, {bad.total()} promises broken")
            if spent_s < effort.seconds:
                under_way += [workers.submit(judged, first) for first in islice(chunks, 1)]
    for name in PROMISES:
        asked = f"0 times in {effort.seeds:,} worlds"
        yield Row(name, asked, f"{bad[name]} times in {tried:,}", not bad[name])


def judged(first: int) -> list[tuple[int, list[str]]]:
    """The broken ones of a chunk of worlds."""
    back = first // CHUNK * BACK
    seeds = [*range(first, first + CHUNK), *range(-back - BACK, -back)]
    found = ((seed, broken(live(seed))) for seed in seeds)
    return [(seed, sentences) for seed, sentences in found if sentences]


def report(seed: int, sentences: list[str]) -> str:
    """What was broken in a world, and its history."""
    return "\n".join([f"seed {seed}", str(live(seed)), *sentences])


def mistakes(effort: Effort) -> Iterator[Row]:
    """Each mistake on purpose, made until it is noticed."""
    latest, missed = 0, []
    with ProcessPoolExecutor(effort.workers, FRESH) as workers:
        for name, found in zip(MISTAKES, workers.map(noticed, MISTAKES), strict=True):
            effort.say(f"mistakes: {name}")
            if found is None:
                missed.append(name)
                effort.show(f"nobody noticed: {name}")
            else:
                latest = max(latest, found[0] + 1)
    asked = f"all {len(MISTAKES)} within {SEEDS_MOST:,} worlds"
    reached = f"{len(MISTAKES) - len(missed)}, the last in world {latest}"
    yield Row("mistakes on purpose are noticed", asked, reached, not missed)
