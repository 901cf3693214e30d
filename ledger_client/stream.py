"""Every block, in order, for ever: the block stream, what mends it, and what is not believed.

`FetchCommits` tells new blocks only, starts at no particular height, may skip, end or fall
silent, and says nothing of any of it. `GetBlock` tells any block by height. So:

1. A round is one stream of one peer. It is opened first, then everything that is there already
   is fetched by height; what the stream tells meanwhile is dropped as known.
2. A block of the next height is passed on. A higher one shows a gap: fetch by height again.
3. When `quiet_s` have passed without the next block, whatever else was said, fetch by height,
   each time from the next peer in turn. When that finds a block, this peer is deaf, behind the
   others or talks to no purpose, and is left. Such a stream also ends when the other calls have
   left its peer.
4. A round that ends, for whatever reason, is followed by another after a pause, which doubles
   until a block comes. A peer that refuses is left. Only when every peer does (`QueryRefused`),
   or none has given what it was asked for in many rounds (`LedgerUnreachable`), it comes out:
   if they answer otherwise, it is an operator's matter.
5. Nothing is passed on that `trust` doubts. The doubt is, and its peer is left for the next.
6. A round begins with the last block once more: a ledger that has another one in its place, or
   none, was rewound or is another ledger, and nothing that follows is believed.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Final, Protocol

import grpc

from ledger_client.blocks import read_block
from ledger_client.ledger import Block, Doubt, LedgerUnreachable, QueryRefused, Reached
from ledger_client.peers import Peer, Peers, reason
from ledger_client.proto.qry_responses_pb2 import BlockQueryResponse
from ledger_client.proto.queries_pb2 import BlocksQuery
from ledger_client.trust import Trust

_PAUSE_FIRST_S: Final = 0.1
_PAUSE_MOST_S: Final = 3.0
FRUITLESS_MOST: Final = 25  # rounds, which take a minute at least


class BlockAt(Protocol):
    """Fetches by height, asking first the peer whose `turn` it is; None: no such block yet.

    `check` says why a block is not believed: then its peer is left and the next one asked.
    """

    def __call__(self, height: int, turn: int, check: "Check") -> Awaitable[Block | None]: ...


Check = Callable[[Peer, Block], str | None]


class BlockStream:
    """Reads blocks off `peers`, as far as `trust` goes."""

    def __init__(
        self,
        peers: Peers,
        trust: Trust,
        query: Callable[[], BlocksQuery],
        block_at: BlockAt,
        *,
        quiet_s: float,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._peers = peers
        self._trust = trust
        self._query = query
        self._block_at = block_at
        self._quiet_s = quiet_s
        self._sleep = sleep

    async def above(self, last: Reached) -> AsyncGenerator[Block | Doubt, None]:
        """Yield every block above `last`, without gaps; ends only when the peers are closed."""
        pause_s = _PAUSE_FIRST_S
        refusals: list[QueryRefused] = []  # in a row
        fruitless = 0  # in a row
        while not self._peers.closed:
            reader = _Round(self._peers, self._trust, self._block_at, last)
            try:
                async with aclosing(self._round(reader)) as blocks:
                    async for block in blocks:
                        for doubt in reader.doubts():
                            yield doubt
                        yield block
                        last, pause_s = reader.last, _PAUSE_FIRST_S
                        refusals.clear()
            except LedgerUnreachable:
                if self._peers.closed:
                    return
                fruitless = 0 if reader.was_answered else fruitless + 1
                if fruitless >= FRUITLESS_MOST:
                    raise
            except QueryRefused as refusal:
                refusals.append(refusal)
                if len(refusals) >= len(self._peers):
                    raise refusals[0] from None
                self._peers.leave(self._peers.in_order()[0])
            for doubt in reader.doubts():
                yield doubt
            await self._sleep(pause_s)
            pause_s = min(2 * pause_s, _PAUSE_MOST_S)

    async def is_last(self, last: Reached) -> bool:
        """Is `last` in its place, and does no peer know what follows it?

        What cannot be believed follows nothing; and nothing follows a block that is gone.
        """
        if not await _Round(self._peers, self._trust, self._block_at, last).still_there():
            return False

        def doubt(_peer: Peer, block: Block) -> str | None:
            return self._trust.doubt(block, last)

        for turn in range(len(self._peers)):
            if await self._block_at(last.height + 1, turn, doubt) is not None:
                return False
        return True

    async def _round(self, reader: "_Round") -> AsyncGenerator[Block, None]:
        """Yield what follows, until this stream is of no more use."""
        if not await reader.still_there():
            return
        commits = _Commits(self._peers, self._query())
        silences = 0  # in a row: times that `quiet_s` passed without the next block
        gap = False
        try:
            while True:
                fetched = False
                while block := await reader.next_by_height(silences):
                    yield block
                    fetched = True
                if silences and (fetched or self._peers.in_order()[0] is not commits.peer):
                    self._peers.leave(commits.peer)
                    return
                if gap and not fetched:  # told of blocks that it does not have: ask another
                    silences, gap = silences + 1, False
                    continue
                gap = False
                while block := await commits.hear(reader.last.height + 1, self._quiet_s):
                    gap = block.height > reader.last.height + 1
                    if gap:
                        break
                    if not reader.believes(commits.peer, block):
                        self._peers.leave(commits.peer)
                        return
                    yield block
                    silences = 0
                silences += not gap
        finally:
            commits.stop()


class _Round:
    """How far one round has come, and what it could not believe."""

    def __init__(self, peers: Peers, trust: Trust, block_at: BlockAt, last: Reached) -> None:
        self.last = last
        self.was_answered = False  # "no such block yet" is an answer
        self._peers = peers
        self._trust = trust
        self._block_at = block_at
        self._doubts: list[Doubt] = []

    def doubts(self) -> list[Doubt]:
        """What has come up since this was asked before."""
        found, self._doubts = self._doubts, []
        return found

    def believes(self, peer: Peer, block: Block) -> bool:
        """Go on to `block` if it follows; note why not otherwise."""
        if self._check(peer, block):
            return False
        self.last = Reached(block.height, block.block_hash)
        return True

    async def next_by_height(self, turn: int) -> Block | None:
        block = await self._block_at(self.last.height + 1, turn, self._check)
        self.was_answered = True
        if block is not None:
            self.last = Reached(block.height, block.block_hash)
        return block

    async def still_there(self) -> bool:
        """Does any peer that answers still have the last block in its place?"""
        last = self.last
        if not last.height or not last.block_hash:
            return True
        try:
            for turn in range(len(self._peers)):
                if await self._block_at(last.height, turn, self._same):
                    return True
        except LedgerUnreachable:
            if not self._doubts:
                raise
        why = "it is gone: rewound, or another ledger"
        self._doubts.append(Doubt("every peer", last.height, why, gone=True))
        return False

    def _check(self, peer: Peer, block: Block) -> str | None:
        why = self._trust.doubt(block, self.last)
        if why:
            self._note(peer.address, block.height, why)
        return why

    def _same(self, peer: Peer, block: Block) -> str | None:
        if block.block_hash == self.last.block_hash:
            return None
        why = "another block stands in its place: rewound, or another ledger"
        self._note(peer.address, self.last.height, why)
        return why

    def _note(self, peer: str, height: int, why: str) -> None:
        self._doubts.append(Doubt(peer, height, why))


class _Commits:
    """One stream of one peer, with a read always under way."""

    def __init__(self, peers: Peers, query: BlocksQuery) -> None:
        self._peers = peers
        self.peer: Peer = peers.in_order()[0]
        self._stream = self.peer.fetch_commits(query)
        self._reading = self._read()

    async def hear(self, height: int, quiet_s: float) -> Block | None:
        """Wait for a block of this height or above, or return None once `quiet_s` have passed."""
        until = asyncio.get_running_loop().time() + quiet_s
        while True:
            left_s = until - asyncio.get_running_loop().time()
            # Waiting for the read itself with a time limit would cancel it, and with it the stream.
            done, _ = await asyncio.wait({self._reading}, timeout=max(left_s, 0.0))
            if not done:
                return None
            block = self._heard()
            if block.height >= height:
                return block
            if left_s <= 0:  # it keeps talking of what is known
                return None

    def _heard(self) -> Block:
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
