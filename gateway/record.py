"""A session as it is stored between two turns: bytes that another process, or release, can read.

No clock, no store. Nothing that was typed is in it: see accepted.py and menus/state.py.
"""

from typing import Final, NamedTuple

from msgspec import json

from gateway.accepted import Accepted
from gateway.carriers.carrier import UssdMt
from gateway.stores.sessions import SessionKey
from menus.engine import State

RESUME_S: Final = 600.0  # a dropped conversation is offered again for ten minutes
ENDED_S: Final = 180.0  # a finished session keeps its page for repeats
KEPT_MOST: Final = 8192  # sessions whose last record a process remembers


class Record(NamedTuple):
    """A session as it is stored between two turns."""

    turn: int
    state: State | None
    page: str
    end: bool
    secret: bool
    accepted: Accepted
    at: float  # seconds since 1970

    def dump(self) -> bytes:
        accepted = self.accepted
        state = self.state.dump() if self.state else None
        so_far = (self.turn, state, self.page, self.end, self.secret, self.at)
        return json.encode((*so_far, accepted.length, accepted.masks, accepted.mac))

    @classmethod
    def load(cls, record: bytes) -> "Record":
        turn, state, page, end, secret, at, length, masks, mac = json.decode(record)
        accepted = Accepted(length, tuple((start, stop) for start, stop in masks), mac)
        return cls(turn, State.load(state), page, end, secret, accepted, at)

    @property
    def ttl_s(self) -> float:
        return ENDED_S if self.end else RESUME_S

    @property
    def mt(self) -> UssdMt:
        return UssdMt(self.page, self.end)


class Kept(NamedTuple):
    """A record that this process stored, and as which worker."""

    worker: str
    dumped: bytes
    record: Record


class KeptRecords:
    """What this process stored last of each session that goes on.

    Most sessions stay with one process, which so need not ask what it knows. Whether it is still
    the last record is for the session store to say.
    """

    def __init__(self, most: int = KEPT_MOST) -> None:
        self._most = most
        self._kept: dict[SessionKey, Kept] = {}  # the last stored is last

    def get(self, key: SessionKey) -> Kept | None:
        return self._kept.get(key)

    def keep(self, key: SessionKey, kept: Kept) -> None:
        self._kept.pop(key, None)
        if not kept.record.end:
            self._kept[key] = kept
            if len(self._kept) > self._most:
                del self._kept[next(iter(self._kept))]

    def load(self, key: SessionKey, dumped: bytes) -> Record:
        """What was found in the store; not read again if it is as this process stored it."""
        kept = self._kept.get(key)
        return kept.record if kept and kept.dumped == dumped else Record.load(dumped)

    def forget(self) -> None:
        """As in a process that is new."""
        self._kept.clear()
