"""Conversations between two turns: who may work on one now, and what it came to.

A number has one session at a time. A turn is claimed before any of its effects runs, and finished
by storing its record; while the claim stands, repeats of the turn wait for that record. Nothing
here is money: losing all of it costs people a redial.

The record is opaque bytes. Everything expires. Both stores (memory, Redis) follow these rules:

1.  A claim holds the session for its lease. A lease past its time is free to be taken over; one
    that was not taken over still lets its holder finish.
2.  A session nobody finished yet is "fresh" to whoever claims it, also after a take-over; from
    the first finish on it is "claimed".
3.  A fresh session ends the number's older one in the same step: that one's record comes back as
    `previous`, its finish fails, and a late repeat of its first callback is "missing" even with
    `create`, so that it cannot end its successor, nor be had twice. So are those of the last
    `ENDED_MOST` that the number had.
4.  A fresh session that is released disappears; what was `previous` stays so for the next one,
    and what was ended stays ended.
5.  A session's text only grows, so a claim brings the length of the text it is for. Of equal texts
    one is claimed and the others are "busy". A text that is shorter than the one under way, or no
    longer than the last finished one, is a late repeat: "busy" too, for a record that is there.
6.  A text longer than one that was claimed and never finished is typed by somebody who has seen
    that turn's page, although its record was lost. It takes the session over at once, and is
    `torn`, as is every claim from then on until one is finished.
7.  A turn without effects needs no claim: `advance` claims and finishes in one step, if the last
    record is still the caller's own. Else nothing is changed, and the caller claims.
"""

from typing import Literal, NamedTuple, Protocol

from gateway.clock import Clock

SETTING = "GATEWAY_REDIS_URL"
ENDED_MOST = 8  # as in sessions.lua

State = Literal["fresh", "claimed", "busy", "missing"]


class SessionsUnavailable(Exception):
    """The session store did not answer: whether it did what was asked is unknown."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the session store of {SETTING} is not available ({why})")


class SessionKey(NamedTuple):
    """A session as its carrier names it."""

    msisdn: str
    carrier: str
    session: str

    @property
    def name(self) -> str:
        """Unique among the number's sessions."""
        return f"{self.carrier}/{self.session}"


class Claim(NamedTuple):
    """What a claim found, and whether the session is now the claimer's.

    fresh: ours and new; `previous` is the record of the number's older session, if any.
    claimed: ours; `record` is what the last turn left.
    busy: an equal text is under way, or the turn is long over: `wait` for what is newer than
    `version`.
    missing: no such session, or a repeat too late to be answered.

    `torn`: a turn before this one was heard, and what it came to is not known here.
    """

    state: State
    record: bytes | None = None
    previous: bytes | None = None
    version: int = 0
    torn: bool = False


MISSING = Claim("missing")


class Sessions(Protocol):
    """The session store. `worker` names one claim, not one process: no two turns share it."""

    async def claim(
        self, key: SessionKey, *, worker: str, length: int, lease_s: float, create: bool
    ) -> Claim: ...

    async def finish(self, key: SessionKey, *, worker: str, record: bytes, ttl_s: float) -> bool:
        """Store the turn's record and end the claim; False when the claim was lost meanwhile."""
        ...

    async def advance(
        self, key: SessionKey, *, after: str, worker: str, length: int, record: bytes, ttl_s: float
    ) -> bool:
        """Store the record of a turn that changed nothing else, and that nobody has claimed.

        `after` is the worker whose record it goes on from. False, and nothing is changed: another
        one was stored since, somebody is at work, a record was lost, or the text is a repeat.
        """
        ...

    async def release(self, key: SessionKey, *, worker: str) -> None:
        """End the claim and leave everything else as it was."""
        ...

    async def wait(self, key: SessionKey, *, version: int, timeout_s: float) -> bytes | None:
        """The record as soon as it is newer than `version`.

        None when the time is over, and at once when nobody is at work on it (any longer): then
        only a claim can say more.
        """
        ...

    async def close(self) -> None: ...


def open_sessions(redis_url: str | None, clock: Clock) -> Sessions:
    """Redis when a URL is given, this process's memory otherwise."""
    # Here, because both build on the types above, and redis is costly to import.
    if redis_url is None:
        from gateway.stores.sessions_memory import MemorySessions  # noqa: PLC0415

        return MemorySessions(clock)
    from gateway.stores.sessions_redis import RedisSessions  # noqa: PLC0415

    return RedisSessions(redis_url, clock)
