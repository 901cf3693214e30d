"""The peer itself: takes transactions, decides them in rounds, seals blocks.

Every round the waiting batches are tried in order of arrival on a layer above the world; then one
commit stores the block with all it changed, and only then does anybody see it. A round without
transactions makes no block. Everything here runs on the event loop except that commit.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha3_256

from google.protobuf.message import Message

from ledger_client.keys import SigningKey
from ledger_client.proto import endpoint_pb2 as pb
from ledger_client.proto.block_pb2 import Block, Block_v1
from ledger_client.proto.transaction_pb2 import Transaction
from sim.ledger import rules
from sim.ledger.commands import Act
from sim.ledger.genesis import begin
from sim.ledger.pool import Batch, Pool, Tx, batches
from sim.ledger.refusals import Profile, Refused, Why
from sim.ledger.statuses import Status, StatusBoard
from sim.ledger.store import Sealed, Store
from sim.ledger.world import World

_AT_ONCE = 16  # transactions handled before others get their turn on the loop


@dataclass(frozen=True, slots=True)
class Settings:
    """How this peer behaves."""

    block_ms: int | None = 200  # None: rounds happen only when asked for
    block_most: int = 1000  # transactions per block; so many waiting start a round at once
    profile: Profile = "rocksdb"
    ursa: bool = False  # False: as a stock irohad, raw keys only


@dataclass(frozen=True, slots=True)
class _Failure:
    text: str
    command_index: int = 0
    code: int = 0


@dataclass(slots=True)
class _Draft:
    """A block in the making."""

    changes: World
    committed: list[Tx] = field(default_factory=list)
    rejected: list[Tx] = field(default_factory=list)


class Chain:
    """One peer's chain of blocks in `store`, begun from `genesis`."""

    def __init__(
        self,
        store: Store,
        genesis: Block,
        key: SigningKey,
        now_ms: Callable[[], int],
        settings: Settings,
    ) -> None:
        self.settings = settings
        self.store = store
        self.pool = Pool()
        self.statuses = StatusBoard(store.place)
        self.now_ms = now_ms
        self._key = key
        self.world = begin(store, genesis, key.public_key)
        self.height, self._top_hash = store.top()
        self._disk = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger-disk")
        self._deciding = asyncio.Lock()
        self._going = asyncio.Event()
        self._going.set()
        self._full = asyncio.Event()
        self._followers: set[asyncio.Queue[Block]] = set()

    def close(self) -> None:
        """Stop writing; what was not decided is lost, as in a real peer."""
        self._disk.shutdown(wait=True)
        self.store.close()

    # Taking transactions.

    async def receive(self, transactions: Sequence[Transaction]) -> None:
        """Validate and queue; nothing is answered, verdicts are told by status."""
        for count, batch in enumerate(batches(transactions), start=1):
            self._admit(batch)
            if not count % _AT_ONCE:
                await asyncio.sleep(0)

    def _admit(self, batch: Batch) -> None:
        now_ms, ursa = self.now_ms(), self.settings.ursa
        faults = [
            rules.transaction_fault(tx.proto, tx.payload, now_ms, ursa=ursa) for tx in batch.txs
        ]
        fault = next(filter(None, faults), None) or batch.fault()
        if fault:
            for tx, own in zip(batch.txs, faults, strict=True):
                self.statuses.tell(Status(tx.tx_hash, pb.STATELESS_VALIDATION_FAILED, own or fault))
            return
        if self.pool.knows(batch) or any(self.statuses.of(it).final for it in batch.hashes):
            return  # a replay: decided or about to be
        self._tell(batch, pb.STATELESS_VALIDATION_SUCCESS)
        if not self.pool.add(batch):
            self._tell(batch, pb.MST_PENDING)
            return
        self._tell(batch, pb.ENOUGH_SIGNATURES_COLLECTED)
        if self.pool.size >= self.settings.block_most:
            self._full.set()

    def _tell(self, batch: Batch, kind: pb.TxStatus) -> None:
        for tx_hash in batch.hashes:
            self.statuses.tell(Status(tx_hash, kind))

    # Rounds.

    async def run(self) -> None:
        """A round every so often, sooner when a block's worth of transactions waits."""
        if self.settings.block_ms is None:
            return
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._full.wait(), self.settings.block_ms / 1000)
            await self._going.wait()
            await self.round()

    def pause(self) -> None:
        """Go silent, as a network without its quorum: calls are answered, no round happens."""
        self._going.clear()

    def resume(self) -> None:
        """Find the quorum again."""
        self._going.set()

    async def round(self) -> int | None:
        """One round; the height of the block it made, if any."""
        async with self._deciding:
            for batch in self.pool.expire(self.now_ms()):
                self._tell(batch, pb.MST_EXPIRED)
            taken = self.pool.take(self.settings.block_most)
            if self.pool.size < self.settings.block_most:
                self._full.clear()
            height = await self._decide(taken) if taken else None
        self.statuses.round_passed()
        return height

    async def _decide(self, taken: Sequence[Batch]) -> int:
        draft = _Draft(self.world.above())
        for count, batch in enumerate(taken, start=1):
            self._try(batch, draft)
            if not count % _AT_ONCE:
                await asyncio.sleep(0)
        block, sealed = self._seal(draft)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._disk, self.store.append, sealed, draft.changes)
        self.world.absorb(draft.changes)
        self.height, self._top_hash = sealed.height, sealed.block_hash
        for batch in taken:
            self.pool.decided(batch)
        for tx in draft.committed:
            self.statuses.tell(Status(tx.tx_hash, pb.COMMITTED))
        for tx in draft.rejected:
            self.statuses.tell(Status(tx.tx_hash, pb.REJECTED))
        for follower in self._followers:
            follower.put_nowait(block)
        return sealed.height

    def _try(self, batch: Batch, draft: _Draft) -> None:
        """An atomic batch happens whole or not at all; members of an ordered one stand alone."""
        together = draft.changes.above()
        failures: dict[str, _Failure] = {}
        for tx in batch.txs:
            layer = together.above()
            failure = self._attempt(tx, layer)
            if failure is None:
                together.absorb(layer)
                continue
            failures[tx.tx_hash] = failure
            if batch.atomic:
                break
        if failures and batch.atomic:
            failures = {it: failures.get(it, _Failure("")) for it in batch.hashes}
        else:
            draft.changes.absorb(together)
        for tx in batch.txs:
            self._verdict(tx, failures.get(tx.tx_hash), draft)

    def _verdict(self, tx: Tx, failure: _Failure | None, draft: _Draft) -> None:
        if failure is None:
            draft.committed.append(tx)
            self.statuses.tell(Status(tx.tx_hash, pb.STATEFUL_VALIDATION_SUCCESS))
            return
        draft.rejected.append(tx)
        index, code = failure.command_index, failure.code
        self.statuses.tell(
            Status(tx.tx_hash, pb.STATEFUL_VALIDATION_FAILED, failure.text, index, code)
        )

    def _attempt(self, tx: Tx, layer: World) -> _Failure | None:
        profile = self.settings.profile
        why = _signed_wrongly(tx, layer)
        if why:
            return _Failure("signatures validation", 0, why.code(profile))
        act = Act(layer, tx.creator)
        for index, command in enumerate(tx.proto.payload.reduced_payload.commands):
            try:
                act.do(command)
            except Refused as refusal:
                body = getattr(command, str(command.WhichOneof("command")))
                return _Failure(_named(body, profile), index, refusal.why.code(profile))
        return None

    def _seal(self, draft: _Draft) -> tuple[Block, Sealed]:
        payload = Block_v1.Payload(
            transactions=[tx.proto for tx in draft.committed],
            tx_number=len(draft.committed),
            height=self.height + 1,
            prev_block_hash=self._top_hash,
            created_time=self.now_ms(),
            rejected_transactions_hashes=[tx.tx_hash for tx in draft.rejected],
        )
        signed = payload.SerializeToString()
        block = Block(block_v1=Block_v1(payload=payload))
        block.block_v1.signatures.add(
            public_key=self._key.public_key, signature=self._key.sign(signed).hex()
        )
        sealed = Sealed(
            height=payload.height,
            block_hash=sha3_256(signed).hexdigest(),
            block=block.SerializeToString(),
            committed=[tx.tx_hash for tx in draft.committed],
            rejected=list(payload.rejected_transactions_hashes),
        )
        return block, sealed

    async def new_blocks(self) -> AsyncGenerator[Block, None]:
        """Each block from now on."""
        heard: asyncio.Queue[Block] = asyncio.Queue()
        self._followers.add(heard)
        try:
            while True:
                yield await heard.get()
        finally:
            self._followers.discard(heard)


def _signed_wrongly(tx: Tx, layer: World) -> Why | None:
    """Every signature must be a signatory's, and there must be enough of them."""
    creator = layer.accounts[tx.creator]
    if creator is None:
        return Why.NO_CREATOR
    if tx.signers <= creator.signatories and len(tx.signers) >= creator.quorum:
        return None
    return Why.WRONG_SIGNER


def _named(command: Message, profile: Profile) -> str:
    """What failed: PostgreSQL's peers name the command, RocksDB's spell it out."""
    name = type(command).__name__
    if profile == "postgres":
        return name
    told = ", ".join(f"{field.name}={value}" for field, value in command.ListFields())
    return f"{name}: [{told}]"
