"""Reads the ledger's blocks and makes them true here: one block, one SQL commit.

The commit advances the cursor `WHERE height = :h - 1`, so of any number of processes exactly one
settles a block; the others find it done, and all wake the turns that wait in their own process.
With the cursor it moves payments, reservations, balances, wallets and receipts, so a crash leaves
a block settled whole or not at all. Money from elsewhere is projected like our own.

A block is accepted when it follows the last one and links to it. Its signatures are not looked at
yet: that belongs into `_advance`, before the cursor moves. What a block says is never argued with:
a payment committed after we had given it up is settled, counted and raised as a fault.

Stopped by cancelling `run`, at any moment.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from functools import partial
from typing import Final, NamedTuple

from sqlalchemy import Connection, select, update

from gateway import logs
from gateway.clock import Clock
from gateway.desk import settlement
from gateway.desk.amounts import Assets, NotExact, from_decimal
from gateway.desk.endings import Endings
from gateway.desk.receipts import Arrival, Receipts
from gateway.desk.settlement import Submitted
from gateway.desk.times import from_ms, to_ms
from gateway.desk.waiters import Waiters
from gateway.meters import Meters
from gateway.stores.sql import Sql, StoreUnavailable, insert_ignore
from gateway.stores.tables import Cursor, table_of
from ledger_client.ledger import (
    AddAssetQuantity,
    Block,
    BlockTransaction,
    Ledger,
    QueryRefused,
    SubtractAssetQuantity,
    TransferAsset,
)
from menus.kinds import Currency
from menus.limits import business_day

LOG = logs.get("follower")
RETRY_S: Final = 1.0
PAUSE_MOST_S: Final = 30.0  # between tries at what only an operator can mend
HEARTBEAT_S: Final = 3.0
STALE_AFTER: Final = timedelta(seconds=10)
REFUSED_HINT: Final = (
    "GATEWAY_OPENER_KEY_FILE must be a key of opener@GATEWAY_BANK_DOMAIN on this ledger, "
    "and that account may read blocks"
)

_CURSOR = table_of(Cursor)


class Place(Enum):
    """Where a block stands to the cursor."""

    NEXT = "next"
    SETTLED = "settled already"
    GAP = "blocks before it are missing"
    UNLINKED = "it does not link to the last one"


class Movement(NamedTuple):
    """Money that a committed command moved; `src` or `dest` is empty for made and burnt money."""

    tx_hash: str
    command_index: int
    src: str
    dest: str
    currency: Currency
    minor: int


@dataclass(frozen=True, slots=True)
class Settled:
    """What one commit did."""

    place: Place
    committed: int = 0
    rejected: int = 0
    contradicted: int = 0  # committed by the ledger after we had given them up
    unreadable: int = 0  # amounts that could not be projected
    told: int = 0


class Follower:
    """Settles blocks, in order, for as long as `run` runs."""

    def __init__(
        self,
        sql: Sql,
        ledger: Ledger,
        waiters: Waiters,
        receipts: Receipts,
        *,
        clock: Clock,
        meters: Meters,
        messages_queued: Callable[[], None] = lambda: None,
        assets: Assets = Assets(),  # noqa: B008 - frozen
    ) -> None:
        self._sql = sql
        self._ledger = ledger
        self._waiters = waiters
        self._receipts = receipts
        self._clock = clock
        self._meters = meters
        self._messages_queued = messages_queued
        self._assets = assets
        self._heard_at: datetime | None = None
        self._pause_s = RETRY_S  # doubled by each fault in a row

    @property
    def stale_since(self) -> datetime | None:
        """Since when the ledger has said nothing at all; None while it does."""
        heard = self._heard_at
        if heard is None or self._clock.now() - heard <= STALE_AFTER:
            return None
        return heard

    async def run(self) -> None:
        """Follow the ledger until cancelled, whatever goes away meanwhile."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            tasks.create_task(self._settle_all())

    async def _listen(self) -> None:
        """An idle ledger makes no blocks: ask it now and then whether it is there."""
        up = True  # as far as anybody has been told
        while True:
            answers = await self._ledger.healthy()
            if answers:
                self._heard_at = self._clock.now()
            self._meters.ledger_up.set(int(answers))
            if answers and not up:
                LOG.warning("the ledger answers again")
            elif up and not answers:
                LOG.warning("the ledger does not answer", hint="see GATEWAY_LEDGER_PEERS")
            up = answers
            await self._clock.sleep(HEARTBEAT_S)

    async def _settle_all(self) -> None:
        while True:
            try:
                await self._follow()
            except StoreUnavailable as error:
                LOG.warning("blocks wait for the database", error=error)
                self._pause_s = RETRY_S
            except QueryRefused as error:
                said = {"reason": error.reason, "code": error.code, "said": str(error)[:200]}
                self._fault("blocks cannot be followed", **said, hint=REFUSED_HINT)
            except Exception as error:  # noqa: BLE001 - whatever it is, money must go on settling
                self._fault("blocks cannot be followed", error=error)
            pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, PAUSE_MOST_S)
            await self._clock.sleep(pause_s)

    async def _follow(self) -> None:
        (cursor,) = await self._sql.run(start_cursor, [None])
        if self._heard_at is None and cursor.block_time:
            self._heard_at = from_ms(cursor.block_time)
        async for block in self._ledger.blocks(after=cursor.height):
            if not await self._settle(block):
                return  # from the cursor again

    async def _settle(self, block: Block) -> bool:
        """One block, here or in another process; False when it cannot be settled next."""
        operation = partial(settle, self._receipts, self._assets)
        while True:
            now = self._clock.now()
            asked = Settle(block, to_ms(now), business_day(now))
            try:
                (settled,) = await self._sql.run(operation, [asked])
                break
            except StoreUnavailable as error:
                # Also when its commit may have happened: then it is settled already.
                LOG.warning("a block waits for the database", height=block.height, error=error)
                await self._clock.sleep(RETRY_S)
        if settled.place in (Place.GAP, Place.UNLINKED):
            self._fault("a block was refused", height=block.height, why=settled.place.value)
            return False
        self._heard_at = self._clock.now()
        self._pause_s = RETRY_S
        for transaction in block.transactions:
            self._waiters.wake(transaction.tx_hash, "committed")
        for tx_hash in block.rejected:
            self._waiters.wake(tx_hash, "rejected")
        self._report(block, settled)
        return True

    def _report(self, block: Block, settled: Settled) -> None:
        self._meters.height.set(block.height)
        self._meters.settled.labels("committed").inc(settled.committed)
        self._meters.settled.labels("rejected").inc(settled.rejected)
        if settled.told:
            self._messages_queued()
        if settled.contradicted:
            self._meters.settled.labels("contradicted").inc(settled.contradicted)
            self._fault("given up, and committed all the same", height=block.height)
        if settled.unreadable:
            self._fault("an amount cannot be read", height=block.height)

    def _fault(self, event: str, **details: object) -> None:
        self._meters.faults.labels("follower").inc()
        LOG.error(event, **details)


