"""The sender: hands queued messages to the carrier, none lost and none sent over and over.

It takes what is due under a lease, highest priority first (codes before receipts). Rules:

1.  A try counts as perhaps sent from the moment it is leased (`unsure`), and only the carrier's
    word takes that back. So what a crash, a timeout or a torn answer leaves in doubt is repeated
    once, whoever comes next, and then given up as unknown: a doubled receipt is known by its
    reference, and a code is the same code twice.
2.  What was surely not sent is tried again, ever more slowly, as long as it is of use
    (`messages.LIFE_MS`): a code that nobody can use any more is dropped, a receipt waits for a
    carrier that is away for days.
3.  A final message has no text. Delivery reports stand beside the messages, found by the carrier's
    id: neither the report nor the record of its send has to come first.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from sqlalchemy import Connection, RowMapping, bindparam, select, update

from gateway import logs
from gateway.batch import Batcher, Overloaded
from gateway.carriers.carrier import (
    Delivery,
    DeliveryReport,
    SendFailed,
    SendRefused,
    SendUncertain,
)
from gateway.clock import Clock
from gateway.desk.times import to_ms
from gateway.messages import FINAL, LIFE_MS, State
from gateway.meters import Meters
from gateway.stores.dialects import in_list, insert_ignore, listed
from gateway.stores.sql import Sql, StoreUnavailable
from gateway.stores.tables import DeliveryReport as ReportRow
from gateway.stores.tables import Message, table_of
from menus.kinds import Msisdn

SEND_MS: Final = 13_000  # longer than any carrier's send takes: 12.5 s
LEASE_MS: Final = 15_000
BACKOFF_MS: Final = (2_000, 10_000, 60_000, 300_000, 900_000)  # the last one again and again
NOT_SENT: Final[dict[State, str]] = {
    "queued": "sms not sent yet",
    "failed": "sms not sent",
    "dropped": "sms not sent in time",
    "unknown": "sms perhaps not sent",
}
UNSURE_MOST: Final = 2  # tries that may have reached the phone: one, and its repeat
UNSURE_AGAIN_MS: Final = 30_000  # the only repeat: not into the same jam
SENDS_MOST: Final = 8  # leased and under way at once: a lease must not run out in a queue
IDLE_S: Final = 5.0  # a poke comes earlier; this is for messages that others queued
RECORD_AGAIN_S: Final = 1.0
LOG = logs.get("sender")

_message = table_of(Message)
_DUE: Final = (
    select(_message)
    .where(_message.c.state.in_(("queued", "sending")), _message.c.next_try_at <= bindparam("now"))
    .order_by(_message.c.priority.desc(), _message.c.queued_at)
    .limit(bindparam("room"))
    .with_for_update(skip_locked=True)
)
_LEASE: Final = (
    update(_message)
    .where(_message.c.id.in_(select(listed("ids").c.value)))
    .values(
        state="sending",
        tries=_message.c.tries + 1,
        unsure=_message.c.unsure + 1,
        next_try_at=bindparam("b_until"),
    )
)
_GIVE_UP: Final = (
    update(_message)
    .where(_message.c.id == bindparam("b_id"))
    .values(state=bindparam("b_end"), text="", next_try_at=bindparam("b_now"))
)
_RECORD: Final = (
    update(_message)
    .where(
        _message.c.id == bindparam("b_id"),
        _message.c.state == "sending",
        _message.c.tries == bindparam("b_number"),
    )
    .values(
        {
            name: bindparam(f"b_{name}")
            for name in ("state", "unsure", "next_try_at", "failure", "text", "carrier_id")
        }
    )
)
Send = Callable[[Msisdn, str], Awaitable[str | None]]


@dataclass(frozen=True, slots=True)
class Due:
    """A message whose turn has come: leased for one more try, or given up as `end`."""

    id: str
    to: Msisdn
    text: str = field(repr=False)
    number: int  # of this try
    unsure: int  # with this try
    until_ms: int
    end: State | None
    failure: str | None  # of the try before


@dataclass(frozen=True, slots=True)
class Tried:
    """What a try has made of its message at `at_ms`; if that is queued, it is due again then."""

    due: Due
    state: State
    at_ms: int
    unsure: int
    carrier_id: str | None = None
    failure: str | None = None


class Sender:
    """Hands queued messages to the carrier, in the background, until stopped."""

    def __init__(self, sql: Sql, send: Send, clock: Clock, meters: Meters) -> None:
        self._sql = sql
        self._send = send
        self._clock = clock
        self._meters = meters
        self._poked = asyncio.Event()
        self._stopped = False
        self._record = Batcher(partial(self._sql.run, _record))
        self._keep = Batcher(partial(self._sql.run, _keep))
        self._under_way = 0

    def poke(self) -> None:
        """There may be something to send."""
        self._poked.set()

    def stop(self) -> None:
        """Take no more messages; `run` returns once those under way have ended."""
        self._stopped = True
        self._poked.set()

    async def reported(self, report: DeliveryReport) -> None:
        """Keep the carrier's last word on a message; what is still on its way is no news."""
        if report.delivery is not Delivery.ON_ITS_WAY:
            await self._keep((report, self._now_ms()))

    async def run(self) -> None:
        """Send until stopped; sends under way end first."""
        async with asyncio.TaskGroup() as sends:
            while not self._stopped:
                self._poked.clear()
                room = SENDS_MOST - self._under_way
                due = await self._lease(room) if room else []
                for message in due:
                    self._under_way += 1
                    sends.create_task(self._one(message)).add_done_callback(self._ended)
                if not due:
                    await self._rest()

    def _ended(self, _send: asyncio.Task[None]) -> None:
        self._under_way -= 1
        self.poke()

    async def _rest(self) -> None:
        waits = (
            asyncio.ensure_future(self._poked.wait()),
            asyncio.ensure_future(self._clock.sleep(IDLE_S)),
        )
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _lease(self, room: int) -> Sequence[Due]:
        # With patience: a lease that was taken without our hearing of it counts as a try.
        lease, patience_s = partial(_lease, room), LEASE_MS / 1000
        try:
            (due,) = await self._sql.run(lease, [self._now_ms()], timeout_s=patience_s)
        except StoreUnavailable as error:
            LOG.warning("messages wait", error=error)
            return []
        return due

    async def _one(self, due: Due) -> None:
        if due.end is not None:
            self._tell(due, due.end, due.failure)
            return
        tried = await self._try(due)
        self._tell(due, tried.state, tried.failure)
        await self._recorded(tried)

    async def _try(self, due: Due) -> Tried:
        """Hand a message to the carrier."""
        if self._now_ms() > due.until_ms - SEND_MS:
            # The lease came late: somebody else might begin before this send has ended.
            return self._again(due, 0, due.unsure - 1, "a slow database")
        try:
            carrier_id = await self._send(due.to, due.text)
            return Tried(due, "sent", self._now_ms(), due.unsure, carrier_id)
        except SendRefused as refusal:
            return Tried(due, "failed", self._now_ms(), due.unsure - 1, failure=str(refusal))
        except SendFailed as failure:
            wait_ms = BACKOFF_MS[min(due.number, len(BACKOFF_MS)) - 1]
            return self._again(due, wait_ms, due.unsure - 1, str(failure))
        except SendUncertain as doubt:
            why = str(doubt)
        except Exception as error:  # noqa: BLE001  # one message must not stop the others
            LOG.error("a send failed strangely", error=error)
            why = type(error).__name__
        if due.unsure < UNSURE_MOST:
            return self._again(due, UNSURE_AGAIN_MS, due.unsure, why)
        return Tried(due, "unknown", self._now_ms(), due.unsure, failure=why)

    def _again(self, due: Due, wait_ms: int, unsure: int, why: str) -> Tried:
        return Tried(due, "queued", self._now_ms() + wait_ms, unsure, failure=why)

    def _tell(self, due: Due, state: State, why: str | None) -> None:
        self._meters.sent.labels("again" if state == "queued" else state).inc()
        if state != "sent":
            LOG.warning(NOT_SENT[state], message=due.id, why=why)

    async def _recorded(self, tried: Tried) -> None:
        """Record a try; until its lease ends nobody else takes the message, so it may take long."""
        while True:
            try:
                await self._record(tried)
            except (StoreUnavailable, Overloaded) as error:
                LOG.warning("a send is not recorded", message=tried.due.id, error=error)
            else:
                return
            if self._stopped or self._now_ms() >= tried.due.until_ms:
                return  # sent or not, it is one try in doubt
            await self._clock.sleep(RECORD_AGAIN_S)

    def _now_ms(self) -> int:
        return to_ms(self._clock.now())


