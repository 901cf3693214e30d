"""SMS out: persisted with the fact they tell, sent after.

`enqueue` is called inside the commit that makes the fact true; nothing here runs before it. The
`Sender` takes due messages under a lease, highest priority first (codes before receipts), hands
each to the carrier, and tries again what failed or timed out (`BACKOFF_MS`): a doubled receipt is
known by its reference. A message's text is emptied once it has been handed over or given up;
delivery reports only mark it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from sqlalchemy import Connection, RowMapping, func, select, update

from gateway import logs
from gateway.batch import Batcher
from gateway.carriers.carrier import Delivery, DeliveryReport, SendFailed, SendRefused
from gateway.clock import Clock
from gateway.meters import Meters
from gateway.stores.sql import Sql, StoreUnavailable, insert_ignore
from gateway.stores.tables import Message, table_of
from menus.kinds import Msisdn

Kind = Literal["code", "receipt", "reply", "notice"]
PRIORITY: dict[Kind, int] = {"code": 3, "reply": 2, "receipt": 1, "notice": 0}

LEASE_MS: Final = 15_000  # longer than the slowest send, 12 s
BACKOFF_MS: Final = (2_000, 10_000, 60_000, 300_000, 900_000)  # then given up
SENDS_MOST: Final = 8  # leased and under way at once: a lease must not run out in a queue
IDLE_S: Final = 5.0  # a poke comes earlier; this is for messages that others queued
LOG = logs.get("messages")

Send = Callable[[Msisdn, str], Awaitable[str | None]]
_message = table_of(Message)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One SMS to write; `id` is ours and makes a second enqueue of the same fact a no-op."""

    id: str
    to: Msisdn
    kind: Kind
    text: str


def enqueue(connection: Connection, messages: Sequence[Outgoing], now_ms: int) -> None:
    """Queue messages inside the caller's transaction."""
    insert_ignore(
        connection,
        Message,
        [
            {
                "id": message.id,
                "msisdn": message.to.e164,
                "kind": message.kind,
                "text": message.text,
                "priority": PRIORITY[message.kind],
                "state": "queued",
                "tries": 0,
                "next_try_at": now_ms,
                "queued_at": now_ms,
            }
            for message in messages
        ],
    )


def replies_since(connection: Connection, msisdn: Msisdn, since_ms: int) -> int:
    """How many answers this number has caused since then: the budget against pumping."""
    query = select(func.count()).where(
        _message.c.msisdn == msisdn.e164,
        _message.c.kind.in_(("reply", "code")),
        _message.c.queued_at >= since_ms,
    )
    return int(connection.execute(query).scalar_one())


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one try; `failure` None means that the carrier took it."""

    id: str
    carrier_id: str | None
    failure: str | None
    next_try_at: int | None  # None: final


class Sender:
    """Hands queued messages to the carrier, in the background, until stopped."""

    def __init__(self, sql: Sql, send: Send, clock: Clock, meters: Meters) -> None:
        self._sql = sql
        self._send = send
        self._clock = clock
        self._meters = meters
        self._poked = asyncio.Event()
        self._stopped = False
        self._done = Batcher(partial(self._sql.run, _record))
        self._reports = Batcher(partial(self._sql.run, _mark))
        self._under_way = 0

    def poke(self) -> None:
        """There may be something to send."""
        self._poked.set()

    def stop(self) -> None:
        """Take no more messages; `run` returns once those under way have ended."""
        self._stopped = True
        self._poked.set()

    async def reported(self, report: DeliveryReport) -> None:
        """Mark a message by the carrier's delivery report."""
        await self._reports(report)

    async def run(self) -> None:
        """Send until stopped; sends under way end first."""
        async with asyncio.TaskGroup() as sends:
            while not self._stopped:
                self._poked.clear()
                room = SENDS_MOST - self._under_way
                due = await self._lease(room) if room else []
                for row in due:
                    self._under_way += 1
                    sends.create_task(self._one(row))
                if not due:
                    await self._rest()

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

    async def _lease(self, room: int) -> Sequence[RowMapping]:
        try:
            (rows,) = await self._sql.run(partial(_lease, room), [self._now_ms()])
        except StoreUnavailable as error:
            LOG.warning("messages wait", error=error)
            return []
        return rows

    async def _one(self, row: RowMapping) -> None:
        try:
            carrier_id = await self._send(Msisdn(row["msisdn"]), row["text"])
            sent = Sent(row["id"], carrier_id, None, None)
        except SendRefused as refusal:
            sent = Sent(row["id"], None, str(refusal), None)
        except SendFailed as failure:
            sent = Sent(row["id"], None, str(failure), self._next_try(row["tries"]))
        except Exception as error:  # noqa: BLE001  # one message must not stop the others
            LOG.error("a send failed strangely", error=error)
            sent = Sent(row["id"], None, type(error).__name__, self._next_try(row["tries"]))
        result = "sent" if sent.failure is None else "again" if sent.next_try_at else "failed"
        self._meters.sent.labels(result).inc()
        if sent.failure is not None:
            LOG.warning("sms not sent", message=sent.id, why=sent.failure, final=result == "failed")
        try:
            await self._done(sent)
        except StoreUnavailable as error:
            LOG.warning("sms sent but not marked; it may be sent again", error=error)
        finally:
            self._under_way -= 1
            self.poke()

    def _next_try(self, tries: int) -> int | None:
        if tries >= len(BACKOFF_MS):
            return None
        return self._now_ms() + BACKOFF_MS[tries]

    def _now_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1000)


def _lease(
    room: int, connection: Connection, nows: Sequence[int]
) -> Sequence[Sequence[RowMapping]]:
    """Take what is due for this sender alone, until the lease runs out."""
    (now_ms,) = nows
    query = (
        select(_message.c.id, _message.c.msisdn, _message.c.text, _message.c.tries)
        .where(_message.c.state.in_(("queued", "sending")), _message.c.next_try_at <= now_ms)
        .order_by(_message.c.priority.desc(), _message.c.queued_at)
        .limit(room)
        .with_for_update(skip_locked=True)
    )
    rows = connection.execute(query).mappings().all()
    if rows:
        connection.execute(
            update(_message)
            .where(_message.c.id.in_([row["id"] for row in rows]))
            .values(state="sending", next_try_at=now_ms + LEASE_MS, tries=_message.c.tries + 1)
        )
    return [rows]


def _record(connection: Connection, tries: Sequence[Sent]) -> Sequence[None]:
    for sent in sorted(tries, key=lambda sent: sent.id):
        values: dict[str, object] = {"failure": sent.failure}
        if sent.next_try_at is not None:
            values |= {"state": "queued", "next_try_at": sent.next_try_at}
        else:
            state = "sent" if sent.failure is None else "failed"
            values |= {"state": state, "text": "", "carrier_id": sent.carrier_id}
        connection.execute(
            update(_message)
            .where(_message.c.id == sent.id, _message.c.state == "sending")
            .values(values)
        )
    return [None] * len(tries)


def _mark(connection: Connection, reports: Sequence[DeliveryReport]) -> Sequence[None]:
    for report in reports:
        if report.delivery is Delivery.ON_ITS_WAY:
            continue
        connection.execute(
            update(_message)
            .where(_message.c.carrier_id == report.carrier_id, _message.c.state == "sent")
            .values(state=report.delivery.value, failure=report.failure)
        )
    return [None] * len(reports)
