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


def pooled(entropy: Entropy, reserve: int = 4096) -> Entropy:
    """The same in small pieces, asked of the system a reserve at a time: for ids, not for keys."""
    pool = b""
    at = 0

    def taken(size: int) -> bytes:
        nonlocal pool, at
        if at + size > len(pool):
            pool, at = entropy(max(reserve, size)), 0
        at += size
        return pool[at - size : at]

    return taken


def fresh_id(entropy: Entropy) -> str:
    """128 random bits as 32 lower-case hex digits."""
    return entropy(16).hex()
