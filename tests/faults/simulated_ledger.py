"""A ledger in memory that keeps Iroha's promises, and breaks all that it does not promise.

Kept: one hash is applied once, for ever; a block links to the last; money is neither made nor lost;
nothing older than a day is taken. Not promised,
and so broken as the weather has it: that what was taken is not forgotten, that an answer comes,
that one peer tells the truth, that a refusal says why, that a block comes soon.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha3_256

from beginnings import GIVER
from histories import Moved

from ledger_client.ledger import (
    Block,
    BlockTransaction,
    LedgerUnreachable,
    TransferAsset,
    TxStatus,
    Verdict,
)
from ledger_client.proto.transaction_pb2 import Transaction
from ledger_client.transaction import commands_of, hash_of

DAY_MS = 24 * 3_600_000
FUTURE_MS = 5 * 60_000
ROUND_S = 1.0
PEERS = 3
LIES_ON = 0.9  # of a liar who is asked again
LIES = {
    Verdict.COMMITTED: (Verdict.UNKNOWN, Verdict.REJECTED, Verdict.INVALID),
    Verdict.REJECTED: (Verdict.UNKNOWN, Verdict.PENDING),
    Verdict.PENDING: (Verdict.UNKNOWN, *2 * (Verdict.INVALID, Verdict.REJECTED)),
    Verdict.UNKNOWN: (Verdict.PENDING, Verdict.INVALID),
}
UNIT = {"khr#nbc": 1, "usd#nbc": 100}


@dataclass(slots=True)
class Queued:
    """A transaction that a peer holds in its memory."""

    transaction: BlockTransaction
    due_s: float


class SimulatedLedger:
    """The network of peers. `held` is in minor units, by account and currency."""

    def __init__(self, town, held: dict[tuple[str, str], int]) -> None:
        self._town = town
        self._chance = town.chances.stream("ledger")
        self.held = defaultdict(int, held)
        self.blocks: list[Block] = []
        self.away = False
        self._queue: dict[str, Queued] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._lies: dict[tuple[str, Verdict], Verdict] = {}  # a liar keeps to its story
        self._parsed: dict[bytes, BlockTransaction] = {}
        self._work = asyncio.Event()
        self.grown = asyncio.Event()

    # ---- what peers do

    async def run(self) -> None:
        """Hold a round whenever something waits."""
        while True:
            await self._work.wait()
            await asyncio.sleep(ROUND_S * self._chance.random())
            await self._back()
            now_s = self._town.loop.time()
            due = [one for one in self._queue.values() if one.due_s <= now_s]
            if due:
                self._round(due)
            elif self._queue:
                await asyncio.sleep(min(one.due_s for one in self._queue.values()) - now_s)
            else:
                self._work.clear()

    async def stay_away(self) -> None:
        """Now and then no peer answers for a while."""
        while True:
            await asyncio.sleep(1 + 4 * self._chance.random())
            if self._chance.random() < self._town.weather.ledger_away:
                self.away = True
                self._town.note("ledger", "away")
                await asyncio.sleep(20 * self._chance.random())
                self.away = False
                self._town.note("ledger", "back")

    async def _back(self) -> None:
        while self.away:
            await asyncio.sleep(0.5)

    def _round(self, due: list[Queued]) -> None:
        committed, rejected = [], []
        for one in due:
            del self._queue[one.transaction.tx_hash]
            refused = self._chance.random() < self._town.weather.reject
            if refused or not self._apply(one.transaction):
                rejected.append(one.transaction.tx_hash)
            else:
                committed.append(one.transaction)
        self.append(committed, rejected)

    def append(self, committed: list[BlockTransaction], rejected: list[str]) -> None:
        """Make a block."""
        height = len(self.blocks) + 1
        before = self.blocks[-1].block_hash if self.blocks else "0" * 64
        block_hash = sha3_256(f"{height}{before}".encode()).hexdigest()
        now_ms = self._town.now_ms()
        made = Block(height, now_ms, before, block_hash, tuple(committed), tuple(rejected), ())
        self.blocks.append(made)
        self._verdicts.update((one.tx_hash, Verdict.COMMITTED) for one in committed)
        self._verdicts.update((tx_hash, Verdict.REJECTED) for tx_hash in rejected)
        moved = [one for transaction in committed for one in _moved(transaction)]
        self._town.history.moved += moved
        told = [(one.ref, one.minor) for one in moved]
        self._town.note("block", height, told, [tx_hash[:8] for tx_hash in rejected])
        self.grown.set()
        self.grown = asyncio.Event()

    def give(self, dest: str, riel: int) -> None:
        """Money from another bank, that nobody of ours has signed."""
        command = TransferAsset(GIVER, dest, "khr#nbc", str(riel), "a gift")
        tx_hash = sha3_256(f"gift/{self._town.count()}".encode()).hexdigest()
        paid = BlockTransaction(tx_hash, command.src, self._town.now_ms(), (command,))
        if self._apply(paid):
            self.append([paid], [])

    def _apply(self, transaction: BlockTransaction) -> bool:
        transfers = [one for one in transaction.commands if isinstance(one, TransferAsset)]
        for one in transfers:
            minor = minor_of(one)
            if minor <= 0 or self.held[one.src, one.asset_id] < minor:
                self._town.history.strange.append(f"signed for more than there is: {one}")
                return False
            self.held[one.src, one.asset_id] -= minor
            self.held[one.dest, one.asset_id] += minor
        return True

    # ---- what peers are told and say

    def take(self, data: bytes) -> None:
        """One peer takes a transaction into its memory, or has known it before."""
        transaction = self._read(data)
        tx_hash, chance, weather = transaction.tx_hash, self._chance, self._town.weather
        if tx_hash in self._verdicts or tx_hash in self._queue:
            return
        age_ms = self._town.now_ms() - transaction.created_time
        if not -FUTURE_MS < age_ms < DAY_MS or chance.random() < weather.queue_lost:
            return
        late = chance.random() < weather.block_late
        due_s = self._town.loop.time() + (30 * chance.random() if late else 0)
        self._queue[tx_hash] = Queued(transaction, due_s)
        self._work.set()

    def _read(self, data: bytes) -> BlockTransaction:
        if data not in self._parsed:
            read = Transaction.FromString(data)
            reduced = read.payload.reduced_payload
            self._parsed[data] = BlockTransaction(
                hash_of(read.payload),
                reduced.creator_account_id,
                reduced.created_time,
                commands_of(read),
            )
        return self._parsed[data]

    def verdict(self, tx_hash: str) -> Verdict:
        """What an honest peer says."""
        if tx_hash in self._queue:
            return Verdict.PENDING
        return self._verdicts.get(tx_hash, Verdict.UNKNOWN)

    def word(self, tx_hash: str, *, honest: bool = False) -> TxStatus:
        """What one peer says, which may be a lie."""
        verdict = self.verdict(tx_hash)
        told = self._lies.get((tx_hash, verdict))
        lies = self._chance.random() < (LIES_ON if told else self._town.weather.peer_lies)
        if honest or not lies:
            return TxStatus(tx_hash, verdict)
        if told is None:
            told = self._lies[tx_hash, verdict] = self._chance.choice(LIES[verdict])
            self._town.note("lie", tx_hash[:8], told.value)
        return TxStatus(tx_hash, told, code=1, text="a rule")


class LedgerLine:
    """The `Ledger` of one process: its own connections to the one network."""

    def __init__(self, town, process) -> None:
        self._town, self._process = town, process
        self._chance = town.chances.stream("ledger line", process.name)

    @property
    def _ledger(self) -> SimulatedLedger:
        return self._town.ledger

    async def submit(self, transactions, *, again=False) -> None:
        await self._reach()
        weather, chance = self._town.weather, self._chance
        if chance.random() < weather.submit_lost:
            raise LedgerUnreachable("lost on the way")
        for data in transactions:
            self._ledger.take(data)
        await self._process.moment("ledger")
        if chance.random() < weather.submit_unanswered:
            raise LedgerUnreachable("arrived, and no answer")

    async def statuses(self, hashes):
        await self._reach()
        return [self._ledger.word(tx_hash) for tx_hash in hashes]

    async def opinions(self, hashes):
        """Of three peers one may lie."""
        await self._reach()
        return [
            [
                self._ledger.word(tx_hash),
                *(self._ledger.word(tx_hash, honest=True) for _ in range(PEERS - 1)),
            ]
            for tx_hash in hashes
        ]

    async def blocks(self, after):
        height = after.height
        while True:
            ledger = self._ledger
            if height < len(ledger.blocks):
                await self._process.moment("ledger")
                yield ledger.blocks[height]
                height += 1
            else:
                grown = ledger.grown
                await grown.wait()
                await self._process.moment("ledger")

    async def healthy(self) -> bool:
        await self._process.moment("ledger")
        return not self._ledger.away

    async def signatories(self, account_id):
        raise NotImplementedError

    async def balances(self, account_id):
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing is open."""

    async def _reach(self) -> None:
        await self._process.moment("ledger")
        if self._ledger.away:
            raise LedgerUnreachable("away")


def minor_of(command: TransferAsset) -> int:
    """The amount on the ledger, exactly, in minor units."""
    whole, _, part = command.amount.partition(".")
    unit = UNIT[command.asset_id]
    digits = len(str(unit)) - 1
    return int(whole) * unit + (int(part.ljust(digits, "0")) if part else 0)


def _moved(transaction: BlockTransaction) -> Iterator[Moved]:
    """What it moves. Our own payments are told by their description, others by their hash."""
    tx_hash = transaction.tx_hash
    for one in transaction.commands:
        if isinstance(one, TransferAsset):
            ref = tx_hash[:8].upper() if one.src == GIVER else one.description
            yield Moved(tx_hash, one.src, one.dest, one.asset_id, minor_of(one), ref)
