"""Callbacks that Africa's Talking posts again every minute until they are answered with 200.

SMS from phones and delivery reports; given up after 12 hours. Time is given, never taken.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sim.callbacks import OK, Poster, Reply
from sim.wire import Kind

AFTER_S = 60.0
FOR_S = 12 * 3600.0
TIMEOUT_S = 15.0


@dataclass(slots=True, eq=False)
class Repeated:
    """One callback; `shown` is its form as eyes may see it."""

    kind: Kind
    url: str
    phone: str
    form: dict[str, str]
    shown: str
    born: float
    due: float
    told: Callable[[str], None] | None = None  # sent | waiting | failed
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Repeats:
    """What is still to be answered."""

    def __init__(
        self, poster: Poster, now: Callable[[], float], log: Callable[[Repeated, Reply], None]
    ) -> None:
        self._poster = poster
        self._now = now
        self._log = log
        self._waiting: dict[Repeated, None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    async def post(self, callback: Repeated) -> None:
        """Try now, and later again while it is not answered."""
        self._waiting[callback] = None
        await self._attempt(callback)

    async def post_due(self) -> None:
        """Try everything whose minute is over."""
        due: list[Awaitable[None]] = [
            self._attempt(callback) for callback in self._waiting if callback.due <= self._now()
        ]
        await asyncio.gather(*due)

    async def _attempt(self, callback: Repeated) -> None:
        async with callback.lock:
            if callback not in self._waiting:
                return
            callback.due = self._now() + AFTER_S
            reply = await self._poster.post(callback.url, callback.form, timeout_s=TIMEOUT_S)
            self._log(callback, reply)
            if reply.status == OK:
                state = "sent"
            elif self._now() - callback.born >= FOR_S:
                state = "failed"
            else:
                state = "waiting"
            if state != "waiting":
                del self._waiting[callback]
            if callback.told:
                callback.told(state)
