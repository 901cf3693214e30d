"""Hyperledger Iroha 1 over gRPC, as a `Ledger`.

What a peer does that one would not expect, and what is done about it here:

* Sending answers nothing, whatever was sent; a verdict comes by `Status` or in a block. So
  `submit` promises only that a peer took the call.
* A call is all or nothing: one malformed transaction, and all that came with it are refused. So
  what is sent again travels alone.
* The block stream starts anywhere, may skip, end or fall silent: see `stream`.
* "This height is not there yet" and "your signature is wrong" are one error code; the genesis
  block, which is always there, tells them apart.
* A reply that cannot be parsed arrives as None, one without an answer is empty, and some codes are
  a peer's internal errors: all mean "ask the next peer".
* A peer of a busy network, or of one without a quorum, calls itself unhealthy: it answers.
* A balance may end in a dot ("997158.").

Every call has a deadline, and fails over as `peers` says; only the block stream goes on for ever.
"""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from ledger_client.blocks import read_block
from ledger_client.keys import SigningKey
from ledger_client.ledger import (
    Block,
    Doubt,
    LedgerUnreachable,
    QueryRefused,
    Reached,
    TxStatus,
)
from ledger_client.peers import Peer, Peers, PeerTrouble
from ledger_client.proto import qry_responses_pb2, queries_pb2
from ledger_client.queries import Questions, answer
from ledger_client.statuses import Statuses
from ledger_client.stream import BlockStream, Check
from ledger_client.submission import calls
from ledger_client.trust import Trust

_HEALTH_DEADLINE_S: Final = 1.0
_BLOCK_DEADLINE_MOST_S: Final = 30.0
_NO_SUCH_HEIGHT: Final = ("STATEFUL_INVALID", 3)  # or a wrong signature
_NO_SUCH_ACCOUNT: Final = ("NO_ACCOUNT", "NO_SIGNATORIES")
_GENESIS: Final = 1


def _system_ms() -> int:
    return time.time_ns() // 1_000_000