# ---- operations


class Reached(NamedTuple):
    """The last settled block."""

    height: int
    block_hash: str
    block_time: int


def start_cursor(connection: Connection, _items: Sequence[None]) -> list[Reached]:
    """How far blocks are settled; the first process ever begins at nothing."""
    row = {"id": 1, "height": 0, "block_hash": "", "block_time": 0}
    insert_ignore(connection, Cursor, [row])
    return [_cursor(connection)]


def _cursor(connection: Connection) -> Reached:
    columns = (_CURSOR.c[name] for name in Reached._fields)
    return Reached(*connection.execute(select(*columns).where(_CURSOR.c.id == 1)).one())


@dataclass(frozen=True, slots=True)
class Settle:
    """One block, and what time it is here."""

    block: Block
    now_ms: int
    day: str  # today, in Phnom Penh


def settle(
    receipts: Receipts, assets: Assets, connection: Connection, asked: Sequence[Settle]
) -> list[Settled]:
    """Settle one block, unless another process has."""
    (one,) = asked
    block = one.block
    place = _advance(connection, block)
    if place is not Place.NEXT:
        return [Settled(place)]
    movements, unreadable = movements_of(block, assets)
    hashes = {transaction.tx_hash for transaction in block.transactions}
    rejected = set(block.rejected)
    touched = {account for moved in movements for account in (moved.src, moved.dest) if account}
    known, ours = settlement.lock_for_ending(connection, [*hashes, *rejected], touched)
    endings = Endings(one.day, one.now_ms, block.created_time)
    _end_committed(connection, endings, known, hashes, block)
    endings.failed = settlement.end(
        connection,
        [row.tx_hash for row in known if row.tx_hash in rejected],
        "rejected",
        block.created_time,
        height=block.height,
    )
    _project(endings, movements, ours)
    told = endings.write(connection, receipts)
    contradicted = sum(ended.before != "signed" for ended in endings.committed)
    return [
        Settled(place, len(endings.committed), len(endings.failed), contradicted, unreadable, told)
    ]


