"""Reads the ledger's blocks, for ever, and has each of them settled (`desk.blocks`).

Every process follows. Of any number of them exactly one settles a block; the others find it done,
and all wake the turns that wait in their own process.

What comes here is proved already: the ledger client passes on only what links to the last block
and carries the signatures of enough pinned peers; of anything else it tells a `Doubt`, which is
raised as a fault while the next peer is asked. A payment committed after we had given it up is
settled, counted and raised as a fault; so is money that left a wallet of ours otherwise than by a
payment of its row.

A database may have been restored from a backup, and then it lacks what was paid since: nothing is
signed in this process until it has been seen that all blocks of the ledger are settled (`walked`).
Nor is it while the last settled block is gone from the ledger, which then is another one, nor when
the database knows of fewer blocks than this process has seen settled in it: a standby that lacked
the last commits has taken over, or a backup was restored beside us, and all begins anew. That is
looked at every second, since no block would tell of it on an idle ledger.

An idle ledger makes no blocks, and without blocks nothing expires: while something is overdue, a
transaction that does nothing is sent now and then.

Stopped by cancelling `run`, at any moment.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from gateway import logs
from gateway.clock import Clock
from gateway.desk.amounts import Assets
from gateway.desk.blocks import Place, Settle, Settled, overdue_now, settle, start_cursor
from gateway.desk.journal import Journal
from gateway.desk.receipts import Receipts
from gateway.desk.signing import heights
from gateway.desk.times import from_ms, to_ms
from gateway.desk.waiters import Waiters
from gateway.meters import Meters
from gateway.stores.sql import Sql, StoreUnavailable
from ledger_client.ledger import (
    Block,
    Doubt,
    Ledger,
    LedgerError,
    LedgerUnreachable,
    QueryRefused,
    Reached,
)
from menus.limits import business_day

LOG = logs.get("follower")
RETRY_S: Final = 1.0
WALK_S: Final = 0.05  # to the second look whether all blocks are settled, and ever longer
PAUSE_MOST_S: Final = 30.0  # between tries at what only an operator can mend
HEARTBEAT_S: Final = 3.0
NUDGE_S: Final = 30.0  # between looks for what is overdue
STALE_AFTER: Final = timedelta(seconds=10)
REFUSED_HINT: Final = (
    "GATEWAY_OPENER_KEY_FILE must be a key of opener@GATEWAY_BANK_DOMAIN on this ledger, "
    "and that account may read blocks"
)
NO_BLOCK_HINT: Final = "peers of GATEWAY_LEDGER_PEERS answer, but give no block in a minute"
GONE_HINT: Final = (
    "no payment is signed until GATEWAY_LEDGER_PEERS lead to a ledger with this block; where none "
    "has been settled yet, GATEWAY_LEDGER_TRUSTED_BLOCK must be a block of it"
)
DOUBT_HINT: Final = (
    "GATEWAY_LEDGER_PEERS must be of one network, and GATEWAY_LEDGER_GENESIS_FILE or "
    "GATEWAY_LEDGER_PEER_KEYS must name its peers' keys; if they do, that peer is not to be trusted"
)


class Follower:
    """Settles blocks, in order, for as long as `run` runs."""

    def __init__(
        self,
        sql: Sql,
        ledger: Ledger,
        waiters: Waiters,
        receipts: Receipts,
        *,
        journal: Journal,
        clock: Clock,
        meters: Meters,
        messages_queued: Callable[[], None] = lambda: None,
        assets: Assets = Assets(),  # noqa: B008 - frozen
        own: str = "bank",
        begin: Reached = Reached(0),  # noqa: B008 - frozen
        no_op: Callable[[int], bytes] | None = None,
        is_last: Callable[[Reached], Awaitable[bool]] | None = None,
    ) -> None:
        """`is_last`: whether a block is the ledger's last one; without it all is signed."""
        self._sql = sql
        self._ledger = ledger
        self._waiters = waiters
        self._receipts = receipts
        self._journal = journal
        self._clock = clock
        self._meters = meters
        self._messages_queued = messages_queued
        self._assets = assets
        self._own = own
        self._no_op = no_op  # signed bytes that do nothing, created at a moment (ms)
        self._begin = begin  # where the first process ever begins
        self._is_last = is_last
        self._walked = asyncio.Event()
        self._restored = True  # perhaps; until it has been walked once
        if is_last is None:
            self._walked.set()
            self._restored = False
        self.settled = 0  # the highest block that we have ever known to be settled
        self._at = 0  # the last block that we have read, or begin after
        self._quiet: asyncio.Timeout | None = None  # while the ledger has nothing to say
        self._up = True  # the ledger, as far as anybody has been told
        self._heard_at: datetime | None = None
        self._pause_s = RETRY_S  # doubled by each fault in a row

    @property
    def stale_since(self) -> datetime | None:
        """Since when the ledger has said nothing at all; None while it does."""
        heard = self._heard_at
        if heard is None or self._clock.now() - heard <= STALE_AFTER:
            return None
        return heard

    async def walked(self, patience_s: float) -> bool:
        """Have all blocks been settled that the ledger has? Waits for it, but no longer."""
        if not self._walked.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(patience_s, 0.0)):
                    await self._walked.wait()
        return self._walked.is_set()

    async def run(self) -> None:
        """Follow the ledger until cancelled, whatever goes away meanwhile."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            tasks.create_task(self._settle_all())
            tasks.create_task(self._walk())
            tasks.create_task(self._nudge())

    async def _listen(self) -> None:
        """An idle ledger makes no blocks: ask it now and then whether it is there."""
        while True:
            answers = await self._ledger.healthy()
            if answers:
                self._heard_at = self._clock.now()
            self._meters.ledger_up.set(int(answers))
            if answers and not self._up:
                LOG.warning("the ledger answers again")
            elif self._up and not answers:
                LOG.warning("the ledger does not answer", hint="see GATEWAY_LEDGER_PEERS")
            self._up = answers
            await self._clock.sleep(HEARTBEAT_S)

    async def _walk(self) -> None:
        """See to it that this process has met the end of the chain, also when it has lost it."""
        pause_s = WALK_S
        while self._is_last is not None:
            try:
                await self._look_back()
                if not self._walked.is_set():
                    await self._look_for_the_end(self._is_last)
            except (StoreUnavailable, LedgerError) as error:
                if not self._walked.is_set():
                    LOG.warning("nothing is signed until all blocks are settled", error=error)
            await self._clock.sleep(pause_s)
            pause_s = min(2 * pause_s, RETRY_S)

    async def _look_for_the_end(self, is_last: Callable[[Reached], Awaitable[bool]]) -> None:
        (cursor,) = await self._sql.run(start_cursor, [self._begin])
        if await is_last(Reached(cursor.height, cursor.block_hash)):
            LOG.info("all blocks are settled: payments are signed", height=cursor.height)
            self._restored = False
            self.settled = cursor.height
            self._walked.set()

    async def _look_back(self) -> None:
        """Where the database went back, do not wait for a block to tell."""
        seen = self._at
        (height,) = await self._sql.run(heights, [None], only_reads=True)
        if height < seen and self._quiet is not None:
            self._quiet.reschedule(0.0)

    async def _nudge(self) -> None:
        """Have an idle ledger make blocks while something waits for them to expire."""
        while self._no_op is not None:
            await self._clock.sleep(NUDGE_S)
            now_ms = to_ms(self._clock.now())
            try:
                (overdue,) = await self._sql.run(overdue_now, [now_ms])
                if overdue:
                    await self._ledger.submit([self._no_op(now_ms)])
            except (StoreUnavailable, LedgerError) as error:
                LOG.warning("what is overdue waits", error=error)
            except Exception as error:  # noqa: BLE001 - settling must not end with it
                self._fault("what is overdue cannot be looked at", error=error)

    async def _settle_all(self) -> None:
        while True:
            try:
                await self._follow()
            except StoreUnavailable as error:
                LOG.warning("blocks wait for the database", error=error)
                self._pause_s = RETRY_S
            except LedgerUnreachable as error:
                self._pause_s = RETRY_S  # it may be back at any moment
                if self._up:  # else it has been told
                    why = str(error)[:200]
                    self._fault("blocks cannot be followed", said=why, hint=NO_BLOCK_HINT)
            except QueryRefused as error:
                said = {"reason": error.reason, "code": error.code, "said": str(error)[:200]}
                self._fault("blocks cannot be followed", **said, hint=REFUSED_HINT)
            except Exception as error:  # noqa: BLE001 - whatever it is, money must go on settling
                self._fault("blocks cannot be followed", error=error)
            pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, PAUSE_MOST_S)
            await self._clock.sleep(pause_s)

    async def _follow(self) -> None:
        (cursor,) = await self._sql.run(start_cursor, [self._begin])
        if cursor.height < self._at:
            self._begin_anew(cursor.height)
        self._at = cursor.height
        self.settled = max(self.settled, cursor.height)
        if self._heard_at is None and cursor.block_time:
            self._heard_at = from_ms(cursor.block_time)
        last = Reached(cursor.height, cursor.block_hash)
        blocks = aiter(self._ledger.blocks(after=last))
        while found := await self._next(blocks):
            if isinstance(found, Doubt):
                self._doubt(found)
            elif not await self._settle(found):
                return  # from the cursor again

    async def _next(self, blocks: AsyncIterator[Block | Doubt]) -> Block | Doubt | None:
        """What the ledger says next; None at its end, or once the database went back."""
        try:
            async with asyncio.timeout(None) as self._quiet:
                return await anext(blocks, None)
        except TimeoutError:
            return None
        finally:
            self._quiet = None

    def _begin_anew(self, height: int) -> None:
        """The database went back: what it lost is written again from blocks, and nothing signed."""
        self._fault("the database went back", from_height=self._at, to_height=height)
        if self._is_last is not None:
            self._restored = True
            self._walked.clear()

    def _doubt(self, doubt: Doubt) -> None:
        """A peer lies, or is of another ledger: nothing of it is settled; somebody must look."""
        self._meters.doubts.inc()
        if doubt.gone and self._is_last is not None:
            self._walked.clear()
        hint = GONE_HINT if doubt.gone else DOUBT_HINT
        self._fault("a block is not believed", **asdict(doubt), hint=hint)

    async def _settle(self, block: Block) -> bool:
        """One block, here or in another process; False when it cannot be settled next."""
        operation = partial(settle, self._receipts, self._assets, self._own, journal=self._journal)
        while True:
            now = self._clock.now()
            asked = Settle(block, to_ms(now), business_day(now), self._restored)
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
        self._at = block.height
        self.settled = max(self.settled, block.height)
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
        if settled.expired:
            self._meters.settled.labels("expired").inc(settled.expired)
            LOG.warning("expired: in no block, and its time is over", count=settled.expired)
        if settled.contradicted:
            self._meters.settled.labels("contradicted").inc(settled.contradicted)
            self._fault("given up, and committed all the same", height=block.height)
        if settled.unreadable:
            self._fault("an amount cannot be read", height=block.height)
        for tx_hash in settled.astray:
            self._meters.drifts.labels("block").inc()
            self._fault("money left a wallet, and no payment says so", tx_hash=tx_hash)
        for tx_hash in settled.rebuilt:
            self._meters.settled.labels("rebuilt").inc()
            self._meters.drifts.labels("block").inc()  # its row was gone, or there never was one
            self._fault("a payment had no row: written again from its block", tx_hash=tx_hash)
        self._report_wallets(settled)

    def _report_wallets(self, settled: Settled) -> None:
        if settled.unasked:
            self._fault("a recovery was sent to the ledger past `recover finish`")
        for account, tx_hash in settled.rekeyed:
            event = "a wallet has a key that is not ours: it needs `ussd-gateway recover`"
            self._fault(event, account=account, tx_hash=tx_hash)
        for account in settled.stranded:
            event = "a wallet was made that has no row, or is given up: its number has another"
            self._fault(event, account=account)
        for account in settled.keyless:
            self._meters.drifts.labels("block").inc()
            event = "a wallet had no row: written again, and held until `ussd-gateway recover`"
            self._fault(event, account=account)

    def _fault(self, event: str, **details: object) -> None:
        self._meters.faults.labels("follower").inc()
        LOG.error(event, **details)
