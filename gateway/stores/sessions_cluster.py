"""Sessions on a cluster of Redis or Valkey: each number's slot lives on one of several nodes.

    redis+cluster://user:password@host:6379,host:6379      rediss+cluster:// with TLS

The hosts are where to start: any node that answers one of them tells who holds which slot. Every
node has its own connection and its own batches, so that one that is away delays nobody else's
numbers. A script touches one slot only, so the calls of a tick to one node leave as many scripts in
one trip.

A node says "moved" or "ask" *instead* of running a script, so these are followed, and nothing else
is done twice. Whatever goes wrong has the slots learnt again, in the background: a node whose
replica took over is found by the next calls, and until then its numbers are told at once.
"""

import asyncio
import re
from collections.abc import Sequence
from contextvars import Context
from typing import Any, Final
from urllib.parse import urlsplit

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import AskError, MovedError, RedisError

from gateway.batch import Batcher
from gateway.stores.sessions import SessionsUnavailable
from gateway.stores.sessions_server import CALLS_MOST, Call, Command, Server, script

SCHEMES: Final = ("redis+cluster://", "rediss+cluster://")
REDIRECTIONS_MOST: Final = 6  # moved, ask, a script to load there, and once more
LEARN_AGAIN_S: Final = 0.1  # a node that is away fails a hundred calls in this time
DEFAULT_PORT: Final = 6379

_SLOTS: Final = (("CLUSTER", "SLOTS"),)
_ASKING: Final = ("ASKING",)

Address = tuple[str, int]


class _Node:
    """One server of the cluster: what is asked of it in one tick is one trip."""

    def __init__(self, url: str, timeout_s: float, address: Address) -> None:
        self.host = address[0]
        self._server = Server(url, timeout_s, address)
        # An item is commands that belong together, of which the last one's reply counts.
        self.ask: Batcher[Sequence[Command], Any] = Batcher(self._flush, most=CALLS_MOST)

    async def close(self) -> None:
        await self.ask.close()
        await self._server.close()

    async def _flush(self, items: Sequence[Sequence[Command]]) -> Sequence[Any]:
        replies = iter(await self._server.trip([command for item in items for command in item]))
        return [[next(replies) for _ in item][-1] for item in items]


class Cluster:
    """All nodes, and who holds which slot."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url, self._seeds = _read(url)
        self._timeout_s = timeout_s
        self._nodes: dict[Address, _Node] = {}
        self._holders: list[_Node] = []  # by slot; empty until learnt
        self._learning: asyncio.Task[None] | None = None
        self._learn_again_at = 0.0
        for seed in self._seeds:
            self._node(seed)

    async def ask(self, call: Call) -> Any:  # noqa: ANN401 - what the script's function returns
        if not self._holders:
            await asyncio.shield(self._learn())
            if not self._holders:
                raise SessionsUnavailable("no host of it answers as a node of a cluster")
        command = script([call])
        node = self._holders[key_slot(call.key.msisdn.encode())]
        try:
            try:
                (answer,) = await node.ask((command,))
            except AskError as redirection:
                async with asyncio.timeout(self._timeout_s):
                    (answer,) = await self._follow(redirection, node, command)
        except (RedisError, OSError, TimeoutError):
            self._learn()
            raise
        return answer

    async def close(self) -> None:
        if self._learning:
            await self._learning
        for node in self._nodes.values():
            await node.close()

    async def _follow(self, redirection: AskError, node: _Node, command: Command) -> Any:  # noqa: ANN401
        """Ask the node that we were sent to, which may send us on."""
        for _ in range(REDIRECTIONS_MOST):
            node = self._node((_named(redirection.host, node), redirection.port))
            moved = isinstance(redirection, MovedError)
            if moved:  # for good; the others of its slot need not be sent on
                self._holders[redirection.slot_id] = node
                self._learn()
            try:
                return await node.ask((command,) if moved else (_ASKING, command))
            except AskError as further:
                redirection = further
        raise redirection

    def _node(self, address: Address) -> _Node:
        node = self._nodes.get(address)
        if node is None:
            node = self._nodes[address] = _Node(self._url, self._timeout_s, address)
        return node

    def _learn(self) -> asyncio.Task[None]:
        """Have the slots learnt again, unless that is under way or was done just now."""
        now = asyncio.get_running_loop().time()
        if self._learning is None or (self._learning.done() and now >= self._learn_again_at):
            self._learn_again_at = now + LEARN_AGAIN_S
            # An empty context: not to log under the request id of who noticed.
            self._learning = asyncio.create_task(self._learnt(), context=Context())
        return self._learning

    async def _learnt(self) -> None:
        """Ask every node at once; the first to answer is believed."""
        asked = [asyncio.create_task(self._slots(node)) for node in self._nodes.values()]
        try:
            for answer in asyncio.as_completed(asked):
                if holders := await answer:
                    self._holders = holders
                    break
        finally:
            for task in asked:
                task.cancel()
        await self._forget()

    async def _slots(self, node: _Node) -> list[_Node]:
        """What a node knows; nothing when it is away, no part of a cluster, or not yet."""
        try:
            ranges = await node.ask(_SLOTS)
        except (RedisError, OSError, TimeoutError):
            return []
        holders = [node] * REDIS_CLUSTER_HASH_SLOTS if ranges else []  # a gap: it will say so
        for first, last, (host, port, *_), *_replicas in ranges:
            holder = self._node((_named((host or b"").decode(), node), port))
            holders[first : last + 1] = [holder] * (last + 1 - first)
        return holders

    async def _forget(self) -> None:
        """Let go of nodes that hold nothing any longer."""
        if not self._holders:
            return
        holding = set(self._holders)
        for address in self._nodes.keys() - set(self._seeds):
            if self._nodes[address] not in holding:
                await self._nodes.pop(address).close()


def _named(host: str, by: _Node) -> str:
    """A host as a node names it, which leaves out its own when it does not know it."""
    return by.host if host in ("", "?") else host


def _read(url: str) -> tuple[str, tuple[Address, ...]]:
    """The URL of one server of the kind, and the hosts to start at."""
    found = re.fullmatch(r"(rediss?)\+cluster://(.*@)?([^/?@]+)(.*)", url)
    if not found:
        raise ValueError("it names no hosts")
    scheme, login, hosts, tail = found.groups("")
    seeds = [urlsplit(f"//{host}") for host in hosts.split(",")]
    addresses = tuple((seed.hostname or "", seed.port or DEFAULT_PORT) for seed in seeds)
    return f"{scheme}://{login}localhost{tail}", addresses
