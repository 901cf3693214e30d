"""A sender on a real store, and a carrier that does what a test says."""

import asyncio
import contextlib
from collections import Counter

from clocks import FakeClock
from sqlalchemy import select

from gateway.desk.times import to_ms
from gateway.messages import Outgoing, enqueue
from gateway.meters import Meters
from gateway.sender import SENDS_MOST, Sender
from gateway.stores.sql import Sql
from gateway.stores.tables import DeliveryReport, Message, table_of
from menus.kinds import Msisdn

DARA = Msisdn("+85512345601")
MESSAGE, REPORT = table_of(Message), table_of(DeliveryReport)


class Phone:
    """The carrier's side: takes texts, or does what a test says instead."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.raises: Exception | None = None
        self.tries = 0

    async def send(self, _to: Msisdn, text: str) -> str:
        self.tries += 1
        if self.raises:
            raise self.raises
        self.texts.append(text)
        return f"ATXid_{text}"


class Post:
    """One process's sender, with what its test asks of it."""

    def __init__(self, sql: Sql, clock: FakeClock, phone: Phone | None = None) -> None:
        self.sql, self.clock = sql, clock
        self.phone = phone or Phone()
        self.meters = Meters()
        self.sender = Sender(sql, self.phone.send, clock, self.meters)

    async def queue(self, *messages: tuple[str, str]) -> None:
        """Messages of (kind, id); each one's text is its id."""

        def write(connection, items):
            enqueue(connection, items, to_ms(self.clock.now()))
            return items

        await self.sql.run(write, [Outgoing(id_, DARA, kind, id_) for kind, id_ in messages])

    async def rows(self) -> dict[str, dict]:
        def read(connection, _):
            return [connection.execute(select(MESSAGE)).mappings().all()]

        return {row["id"]: row for row in (await self.sql.run(read, [None]))[0]}

    async def states(self) -> Counter[str]:
        return Counter(row["state"] for row in (await self.rows()).values())

    async def reports(self) -> dict[str, tuple[str, str | None]]:
        """What was reported of which message of ours."""
        query = select(MESSAGE.c.id, REPORT.c.delivery, REPORT.c.failure).join(
            REPORT, REPORT.c.carrier_id == MESSAGE.c.carrier_id
        )

        def read(connection, _):
            return [connection.execute(query).all()]

        return {id_: (said, why) for id_, said, why in (await self.sql.run(read, [None]))[0]}

    async def round(self) -> int:
        """Whatever is due now is tried once; how many those were."""
        due = await self.sender._lease(SENDS_MOST)
        await asyncio.gather(*(self.sender._one(message) for message in due))
        return len(due)

    @contextlib.asynccontextmanager
    async def running(self):
        task = asyncio.create_task(self.sender.run())
        try:
            yield
        finally:
            self.sender.stop()
            await task

    async def until(self, **states: int) -> None:
        """Wait until exactly so many messages are in these states, and no others."""
        async with asyncio.timeout(20):
            while await self.states() != states:
                await asyncio.sleep(0.005)

    async def later(self, ms: int) -> int:
        """Time goes by, and what is due then is tried."""
        await self.clock.advance(ms / 1000)
        return await self.round()

    def metered(self, result: str) -> float:
        return self.meters.sent.labels(result)._value.get()
