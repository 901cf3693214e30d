"""Every block, in order, for ever: the block stream and what mends it.

`FetchCommits` tells new blocks only, starts at no particular height, may skip, end or fall
silent, and says nothing of any of it. `GetBlock` tells any block by height. So:

1. A round is one stream of one peer. It is opened first, then everything that is there already
   is fetched by height; what the stream tells meanwhile is dropped as known.
2. A block of the next height is passed on. A higher one shows a gap: fetch by height again.
3. After `quiet_s` of silence, fetch by height, each time from the next peer in turn. When that
   finds a block, this peer is deaf or behind the others, and is left. A silent stream also ends
   when the other calls have left its peer.
4. A round that ends, for whatever reason, is followed by another after a pause, which doubles
   until a block comes. Only an operator's matter (`QueryRefused`) comes out.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Final

import grpc

from ledger_client.blocks import read_block
from ledger_client.ledger import Block, LedgerUnreachable, QueryRefused
from ledger_client.peers import Peer, Peers, reason
from ledger_client.proto.qry_responses_pb2 import BlockQueryResponse
from ledger_client.proto.queries_pb2 import BlocksQuery

_PAUSE_FIRST_S: Final = 0.1
_PAUSE_MOST_S: Final = 3.0


class BlockStream:
    """Reads blocks off `peers`.

    `block_at(height, turn)` fetches by height, asking first the peer whose turn it is; None when
    there is no such block yet.
    """

    def __init__(
        self,
        peers: Peers,
        query: Callable[[], BlocksQuery],
        block_at: Callable[[int, int], Awaitable[Block | None]],
        *,
        quiet_s: float,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._peers = peers
        self._query = query
        self._block_at = block_at
        self._quiet_s = quiet_s
        self._sleep = sleep

    async def above(self, height: int) -> AsyncGenerator[Block, None]:
        """Yield every block above `height`, without gaps; ends only when the peers are closed."""
        pause_s = _PAUSE_FIRST_S
        while not self._peers.closed:
            try:
                async with aclosing(self._round(height + 1)) as blocks:
                    async for block in blocks:
                        yield block
                        height = block.height
                        pause_s = _PAUSE_FIRST_S
            except LedgerUnreachable:
                if self._peers.closed:
                    return
            await self._sleep(pause_s)
            pause_s = min(2 * pause_s, _PAUSE_MOST_S)

    async def _round(self, following: int) -> AsyncGenerator[Block, None]:
        """Yield blocks from height `following` on, until this stream is of no more use."""
        commits = _Commits(self._peers, self._query())
        silences = 0  # in a row
        try:
            while True:
                fetched = False
                while block := await self._block_at(following, silences):
                    yield block
                    following += 1
                    fetched = True
                if silences and fetched:
                    self._peers.leave(commits.peer)
                    return
                if silences and self._peers.in_order()[0] is not commits.peer:
                    return
                while True:
                    block = await commits.hear(self._quiet_s)
                    silences = silences + 1 if block is None else 0
                    if block is None or block.height > following:
                        break
                    if block.height == following:
                        yield block
                        following += 1
        finally:
            commits.stop()


class _Commits:
    """One stream of one peer, with a read always under way."""

    def __init__(self, peers: Peers, query: BlocksQuery) -> None:
        self._peers = peers
        self.peer: Peer = peers.in_order()[0]
        self._stream = self.peer.fetch_commits(query)
        self._reading = self._read()

    async def hear(self, quiet_s: float) -> Block | None:
        """Wait for a block, or return None after `quiet_s` of silence."""
        # Waiting for the read itself with a time limit would cancel it, and with it the stream.
        done, _ = await asyncio.wait({self._reading}, timeout=quiet_s)
        if not done:
            return None
        if self._reading.cancelled():
            raise LedgerUnreachable("the block stream was closed")
        try:
            reply = self._reading.result()
        except grpc.aio.AioRpcError as error:
            self._peers.leave(self.peer)
            raise LedgerUnreachable(reason(self.peer, error)) from None
        if not isinstance(reply, BlockQueryResponse):  # the end, or nothing that can be read
            self._peers.leave(self.peer)
            raise LedgerUnreachable(f"{self.peer.address}: the block stream ended")
        if reply.WhichOneof("response") != "block_response":
            raise QueryRefused("BLOCKS", 0, reply.block_error_response.message)
        self._reading = self._read()
        return read_block(reply.block_response.block)

    def stop(self) -> None:
        """Cancel the stream; what the read under way says no longer matters."""
        self._reading.add_done_callback(lambda task: task.cancelled() or task.exception())
        self._reading.cancel()
        self._stream.cancel()

    def _read(self) -> "asyncio.Future[BlockQueryResponse | object]":
        return asyncio.ensure_future(self._stream.read())
