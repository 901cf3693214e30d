"""Time and chance for tests: both stand still until the test says otherwise."""

import asyncio
import hashlib
import heapq
import itertools
from datetime import UTC, datetime, timedelta

from gateway.clock import Entropy

MORNING = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)  # ten o'clock in Phnom Penh


class FakeClock:
    """A `Clock` that only `advance` moves.

    Sleepers wake in order of their hour, and time stands at that hour while they run. With
    `skipping`, a sleep moves the time itself: for code that only waits a little between tries.
    """

    def __init__(self, start: datetime = MORNING, *, skipping: bool = False) -> None:
        self.skipping = skipping
        self._start = start
        self._elapsed_us = 0
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now(self) -> datetime:
        return self._start + timedelta(microseconds=self._elapsed_us)

    def monotonic(self) -> float:
        return self._elapsed_us / 1e6

    async def sleep(self, seconds: float) -> None:
        hour = self._elapsed_us + max(0, round(seconds * 1e6))
        if self.skipping or hour == self._elapsed_us:
            self._elapsed_us = max(self._elapsed_us, hour)
            await asyncio.sleep(0)
            return
        waking: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (hour, next(self._order), waking))
        await waking

    async def advance(self, seconds: float) -> None:
        """Move the time on, waking who is due on the way; lets the woken run before it returns."""
        until = self._elapsed_us + round(seconds * 1e6)
        await settle()
        while self._sleepers and self._sleepers[0][0] <= until:
            hour, _, waking = heapq.heappop(self._sleepers)
            if waking.done():  # the sleeper was cancelled
                continue
            self._elapsed_us = hour
            waking.set_result(None)
            await settle()
        self._elapsed_us = until
        await settle()

    @property
    def sleepers(self) -> int:
        """How many wait for their hour."""
        return sum(not waking.done() for _, _, waking in self._sleepers)


async def settle(ticks: int = 20) -> None:
    """Let everything that can run without time or I/O run."""
    for _ in range(ticks):
        await asyncio.sleep(0)


def seeded(seed: str = "seed") -> Entropy:
    """The same bytes in the same order in every run."""
    counter = itertools.count()

    def entropy(length: int) -> bytes:
        return hashlib.shake_256(f"{seed}/{next(counter)}".encode()).digest(length)

    return entropy
