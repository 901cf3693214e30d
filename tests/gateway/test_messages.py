"""Messages: written once with the fact they tell, and counted against pumping."""

import pytest
from sqlalchemy import select

from gateway.desk.times import to_ms
from gateway.messages import LIFE_MS, PRIORITY, Kind, Outgoing, enqueue, replies_since
from gateway.stores.tables import Message, table_of
from menus.kinds import Msisdn

DARA = Msisdn("+85512345601")


async def queue(sql, clock, *messages):
    def write(connection, items):
        enqueue(connection, items, to_ms(clock.now()))
        return items

    await sql.run(write, messages)


async def test_the_same_fact_queued_twice_is_one_message(sql, clock):
    message = Outgoing("r", DARA, "receipt", "Sent 5,000 KHR")
    await queue(sql, clock, message)
    await queue(sql, clock, message)

    def read(connection, _):
        return [connection.execute(select(table_of(Message))).all()]

    assert len((await sql.run(read, [None]))[0]) == 1


async def test_answers_are_counted_per_number_and_hour(sql, clock):
    await queue(sql, clock, Outgoing("a", DARA, "reply", "1"), Outgoing("b", DARA, "receipt", "2"))

    def count(connection, sinces):
        return [replies_since(connection, DARA, since) for since in sinces]

    now_ms = to_ms(clock.now())
    assert await sql.run(count, [now_ms - 1, now_ms + 1]) == [1, 0]


@pytest.mark.parametrize("kind", Kind.__args__)
def test_every_kind_has_its_rank_and_its_time(kind):
    assert kind in PRIORITY
    assert kind in LIFE_MS
