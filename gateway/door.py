"""One address that this process listens on: who may stand in the door, how long, and how many.

A connection costs memory and a file descriptor for as long as it is open, so silence is timed:

    before a first request    its whole head must come within `first_s` of the connection
    between two requests      the next head must be whole within `idle_s` of the last answer
    in a request              its body is timed by `carriers.http`; what of it is still to come when
                              the answer is given is waited for `leave_s`
    after a last answer       all that was written must be read within `read_s`
    more than `most` of them  the longest silent makes room; if all are at work, nobody comes in

Nothing of a request is read here: it costs two entries in dictionaries.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from prometheus_client import Counter

from gateway.connection import Connection
from gateway.http import Answer

BACKLOG: Final = 1024  # who finds it full tries again after a second, and then after three
BUSY_S: Final = 15.0  # carriers wait no longer for an answer: who is silent longer is idle


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a connection may be silent, and how many there may be."""

    first_s: float = 4.0
    idle_s: float = 75.0
    leave_s: float = 1.0
    read_s: float = 4.0
    most: int = 2000


class Door:
    """Who answers at an address. `cut` counts connections that were closed unasked, by why."""

    def __init__(self, answer: Answer, patience: Patience, cut: Counter, shutdown_s: float) -> None:
        self._answer = answer
        self._patience = patience
        self._cut = cut
        self._shutdown_s = shutdown_s
        self.closing = False

    @property
    def port(self) -> int:
        """Where it listens, also when any port would do."""
        return int(self._listening.sockets[0].getsockname()[1])

    async def open(self, host: str, port: int) -> None:
        """Listen; OSError when the address cannot be had."""
        self._loop = asyncio.get_running_loop()
        patience = self._patience
        self._new = _Silent(self._loop, patience.first_s, self._silent)
        self._idle = _Silent(self._loop, patience.idle_s, Connection.close)
        self._leaving = _Silent(self._loop, patience.read_s, self._unread)
        self._working: set[Connection] = set()
        self._at_rest = asyncio.Event()
        self._listening = await self._loop.create_server(
            self._accepted, host, port, backlog=BACKLOG
        )

    async def close(self) -> None:
        """Let nobody else in, answer what was asked, and close all connections."""
        if self.closing or not hasattr(self, "_listening"):
            return
        self.closing = True
        self._listening.close()
        for connection in (*self._new.since, *self._idle.since):
            connection.close()
        try:
            async with asyncio.timeout(self._shutdown_s):
                while self._working or self._leaving.since:
                    self._at_rest.clear()
                    await self._at_rest.wait()
        except TimeoutError:
            for connection in (*self._working, *self._leaving.since):
                connection.abort()

    # ---- what connections tell

    def works(self, connection: Connection) -> None:
        """It has asked something."""
        self._new.since.pop(connection, None)
        self._idle.since.pop(connection, None)
        self._working.add(connection)

    def rests(self, connection: Connection) -> None:
        """It has all its answers."""
        self._working.discard(connection)
        self._idle.add(connection)

    def leaves(self, connection: Connection) -> None:
        """It has all its answers and is to go, which it cannot before it has read them."""
        self._forget(connection)
        self._leaving.add(connection)

    def gone(self, connection: Connection) -> None:
        """It is closed."""
        self._forget(connection)
        self._at_rest.set()

    def _forget(self, connection: Connection) -> None:
        for silent in (self._new, self._idle, self._leaving):
            silent.since.pop(connection, None)
        self._working.discard(connection)

    # ---- room

    def _accepted(self) -> asyncio.Protocol:
        """What speaks on a connection that has just come in."""
        if self._full() and not self._room():
            self._cut.labels("no room").inc()
            return _NoRoom()
        connection = Connection(self._answer, self, self._patience.leave_s)
        self._new.add(connection)
        return connection

    def _full(self) -> bool:
        silent = sum(len(each.since) for each in (self._new, self._idle, self._leaving))
        return silent + len(self._working) >= self._patience.most

    def _room(self) -> bool:
        """Make room for one more, at the cost of whoever would miss it least."""
        longest = next(iter(self._new.since), None)
        if longest is None:
            longest, since = next(iter(self._idle.since.items()), (None, 0.0))
            if longest is None or since > self._loop.time() - BUSY_S:
                return False
        self._cut.labels("crowded").inc()
        longest.abort()
        self.gone(longest)
        return True

    def _silent(self, connection: Connection) -> None:
        self._cut.labels("silent").inc()
        connection.abort()

    def _unread(self, connection: Connection) -> None:
        self._cut.labels("unread").inc()
        connection.abort()


class _Silent:
    """Who says nothing, or reads nothing, and since when, the longest first; in the end it goes."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        patience_s: float,
        end: Callable[[Connection], None],
    ) -> None:
        self.since: dict[Connection, float] = {}
        self._loop = loop
        self._patience_s = patience_s
        self._end = end
        self._looking = False

    def add(self, connection: Connection) -> None:
        self.since[connection] = self._loop.time()
        if not self._looking:
            self._looking = True
            self._loop.call_later(self._patience_s, self._look)

    def _look(self) -> None:
        """End what has been silent for too long, and come back for the next."""
        due = self._loop.time() - self._patience_s
        while self.since:
            connection, since = next(iter(self.since.items()))
            if since > due:
                self._loop.call_later(since - due, self._look)
                return
            del self.since[connection]
            self._end(connection)
        self._looking = False


class _NoRoom(asyncio.Protocol):
    """Closes at once, without a word: a reply would need the memory that is short."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
