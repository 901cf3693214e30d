"""Sessions in this process's memory: for one process, the simulated world and tests.

Nothing here awaits between looking and changing, so every call is atomic. A session past its time
is as good as gone; the room it takes is given back as others come by, without a task per session.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field

from gateway.clock import Clock
from gateway.stores.sessions import ENDED_MOST, MISSING, Claim, SessionKey

SESSIONS_MOST = 200_000
SWEEP_MOST = 4  # per claim: more than come in, so the room is bounded by what is alive
LINGER_S = 60.0  # a fresh session outlives its first lease by this, for a take-over


@dataclass(slots=True)
class _Session:
    """The one session of a number; see `sessions.py` for the rules."""

    name: str
    expires: float
    ended: tuple[str, ...] = ()  # the number's older sessions, the last one first
    previous: bytes | None = None  # … and that one's record, until the first finish
    version: int = 0
    record: bytes | None = None
    stored_by: str | None = None
    worker: str | None = None
    lease_until: float = 0.0
    length: int = -1  # of the text that the worker is at
    finished: int = -1  # length of the longest text that has its record
    torn: bool = False
    waiting: list[asyncio.Future[None]] = field(default_factory=list)

    def held(self, now: float) -> bool:
        return self.worker is not None and now < self.lease_until

    def repeats(self, length: int) -> bool:
        """Is a text of this length older than what is known?"""
        return length <= self.finished or (self.worker is not None and length < self.length)

    def let_go(self) -> None:
        """End the claim, and let those who wait look again."""
        self.worker = None
        for waiter in self.waiting:
            if not waiter.done():
                waiter.set_result(None)
        self.waiting.clear()


class MemorySessions:
    """At most `most` sessions: of more, the one untouched for longest makes room."""

    def __init__(self, clock: Clock, *, most: int = SESSIONS_MOST) -> None:
        self._clock = clock
        self._most = most
        self._of_number: OrderedDict[str, _Session] = OrderedDict()  # the last touched is last

    async def claim(
        self, key: SessionKey, *, worker: str, length: int, lease_s: float, create: bool
    ) -> Claim:
        now = self._clock.monotonic()
        self._sweep(now)
        session = self._alive(key.msisdn, now)
        if session is None or session.name != key.name:
            if not create or (session is not None and key.name in session.ended):
                return MISSING
            session = self._succeed(session, key)
        elif session.repeats(length):
            return Claim("busy", version=session.version - 1) if session.version else MISSING
        elif session.worker is not None and length > session.length:
            session.torn = True
        elif session.held(now):
            return Claim("busy", version=session.version)
        session.worker, session.length = worker, length
        session.lease_until = now + lease_s
        session.expires = max(session.expires, session.lease_until + LINGER_S)
        self._of_number.move_to_end(key.msisdn)
        if session.version == 0:
            return Claim("fresh", previous=session.previous, torn=session.torn)
        return Claim("claimed", session.record, version=session.version, torn=session.torn)

    async def finish(self, key: SessionKey, *, worker: str, record: bytes, ttl_s: float) -> bool:
        session = self._ours(key, worker)
        if session is None:
            return False
        session.version += 1
        session.record, session.previous, session.stored_by = record, None, worker
        session.finished, session.torn = session.length, False
        session.expires = self._clock.monotonic() + ttl_s
        session.let_go()
        self._of_number.move_to_end(key.msisdn)
        return True

    async def advance(
        self, key: SessionKey, *, after: str, worker: str, length: int, record: bytes, ttl_s: float
    ) -> bool:
        now = self._clock.monotonic()
        session = self._alive(key.msisdn, now)
        if session is None or session.name != key.name or session.stored_by != after:
            return False
        if session.worker is not None or session.torn or length <= session.finished:
            return False
        session.version += 1
        session.record, session.stored_by, session.finished = record, worker, length
        session.expires = now + ttl_s
        self._of_number.move_to_end(key.msisdn)
        return True

    async def release(self, key: SessionKey, *, worker: str) -> None:
        session = self._ours(key, worker)
        if session is None:
            return
        session.let_go()
        if session.version == 0:
            if session.previous is None and not session.ended:
                del self._of_number[key.msisdn]
            else:
                session.name, session.record = "", session.previous

    async def wait(self, key: SessionKey, *, version: int, timeout_s: float) -> bytes | None:
        deadline = self._clock.monotonic() + timeout_s
        while True:
            now = self._clock.monotonic()
            session = self._alive(key.msisdn, now)
            if session is None or session.name != key.name:
                return None
            if session.version > version:
                return session.record
            if now >= deadline or not session.held(now):
                return None
            await self._news(session, min(deadline, session.lease_until) - now)

    async def close(self) -> None:
        for session in self._of_number.values():
            session.let_go()
        self._of_number.clear()

    def _alive(self, msisdn: str, now: float) -> _Session | None:
        session = self._of_number.get(msisdn)
        return session if session is not None and now < session.expires else None

    def _ours(self, key: SessionKey, worker: str) -> _Session | None:
        session = self._alive(key.msisdn, self._clock.monotonic())
        if session is None or session.name != key.name or session.worker != worker:
            return None
        return session

    def _succeed(self, older: _Session | None, key: SessionKey) -> _Session:
        session = _Session(key.name, expires=0.0)
        if older is not None:
            session.ended = tuple(filter(None, (older.name, *older.ended)))[:ENDED_MOST]
            session.previous = older.previous if older.record is None else older.record
            session.expires = older.expires
            older.let_go()
        self._of_number[key.msisdn] = session
        return session

    def _sweep(self, now: float) -> None:
        for _ in range(SWEEP_MOST):
            first = next(iter(self._of_number), None)
            if first is None:
                return
            oldest = self._of_number[first]
            if now < oldest.expires and len(self._of_number) < self._most:
                return
            oldest.let_go()
            del self._of_number[first]

    async def _news(self, session: _Session, seconds: float) -> None:
        """Until the claim ends, or the time is over."""
        news = asyncio.get_running_loop().create_future()
        session.waiting.append(news)
        timer = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait({news, timer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            if news in session.waiting:
                session.waiting.remove(news)
