"""What peers say of a transaction, and how far a word of theirs goes.

Seen on irohad 1.6: states may be skipped; why something was refused is told live, once, in one
peer's memory; a stream ends early without a final state; a queue is lost in a crash, so
NOT_RECEIVED proves nothing; without a quorum there is silence. Only what is in a block is final,
and blocks are read elsewhere (`stream`): nothing here is proved.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import grpc

from ledger_client.ledger import LedgerUnreachable, TxStatus, Verdict
from ledger_client.peers import Peer, Peers, PeerTrouble, reason
from ledger_client.proto import endpoint_pb2 as pb

_PAUSE_S: Final = 0.1
_TEXT_MOST: Final = 4096  # of what a peer says; any reason is shorter
_VERDICTS: Final = {
    pb.STATELESS_VALIDATION_FAILED: Verdict.INVALID,
    pb.STATELESS_VALIDATION_SUCCESS: Verdict.PENDING,
    pb.STATEFUL_VALIDATION_FAILED: Verdict.PENDING,  # tells why; REJECTED comes next
    pb.STATEFUL_VALIDATION_SUCCESS: Verdict.PENDING,
    pb.REJECTED: Verdict.REJECTED,
    pb.COMMITTED: Verdict.COMMITTED,
    pb.MST_EXPIRED: Verdict.UNKNOWN,  # the same bytes may be sent again
    pb.NOT_RECEIVED: Verdict.UNKNOWN,
    pb.MST_PENDING: Verdict.PENDING,
    pb.ENOUGH_SIGNATURES_COLLECTED: Verdict.PENDING,
}


class Statuses:
    """Asks after transactions; `parallel` calls are under way at once, each with a deadline."""

    def __init__(
        self,
        peers: Peers,
        *,
        deadline_s: float,
        parallel: int,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._peers = peers
        self._deadline_s = deadline_s
        self._parallel = parallel
        self._sleep = sleep

    async def of(self, hashes: Sequence[str]) -> list[TxStatus]:
        """One peer's word on each hash, in order."""
        return await self._peers.ask(partial(self._all, hashes))

    async def opinions(self, hashes: Sequence[str]) -> list[list[TxStatus]]:
        """Of each hash the words of all peers that answered, at least one."""
        asking = (self._heard(hashes, peer) for peer in self._peers.in_order())
        heard = [words for words in await asyncio.gather(*asking) if words is not None]
        if not heard:
            raise LedgerUnreachable("no peer answered")
        return [list(words) for words in zip(*heard, strict=True)]

    async def watch(self, tx_hash: str) -> AsyncGenerator[TxStatus, None]:
        """Each state as it is told, until a final one; for the few cases that need a reason.

        Opened before the transaction is sent it hears everything its peer knows. A stream that
        ends without a final state is opened again, with the next peer if it broke.
        """
        last: TxStatus | None = None
        while True:
            peer = self._peers.in_order()[0]
            stream = peer.status_stream(pb.TxStatusRequest(tx_hash=tx_hash))
            try:
                async for reply in stream:
                    status = _read(tx_hash, reply)
                    if status != last:
                        last = status
                        yield status
                    if status.final:
                        return
            except (grpc.aio.AioRpcError, PeerTrouble) as error:
                self._peers.leave(peer)
                if self._peers.closed:
                    raise LedgerUnreachable(reason(peer, error)) from None
            finally:
                stream.cancel()
            await self._sleep(_PAUSE_S)

    async def _heard(self, hashes: Sequence[str], peer: Peer) -> list[TxStatus] | None:
        try:
            return await self._all(hashes, peer)
        except (grpc.aio.AioRpcError, PeerTrouble):
            return None

    async def _all(self, hashes: Sequence[str], peer: Peer) -> list[TxStatus]:
        answers: dict[int, TxStatus] = {}
        waiting = iter(enumerate(hashes))

        async def work() -> None:
            for index, tx_hash in waiting:
                answers[index] = await self._one(tx_hash, peer)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._parallel, len(hashes))):
                    group.create_task(work())
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        if len(answers) < len(hashes):  # closing a channel cancels its calls silently
            raise PeerTrouble("closed")
        return [answers[index] for index in range(len(hashes))]

    async def _one(self, tx_hash: str, peer: Peer) -> TxStatus:
        reply = await peer.status(pb.TxStatusRequest(tx_hash=tx_hash), timeout=self._deadline_s)
        return _read(tx_hash, reply)


def _read(tx_hash: str, reply: pb.ToriiResponse | None) -> TxStatus:
    if reply is None:  # what gRPC makes of bytes that cannot be parsed
        raise PeerTrouble("unreadable status")
    return TxStatus(
        tx_hash=tx_hash,
        verdict=_VERDICTS.get(reply.tx_status, Verdict.UNKNOWN),
        code=reply.error_code,
        command_index=reply.failed_cmd_index,
        text="".join(filter(str.isprintable, reply.err_or_cmd_name[:_TEXT_MOST])),
    )
