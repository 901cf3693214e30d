"""One address that this process listens on: who may stand in the door, how long, and how many.

A connection costs memory and a file descriptor for as long as it is open, so silence is timed:

    before a first request    its whole head must come within `first_s` of the connection
    between two requests      the next head within `idle_s` of the last answer (aiohttp's own timer)
    in a request              its body is timed by `carriers.http`; what of it is still to come when
                              the answer is given is waited for `leave_s`
    more than `most` of them  the longest silent makes room; if all are at work, nobody comes in

Nothing of a request is read here: it costs an entry in a dictionary.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web
from prometheus_client import Counter

BACKLOG: Final = 128
BUSY_S: Final = 15.0  # carriers wait no longer for an answer: who is silent longer is idle
LOOK_S: Final = 0.1  # how often, at most, it is looked who has gone


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a connection may be silent, and how many there may be."""

    first_s: float = 4.0
    idle_s: float = 75.0
    leave_s: float = 1.0
    most: int = 2000


class Door:
    """An application at an address. `cut` counts connections that were closed unasked, by why."""

    def __init__(
        self,
        app: web.Application,
        patience: Patience,
        cut: Counter,
        shutdown_s: float,
    ) -> None:
        self._patience = patience
        self._cut = cut
        self._runner = web.AppRunner(
            app,
            access_log=None,
            keepalive_timeout=patience.idle_s,
            lingering_time=patience.leave_s,
            shutdown_timeout=shutdown_s,
        )
        self._listening: asyncio.Server | None = None
        # Since when they are silent, the longest first. Who has gone stays until it is looked.
        self._new: dict[web.RequestHandler, float] = {}
        self._heard: dict[web.RequestHandler, float] = {}
        self._looked = 0.0
        self._hurrying = False

    @property
    def port(self) -> int:
        """Where it listens, also when any port would do."""
        assert self._listening is not None  # noqa: S101 - asked of an open door only
        return int(self._listening.sockets[0].getsockname()[1])

    async def open(self, host: str, port: int) -> None:
        """Listen; OSError when the address cannot be had."""
        await self._runner.setup()
        server = self._runner.server
        assert server is not None  # noqa: S101 - what setting up a runner makes
        self._loop = asyncio.get_running_loop()
        self._server = server
        self._make_request = server.request_factory
        server.request_factory = self._request
        self._listening = await self._loop.create_server(
            self._accepted, host, port, backlog=BACKLOG
        )

    async def close(self) -> None:
        """Let nobody else in, answer what was asked, and close all connections."""
        if self._listening is not None:
            self._listening.close()
        await self._runner.cleanup()

    def _accepted(self) -> asyncio.Protocol:
        """What speaks on a connection that has just come in."""
        now = self._loop.time()
        if len(self._new) + len(self._heard) >= self._patience.most and not self._room(now):
            self._cut.labels("no room").inc()
            return _NoRoom()
        protocol = self._server()
        self._new[protocol] = now
        if not self._hurrying:
            self._hurrying = True
            self._loop.call_later(self._patience.first_s, self._hurry)
        return protocol

    def _request(self, message: Any, payload: Any, protocol: Any, *more: Any) -> web.BaseRequest:  # noqa: ANN401 - aiohttp's own
        """A request's head is whole: make what aiohttp makes of it."""
        self._new.pop(protocol, None)
        self._heard.pop(protocol, None)
        self._heard[protocol] = self._loop.time()
        return self._make_request(message, payload, protocol, *more)

    def _hurry(self) -> None:
        """Close what has asked nothing in time, and come back for the next."""
        due = self._loop.time() - self._patience.first_s
        while self._new:
            eldest, since = next(iter(self._new.items()))
            if since > due:
                self._loop.call_later(since - due, self._hurry)
                return
            self._close(self._new, eldest, "silent")
        self._hurrying = False

    def _room(self, now: float) -> bool:
        """Make room for one more, at the cost of whoever would miss it least."""
        if now >= self._looked + LOOK_S:
            self._looked = now
            self._heard = {one: since for one, since in self._heard.items() if one.connected}
            if len(self._new) + len(self._heard) < self._patience.most:
                return True
        if self._new:
            self._close(self._new, next(iter(self._new)), "crowded")
            return True
        eldest, since = next(iter(self._heard.items()))
        if since > now - BUSY_S:
            return False
        self._close(self._heard, eldest, "crowded")
        return True

    def _close(
        self, among: dict[web.RequestHandler, float], protocol: web.RequestHandler, why: str
    ) -> None:
        del among[protocol]
        if protocol.connected:
            self._cut.labels(why).inc()
            protocol.force_close()


class _NoRoom(asyncio.Protocol):
    """Closes at once, without a word: a reply would need the memory that is short."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