def _advance(connection: Connection, block: Block) -> Place:
    moved = connection.execute(
        update(_CURSOR)
        .where(
            _CURSOR.c.id == 1,
            _CURSOR.c.height == block.height - 1,
            _CURSOR.c.block_hash.in_(("", block.prev_hash)),
        )
        .values(height=block.height, block_hash=block.block_hash, block_time=block.created_time)
    ).rowcount
    if moved:
        return Place.NEXT
    height = _cursor(connection).height
    if height >= block.height:
        return Place.SETTLED
    return Place.UNLINKED if height == block.height - 1 else Place.GAP


def _end_committed(
    connection: Connection,
    endings: Endings,
    known: Sequence[Submitted],
    hashes: set[str],
    block: Block,
) -> None:
    by_state: dict[str, list[str]] = {}
    for row in known:
        if row.tx_hash in hashes and row.state != "committed":
            by_state.setdefault(row.state, []).append(row.tx_hash)
    for before, of_state in by_state.items():
        endings.committed += settlement.end(
            connection,
            of_state,
            "committed",
            block.created_time,
            height=block.height,
            before=before,
        )


def _project(endings: Endings, movements: Sequence[Movement], ours: set[str]) -> None:
    """Move the settled balances of our wallets, and note what has reached them."""
    refs = {one.payment.tx_hash: one.payment.ref for one in endings.committed if one.payment}
    for one in movements:
        if one.src in ours:
            endings.movements.append((one.src, one.currency, -one.minor))
        if one.dest not in ours:
            continue
        endings.movements.append((one.dest, one.currency, one.minor))
        # Another bank's words are never shown: its payment is told by its hash.
        ref = refs.get(one.tx_hash) or one.tx_hash[:8].upper()
        endings.arrivals.append(
            Arrival(
                one.tx_hash,
                one.command_index,
                one.dest,
                one.src,
                one.currency.value,
                one.minor,
                ref,
                endings.at_ms,
            )
        )


def movements_of(block: Block, assets: Assets) -> tuple[list[Movement], int]:
    """What the block's committed commands moved, and how many amounts could not be read."""
    movements: list[Movement] = []
    unreadable = 0
    for transaction in block.transactions:
        for index, src, dest, asset_id, amount in _moves(transaction):
            currency = assets.currency(asset_id)
            if currency is None:
                continue
            try:
                minor = from_decimal(amount, currency)
            except NotExact:
                unreadable += 1
                continue
            movements.append(Movement(transaction.tx_hash, index, src, dest, currency, minor))
    return movements, unreadable


def _moves(transaction: BlockTransaction) -> Iterator[tuple[int, str, str, str, str]]:
    for index, command in enumerate(transaction.commands):
        match command:
            case TransferAsset(src, dest, asset_id, amount):
                yield index, src, dest, asset_id, amount
            case AddAssetQuantity(asset_id, amount):
                yield index, "", transaction.creator, asset_id, amount
            case SubtractAssetQuantity(asset_id, amount):
                yield index, transaction.creator, "", asset_id, amount
            case _:
                pass
