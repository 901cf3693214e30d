"""Silence in the door: who says nothing goes, who trickles goes, who works stays."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from clocks import seeded

from gateway import door
from gateway.carriers import http
from gateway.carriers.http import Gate
from gateway.door import Door, Patience
from gateway.http import Response, Route
from gateway.meters import Meters
from gateway.web import application

SHORT_S = 0.3  # what the door's patience is here
LIMIT_S = 10.0  # a test that waits longer has failed
HEAD = (
    b"POST /s3cret/echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n"
)
WHOLE = HEAD + b"Content-Length: 6\r\n\r\ntext=1"
ASKED = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
MUCH = 64 * 1024 * 1024  # more than any system keeps for a caller that does not read
ASKED_MUCH = b"GET /much HTTP/1.1\r\nHost: a\r\n\r\n"


class Caller:
    """One connection, by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._began = asyncio.get_running_loop().time()

    async def say(self, said: bytes) -> None:
        self._writer.write(said)
        await self._writer.drain()

    async def trickle(self, said: bytes) -> None:
        """A byte at a time, never silent for as long as the door's patience."""
        with contextlib.suppress(ConnectionError):
            for byte in said:
                await self.say(bytes([byte]))
                await asyncio.sleep(SHORT_S / 10)

    async def status(self) -> int:
        """Of the next answer, whose body is read too."""
        async with asyncio.timeout(LIMIT_S):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.split("content-length: ")[1].split("\r\n")[0])
            await self._reader.readexactly(length)
        return int(head.split()[1])

    async def gone(self) -> float:
        """Wait until the other side has closed; how old the connection was then."""
        async with asyncio.timeout(LIMIT_S):
            with contextlib.suppress(ConnectionError):
                while await self._reader.read(1000):
                    pass
        return asyncio.get_running_loop().time() - self._began

    async def read(self) -> int:
        """How much there is to read until the other side closes."""
        found = 0
        async with asyncio.timeout(LIMIT_S):
            with contextlib.suppress(ConnectionError):
                while some := await self._reader.read(1024 * 1024):
                    found += len(some)
        return found

    def is_open(self) -> bool:
        return not self._reader.at_eof()


@pytest.fixture
def meters() -> Meters:
    return Meters()


@pytest.fixture
def doors() -> list[Door]:
    """The door that was called."""
    return []


@pytest.fixture
async def call(meters, doors) -> AsyncIterator[Callable[..., Awaitable[Caller]]]:
    """Calls a door that is opened by the first call, as patient as its test wants."""
    writers: list[asyncio.StreamWriter] = []

    async def echo(form) -> Response:
        await asyncio.sleep(float(form.get("wait", "0")))
        return Response(form["text"].encode())

    async def much(_request) -> Response:
        return Response(bytes(MUCH))

    routes = [Gate("s3cret").post("/{secret}/echo", echo), Route("GET", "/much", much)]

    async def connect(**patience) -> Caller:
        if not doors:
            app = application(routes, {}, meters, seeded())
            wanted = Patience(**{"first_s": SHORT_S, "leave_s": SHORT_S, **patience})
            doors.append(Door(app, wanted, meters.cut, LIMIT_S))
            await doors[0].open("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", doors[0].port)
        writers.append(writer)
        return Caller(reader, writer)

    yield connect
    for writer in writers:
        writer.close()
    for one in doors:
        await one.close()


def cut(meters, why: str) -> int:
    return int(meters.registry.get_sample_value("gateway_connections_cut_total", {"why": why}) or 0)


async def test_a_connection_that_says_nothing_is_closed(call, meters):
    silent = [await call() for _ in range(20)]
    ages = [await one.gone() for one in silent]
    assert min(ages) >= SHORT_S * 0.9
    assert cut(meters, "silent") == 20


async def test_a_head_that_trickles_is_closed_though_it_never_rests(call, meters):
    slow = await call()
    trickling = asyncio.create_task(slow.trickle(HEAD))
    assert await slow.gone() < SHORT_S * len(HEAD) / 10
    trickling.cancel()
    assert cut(meters, "silent") == 1


async def test_a_body_that_trickles_gets_a_408_and_is_closed(call, meters, monkeypatch):
    monkeypatch.setattr(http, "RECEIVE_S", SHORT_S)
    slow = await call()
    await slow.say(HEAD + b"Content-Length: 400\r\n\r\n")
    trickling = asyncio.create_task(slow.trickle(b"x" * 400))
    assert await slow.status() == 408
    assert await slow.gone() < SHORT_S * 40
    trickling.cancel()
    assert cut(meters, "silent") == 0


