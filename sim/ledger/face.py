"""What a peer shows to those who call it, without the wire: `Honest` is the truth.

A `Misbehaviour` (see `misbehaviour`) spoils some of it; `Veil` puts one before a face. The wire in
front of a face is `server`'s.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

import grpc

from ledger_client.proto import qry_responses_pb2 as answers
from ledger_client.proto import queries_pb2
from ledger_client.proto.block_pb2 import Block
from ledger_client.proto.transaction_pb2 import Transaction
from sim.ledger.peer import Peer
from sim.ledger.queries import Desk
from sim.ledger.statuses import Status

Statuses = AsyncGenerator[Status, None]
Commits = AsyncGenerator[answers.BlockQueryResponse, None]


class CallRefused(Exception):
    """A call ends with an error of the wire itself."""

    def __init__(self, code: grpc.StatusCode, said: str) -> None:
        super().__init__(said)
        self.code = code
        self.said = said


class Face(Protocol):
    """Everything a peer can be called for."""

    async def receive(self, transactions: Sequence[Transaction]) -> None: ...

    async def status(self, tx_hash: str) -> Status: ...

    def watch(self, tx_hash: str) -> Statuses: ...

    async def find(self, query: queries_pb2.Query) -> answers.QueryResponse | bytes: ...

    def commits(self, query: queries_pb2.BlocksQuery) -> Commits: ...

    async def health(self) -> answers.HealthcheckData: ...


class Honest:
    """A face that says what the peer knows."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._desk = Desk(peer)

    async def receive(self, transactions: Sequence[Transaction]) -> None:
        await self._peer.receive(transactions)

    async def status(self, tx_hash: str) -> Status:
        return self._peer.statuses.of(tx_hash)

    def watch(self, tx_hash: str) -> Statuses:
        return self._peer.statuses.watch(tx_hash)

    async def find(self, query: queries_pb2.Query) -> answers.QueryResponse | bytes:
        return self._desk.answer(query)

    async def commits(self, query: queries_pb2.BlocksQuery) -> Commits:
        refusal = self._desk.refuse_follower(query)
        if refusal is not None:
            error = answers.BlockErrorResponse(message=refusal)
            yield answers.BlockQueryResponse(block_error_response=error)
            return
        async with aclosing(self._peer.new_blocks()) as blocks:
            async for block in blocks:
                yield told(block)

    async def health(self) -> answers.HealthcheckData:
        peer = self._peer
        return answers.HealthcheckData(
            is_healthy=peer.is_deciding, is_syncing=False, last_block_height=peer.height
        )


def told(block: Block) -> answers.BlockQueryResponse:
    """A block as the stream of blocks tells it."""
    return answers.BlockQueryResponse(block_response=answers.BlockResponse(block=block))


@dataclass(frozen=True, slots=True)
class Misbehaviour:
    """Nothing wrong yet: each kind overrides what it spoils, and is given the `face` behind it."""

    def clock(self, now_ms: int) -> int:
        return now_ms

    async def receive(self, face: Face, transactions: Sequence[Transaction]) -> None:
        await face.receive(transactions)

    async def status(self, face: Face, tx_hash: str) -> Status:
        return await face.status(tx_hash)

    def watch(self, face: Face, tx_hash: str) -> Statuses:
        return face.watch(tx_hash)

    async def find(self, face: Face, query: queries_pb2.Query) -> answers.QueryResponse | bytes:
        return await face.find(query)

    def commits(self, face: Face, query: queries_pb2.BlocksQuery) -> Commits:
        return face.commits(query)

    async def health(self, face: Face) -> answers.HealthcheckData:
        return await face.health()


class Veil:
    """A face behind a misbehaviour."""

    def __init__(self, face: Face, how: Misbehaviour) -> None:
        self._face = face
        self._how = how

    async def receive(self, transactions: Sequence[Transaction]) -> None:
        await self._how.receive(self._face, transactions)

    async def status(self, tx_hash: str) -> Status:
        return await self._how.status(self._face, tx_hash)

    def watch(self, tx_hash: str) -> Statuses:
        return self._how.watch(self._face, tx_hash)

    async def find(self, query: queries_pb2.Query) -> answers.QueryResponse | bytes:
        return await self._how.find(self._face, query)

    def commits(self, query: queries_pb2.BlocksQuery) -> Commits:
        return self._how.commits(self._face, query)

    async def health(self) -> answers.HealthcheckData:
        return await self._how.health(self._face)
