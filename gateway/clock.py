"""Time and chance, as constructor arguments: nobody else may ask the system for either.

Tests and the simulated world bring their own. `Clock.now` is aware UTC; `monotonic` is seconds.
"""

import asyncio
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

Entropy = Callable[[int], bytes]
"""`entropy(n)` gives n random bytes; `os.urandom` in production."""


class Clock(Protocol):
    """What time it is, and waiting."""

    def now(self) -> datetime: ...
    def monotonic(self) -> float: ...
    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


system_entropy: Entropy = os.urandom


def fresh_id(entropy: Entropy) -> str:
    """128 random bits as 32 lower-case hex digits."""
    return entropy(16).hex()