class Iroha1:
    """The ledger behind `peers`; queries and blocks are asked for as `account_id` with `key`."""

    def __init__(
        self,
        peers: Sequence[str],
        account_id: str,
        key: SigningKey,
        *,
        tls_ca: bytes | None = None,
        trust: Trust = Trust(),  # noqa: B008 - frozen
        deadline_s: float = 2.0,
        quiet_s: float = 3.0,
        chunk: int = 100,
        parallel: int = 64,
        now_ms: Callable[[], int] = _system_ms,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """Open nothing yet.

        Args:
            peers: `host:port` of each peer's Torii.
            account_id: whose name queries carry.
            key: a key of that account.
            tls_ca: PEM of the authority that signed the peers' certificates; None speaks plain.
            trust: whose signatures prove a block; none are looked at when no key is pinned.
            deadline_s: for each single call to one peer; grows for a block that takes longer.
            quiet_s: how long the block stream may say nothing before it is doubted.
            chunk: transactions in one call.
            parallel: status calls under way at once.
            now_ms: the time that queries carry.
            sleep: how the block stream waits before it tries again.
            entropy: where the query counter starts.
        """
        self._peers = Peers(peers, tls_ca=tls_ca)
        self._questions = Questions(account_id, key, now_ms, entropy)
        self._deadline_s = deadline_s
        self._longer_s: dict[int, float] = {}  # deadlines of the blocks that take longer
        self._chunk = chunk
        self._statuses = Statuses(
            self._peers, deadline_s=deadline_s, parallel=parallel, sleep=sleep
        )
        self._stream = BlockStream(
            self._peers,
            trust,
            self._questions.blocks,
            self._block_at,
            quiet_s=quiet_s,
            sleep=sleep,
        )

    async def submit(self, transactions: Sequence[bytes], *, again: bool = False) -> None:
        """Hand signed transactions to one peer; see `Ledger.submit`."""
        if again:
            self._peers.leave(self._peers.in_order()[0])
        for body in list(calls(transactions, most=1 if again else self._chunk)):
            await self._peers.ask(partial(self._send, body))

    async def statuses(self, hashes: Sequence[str]) -> Sequence[TxStatus]:
        """One peer's word on each hash, in order."""
        return await self._statuses.of(hashes)

    async def opinions(self, hashes: Sequence[str]) -> Sequence[Sequence[TxStatus]]:
        """Of each hash the words of all peers that answer; see `Ledger.opinions`."""
        return await self._statuses.opinions(hashes)

    def watch(self, tx_hash: str) -> AsyncGenerator[TxStatus, None]:
        """Each state as it is told, until a final one; for the few cases that need a reason."""
        return self._statuses.watch(tx_hash)

    def blocks(self, after: Reached) -> AsyncIterator[Block | Doubt]:
        """Every block above `after`, proved and without gaps, for ever; see `Ledger.blocks`."""
        return self._stream.above(after)

    async def is_last(self, last: Reached) -> bool:
        """Is `last` in its place and no proved block above it? Raises when no peer answers."""
        return await self._stream.is_last(last)

    async def signatories(self, account_id: str) -> Sequence[str] | None:
        """The account's public keys in lower case, or None when there is no such account."""
        question = queries_pb2.GetSignatories(account_id=account_id)
        try:
            reply = await self._find(get_signatories=question)
        except QueryRefused as refusal:
            if refusal.reason in _NO_SUCH_ACCOUNT:
                return None
            raise
        return [key.lower() for key in reply.signatories_response.keys]

    async def balances(self, account_id: str) -> Mapping[str, str]:
        """Decimal string by asset id; empty for an unknown account."""
        question = queries_pb2.GetAccountAssets(account_id=account_id)
        reply = await self._find(get_account_assets=question)
        held = reply.account_assets_response.account_assets
        return {each.asset_id: each.balance.removesuffix(".") for each in held}

    async def healthy(self) -> bool:
        """Did any peer answer within a second?"""
        if self._peers.closed:
            return False
        asking = [asyncio.ensure_future(self._answers(peer)) for peer in self._peers.in_order()]
        try:
            for answer in asyncio.as_completed(asking):
                if await answer:
                    return True
            return False
        finally:
            for each in asking:
                each.cancel()

    async def close(self) -> None:
        """Close channels; streams end, calls under way raise `LedgerUnreachable`."""
        await self._peers.close()

    async def _send(self, body: bytes, peer: Peer) -> None:
        await peer.list_torii(body, timeout=self._deadline_s)

    async def _find(self, turn: int = 0, **question: Message) -> qry_responses_pb2.QueryResponse:
        async def ask(peer: Peer) -> qry_responses_pb2.QueryResponse:
            query = self._questions.query(**question)
            return await answer(peer, query, deadline_s=self._deadline_s)

        return await self._peers.ask(ask, turn=turn)

    async def _block_at(self, height: int, turn: int, check: Check) -> Block | None:
        """Fetch the block of a height, or None when the ledger is not that high yet.

        A block may be many megabytes: while no peer gives it in time, its time is doubled.
        """
        question = queries_pb2.GetBlock(height=height)
        deadline_s = self._longer_s.get(height, self._deadline_s)

        async def fetch(peer: Peer) -> Block:
            query = self._questions.query(get_block=question)
            reply = await answer(peer, query, deadline_s=deadline_s)
            block = read_block(reply.block_response.block)
            if why := check(peer, block):
                raise PeerTrouble(f"block {height}: {why}")
            return block

        try:
            block = await self._peers.ask(fetch, turn=turn)
        except LedgerUnreachable:
            most_s = max(_BLOCK_DEADLINE_MOST_S, self._deadline_s)
            self._longer_s[height] = min(2 * deadline_s, most_s)
            raise
        except QueryRefused as refusal:
            if turn % len(self._peers):  # a peer asked in passing may know no accounts yet
                return None
            if (refusal.reason, refusal.code) != _NO_SUCH_HEIGHT or height == _GENESIS:
                raise
            await self._find(turn, get_block=queries_pb2.GetBlock(height=_GENESIS))
            return None
        # The block before is asked for once more at the beginning of each round.
        self._longer_s = {at: s for at, s in self._longer_s.items() if at >= height - 1}
        return block

    async def _answers(self, peer: Peer) -> bool:
        try:
            reply = await peer.healthcheck(Empty(), timeout=_HEALTH_DEADLINE_S)
        except grpc.aio.AioRpcError as error:
            # A peer of before 1.5 has no such method, and says so: it answers.
            return error.code() is grpc.StatusCode.UNIMPLEMENTED
        return reply is not None
