"""Sends what was signed, exactly as it was stored, until a block holds it. It never signs.

Rules:
1.  A submission is leased by moving its `next_send_at` on; a process that dies loses its lease by
    time alone, and another sends the same bytes: the ledger applies one hash once.
2.  `first_sent_at` is committed before the first byte leaves, and only once a peer has answered.
    What never left within ten minutes is cancelled: then, and only then, it can never commit.
    A restored database may know less than that: until all blocks are settled, none is cancelled,
    nor when the commit that would do so finds fewer blocks than this process has seen settled.
3.  Sent and unseen for five seconds, it is asked after. NOT_RECEIVED proves nothing (a peer's
    queue is memory), so it is sent again. Committed or rejected is the follower's to say, from a
    block. A stateless refusal is one peer's word: it is raised as a fault, and ends a submission
    only when two peers give a reason that lies in what was signed and none has seen it go further.
    Peers that disagree about a final state raise an alarm and end nothing.
4.  The members of a batch go together, in order, in one call.
5.  While the ledger is away nothing is leased: one quiet question a second, one log line a change.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Final, NamedTuple

from sqlalchemy import Connection, bindparam, func, select, update

from gateway import logs
from gateway.clock import Clock, Entropy
from gateway.desk import settlement
from gateway.desk.endings import Endings
from gateway.desk.journal import Journal
from gateway.desk.receipts import Receipts
from gateway.desk.settlement import Ended
from gateway.desk.signing import MaySign, at_once, went_back
from gateway.desk.times import to_ms
from gateway.desk.waiters import Waiters
from gateway.meters import Meters
from gateway.stores.dialects import in_list, listed
from gateway.stores.sql import Sql, StoreUnavailable
from gateway.stores.tables import Submission, table_of
from ledger_client.ledger import (
    Ledger,
    LedgerError,
    LedgerUnreachable,
    TxStatus,
    Verdict,
    disagree,
    never,
)
from menus.limits import business_day

LOG = logs.get("outbox")
SENDS_MOST: Final = 500  # in one call; irohad takes such chunks fastest
UNSENT_MOST_MS: Final = 10 * 60 * 1000
UNSEEN_MS: Final = 5_000
AGAIN_MOST_MS: Final = 60_000
DOUBTED_SENDS: Final = 2  # leases after which one peer's "on its way" is not believed
IDLE_S: Final = 1.0  # a poke comes earlier; this is for what other processes left
TOLD: Final = (Verdict.INVALID, Verdict.REJECTED, Verdict.COMMITTED)  # worth a second opinion
ALIVE_S: Final = 1.0  # how long a peer's answer is taken for its health

_SUBMISSION = table_of(Submission)


class Leased(NamedTuple):
    """A submission that is ours to send for a while."""

    tx_hash: str
    batch: str
    position: int
    data: bytes
    sends: int  # before this lease


@dataclass(frozen=True, slots=True)
class Lease:
    """What to lease: rows due at `now_ms`; `jitter` in 0..1 spreads the next times."""

    now_ms: int
    jitter: float
    most: int = SENDS_MOST


class Outbox:
    """Sends and asks after submissions for as long as `run` runs."""

    def __init__(
        self,
        sql: Sql,
        ledger: Ledger,
        waiters: Waiters,
        receipts: Receipts,
        *,
        journal: Journal,
        clock: Clock,
        entropy: Entropy,
        meters: Meters,
        messages_queued: Callable[[], None] = lambda: None,
        may_sign: MaySign = at_once,
        settled: Callable[[], int] = lambda: 0,
    ) -> None:
        """`settled`: the height of the last block that this process has seen settled."""
        self._settled = settled
        self._sql = sql
        self._ledger = ledger
        self._may_sign = may_sign
        self._waiters = waiters
        self._receipts = receipts
        self._journal = journal
        self._clock = clock
        self._entropy = entropy
        self._meters = meters
        self._messages_queued = messages_queued
        self._poked = asyncio.Event()
        self._stopped = False
        self._away = False
        self._alive_at: float | None = None

    def poke(self) -> None:
        """There may be something to send."""
        self._poked.set()

    def stop(self) -> None:
        """`run` returns after the round under way."""
        self._stopped = True
        self._poked.set()

    async def run(self) -> None:
        """Send until stopped (or cancelled: what is stored is sent by whoever comes next)."""
        while not self._stopped:
            self._poked.clear()
            busy = False
            try:
                busy = await self.round()
            except (LedgerError, StoreUnavailable) as error:
                LOG.warning("a round was given up", error=error)
            except Exception as error:  # noqa: BLE001 - the queue must not stand still for one row
                self._meters.faults.labels("outbox").inc()
                LOG.error("a round failed", error=error)
            if not busy and not self._stopped:
                await self._idle()

    async def _idle(self) -> None:
        """Wait for a poke, but no longer than other processes' rows may wait."""
        if self._away:  # pokes are many and mean nothing to a ledger that is not there
            await self._clock.sleep(IDLE_S)
            return
        poke = asyncio.ensure_future(self._poked.wait())
        sleep = asyncio.ensure_future(self._clock.sleep(IDLE_S))
        try:
            await asyncio.wait({poke, sleep}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (poke, sleep):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def round(self) -> bool:
        """Cancel what never left, then lease, ask after and send; was there anything to send?"""
        now_ms = to_ms(self._clock.now())
        (due,) = await self._sql.run(look, [now_ms])
        if due.unsent and await self._may_sign(0.0):
            await self._end(due.unsent, "cancelled", never_sent=True)
        if not due.waiting or not await self._ledger_answers():
            return False
        leases = await self._sql.run(lease, [Lease(now_ms, self._chance())])
        leased = leases[0]
        sent = {row.batch for row in leased if row.sends}
        again = await self._ask_after([row for row in leased if row.batch in sent])
        await self._send([row for row in leased if row.batch not in sent])
        await self._send([row for row in leased if row.batch in again], again=True)
        return bool(leased) and not self._away

    async def _ledger_answers(self) -> bool:
        """Only a healthy peer is sent anything; asked at most once a second while all is well."""
        now = self._clock.monotonic()
        if self._alive_at is not None and now - self._alive_at < ALIVE_S:
            return True
        alive = await self._ledger.healthy()
        self._notice(alive=alive)
        return alive

    def _notice(self, *, alive: bool) -> None:
        self._alive_at = self._clock.monotonic() if alive else None
        if self._away == alive:
            self._away = not alive
            LOG.warning("the ledger answers again" if alive else "the ledger does not answer")

    async def _send(self, rows: Sequence[Leased], *, again: bool = False) -> None:
        if not rows:
            return
        try:
            await self._ledger.submit([row.data for row in rows], again=again)
        except LedgerUnreachable:
            # It may have arrived: the rows stay as sent, and are due again once a peer answers.
            self._notice(alive=False)
            await self._sql.run(due_again, [row.tx_hash for row in rows])
        else:
            self._notice(alive=True)

    async def _ask_after(self, rows: Sequence[Leased]) -> set[str]:
        """Which batches must be sent again, after asking about their members."""
        if not rows:
            return set()
        try:
            statuses = await self._ledger.statuses([row.tx_hash for row in rows])
            await self._remember(statuses)
            dead = await self._never([one.tx_hash for one in statuses if one.verdict in TOLD])
        except LedgerUnreachable:
            self._notice(alive=False)
            await self._sql.run(due_again, [row.tx_hash for row in rows])
            return set()
        batch_of = {row.tx_hash: row.batch for row in rows}
        lost = {batch_of[tx_hash] for tx_hash in dead}
        if lost:  # our batches are atomic: with one member none can ever enter a block
            await self._end([row.tx_hash for row in rows if row.batch in lost], "rejected")
        again = {batch_of[one.tx_hash] for one in statuses if one.verdict.may_be_sent_again}
        # In no block for this long, whatever one peer says: it may hold back what it took.
        again |= {row.batch for row in rows if row.sends >= DOUBTED_SENDS}
        return again - lost

    async def _never(self, hashes: Sequence[str]) -> list[str]:
        """Ask every peer about these; what of them can never enter a block."""
        if not hashes:
            return []
        opinions = dict(zip(hashes, await self._ledger.opinions(hashes), strict=True))
        for tx_hash, words in opinions.items():
            if disagree(words):
                self._meters.disagreements.inc()
                LOG.error("peers disagree about a final state: one of them lies", tx_hash=tx_hash)
        return [tx_hash for tx_hash, words in opinions.items() if never(words)]

    async def _remember(self, statuses: Iterable[TxStatus]) -> None:
        """Keep the first reason heard: the ledger tells it once, and in its backend's numbers."""
        refused = sorted(
            (one for one in statuses if one.code or one.text), key=lambda one: one.tx_hash
        )
        if not refused:
            return
        reasons = [
            (one.tx_hash, f"{one.code}/{one.command_index} {one.text}"[:200]) for one in refused
        ]
        for one, first in zip(refused, await self._sql.run(remember, reasons), strict=True):
            if first and one.verdict is Verdict.INVALID:
                self._meters.faults.labels("outbox").inc()
                LOG.error("a peer refuses what we signed: see its reason", tx_hash=one.tx_hash)

    async def _end(self, hashes: Sequence[str], state: str, *, never_sent: bool = False) -> None:
        """These can never commit: give everything back, once, and tell their owners."""
        now = self._clock.now()
        asked = GiveUp(
            hashes,
            state,
            never_sent=never_sent,
            now_ms=to_ms(now),
            day=business_day(now),
            seen=self._settled(),
        )
        operation = partial(give_up, self._receipts, journal=self._journal)
        (ended,) = await self._sql.run(operation, [asked])
        for one in ended:
            self._waiters.wake(one.tx_hash, state)
        self._meters.settled.labels(state).inc(len(ended))
        if ended:
            LOG.warning("given up", state=state, count=len(ended))
            self._messages_queued()

    def _chance(self) -> float:
        return int.from_bytes(self._entropy(2)) / 0x10000


# ---- operations


class Due(NamedTuple):
    """Whether anything is due, and what of it is past its time."""

    waiting: bool
    unsent: list[str]  # due, never sent, and too old to be sent for the first time


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Submissions that can never commit; `never_sent`: those of them that no byte of has left."""

    hashes: Sequence[str]
    state: str
    never_sent: bool
    now_ms: int
    day: str  # today, in Phnom Penh
    seen: int = 0  # blocks, settled in this database


_due = (_SUBMISSION.c.state == "signed", _SUBMISSION.c.next_send_at <= bindparam("now"))
# Until its first lease a row's `next_send_at` is when it was stored, which for a recovery is later
# than the time inside its bytes.
_UNSENT = (
    select(_SUBMISSION.c.tx_hash)
    .where(
        *_due,
        _SUBMISSION.c.first_sent_at.is_(None),
        _SUBMISSION.c.next_send_at <= bindparam("oldest"),
    )
    .limit(SENDS_MOST)
)
_ANY = select(_SUBMISSION.c.tx_hash).where(*_due).limit(1)
_LEASE = (
    select(*(_SUBMISSION.c[name] for name in Leased._fields))
    .where(
        *_due,
        # What is too old for its first send is left to the cancellation.
        (_SUBMISSION.c.first_sent_at.is_not(None))
        | (_SUBMISSION.c.next_send_at > bindparam("oldest")),
    )
    .order_by(_SUBMISSION.c.next_send_at, _SUBMISSION.c.batch, _SUBMISSION.c.position)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_SIZES = (
    select(_SUBMISSION.c.batch, func.count())
    .where(
        _SUBMISSION.c.batch.in_(select(listed("batches").c.value)),
        # An expression, or SQLite would read all that is on its way.
        _SUBMISSION.c.state + "" == "signed",
    )
    .group_by(_SUBMISSION.c.batch)
)
_TAKE = (
    update(_SUBMISSION)
    .where(_SUBMISSION.c.tx_hash == bindparam("b_hash"), _SUBMISSION.c.state == "signed")
    .values(
        next_send_at=bindparam("b_next"),
        sends=_SUBMISSION.c.sends + 1,
        first_sent_at=func.coalesce(_SUBMISSION.c.first_sent_at, bindparam("b_now")),
    )
)
_REMEMBER = (
    update(_SUBMISSION)
    .where(_SUBMISSION.c.tx_hash == bindparam("b_hash"), _SUBMISSION.c.reason.is_(None))
    .values(reason=bindparam("b_reason"))
)


def look(connection: Connection, moments: Sequence[int]) -> list[Due]:
    """Is anything due at this moment, and what of it must be cancelled?"""
    (now_ms,) = moments
    if connection.execute(_ANY, {"now": now_ms}).first() is None:
        return [Due(waiting=False, unsent=[])]
    unsent = connection.execute(_UNSENT, {"now": now_ms, "oldest": now_ms - UNSENT_MOST_MS})
    return [Due(waiting=True, unsent=list(unsent.scalars()))]


def lease(connection: Connection, leases: Sequence[Lease]) -> list[list[Leased]]:
    """Take what is due, whole batches only, and say that it has been sent before it is."""
    (asked,) = leases
    rows = connection.execute(
        _LEASE,
        {"now": asked.now_ms, "oldest": asked.now_ms - UNSENT_MOST_MS, "most": asked.most},
    )
    taken = _whole_batches(connection, [Leased(*row) for row in rows])
    if taken:
        connection.execute(
            _TAKE,
            [
                {
                    "b_hash": row.tx_hash,
                    "b_next": asked.now_ms + _wait_ms(row.sends, asked.jitter),
                    "b_now": asked.now_ms,
                }
                for row in taken
            ],
        )
    return [taken]


def _wait_ms(sends: int, jitter: float) -> int:
    """Five seconds at first, doubled up to a minute, and up to a quarter more by chance."""
    wait: int = min(UNSEEN_MS << min(sends, 16), AGAIN_MOST_MS)
    return wait + int(wait * jitter / 4)


def _whole_batches(connection: Connection, rows: Sequence[Leased]) -> list[Leased]:
    """Without those batches of which another process, or the limit, holds back a member."""
    shared = {row.batch for row in rows if row.batch != row.tx_hash}
    if not shared:
        return list(rows)
    found = connection.execute(_SIZES, {"batches": in_list(shared)})
    sizes = {batch: size for batch, size in found}  # noqa: C416 - rows are not pairs to mypy
    whole: list[Leased] = []
    for batch, group in groupby(rows, key=lambda row: row.batch):
        members = list(group)
        if len(members) == sizes.get(batch, 1):
            whole += members
    return whole


def due_again(connection: Connection, hashes: Sequence[str]) -> list[None]:
    """The ledger went away: these are sent as soon as it is back, not when their wait is over."""
    connection.execute(
        update(_SUBMISSION)
        .where(_SUBMISSION.c.tx_hash.in_(hashes), _SUBMISSION.c.state == "signed")
        .values(next_send_at=_SUBMISSION.c.first_sent_at)
    )
    return [None] * len(hashes)


def remember(connection: Connection, reasons: Sequence[tuple[str, str]]) -> list[bool]:
    """Keep each first reason; which of these were the first heard."""
    return [
        connection.execute(_REMEMBER, {"b_hash": tx_hash, "b_reason": reason}).rowcount == 1
        for tx_hash, reason in reasons
    ]


def give_up(
    receipts: Receipts, connection: Connection, asked: Sequence[GiveUp], *, journal: Journal
) -> list[list[Ended]]:
    """End these, give back what they reserved, and tell their owners.

    Not what was never sent as far as a database knows that has gone back.
    """
    (one,) = asked
    if one.never_sent and went_back(connection, one.seen):
        return [[]]
    settlement.lock_for_ending(connection, one.hashes)
    endings = Endings(one.day, one.now_ms, one.now_ms)
    endings.failed = settlement.end(
        connection, one.hashes, one.state, one.now_ms, never_sent=one.never_sent
    )
    endings.write(journal, connection, receipts)
    return [endings.failed]
