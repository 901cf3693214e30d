"""One peer: what it was sent, what it can say, how far it has heard of the chain.

All of that is memory and gone when the peer stops; the chain it shares with its fellows is not.
Everything here runs on the event loop, signatures too: a thread would give the interpreter back and
wait for it again around each of libsodium's short steps, which costs more than a second core gives.
How a peer is called, and how it may lie, is in `face` and `misbehaviour`.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence

from ledger_client.keys import SigningKey
from ledger_client.proto import endpoint_pb2 as pb
from ledger_client.proto.block_pb2 import Block
from ledger_client.proto.transaction_pb2 import Transaction
from sim.ledger import rules
from sim.ledger.chain import Chain
from sim.ledger.pool import Batch, Pool, batches
from sim.ledger.statuses import Status, StatusBoard
from sim.ledger.store import Place, Sealed

_AT_ONCE = 8  # batches examined before others get their turn on the loop


class Peer:
    """The peer of this `number` among those that share `chain`."""

    def __init__(
        self,
        chain: Chain,
        number: int,
        key: SigningKey,
        block_is_full: Callable[[], None],
    ) -> None:
        self.chain = chain
        self.number = number
        self.key = key
        self.connected = True  # to its fellows: takes part in rounds, hears of blocks
        self.is_deciding = True  # the last round had a quorum
        self.clock: Callable[[], int] = chain.now_ms
        self._admitting: set[asyncio.Task[None]] = set()
        self._block_is_full = block_is_full
        self.forget()

    def forget(self) -> None:
        """Begin anew with an empty memory and the whole chain, as after a crash."""
        self.pool = Pool()
        self.statuses = StatusBoard(self._place)
        self.height = self.chain.height
        self._followers: set[asyncio.Queue[Block]] = set()

    # Taking transactions.

    async def receive(self, transactions: Sequence[Transaction]) -> None:
        """Validate and queue; nothing is answered, verdicts are told by status.

        What has arrived is dealt with even if the caller does not wait for it.
        """
        task = asyncio.create_task(self._receive(transactions, self.pool))
        self._admitting.add(task)
        task.add_done_callback(self._admitting.discard)
        await asyncio.shield(task)

    async def _receive(self, transactions: Sequence[Transaction], pool: Pool) -> None:
        arrived = list(batches(transactions))
        fault = await self._fault(arrived)
        if pool is not self.pool:
            return  # it stopped in between, and all of it is lost
        if fault:
            self._refuse(arrived, fault)
            return
        decided = self.chain.store.decided([it for batch in arrived for it in batch.hashes])
        for batch in arrived:
            self._admit(batch, decided)

    async def _fault(self, arrived: Sequence[Batch]) -> str | None:
        """Why none of a call is taken: the first fault of any transaction, else of any batch."""
        now_ms, settings = self.clock(), self.chain.settings
        for count, batch in enumerate(arrived, start=1):
            for tx in batch.txs:
                why = rules.transaction_fault(tx.proto, tx.payload, now_ms, ursa=settings.ursa)
                if why:
                    return f"Transaction deserialization failed: hash Hash: [{tx.tx_hash}], {why}"
            if not count % _AT_ONCE:
                await asyncio.sleep(0)
        wrong = filter(None, (batch.fault(settings.block_most) for batch in arrived))
        return next((f"Batch deserialization failed: {why}" for why in wrong), None)

    def _refuse(self, arrived: Sequence[Batch], fault: str) -> None:
        """A call is all or nothing: one bad transaction makes its peer refuse its neighbours, too.

        So does irohad's `CommandServiceTransportGrpc::ListTorii`.
        """
        for batch in arrived:
            for tx_hash in batch.hashes:
                self.statuses.tell(Status(tx_hash, pb.STATELESS_VALIDATION_FAILED, fault))

    def _admit(self, batch: Batch, decided: set[str]) -> None:
        if self.pool.knows(batch) or not decided.isdisjoint(batch.hashes):
            return  # a replay: decided or about to be
        if any(self.statuses.has_ended(it) for it in batch.hashes):
            return  # decided since we asked, or refused unseen
        self._tell(batch, pb.STATELESS_VALIDATION_SUCCESS)
        if not self.pool.add(batch):
            self._tell(batch, pb.MST_PENDING)
            return
        self._tell(batch, pb.ENOUGH_SIGNATURES_COLLECTED)
        if self.pool.size >= self.chain.settings.block_most:
            self._block_is_full()

    def _tell(self, batch: Batch, kind: pb.TxStatus) -> None:
        for tx_hash in batch.hashes:
            self.statuses.tell(Status(tx_hash, kind))

    # Taking part in rounds.

    def propose(self, most: int) -> list[Batch]:
        """Hand over what waits here, `most` transactions at most."""
        for batch in self.pool.expire(self.clock()):
            self._tell(batch, pb.MST_EXPIRED)
        return self.pool.take(most)

    def consider(self, tx_hash: str, verdict: Status) -> None:
        """A round decides on a transaction: only the peer it was sent to tells every step."""
        if tx_hash in self.pool:
            self.statuses.tell(verdict)
        else:
            self.statuses.tell(Status(tx_hash, pb.ENOUGH_SIGNATURES_COLLECTED))

    def hear(self, sealed: Sealed) -> None:
        """A block is on the chain: from now on this peer knows it."""
        self.height = sealed.height
        for tx in sealed.committed:
            self.pool.decided(tx.tx_hash)
            self.statuses.tell(Status(tx.tx_hash, pb.COMMITTED))
        for tx_hash in sealed.rejected:
            self.pool.decided(tx_hash)
            self.statuses.tell(Status(tx_hash, pb.REJECTED))
        if self._followers:
            block = self.chain.copy(sealed.block, self.number)
            for follower in self._followers:
                follower.put_nowait(block)

    # What it can say.

    def block(self, height: int) -> Block | None:
        """Its copy of a block, if it has heard of it."""
        stored = self.chain.store.block(height) if height <= self.height else None
        return self.chain.copy(stored, self.number) if stored else None

    def _place(self, tx_hash: str) -> Place | None:
        place = self.chain.store.place(tx_hash)
        return place if place and place.height <= self.height else None

    async def new_blocks(self) -> AsyncGenerator[Block, None]:
        """Each block from now on."""
        heard: asyncio.Queue[Block] = asyncio.Queue()
        self._followers.add(heard)
        try:
            while True:
                yield await heard.get()
        finally:
            self._followers.discard(heard)
