"""A ledger in memory that keeps Iroha's promises, and breaks all that it does not promise.

Kept: one hash is applied once, for ever; a batch is applied whole or not at all; a block links to
the last; money is neither made nor lost; nothing older than a day is taken. Not promised, and so
broken as the weather has it: that what was taken is not forgotten, that an answer comes,
that one peer tells the truth, that a refusal says why, that a block comes soon.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha3_256
from typing import NamedTuple

from beginnings import GIVER
from histories import Moved

from ledger_client.ledger import (
    AddSignatory,
    Block,
    BlockTransaction,
    Command,
    CreateAccount,
    TransferAsset,
    TxStatus,
    Verdict,
)
from ledger_client.proto.transaction_pb2 import Transaction
from ledger_client.transaction import commands_of, hash_of

DAY_MS = 24 * 3_600_000
FUTURE_MS = 5 * 60_000
ROUND_S = 1.0
LIES_ON = 0.9  # of a liar who is asked again
LIES = {
    Verdict.COMMITTED: (Verdict.UNKNOWN, Verdict.REJECTED, Verdict.INVALID),
    Verdict.REJECTED: (Verdict.UNKNOWN, Verdict.PENDING),
    Verdict.PENDING: (Verdict.UNKNOWN, *2 * (Verdict.INVALID, Verdict.REJECTED)),
    Verdict.UNKNOWN: (Verdict.PENDING, Verdict.INVALID),
}
UNIT = {"khr#nbc": 1, "usd#nbc": 100}


class Read(NamedTuple):
    """A transaction, and the batch that it is of; one that is sent alone is its own."""

    batch: tuple[str, ...]
    transaction: BlockTransaction


@dataclass(slots=True, eq=False)
class Queued:
    """A batch that a peer holds in its memory."""

    transactions: tuple[BlockTransaction, ...]
    due_s: float


class SimulatedLedger:
    """The network of peers. `held` is in minor units, by account and currency."""

    def __init__(self, town, held: dict[tuple[str, str], int]) -> None:
        self._town = town
        self._chance = town.chances.stream("ledger")
        self.held = defaultdict(int, held)
        self.blocks: list[Block] = []
        self.away = False
        self._queue: dict[str, Queued] = {}  # by the hash of each member
        self._verdicts: dict[str, Verdict] = {}
        self._lies: dict[tuple[str, Verdict], Verdict] = {}  # a liar keeps to its story
        self._parsed: dict[bytes, Read] = {}
        self._accounts = {account for account, _ in held}
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
        for one in dict.fromkeys(due):
            hashes = [transaction.tx_hash for transaction in one.transactions]
            for tx_hash in hashes:
                del self._queue[tx_hash]
            refused = self._chance.random() < self._town.weather.reject
            if refused or not self._apply(one.transactions):
                rejected += hashes
            else:
                committed += one.transactions
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
        for transaction in committed:
            for command in transaction.commands:
                self._tell_of_accounts(command)
        moved = [one for transaction in committed for one in _moved(transaction)]
        self._town.history.moved += moved
        told = [(one.ref, one.sum) for one in moved]
        self._town.note("block", height, told, [tx_hash[:8] for tx_hash in rejected])
        self.grown.set()
        self.grown = asyncio.Event()

    def give(self, dest: str, riel: int) -> None:
        """Money from another bank, that nobody of ours has signed."""
        command = TransferAsset(GIVER, dest, "khr#nbc", str(riel), "a gift")
        tx_hash = sha3_256(f"gift/{self._town.count()}".encode()).hexdigest()
        paid = BlockTransaction(tx_hash, command.src, self._town.now_ms(), (command,))
        if self._apply([paid]):
            self.append([paid], [])

    def _tell_of_accounts(self, command: Command) -> None:
        if isinstance(command, CreateAccount):
            number = f"+{command.account_name.partition('_')[0]}"
            self._accounts.add(command.account_id)
            self._town.history.accounts[number] = command.account_id
            self._town.note("opened", command.account_id)
        elif isinstance(command, AddSignatory):
            self._town.note("new key", command.account_id)

    def _apply(self, batch: Sequence[BlockTransaction]) -> bool:
        """All of it, or nothing."""
        held, accounts = dict(self.held), set(self._accounts)
        strange = next(
            filter(
                None,
                (
                    self._do(command, held, accounts)
                    for transaction in batch
                    for command in transaction.commands
                ),
            ),
            "",
        )
        if strange:
            self._town.history.strange.append(strange)
            return False
        self.held.update(held)
        return True

    def _do(self, command: Command, held: dict[tuple[str, str], int], accounts: set[str]) -> str:
        """Do it; what is said of it cannot be done."""
        if isinstance(command, CreateAccount):
            if command.account_id in accounts:
                return f"signed for a second account of this name: {command}"
            accounts.add(command.account_id)
        elif isinstance(command, TransferAsset):
            src, dest = (command.src, command.asset_id), (command.dest, command.asset_id)
            minor = minor_of(command)
            if command.dest.endswith("@bank") and command.dest not in accounts:
                return f"signed for an account that is not there: {command}"
            if minor <= 0 or held.get(src, 0) < minor:
                return f"signed for more than there is: {command}"
            held[src] -= minor
            held[dest] = held.get(dest, 0) + minor
        return ""

    # ---- what peers are told and say

    def take(self, data: Sequence[bytes], *, alone: bool) -> None:
        """One peer takes into its memory what it is sent, batch by batch.

        What is malformed is refused with all that came in the same call, unless each came `alone`.
        """
        batches = defaultdict(list)
        for one in map(self._read, data):
            batches[one.batch].append(one.transaction)
        whole = [members for batch, members in batches.items() if len(members) == len(batch)]
        timely = [members for members in whole if self._is_timely(members[0])]
        if alone or len(timely) == len(whole):
            for members in timely:
                self._take(tuple(members))

    def _is_timely(self, transaction: BlockTransaction) -> bool:
        return -FUTURE_MS < self._town.now_ms() - transaction.created_time < DAY_MS

    def _take(self, batch: tuple[BlockTransaction, ...]) -> None:
        first, chance, weather = batch[0], self._chance, self._town.weather
        if first.tx_hash in self._verdicts or first.tx_hash in self._queue:
            return
        if chance.random() < weather.queue_lost:
            return
        late = chance.random() < weather.block_late
        due_s = self._town.loop.time() + (30 * chance.random() if late else 0)
        queued = Queued(batch, due_s)
        self._queue.update((one.tx_hash, queued) for one in batch)
        self._work.set()

    def _read(self, data: bytes) -> Read:
        if data not in self._parsed:
            read = Transaction.FromString(data)
            reduced = read.payload.reduced_payload
            tx_hash = hash_of(read.payload)
            self._parsed[data] = Read(
                tuple(read.payload.batch.reduced_hashes) or (tx_hash,),
                BlockTransaction(
                    tx_hash, reduced.creator_account_id, reduced.created_time, commands_of(read)
                ),
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
        return TxStatus(tx_hash, told, code=1, text=f"hash Hash: [{tx_hash}], a rule")


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
