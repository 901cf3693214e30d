"""A desk with real stores and real keys, and a ledger in memory that a test can hold still."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from hashlib import sha3_256
from typing import Any

from clocks import FakeClock, seeded
from custody_parts import PIN, TEXTS, make_guard, make_journal, make_wallet
from sqlalchemy import Connection, insert, select

from gateway.desk.limits import Limits, load_limits
from gateway.desk.listings import Banks
from gateway.desk.making import Maker
from gateway.desk.outbox import Outbox
from gateway.desk.pins import Opened
from gateway.desk.reads import Reads
from gateway.desk.receipts import Receipts
from gateway.desk.transfers import Transfers
from gateway.desk.unclaimed import Terms
from gateway.desk.waiters import Waiters
from gateway.follower import Follower
from gateway.meters import Meters
from gateway.origin import Origin
from gateway.stores.sql import Sql
from gateway.stores.tables import Counter, Holding, Message, Receipt, Submission, table_of
from gateway.stores.tables import Transfer as TransferRow
from gateway.vault import Sealed
from ledger_client.keys import SigningKey
from ledger_client.ledger import (
    Block,
    BlockTransaction,
    Command,
    Doubt,
    LedgerUnreachable,
    Reached,
    TransferAsset,
    TxStatus,
    Verdict,
)
from ledger_client.proto.transaction_pb2 import Transaction
from ledger_client.transaction import commands_of, hash_of
from menus.effects import Transfer
from menus.kinds import Currency, Money, Msisdn, Pin

HOLDING, COUNTER, RECEIPT = table_of(Holding), table_of(Counter), table_of(Receipt)
SUBMISSION, TRANSFER, MESSAGE = table_of(Submission), table_of(TransferRow), table_of(Message)

DARA, THIDA, BORA = (Msisdn(f"+8551234560{n}") for n in (1, 2, 3))
TREASURY = "treasury@bank"
LIMITS = load_limits()


def account(number: Msisdn) -> str:
    return f"{number.e164[1:]}@bank"


def khr(amount: int) -> Money:
    return Money(Currency.KHR, amount)


def usd(cents: int) -> Money:
    return Money(Currency.USD, cents)


class MemoryLedger:
    """Blocks in a list. `auto` makes one of every call; else `block()` does, when the test says.

    `away` answers nothing, `deaf` takes calls and forgets them, `invalid` maps a hash to a
    stateless refusal, `refuse` rejects by hash or for want of money.
    """

    def __init__(self, *, auto: bool = True) -> None:
        self.auto = auto
        self.away = False
        self.deaf = False
        self.refuse_all = False
        self.invalid: dict[str, str] = {}
        self.refused: dict[str, TxStatus] = {}  # by its state, with the reason that is told once
        self.second: dict[str, list[TxStatus]] = {}
        self.calls: list[list[str]] = []
        self.again: list[bool] = []  # of each call
        self.asked: list[list[str]] = []
        self.blocks_made: list[Block] = []
        self.doubts: list[Doubt] = []  # told once each, by the block stream
        self.verdicts: dict[str, Verdict] = {}
        self.held: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
        self.now_ms = 1_763_780_400_000
        self._queue: dict[str, BlockTransaction] = {}
        self._grown = asyncio.Event()

    # what the gateway calls

    async def submit(self, transactions: Sequence[bytes], *, again: bool = False) -> None:
        await asyncio.sleep(0)
        self.again.append(again)
        if self.away:
            raise LedgerUnreachable("away")
        parsed = [Transaction.FromString(one) for one in transactions]
        self.calls.append([hash_of(one.payload) for one in parsed])
        if self.deaf:
            return
        for tx_hash, one in zip(self.calls[-1], parsed, strict=True):
            reduced = one.payload.reduced_payload
            if tx_hash not in self.verdicts and tx_hash not in self.invalid:
                self._queue[tx_hash] = BlockTransaction(
                    tx_hash, reduced.creator_account_id, reduced.created_time, commands_of(one)
                )
        if self.auto:
            self.block()

    async def statuses(self, hashes: Sequence[str]) -> Sequence[TxStatus]:
        await asyncio.sleep(0)
        if self.away:
            raise LedgerUnreachable("away")
        self.asked.append(list(hashes))
        return [self._status(tx_hash) for tx_hash in hashes]

    async def opinions(self, hashes: Sequence[str]) -> Sequence[Sequence[TxStatus]]:
        """The word of this peer, and of a second one as `second` says."""
        first = await self.statuses(hashes)
        return [[word, *self.second.get(word.tx_hash, ())] for word in first]

    def _status(self, tx_hash: str) -> TxStatus:
        if tx_hash in self.invalid:
            return TxStatus(tx_hash, Verdict.INVALID, text=self.invalid[tx_hash])
        if tx_hash in self.refused:
            return self.refused[tx_hash]
        if tx_hash in self._queue:
            return TxStatus(tx_hash, Verdict.PENDING)
        return TxStatus(tx_hash, self.verdicts.get(tx_hash, Verdict.UNKNOWN))

    async def blocks(self, after: Reached) -> AsyncIterator[Block | Doubt]:
        height = after.height
        while True:
            while self.doubts:
                yield self.doubts.pop(0)
            while height < len(self.blocks_made):
                yield self.blocks_made[height]
                height += 1
            self._grown.clear()
            await self._grown.wait()

    async def healthy(self) -> bool:
        await asyncio.sleep(0)
        return not self.away

    async def signatories(self, account_id: str) -> Sequence[str] | None:
        raise NotImplementedError

    async def balances(self, account_id: str) -> Mapping[str, str]:
        await asyncio.sleep(0)
        held = self.held.items()
        return {asset: str(amount) for (account, asset), amount in held if account == account_id}

    async def close(self) -> None:
        """Nothing is open."""

    # what the test calls

    def block(self, *extra: tuple[str, Sequence[Command]]) -> Block:
        """Hold a round: what waits, then `extra` (creator, commands) from elsewhere."""
        committed, rejected = [], []
        for tx in self._queue.values():
            (committed if self._apply(tx) else rejected).append(tx)
        for creator, commands in extra:
            tx_hash = sha3_256(f"{creator}{commands}{len(self.blocks_made)}".encode()).hexdigest()
            committed.append(BlockTransaction(tx_hash, creator, self.now_ms, tuple(commands)))
            self._apply(committed[-1], checked=False)
        self._queue.clear()
        return self.append(committed, [tx.tx_hash for tx in rejected])

    def append(self, committed: Sequence[BlockTransaction], rejected: Sequence[str] = ()) -> Block:
        self.verdicts.update((tx.tx_hash, Verdict.COMMITTED) for tx in committed)
        self.verdicts.update((tx_hash, Verdict.REJECTED) for tx_hash in rejected)
        height = len(self.blocks_made) + 1
        prev = self.blocks_made[-1].block_hash if self.blocks_made else "0" * 64
        made = Block(
            height,
            self.now_ms,
            prev,
            sha3_256(f"block {height}".encode()).hexdigest(),
            tuple(committed),
            tuple(rejected),
            (),
        )
        self.blocks_made.append(made)
        self._grown.set()
        return made

    def pay_in(self, dest: str, amount: str, asset: str = "khr#nbc", src: str = TREASURY) -> Block:
        return self.block((src, [TransferAsset(src, dest, asset, amount, "from elsewhere")]))

    def _apply(self, tx: BlockTransaction, *, checked: bool = True) -> bool:
        if self.refuse_all and checked:
            return False
        for command in tx.commands:
            if isinstance(command, TransferAsset):
                amount = Decimal(command.amount)
                if checked and self.held[command.src, command.asset_id] < amount:
                    return False
                self.held[command.src, command.asset_id] -= amount
                self.held[command.dest, command.asset_id] += amount
        return True


class AnyPin:
    """Opens every wallet at once: for more sessions of one wallet than its PIN guard lets try."""

    async def open(self, account_id: str, _pin: Pin, _turn_key: str) -> Opened:
        await asyncio.sleep(0)
        key = SigningKey.generate(seeded(f"key/{account_id}"))
        return Opened(account_id, key, Sealed(1, 1, b"", b""))


class Desk:
    """One gateway process's worth of money rooms; `pay` is a turn of one person."""

    def __init__(
        self,
        sql: Sql,
        ledger: MemoryLedger | Any,
        clock: FakeClock,
        *,
        limits: Limits | None = None,
        seed: str = "desk",
        any_pin: bool = False,
        banks: Banks = Banks(),  # noqa: B008 - frozen
        maker: Maker | None = None,
        is_last: Callable[[Reached], Awaitable[bool]] | None = None,
    ) -> None:
        self.sql, self.ledger, self.clock = sql, ledger, clock
        self.limits = limits or LIMITS
        self.meters = Meters()
        self.waiters = Waiters()
        terms = maker.terms if maker else Terms()
        self.receipts = Receipts(TEXTS, self.limits, banks, "*855#", terms)
        self.journal = make_journal()
        self.follower = Follower(
            sql,
            ledger,
            self.waiters,
            self.receipts,
            journal=self.journal,
            clock=clock,
            meters=self.meters,
            is_last=is_last,
        )
        self.outbox = Outbox(
            sql,
            ledger,
            self.waiters,
            self.receipts,
            journal=self.journal,
            clock=clock,
            entropy=seeded(f"{seed}/outbox"),
            meters=self.meters,
            may_sign=self.follower.walked,
            settled=lambda: self.follower.settled,
        )
        self.pins = AnyPin() if any_pin else make_guard(sql, clock)
        self.transfers = Transfers(
            sql,
            self.pins,
            self.outbox,
            self.waiters,
            limits=self.limits,
            journal=self.journal,
            clock=clock,
            entropy=seeded(f"{seed}/refs"),
            banks=banks,
            maker=maker,
            may_sign=self.follower.walked,
            settled=lambda: self.follower.settled,
        )
        self.reads = Reads(sql, self.limits, clock, lambda: self.follower.stale_since, banks)
        self._turn, self._seed = 0, seed

    def origin(self, number: Msisdn, *, wait_s: float = 3.0, **changes: Any) -> Origin:
        self._turn += 1
        deadline = self.clock.monotonic() + wait_s
        at = Origin(
            number, "ussd", "africastalking", f"{self._seed}/{self._turn}", self._turn, deadline
        )
        return replace(at, **changes)

    async def pay(
        self,
        src: Msisdn,
        to: Msisdn,
        amount: Money,
        *,
        intent: str | None = None,
        again: bool = True,
        pin: Pin = PIN,
        origin: Origin | None = None,
        wait_s: float = 3.0,
        dest: str | None = None,
    ) -> Any:
        at = origin or self.origin(src, wait_s=wait_s)
        effect = Transfer(
            intent or f"{self._seed}/{self._turn}",
            to,
            account(to) if dest is None else dest,
            amount,
            again,
            pin,
        )
        return await self.transfers.transfer(effect, at)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Desk"]:
        """The outbox and the follower run, as in a process."""
        tasks = [asyncio.ensure_future(room.run()) for room in (self.outbox, self.follower)]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def execute(sql: Sql, *statements: Any) -> None:
    def write(connection: Connection, _items: Sequence[None]) -> Sequence[None]:
        for statement in statements:
            connection.execute(statement)
        return [None]

    await sql.run(write, [None])


