"""Sessions in Redis or Valkey, shared by any number of gateways: on one server, or on a cluster.

The calls of one tick of the event loop leave together (`sessions.lua`): one trip for all of them,
which is what keeps a call near ten microseconds of our time instead of seventy. There is one hash
per phone number, with the number as hash tag, and a call touches no other key.

`wait` looks again every few milliseconds, in the same batches. Publish/subscribe would need a
second connection and subscriptions, forgets what it says while a client reconnects, and would
serve only the rare repeat of a callback that is still under way.

A call whose answer was lost may have been done, and only the caller knows whether to ask again.
Redis away is said within a second.
"""

from typing import Any, Final

from redis.exceptions import RedisError

from gateway.batch import Overloaded
from gateway.clock import Clock
from gateway.stores.sessions import SETTING, Claim, SessionKey, SessionsUnavailable
from gateway.stores.sessions_cluster import SCHEMES, Cluster
from gateway.stores.sessions_server import TIMEOUT_S, Call, OneServer

LOOK_AGAIN_S: Final = (0.005, 0.01, 0.02, 0.04)  # the last one again and again


class RedisSessions:
    """The session store of GATEWAY_REDIS_URL."""

    def __init__(self, url: str, clock: Clock, *, timeout_s: float = TIMEOUT_S) -> None:
        self._clock = clock
        kept = Cluster if url.startswith(SCHEMES) else OneServer
        try:
            self._kept: Cluster | OneServer = kept(url, timeout_s)
        except ValueError:  # whose text may quote a password
            raise ValueError(f"{SETTING} is no address of a Redis or of a cluster") from None

    async def claim(
        self, key: SessionKey, *, worker: str, length: int, lease_s: float, create: bool
    ) -> Claim:
        call = Call("claim", key, worker, length, _ms(lease_s), int(create))
        state, version, record, previous, torn = await self._ask(call)
        return Claim(state.decode(), record, previous, version, torn is not None)

    async def finish(self, key: SessionKey, *, worker: str, record: bytes, ttl_s: float) -> bool:
        return bool(await self._ask(Call("finish", key, worker, record, max(1, _ms(ttl_s)))))

    async def advance(
        self, key: SessionKey, *, after: str, worker: str, length: int, record: bytes, ttl_s: float
    ) -> bool:
        for_ms = max(1, _ms(ttl_s))
        return bool(await self._ask(Call("advance", key, worker, record, for_ms, length, after)))

    async def release(self, key: SessionKey, *, worker: str) -> None:
        await self._ask(Call("release", key, worker))

    async def wait(self, key: SessionKey, *, version: int, timeout_s: float) -> bytes | None:
        deadline = self._clock.monotonic() + timeout_s
        pauses = iter(LOOK_AGAIN_S)
        while True:
            found: int
            record: bytes | None
            found, record, at_work = await self._ask(Call("look", key))
            if found > version:
                return record
            left_s = deadline - self._clock.monotonic()
            if left_s <= 0 or not at_work:
                return None
            await self._clock.sleep(min(left_s, next(pauses, LOOK_AGAIN_S[-1])))

    async def close(self) -> None:
        await self._kept.close()

    async def _ask(self, call: Call) -> Any:  # noqa: ANN401 - what the script's function returns
        try:
            return await self._kept.ask(call)
        except (RedisError, OSError, TimeoutError, Overloaded) as error:
            # Never its text: it may repeat the script's arguments.
            raise SessionsUnavailable(type(error).__name__) from error


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