async def test_who_asks_again_and_again_stays(call, meters):
    caller = await call()
    for _ in range(5):
        await caller.say(WHOLE)
        assert await caller.status() == 200
        await asyncio.sleep(SHORT_S / 3)
    assert caller.is_open()
    assert cut(meters, "silent") == 0


async def test_an_answer_that_takes_longer_than_the_doors_patience_is_given(call):
    caller = await call()
    body = f"text=1&wait={SHORT_S * 2}".encode()
    await caller.say(HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
    assert await caller.status() == 200


async def test_an_idle_connection_is_closed_also_when_its_next_head_trickles(call):
    idle, trickling = await call(idle_s=SHORT_S), await call()
    for caller in (idle, trickling):
        await caller.say(ASKED)
        assert await caller.status() == 200
    slow = asyncio.create_task(trickling.trickle(HEAD))
    for caller in (idle, trickling):
        assert await caller.gone() < SHORT_S * len(HEAD) / 10
    slow.cancel()


async def test_beyond_the_most_the_longest_silent_makes_room(call, meters):
    silent = [await call(first_s=LIMIT_S, most=3) for _ in range(3)]
    late = await call()
    await late.say(ASKED)
    assert await late.status() == 200
    await silent[0].gone()
    assert silent[1].is_open()
    assert silent[2].is_open()
    assert cut(meters, "crowded") == 1


async def test_nobody_at_work_is_sent_away_for_another(call, meters):
    working = [await call(most=3) for _ in range(3)]
    for caller in working:
        await caller.say(ASKED)
        assert await caller.status() == 200
    late = await call()
    await late.gone()
    for caller in working:
        await caller.say(WHOLE)
        assert await caller.status() == 200
    assert cut(meters, "no room") == 1


async def test_who_idles_longer_than_any_answer_takes_makes_room(call, meters, monkeypatch):
    monkeypatch.setattr(door, "BUSY_S", 0.0)
    idle = [await call(most=2) for _ in range(2)]
    for caller in idle:
        await caller.say(ASKED)
        assert await caller.status() == 200
    late = await call()
    await late.say(ASKED)
    assert await late.status() == 200
    await idle[0].gone()
    assert idle[1].is_open()
    assert cut(meters, "crowded") == 1


async def test_who_has_left_takes_no_place(call, meters):
    for _ in range(4):
        caller = await call(most=2)
        await caller.say(b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert await caller.status() == 200
        await caller.gone()
        await asyncio.sleep(0.11)  # it is looked ten times a second
    assert cut(meters, "no room") == 0


async def until_counted(meters, why: str) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not cut(meters, why):
            await asyncio.sleep(SHORT_S / 10)


@pytest.mark.parametrize(
    "then",
    [b"", b"\x00\x00\r\n\r\n", ASKED_MUCH.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")],
    ids=["nothing", "nonsense", "a last request"],
)
async def test_who_does_not_read_is_cut_and_takes_no_place(call, meters, then):
    caller = await call(idle_s=SHORT_S, read_s=SHORT_S, most=1)
    await caller.say(ASKED_MUCH)
    await asyncio.sleep(SHORT_S / 3)
    await caller.say(then)
    await until_counted(meters, "unread")
    assert await caller.read() < MUCH
    after = await call()
    await after.say(ASKED)
    assert await after.status() == 200
    assert cut(meters, "no room") == 0


async def test_a_stop_waits_no_longer_than_that_for_who_does_not_read(call, doors, meters):
    loop = asyncio.get_running_loop()
    caller = await call(read_s=SHORT_S)
    await caller.say(ASKED_MUCH + b"\x00\x00\r\n\r\n")
    await asyncio.sleep(SHORT_S / 3)
    began = loop.time()
    await doors[0].close()
    assert loop.time() - began < LIMIT_S / 2
    assert cut(meters, "unread") == 1
    assert await caller.read() < MUCH


async def test_a_stop_waits_for_an_answer_that_is_being_read(call, doors, meters):
    caller = await call(read_s=LIMIT_S)
    await caller.say(ASKED_MUCH)
    await asyncio.sleep(SHORT_S / 3)
    stop = asyncio.create_task(doors[0].close())
    await asyncio.sleep(SHORT_S / 3)
    assert not stop.done()
    assert await caller.read() > MUCH
    await stop
    assert cut(meters, "unread") == 0