def _lease(room: int, connection: Connection, nows: Sequence[int]) -> Sequence[Sequence[Due]]:
    """Take what is due, for this sender alone until the lease runs out; give up what is over."""
    (now_ms,) = nows
    found = connection.execute(_DUE, {"now": now_ms, "room": room})
    due = [_due(row, now_ms) for row in found.mappings()]
    if ids := [message.id for message in due if message.end is None]:
        connection.execute(_LEASE, {"ids": in_list(ids), "b_until": now_ms + LEASE_MS})
    over = [{"b_id": one.id, "b_end": one.end, "b_now": now_ms} for one in due if one.end]
    if over:
        connection.execute(_GIVE_UP, over)
    return [due]


def _due(row: RowMapping, now_ms: int) -> Due:
    end: State | None = None
    if row["unsure"] >= UNSURE_MOST:
        end = "unknown"  # the sender of its repeat died, too
    elif row["queued_at"] <= now_ms - LIFE_MS[row["kind"]]:
        end = "dropped"
    return Due(
        row["id"],
        Msisdn(row["msisdn"]),
        row["text"],
        row["tries"] + 1,
        row["unsure"] + 1,
        now_ms + LEASE_MS,
        end,
        row["failure"],
    )


def _record(connection: Connection, tries: Sequence[Tried]) -> Sequence[None]:
    """Write what became of tries, unless the message is another try's by now."""
    rows = [
        {
            "b_id": tried.due.id,
            "b_number": tried.due.number,
            "b_state": tried.state,
            "b_unsure": tried.unsure,
            "b_next_try_at": tried.at_ms,
            "b_failure": tried.failure,
            "b_text": "" if tried.state in FINAL else tried.due.text,
            "b_carrier_id": tried.carrier_id,
        }
        for tried in sorted(tries, key=lambda tried: tried.due.id)
    ]
    connection.execute(_RECORD, rows)
    return [None] * len(tries)


def _keep(connection: Connection, reports: Sequence[tuple[DeliveryReport, int]]) -> Sequence[None]:
    """Keep what was reported, the first word on each message."""
    rows = [
        {
            "carrier_id": report.carrier_id,
            "delivery": report.delivery.value,
            "failure": report.failure,
            "at": at_ms,
        }
        for report, at_ms in sorted(reports, key=lambda item: item[0].carrier_id)
    ]
    insert_ignore(connection, ReportRow, rows)
    return [None] * len(reports)