async def fetch(sql: Sql, table: Any, **where: Any) -> list[dict[str, Any]]:
    def read(connection: Connection, _items: Sequence[None]) -> Sequence[list[dict[str, Any]]]:
        statement = select(table).where(*(table.c[name] == value for name, value in where.items()))
        return [[dict(row._mapping) for row in connection.execute(statement)]]

    return (await sql.run(read, [None]))[0]


async def holding(sql: Sql, number: Msisdn, currency: str = "KHR") -> tuple[int, int, int]:
    rows = await fetch(sql, HOLDING, account_id=account(number), currency=currency)
    return (rows[0]["settled"], rows[0]["outgoing"], rows[0]["incoming"]) if rows else (0, 0, 0)


async def counters(sql: Sql, number: Msisdn) -> dict[tuple[str, str], tuple[int, int]]:
    rows = await fetch(sql, COUNTER, account_id=account(number))
    return {(row["bucket"], row["period"]): (row["amount"], row["count"]) for row in rows}


async def person(
    sql: Sql,
    number: Msisdn,
    ledger: MemoryLedger | None = None,
    *,
    riel: int = 0,
    cents: int = 0,
    **wallet: Any,
) -> None:
    """An open wallet with money in it, here and on the ledger, as if settled long ago."""
    await make_wallet(sql, number, **wallet)
    amounts = {"KHR": riel, "USD": cents}
    await execute(
        sql,
        *(
            insert(HOLDING).values(
                account_id=account(number), currency=one, settled=minor, outgoing=0, incoming=0
            )
            for one, minor in amounts.items()
            if minor
        ),
    )
    if ledger is not None:
        ledger.held[account(number), "khr#nbc"] += riel
        ledger.held[account(number), "usd#nbc"] += Decimal(cents) / 100


async def eventually(condition: Any, *, tries: int = 2000) -> Any:
    """What `condition` (a coroutine function) answers once it is true; real threads need turns."""
    for _ in range(tries):
        if found := await condition():
            return found
        await asyncio.sleep(0.002)
    raise AssertionError("it did not come true")
