"""Hyperledger Iroha 1 over gRPC, as a `Ledger`.

What a peer does that one would not expect, and what is done about it here:

* Sending answers nothing, whatever was sent; a verdict comes by `Status` or in a block. So
  `submit` promises only that a peer took the call.
* The block stream starts anywhere, may skip, end or fall silent: see `stream`.
* "This height is not there yet" and "your signature is wrong" are one error code; the genesis
  block, which is always there, tells them apart.
* A reply that cannot be parsed arrives as None, and code 1 is a peer's internal error: both mean
  "ask the next peer".
* A balance may end in a dot ("997158.").

Every call has a deadline, and fails over as `peers` says; only the block stream goes on for ever.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from ledger_client.blocks import read_block
from ledger_client.keys import SigningKey
from ledger_client.ledger import Block, QueryRefused, TxStatus, Verdict
from ledger_client.peers import Peer, Peers, PeerTrouble
from ledger_client.proto import endpoint_pb2, qry_responses_pb2, queries_pb2
from ledger_client.queries import Questions
from ledger_client.stream import BlockStream
from ledger_client.submission import calls

_HEALTH_DEADLINE_S: Final = 1.0
_INTERNAL: Final = ("STATEFUL_INVALID", 1)
_NO_SUCH_HEIGHT: Final = ("STATEFUL_INVALID", 3)  # or a wrong signature
_NO_SUCH_ACCOUNT: Final = ("NO_ACCOUNT", "NO_SIGNATORIES")
_GENESIS: Final = 1

_VERDICTS: Final = {
    endpoint_pb2.STATELESS_VALIDATION_FAILED: Verdict.INVALID,
    endpoint_pb2.STATELESS_VALIDATION_SUCCESS: Verdict.PENDING,
    endpoint_pb2.STATEFUL_VALIDATION_FAILED: Verdict.PENDING,  # tells why; REJECTED comes next
    endpoint_pb2.STATEFUL_VALIDATION_SUCCESS: Verdict.PENDING,
    endpoint_pb2.REJECTED: Verdict.REJECTED,
    endpoint_pb2.COMMITTED: Verdict.COMMITTED,
    endpoint_pb2.MST_EXPIRED: Verdict.UNKNOWN,  # the same bytes may be sent again
    endpoint_pb2.NOT_RECEIVED: Verdict.UNKNOWN,
    endpoint_pb2.MST_PENDING: Verdict.PENDING,
    endpoint_pb2.ENOUGH_SIGNATURES_COLLECTED: Verdict.PENDING,
}


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
            deadline_s: for each single call to one peer.
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
        self._chunk = chunk
        self._parallel = parallel
        self._stream = BlockStream(
            self._peers, self._questions.blocks, self._block_at, quiet_s=quiet_s, sleep=sleep
        )

    async def submit(self, transactions: Sequence[bytes]) -> None:
        """Hand signed transactions to one peer; see `Ledger.submit`."""
        for body in list(calls(transactions, most=self._chunk)):
            await self._peers.ask(partial(self._send, body))

    async def statuses(self, hashes: Sequence[str]) -> Sequence[TxStatus]:
        """One peer's word on each hash, in order."""
        return await self._peers.ask(partial(self._statuses, hashes))

    def blocks(self, after: int) -> AsyncIterator[Block]:
        """Every block above `after`, without gaps, for ever; see `Ledger.blocks`."""
        return self._stream.above(after)

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

    async def _statuses(self, hashes: Sequence[str], peer: Peer) -> list[TxStatus]:
        answers: dict[int, TxStatus] = {}
        waiting = iter(enumerate(hashes))

        async def work() -> None:
            for index, tx_hash in waiting:
                answers[index] = await self._status(peer, tx_hash)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._parallel, len(hashes))):
                    group.create_task(work())
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        if len(answers) < len(hashes):  # closing a channel cancels its calls silently
            raise PeerTrouble("closed")
        return [answers[index] for index in range(len(hashes))]

    async def _status(self, peer: Peer, tx_hash: str) -> TxStatus:
        request = endpoint_pb2.TxStatusRequest(tx_hash=tx_hash)
        reply = await peer.status(request, timeout=self._deadline_s)
        if reply is None:
            raise PeerTrouble("unreadable status")
        return TxStatus(
            tx_hash=tx_hash,
            verdict=_VERDICTS.get(reply.tx_status, Verdict.UNKNOWN),
            code=reply.error_code,
            command_index=reply.failed_cmd_index,
            text=reply.err_or_cmd_name,
        )

    async def _find(self, turn: int = 0, **question: Message) -> qry_responses_pb2.QueryResponse:
        return await self._peers.ask(partial(self._question, question), turn=turn)

    async def _question(
        self, question: Mapping[str, Message], peer: Peer
    ) -> qry_responses_pb2.QueryResponse:
        reply = await peer.find(self._questions.query(**question), timeout=self._deadline_s)
        if reply is None:
            raise PeerTrouble("unreadable reply")
        if reply.WhichOneof("response") == "error_response":
            _refuse(reply.error_response)
        return reply

    async def _block_at(self, height: int, turn: int) -> Block | None:
        """Fetch the block of a height, or None when the ledger is not that high yet."""
        try:
            reply = await self._find(turn, get_block=queries_pb2.GetBlock(height=height))
        except QueryRefused as refusal:
            if turn % len(self._peers):  # a peer asked in passing may know no accounts yet
                return None
            if (refusal.reason, refusal.code) != _NO_SUCH_HEIGHT or height == _GENESIS:
                raise
            await self._find(turn, get_block=queries_pb2.GetBlock(height=_GENESIS))
            return None
        return read_block(reply.block_response.block)

    async def _answers(self, peer: Peer) -> bool:
        try:
            reply = await peer.healthcheck(Empty(), timeout=_HEALTH_DEADLINE_S)
        except grpc.aio.AioRpcError as error:
            # A peer of before 1.5 has no such method, and says so: it answers.
            return error.code() is grpc.StatusCode.UNIMPLEMENTED
        return reply is not None and (reply.is_healthy or not reply.HasField("is_healthy"))


def _refuse(error: qry_responses_pb2.ErrorResponse) -> None:
    reason = qry_responses_pb2.ErrorResponse.Reason.Name(error.reason)
    if (reason, error.error_code) == _INTERNAL:
        raise PeerTrouble(f"internal error: {error.message}")
    raise QueryRefused(reason, error.error_code, error.message)
