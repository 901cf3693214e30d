"""Faults a test sets on a running peer: `peer.misbehave(Slow(200), ForgetsCommits())`.

Each is a value and spoils one thing; several stand one before the other, the first nearest the
truth. `peer.misbehave()` makes the peer honest again. Calls under way end as they began. A peer
that lies about blocks is in `lies`; one that crashes or is cut off is told so by its own methods.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

import grpc

from ledger_client.proto import endpoint_pb2, queries_pb2
from ledger_client.proto import qry_responses_pb2 as answers
from ledger_client.proto.transaction_pb2 import Transaction
from sim.ledger.answering import BAD_HEIGHT
from sim.ledger.face import CallRefused, Commits, Face, Misbehaviour, Statuses
from sim.ledger.statuses import Status

T = TypeVar("T")
_UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


@dataclass(frozen=True, slots=True)
class _EveryCall(Misbehaviour):
    """Something happens before any call is answered."""

    async def before(self) -> None:
        raise NotImplementedError

    async def receive(self, face: Face, transactions: Sequence[Transaction]) -> None:
        await self.before()
        await face.receive(transactions)

    async def status(self, face: Face, tx_hash: str) -> Status:
        await self.before()
        return await face.status(tx_hash)

    async def watch(self, face: Face, tx_hash: str) -> Statuses:
        await self.before()
        async with aclosing(face.watch(tx_hash)) as statuses:
            async for status in statuses:
                yield status

    async def find(self, face: Face, query: queries_pb2.Query) -> answers.QueryResponse | bytes:
        await self.before()
        return await face.find(query)

    async def commits(self, face: Face, query: queries_pb2.BlocksQuery) -> Commits:
        await self.before()
        async with aclosing(face.commits(query)) as commits:
            async for commit in commits:
                yield commit

    async def health(self, face: Face) -> answers.HealthcheckData:
        await self.before()
        return await face.health()


@dataclass(frozen=True, slots=True)
class Slow(_EveryCall):
    """Every call takes longer by so much."""

    ms: int

    async def before(self) -> None:
        await asyncio.sleep(self.ms / 1000)


@dataclass(frozen=True, slots=True)
class Silent(_EveryCall):
    """Calls are taken and never answered; what they bring is lost."""

    async def before(self) -> None:
        await asyncio.Event().wait()


@dataclass(frozen=True, slots=True)
class Refuses(_EveryCall):
    """Every call ends with an error of the wire."""

    code: grpc.StatusCode = _UNAVAILABLE

    async def before(self) -> None:
        raise CallRefused(self.code, "not now")


@dataclass(frozen=True, slots=True)
class DropsReply(Misbehaviour):
    """Transactions are taken, and the caller is told that they were not."""

    async def receive(self, face: Face, transactions: Sequence[Transaction]) -> None:
        await face.receive(transactions)
        raise CallRefused(_UNAVAILABLE, "connection reset")


@dataclass(frozen=True, slots=True)
class ForgetsCommits(Misbehaviour):
    """A committed hash was never received."""

    async def status(self, face: Face, tx_hash: str) -> Status:
        return _forgotten(await face.status(tx_hash))

    async def watch(self, face: Face, tx_hash: str) -> Statuses:
        async with aclosing(face.watch(tx_hash)) as statuses:
            async for status in statuses:
                yield _forgotten(status)


def _forgotten(status: Status) -> Status:
    if status.kind != endpoint_pb2.COMMITTED:
        return status
    return Status(status.tx_hash, endpoint_pb2.NOT_RECEIVED)


@dataclass(frozen=True, slots=True)
class HidesReasons(Misbehaviour):
    """What is rejected is rejected, and nobody hears why."""

    async def watch(self, face: Face, tx_hash: str) -> Statuses:
        async with aclosing(face.watch(tx_hash)) as statuses:
            async for status in statuses:
                if status.kind != endpoint_pb2.STATEFUL_VALIDATION_FAILED:
                    yield status

    async def status(self, face: Face, tx_hash: str) -> Status:
        status = await face.status(tx_hash)
        if status.kind != endpoint_pb2.STATEFUL_VALIDATION_FAILED:
            return status
        return Status(tx_hash, endpoint_pb2.ENOUGH_SIGNATURES_COLLECTED)


@dataclass(frozen=True, slots=True)
class CutsStreams(Misbehaviour):
    """Streams of statuses and of blocks break after so many messages."""

    after: int = 0

    def watch(self, face: Face, tx_hash: str) -> Statuses:
        return _cut(face.watch(tx_hash), self.after)

    def commits(self, face: Face, query: queries_pb2.BlocksQuery) -> Commits:
        return _cut(face.commits(query), self.after)


async def _cut(stream: AsyncGenerator[T, None], after: int) -> AsyncGenerator[T, None]:
    async with aclosing(stream) as whole:
        for _ in range(after):
            try:
                yield await anext(whole)
            except StopAsyncIteration:
                return
    raise CallRefused(_UNAVAILABLE, "stream cut")


@dataclass(frozen=True, slots=True)
class ReordersStatuses(Misbehaviour):
    """A stream of statuses is held back until its end and then told from the end."""

    async def watch(self, face: Face, tx_hash: str) -> Statuses:
        async with aclosing(face.watch(tx_hash)) as statuses:
            heard = [status async for status in statuses]
        for status in reversed(heard):
            yield status


@dataclass(frozen=True, slots=True)
class Shorter(Misbehaviour):
    """The chain seems to end earlier than it does."""

    async def top(self, face: Face) -> int:
        raise NotImplementedError

    async def find(self, face: Face, query: queries_pb2.Query) -> answers.QueryResponse | bytes:
        if query.payload.get_block.height <= await self.top(face):
            return await face.find(query)
        reason = answers.ErrorResponse.STATEFUL_INVALID
        refusal = answers.ErrorResponse(reason=reason, error_code=BAD_HEIGHT)
        return answers.QueryResponse(error_response=refusal)

    async def health(self, face: Face) -> answers.HealthcheckData:
        health = await face.health()
        health.last_block_height = await self.top(face)
        return health


@dataclass(frozen=True, slots=True)
class LateBlocks(Shorter):
    """The newest blocks are not there yet: so many, at any time."""

    by: int = 1

    async def top(self, face: Face) -> int:
        return max(0, (await face.health()).last_block_height - self.by)

    async def commits(self, face: Face, query: queries_pb2.BlocksQuery) -> Commits:
        held: list[answers.BlockQueryResponse] = []
        async with aclosing(face.commits(query)) as commits:
            async for commit in commits:
                held.append(commit)
                if commit.HasField("block_error_response") or len(held) > self.by:
                    yield held.pop(0)


@dataclass(frozen=True, slots=True)
class ClockOff(Misbehaviour):
    """The peer's clock is ahead by so much, or behind when it is less than nothing."""

    ms: int

    def clock(self, now_ms: int) -> int:
        return now_ms + self.ms
