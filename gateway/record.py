"""A session as it is stored between two turns: bytes that another process, or release, can read.

No clock, no store. Nothing that was typed is in it: see accepted.py and menus/state.py.
"""

from typing import Final, NamedTuple

from msgspec import json

from gateway.accepted import Accepted
from gateway.carriers.carrier import UssdMt
from menus.engine import State

RESUME_S: Final = 600.0  # a dropped conversation is offered again for ten minutes
ENDED_S: Final = 180.0  # a finished session keeps its page for repeats


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
