"""Transactions a peer has taken but not decided: in memory only, and gone when it dies.

A batch is decided as a whole, so it waits as a whole. What still lacks signatures waits apart and
is completed by the same payload with other signatures.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha3_256
from itertools import groupby

from ledger_client.proto.transaction_pb2 import Transaction
from sim.ledger.rules import PAST_MS

_ATOMIC = Transaction.Payload.BatchMeta.ATOMIC


@dataclass(slots=True)
class Tx:
    """A transaction with the bytes its signatures cover and the hash it is known by.

    What is asked for again and again is read off the message once: that is slow.
    """

    proto: Transaction
    payload: bytes = field(init=False)
    tx_hash: str = field(init=False)
    creator: str = field(init=False)
    created_time: int = field(init=False)
    in_batch: bool = field(init=False)
    signers: frozenset[str] = field(init=False)
    _quorum: int = field(init=False)

    def __post_init__(self) -> None:
        payload = self.proto.payload
        self.payload = payload.SerializeToString()
        self.tx_hash = sha3_256(self.payload).hexdigest()
        self.in_batch = payload.HasField("batch")
        reduced = payload.reduced_payload
        self.creator = reduced.creator_account_id
        self.created_time = reduced.created_time
        self._quorum = reduced.quorum
        self._count_signers()

    def _count_signers(self) -> None:
        self.signers = frozenset([it.public_key.lower() for it in self.proto.signatures])

    def sign_with(self, other: "Tx") -> None:
        """Take over the signatures that another copy brings."""
        more = (it for it in other.proto.signatures if it.public_key.lower() not in self.signers)
        self.proto.signatures.extend(more)
        self._count_signers()

    @property
    def reduced_hash(self) -> str:
        """What a batch lists its members by."""
        return sha3_256(self.proto.payload.reduced_payload.SerializeToString()).hexdigest()

    @property
    def signed_enough(self) -> bool:
        """As many signatures as it says itself that it needs?"""
        return len(self.signers) >= self._quorum


@dataclass(frozen=True, slots=True)
class Batch:
    """Transactions decided together; most have one member."""

    txs: tuple[Tx, ...]
    atomic: bool = True
    hashes: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "hashes", tuple([tx.tx_hash for tx in self.txs]))

    @property
    def signed_enough(self) -> bool:
        return all(tx.signed_enough for tx in self.txs)

    def fault(self, most: int) -> str | None:
        """Is it what its members say it is, and small enough for a block?"""
        if not self.txs[0].in_batch:
            return None
        meta = self.txs[0].proto.payload.batch
        if [tx.reduced_hash for tx in self.txs] != [it.lower() for it in meta.reduced_hashes]:
            return "Batch validation failed: its members are not the hashes it lists, in order"
        if len(set(self.hashes)) != len(self.txs):
            return "Batch validation failed: a member is listed twice"
        if not any(tx.proto.signatures for tx in self.txs):
            return "Batch validation failed: no member is signed"
        if len(self.txs) > most:
            return f"Batch validation failed: more members than a block takes, {most}"
        return None

    def sign_with(self, other: "Batch") -> None:
        """Take over the signatures that another copy brings."""
        for tx, same in zip(self.txs, other.txs, strict=True):
            tx.sign_with(same)


def batches(transactions: Iterable[Transaction]) -> Iterator[Batch]:
    """Neighbours with the same batch description are one batch; the rest stand alone."""

    def described(tx: Tx) -> tuple[int, tuple[str, ...]] | None:
        if not tx.in_batch:
            return None
        batch = tx.proto.payload.batch
        return batch.type, tuple(batch.reduced_hashes)

    for description, members in groupby(map(Tx, transactions), key=described):
        if description is None:
            yield from (Batch((tx,)) for tx in members)
            continue
        together = tuple(members)
        size = len(description[1]) or len(together)  # two copies may stand next to each other
        for first in range(0, len(together), size):
            yield Batch(together[first : first + size], atomic=description[0] == _ATOMIC)


class Pool:
    """What waits for a block, and what waits for signatures."""

    def __init__(self) -> None:
        self._ready: dict[tuple[str, ...], Batch] = {}  # in order of arrival
        self._known: dict[str, Batch] = {}  # ready, or in the block being made
        self._unsigned: dict[tuple[str, ...], Batch] = {}
        self.size = 0  # transactions that are ready

    def __contains__(self, tx_hash: str) -> bool:
        return tx_hash in self._known

    def knows(self, batch: Batch) -> bool:
        """Is any member on its way into a block already?"""
        return any(tx_hash in self._known for tx_hash in batch.hashes)

    def add(self, batch: Batch) -> bool:
        """Take a batch; True when it has its signatures and waits for a block."""
        waiting = self._unsigned.pop(batch.hashes, None)
        if waiting:
            waiting.sign_with(batch)
            batch = waiting
        if not batch.signed_enough:
            self._unsigned[batch.hashes] = batch
            return False
        self._ready[batch.hashes] = batch
        self._known.update(dict.fromkeys(batch.hashes, batch))
        self.size += len(batch.txs)
        return True

    def take(self, most: int) -> list[Batch]:
        """The next batches in order of arrival, `most` transactions at most, one batch at least."""
        taken: list[Batch] = []
        count = 0
        for batch in self._ready.values():
            if taken and count + len(batch.txs) > most:
                break
            taken.append(batch)
            count += len(batch.txs)
        for batch in taken:
            self._drop(batch)
        return taken

    def decided(self, tx_hash: str) -> None:
        """A block holds it, wherever it was taken from: nothing with this hash waits any more."""
        batch = self._known.get(tx_hash)
        if batch:
            for each in batch.hashes:
                self._known.pop(each, None)
            self._drop(batch)

    def _drop(self, batch: Batch) -> None:
        if self._ready.pop(batch.hashes, None):
            self.size -= len(batch.txs)

    def pending_of(self, account_id: str) -> list[Batch]:
        """Batches that lack signatures and hold a transaction of this account."""
        return [
            batch
            for batch in self._unsigned.values()
            if any(tx.creator == account_id for tx in batch.txs)
        ]

    def expire(self, now_ms: int) -> list[Batch]:
        """Give up on batches that lacked signatures for a day."""
        old = [
            batch
            for batch in self._unsigned.values()
            if min(tx.created_time for tx in batch.txs) + PAST_MS < now_ms
        ]
        for batch in old:
            del self._unsigned[batch.hashes]
        return old
