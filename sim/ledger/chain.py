"""The chain that all peers of the network share: settled world, sealed blocks, nothing of calls.

One commit stores a block with all it changed, and only then does anybody see it; a crash leaves
the block before or the block after. Several peers keep one store between them, since their copies
of a block differ in nothing but the signatures: each shows another supermajority of those that
signed (`copy`).
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha3_256

from ledger_client.keys import SigningKey
from ledger_client.proto.block_pb2 import Block, Block_v1
from ledger_client.proto.primitive_pb2 import Signature
from sim.ledger.deciding import Draft
from sim.ledger.genesis import begin
from sim.ledger.pool import Tx
from sim.ledger.refusals import Profile
from sim.ledger.store import Sealed, Store


@dataclass(frozen=True, slots=True)
class Settings:
    """How the peers of this network behave."""

    block_ms: int | None = 200  # None: rounds happen only when asked for
    block_most: int = 1000  # transactions per block; so many waiting start a round at once
    profile: Profile = "rocksdb"
    ursa: bool = False  # False: as a stock irohad, raw keys only


def majority_of(peers: int) -> int:
    """How many must take part: all but a minority that may crash (not lie)."""
    return peers - (peers - 1) // 2


class Chain:
    """The blocks in `store`, begun from `genesis`; `keys` are those of the peers that share it."""

    def __init__(
        self,
        store: Store,
        genesis: Block,
        keys: Sequence[SigningKey],
        now_ms: Callable[[], int],
        settings: Settings,
    ) -> None:
        self.settings = settings
        self.store = store
        self.now_ms = now_ms
        self.world = begin(store, genesis, [key.public_key for key in keys])
        self.height, self._top_hash = store.top()
        self._disk = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger-disk")

    @property
    def majority(self) -> int:
        """How many of the peers it has now must take part, run here or elsewhere."""
        return majority_of(len(self.world.peers.all()))

    def names(self, key: SigningKey) -> bool:
        """Is this one of the peers it has now?"""
        return self.world.peers[key.public_key] is not None

    def close(self) -> None:
        """Finish what is being written, then close the files."""
        self._disk.shutdown(wait=True)
        self.store.close()

    async def append(self, draft: Draft, signers: Sequence[SigningKey]) -> Sealed:
        """Seal a block, signed by all who took part, and store it with what it changed."""
        sealed = self._seal(draft, signers)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._disk, self.store.append, sealed, draft.changes)
        self.world.absorb(draft.changes)
        self.height, self._top_hash = sealed.height, sealed.block_hash
        return sealed

    def _seal(self, draft: Draft, signers: Sequence[SigningKey]) -> Sealed:
        payload = Block_v1.Payload(
            transactions=[tx.proto for tx in draft.committed],
            tx_number=len(draft.committed),
            height=self.height + 1,
            prev_block_hash=self._top_hash,
            created_time=self.now_ms(),
            rejected_transactions_hashes=[tx.tx_hash for tx, _ in draft.rejected],
        )
        signed = payload.SerializeToString()
        signatures = [
            Signature(public_key=key.public_key, signature=key.sign(signed).hex())
            for key in signers
        ]
        block = Block(block_v1=Block_v1(payload=payload, signatures=signatures))
        return Sealed(
            height=payload.height,
            block_hash=sha3_256(signed).hexdigest(),
            block=block.SerializeToString(),
            committed=draft.committed,
            rejected=[tx.tx_hash for tx, _ in draft.rejected],
        )

    def sealed(self, height: int) -> Sealed:
        """A stored block as it was sealed."""
        stored = self.store.block(height) or b""
        payload = Block.FromString(stored).block_v1.payload
        return Sealed(
            height=height,
            block_hash=self.store.block_hash(height) or "",
            block=stored,
            committed=[Tx(it) for it in payload.transactions],
            rejected=list(payload.rejected_transactions_hashes),
        )

    def copy(self, stored: bytes, reader: int) -> Block:
        """A stored block as the peer of this number keeps it: with just enough signatures."""
        block = Block.FromString(stored)
        signatures = list(block.block_v1.signatures)
        # Peers come and go; enough for all there ever were is enough for those there were then.
        enough = majority_of(len(self.world.peers.own))
        if len(signatures) > enough:
            first = reader % len(signatures)
            chosen = (signatures[first:] + signatures[:first])[:enough]
            del block.block_v1.signatures[:]
            block.block_v1.signatures.extend(chosen)
        return block
