"""SMS out: nothing lost, codes before receipts, given up only for a reason."""

import asyncio
import contextlib

import pytest
from sqlalchemy import select

from gateway.carriers.carrier import Delivery, DeliveryReport, SendFailed, SendRefused
from gateway.messages import BACKOFF_MS, LEASE_MS, Outgoing, Sender, enqueue, replies_since
from gateway.meters import Meters
from gateway.stores.tables import Message, table_of
from menus.kinds import Msisdn

DARA = Msisdn("+85512345601")


class Phone:
    """The carrier's side: takes texts, or does what a test says instead."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.raises: Exception | None = None

    async def send(self, _to: Msisdn, text: str) -> str:
        if self.raises:
            raise self.raises
        self.texts.append(text)
        return f"ATXid_{len(self.texts)}"


@pytest.fixture
def phone() -> Phone:
    return Phone()


@pytest.fixture
async def sender(sql, phone, clock):
    return Sender(sql, phone.send, clock, Meters())


@contextlib.asynccontextmanager
async def running(sender):
    task = asyncio.create_task(sender.run())
    try:
        yield
    finally:
        sender.stop()
        await task


async def queue(sql, clock, *messages):
    def write(connection, items):
        enqueue(connection, items, int(clock.now().timestamp() * 1000))
        return items

    await sql.run(write, messages)


async def rows(sql):
    def read(connection, _):
        return [connection.execute(select(table_of(Message))).mappings().all()]

    return {row["id"]: row for row in (await sql.run(read, [None]))[0]}


async def until(condition):
    async with asyncio.timeout(5):
        while not await condition():
            await asyncio.sleep(0.005)


async def test_codes_leave_before_receipts_and_texts_are_emptied(sql, clock, phone, sender):
    await queue(
        sql,
        clock,
        Outgoing("r", DARA, "receipt", "Sent 5,000 KHR"),
        Outgoing("c", DARA, "code", "reply YES 1234 PIN"),
    )
    async with running(sender):

        async def all_sent():
            return all(row["state"] == "sent" for row in (await rows(sql)).values())

        await until(all_sent)
    assert phone.texts == ["reply YES 1234 PIN", "Sent 5,000 KHR"]
    assert {row["text"] for row in (await rows(sql)).values()} == {""}


async def test_the_same_fact_queued_twice_is_one_message(sql, clock):
    message = Outgoing("r", DARA, "receipt", "Sent 5,000 KHR")
    await queue(sql, clock, message)
    await queue(sql, clock, message)
    assert len(await rows(sql)) == 1


async def test_a_fault_is_tried_again_later_and_given_up_in_the_end(sql, clock, phone, sender):
    phone.raises = SendFailed("status 500")
    await queue(sql, clock, Outgoing("r", DARA, "receipt", "text"))
    async with running(sender):
        for tries, wait_ms in enumerate(BACKOFF_MS, 1):

            async def tried(tries=tries):
                row = (await rows(sql))["r"]
                return row["tries"] == tries and row["state"] == "queued"

            await until(tried)
            await clock.advance(wait_ms / 1000)
            sender.poke()

        async def given_up():
            return (await rows(sql))["r"]["state"] == "failed"

        await until(given_up)
    assert (await rows(sql))["r"]["failure"] == "status 500"


async def test_a_refusal_is_final_at_once(sql, clock, phone, sender):
    phone.raises = SendRefused("status 406")
    await queue(sql, clock, Outgoing("r", DARA, "receipt", "text"))
    async with running(sender):

        async def given_up():
            return (await rows(sql))["r"]["state"] == "failed"

        await until(given_up)


async def test_what_a_dead_sender_had_leased_is_sent_by_the_next(sql, clock, phone, sender):
    await queue(sql, clock, Outgoing("r", DARA, "receipt", "text"))
    assert len(await sender._lease(8)) == 1  # and then it dies
    other = Sender(sql, phone.send, clock, Meters())
    assert await other._lease(8) == []
    await clock.advance(LEASE_MS / 1000)
    assert len(await other._lease(8)) == 1


async def test_a_delivery_report_marks_its_message_and_no_other(sql, clock, phone, sender):
    await queue(sql, clock, Outgoing("a", DARA, "receipt", "1"))
    await queue(sql, clock, Outgoing("b", DARA, "receipt", "2"))
    async with running(sender):

        async def all_sent():
            return all(row["state"] == "sent" for row in (await rows(sql)).values())

        await until(all_sent)
    await sender.reported(DeliveryReport("ATXid_1", Delivery.DELIVERED))
    await sender.reported(DeliveryReport("ATXid_2", Delivery.ON_ITS_WAY))
    await sender.reported(DeliveryReport("ATXid_9", Delivery.FAILED, "UserDoesNotExist"))
    states = sorted(row["state"] for row in (await rows(sql)).values())
    assert states == ["delivered", "sent"]


async def test_answers_are_counted_per_number_and_hour(sql, clock):
    await queue(sql, clock, Outgoing("a", DARA, "reply", "1"), Outgoing("b", DARA, "receipt", "2"))

    def count(connection, sinces):
        return [replies_since(connection, DARA, since) for since in sinces]

    now_ms = int(clock.now().timestamp() * 1000)
    assert await sql.run(count, [now_ms - 1, now_ms + 1]) == [1, 0]


async def test_a_message_that_breaks_its_send_does_not_stop_the_others(sql, clock, phone, sender):
    await queue(sql, clock, *(Outgoing(f"m{n}", DARA, "receipt", f"text {n}") for n in range(20)))
    send = phone.send

    async def breaks_on_one(to: Msisdn, text: str) -> str:
        if text == "text 7":
            raise ZeroDivisionError(text)
        return await send(to, text)

    sender._send = breaks_on_one
    async with running(sender):

        async def others_sent():
            states = [row["state"] for row in (await rows(sql)).values()]
            return states.count("sent") == 19

        await until(others_sent)
    assert len(phone.texts) == 19
    assert (await rows(sql))["m7"]["failure"] == "ZeroDivisionError"


async def test_a_slow_carrier_gets_each_message_once(sql, clock, phone, sender):
    await queue(sql, clock, *(Outgoing(f"m{n}", DARA, "receipt", f"text {n}") for n in range(40)))
    gate = asyncio.Event()
    taken: list[str] = []

    async def slow(_to: Msisdn, text: str) -> str:
        taken.append(text)
        await gate.wait()
        return f"id {text}"

    sender._send = slow
    async with running(sender):

        async def full():
            return len(taken) == 8

        await until(full)
        await clock.advance(LEASE_MS / 2000)  # half a lease: slow, but within what a send may take
        gate.set()

        async def all_sent():
            return all(row["state"] == "sent" for row in (await rows(sql)).values())

        await until(all_sent)
    assert sorted(taken) == sorted(f"text {n}" for n in range(40))
