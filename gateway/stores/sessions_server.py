"""One Redis or Valkey server: one connection, one trip for everything asked in a tick.

Only what goes over the wire lives here; what the calls mean is in `sessions.lua` and
`sessions_redis.py`, and which server to ask is for those who make a `Server`.

Retries are off, for a call whose answer was lost may have been done. A script that the server does
not know was not run: it is given to it and asked again.
"""

import asyncio
from collections.abc import Sequence
from hashlib import sha1
from importlib.resources import files
from typing import Any, Final, NamedTuple

import hiredis
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AskError,
    ClusterCrossSlotError,
    ClusterDownError,
    NoScriptError,
    ResponseError,
)

from gateway.batch import Batcher
from gateway.stores.sessions import SessionKey, SessionsUnavailable

CALLS_MOST: Final = 256  # in one trip: Redis serves nobody else for about a millisecond
TIMEOUT_S: Final = 0.45  # who comes during a flush that fails waits for two: less than a second

_SCRIPT: Final = (files("gateway.stores") / "sessions.lua").read_text()
_SHA: Final = sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()

Command = tuple[str | bytes | int, ...]


class Call(NamedTuple):
    """One call of the script: a function of it, and what it takes."""

    operation: str
    key: SessionKey
    worker: str = ""
    value: str | bytes | int = ""  # text length, or record
    for_ms: int = 0  # lease, or time to live
    more: int = 0  # whether to create, or text length
    after: str = ""


def script(calls: Sequence[Call]) -> Command:
    """All of them in one atomic step: on a cluster, of one number only."""
    keys = [f"{{{call.key.msisdn}}}:session" for call in calls]
    arguments: list[str | bytes | int] = []
    for operation, key, *others in calls:
        arguments += (operation, key.name, *others)
    return ("EVALSHA", _SHA, len(keys), *keys, *arguments)


class Server:
    """The server at a URL, or another of the same kind at `address`."""

    def __init__(self, url: str, timeout_s: float, address: tuple[str, int] | None = None) -> None:
        self._timeout_s = timeout_s
        pool = ConnectionPool.from_url(
            url,
            socket_timeout=None,  # `trip` has a timer for all of it
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            decode_responses=False,
        )
        if address:
            pool.connection_kwargs |= {"host": address[0], "port": address[1]}
        # One connection, since one trip is under way at a time. A pool's checks and records
        # around each use, and redis-py's own timers, take longer than the trip itself.
        self._connection = pool.make_connection()  # type: ignore[no-untyped-call]

    async def trip(self, commands: Sequence[Command]) -> list[Any]:
        """What each command gave: its reply, or the error that the server answered with."""
        async with asyncio.timeout(self._timeout_s):
            await self._connected()
            replies = await self._sent(commands)
            again = [at for at, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
            if again:  # a server that is new, or was restarted
                loaded = ("SCRIPT", "LOAD", _SCRIPT)
                _, *later = await self._sent([loaded, *(commands[at] for at in again)])
                for at, reply in zip(again, later, strict=True):
                    replies[at] = reply
            return replies

    async def close(self) -> None:
        await self._connection.disconnect()

    async def _connected(self) -> None:
        """Connect, also when the server hung up or an answer nobody waited for is still there."""
        connection = self._connection
        if connection.is_connected and await connection.can_read():
            await connection.disconnect(nowait=True)
        if not connection.is_connected:
            await connection.connect()

    async def _sent(self, commands: Sequence[Command]) -> list[Any]:
        """Send them together; packed by hiredis, since redis-py does so in Python."""
        packed = [hiredis.pack_command(command) for command in commands]  # type: ignore[arg-type]
        await self._connection.send_packed_command(packed)
        return [await self._reply() for _ in commands]

    async def _reply(self) -> Any:  # noqa: ANN401 - the command's own
        try:
            return await self._connection.read_response()
        except ResponseError as error:
            return error


class OneServer:
    """All sessions on one server: the calls of a tick are one script and one reply."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._server = Server(url, timeout_s)
        self.ask: Batcher[Call, Any] = Batcher(self._flush, most=CALLS_MOST)

    async def close(self) -> None:
        await self.ask.close()
        await self._server.close()

    async def _flush(self, calls: Sequence[Call]) -> Sequence[Any]:
        (answers,) = await self._server.trip([script(calls)])
        if isinstance(answers, (AskError, ClusterCrossSlotError, ClusterDownError)):
            raise SessionsUnavailable("it is a cluster: write redis+cluster://")
        if isinstance(answers, Exception):
            raise answers
        return answers  # type: ignore[no-any-return]
