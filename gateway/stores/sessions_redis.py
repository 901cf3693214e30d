"""Sessions in Redis or Valkey, shared by any number of gateways.

The calls of one tick of the event loop leave together as one script (`sessions.lua`): one trip
and one reply for all of them, which is what keeps a call near ten microseconds of our time instead
of seventy. There is one hash per phone number, with the number as hash tag, and a call touches no
other key.

`wait` looks again every few milliseconds, in the same batches. Publish/subscribe would need a
second connection and subscriptions, forgets what it says while a client reconnects, and would
serve only the rare repeat of a callback that is still under way.

Retries are off: a call whose answer was lost may have been done, and only the caller knows whether
to ask again. Redis away is said within a second.
"""

import asyncio
from collections.abc import Sequence
from hashlib import sha1
from importlib.resources import files
from typing import Any, NamedTuple

import hiredis
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from gateway.batch import Batcher, Overloaded
from gateway.clock import Clock
from gateway.stores.sessions import SETTING, Claim, SessionKey, SessionsUnavailable

CALLS_MOST = 256  # in one script: Redis serves nobody else for about a millisecond
TIMEOUT_S = 0.45  # who comes during a flush that fails waits for two: less than a second
LOOK_AGAIN_S = (0.005, 0.01, 0.02, 0.04)  # the last one again and again


class _Call(NamedTuple):
    operation: str
    key: SessionKey
    worker: str = ""
    value: str | bytes | int = ""  # text length, or record
    for_ms: int = 0  # lease, or time to live
    create: int = 0


class RedisSessions:
    """The session store of GATEWAY_REDIS_URL."""

    def __init__(self, url: str, clock: Clock, *, timeout_s: float = TIMEOUT_S) -> None:
        self._clock = clock
        self._timeout_s = timeout_s
        try:
            # One connection, since one flush is under way at a time. A pool's checks and records
            # around each use, and redis-py's own timers, take longer than the flush itself.
            self._connection = ConnectionPool.from_url(
                url,
                socket_timeout=None,  # `_flush` has a timer for all of it
                socket_connect_timeout=timeout_s,
                retry=Retry(NoBackoff(), 0),
                decode_responses=False,
            ).make_connection()  # type: ignore[no-untyped-call]
        except ValueError as error:
            raise ValueError(f"{SETTING} must begin with redis://, rediss:// or unix://") from error
        self._script = (files("gateway.stores") / "sessions.lua").read_text()
        self._sha = sha1(self._script.encode(), usedforsecurity=False).hexdigest()
        self._batch: Batcher[_Call, Any] = Batcher(self._flush, most=CALLS_MOST)

    async def claim(
        self, key: SessionKey, *, worker: str, length: int, lease_s: float, create: bool
    ) -> Claim:
        call = _Call("claim", key, worker, length, _ms(lease_s), int(create))
        state, version, record, previous, busy_length = await self._ask(call)
        return Claim(state.decode(), record, previous, version, busy_length)

    async def finish(self, key: SessionKey, *, worker: str, record: bytes, ttl_s: float) -> bool:
        return bool(await self._ask(_Call("finish", key, worker, record, max(1, _ms(ttl_s)))))

    async def release(self, key: SessionKey, *, worker: str) -> None:
        await self._ask(_Call("release", key, worker))

    async def wait(self, key: SessionKey, *, version: int, timeout_s: float) -> bytes | None:
        deadline = self._clock.monotonic() + timeout_s
        pauses = iter(LOOK_AGAIN_S)
        while True:
            found: int
            record: bytes | None
            found, record, at_work = await self._ask(_Call("look", key))
            if found > version:
                return record
            left_s = deadline - self._clock.monotonic()
            if left_s <= 0 or not at_work:
                return None
            await self._clock.sleep(min(left_s, next(pauses, LOOK_AGAIN_S[-1])))

    async def close(self) -> None:
        await self._batch.close()
        await self._connection.disconnect()

    async def _ask(self, call: _Call) -> Any:  # noqa: ANN401 - what the script's function returns
        try:
            return await self._batch(call)
        except (RedisError, OSError, TimeoutError, Overloaded) as error:
            # Never its text: it may repeat the script's arguments.
            raise SessionsUnavailable(type(error).__name__) from error

    async def _flush(self, calls: Sequence[_Call]) -> Sequence[Any]:
        keys = [f"{{{call.key.msisdn}}}:session" for call in calls]
        arguments: list[str | bytes | int] = []
        for operation, key, *others in calls:
            arguments += (operation, key.name, *others)
        async with asyncio.timeout(self._timeout_s):
            await self._connected()
            answers: Sequence[Any] = await self._run(len(keys), *keys, *arguments)
            return answers

    async def _connected(self) -> None:
        """Connect, also when the server hung up or an answer nobody waited for is still there."""
        connection = self._connection
        if connection.is_connected and await connection.can_read():
            await connection.disconnect(nowait=True)
        if not connection.is_connected:
            await connection.connect()

    async def _run(self, *arguments: str | bytes | int) -> Any:  # noqa: ANN401 - its reply
        """The script; packed by hiredis, since redis-py does so in Python."""
        for command in (("EVALSHA", self._sha), ("EVAL", self._script)):
            packed = hiredis.pack_command((*command, *arguments))  # type: ignore[arg-type]
            try:
                await self._connection.send_packed_command([packed])
                return await self._connection.read_response()
            except NoScriptError:  # a server that is new, or was restarted
                continue
        raise AssertionError("EVAL brings its script")


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
