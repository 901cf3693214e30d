"""One HTTP/1.1 connection, by hand: how it may be cut, joined, torn, misread, and how it ends."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import connection as module
from gateway.connection import Connection
from gateway.door import Door, Patience
from gateway.http import BODY_BYTES_MAX, Refused, Request, Response
from gateway.meters import Meters

LIMIT_S = 10.0  # a test that waits longer has failed
GET = b"GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST /p%61th HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"


class Application:
    """Answers with what it was asked; `hold` keeps it from answering."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.asked: list[Request] = []

    async def __call__(self, request: Request) -> Response:
        self.asked.append(request)
        await self.go_on.wait()
        try:
            body = await request.body() if (request.length or 0) <= BODY_BYTES_MAX else b"much"
        except Refused as refused:
            return refused.response
        return Response(f"{request.method} {request.path} ".encode() + body)


Talk = Callable[..., Awaitable[bytes]]


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
async def opened(application) -> AsyncIterator[Door]:
    door = Door(application, Patience(leave_s=0.1), Meters().cut, LIMIT_S)
    await door.open("127.0.0.1", 0)
    yield door
    await door.close()


@pytest.fixture
def talk(opened) -> Talk:
    async def said(*pieces: bytes, leave: bool = True) -> bytes:
        """All that comes back until the other side hangs up; `leave` says that we are done."""
        async with asyncio.timeout(LIMIT_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", opened.port)
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            if leave:
                writer.write_eof()
            heard = await reader.read()
            writer.close()
        return heard

    return said


def statuses(heard: bytes) -> list[int]:
    return [int(part[:3]) for part in heard.split(b"HTTP/1.1 ")[1:]]


async def test_a_request_is_answered_with_its_length_and_a_date(talk):
    heard = await talk(GET)
    head, _, body = heard.partition(b"\r\n\r\n")
    assert body == b"GET /a "
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 200 OK"
    assert b"Content-Length: 7" in lines
    assert b"Content-Type: text/plain; charset=utf-8" in lines
    assert any(line.startswith(b"Date: ") and line.endswith(b" GMT") for line in lines)


async def test_a_caller_who_says_that_it_is_done_still_gets_its_answers(talk, application):
    application.go_on.clear()
    asyncio.get_running_loop().call_later(0.05, application.go_on.set)
    assert statuses(await talk(GET + POST)) == [200, 200]


async def test_requests_sent_together_are_answered_in_order(talk):
    heard = await talk(GET + POST + GET)
    assert statuses(heard) == [200, 200, 200]
    assert heard.index(b"GET /a") < heard.index(b"POST /path hello") < heard.rindex(b"GET /a")


async def test_more_requests_ahead_of_their_answers_than_anybody_needs_are_not_read(talk):
    heard = await talk(GET * (module.PIPELINED_MOST + 2), leave=False)
    assert len(statuses(heard)) == module.PIPELINED_MOST + 1


async def test_a_head_request_is_answered_without_a_body(talk):
    heard = await talk(GET.replace(b"GET", b"HEAD"))
    assert statuses(heard) == [200]
    assert heard.endswith(b"\r\n\r\n")


async def test_http_1_0_is_answered_and_closed_unless_it_asks_to_stay(talk):
    old = b"GET / HTTP/1.0\r\n\r\n"
    assert b"Connection: close" in await talk(old, leave=False)
    stays = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    heard = await talk(stays + old, leave=False)
    assert statuses(heard) == [200, 200]
    assert b"Connection: keep-alive" in heard


async def test_a_whole_address_is_asked_for_by_its_path(talk):
    assert b"GET /a " in await talk(b"GET http://h:80/a?x HTTP/1.1\r\nHost: h\r\n\r\n")
    assert b"OPTIONS * " in await talk(b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n")


WAITS = b"POST /w HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n\r\n"


async def test_who_waits_to_be_told_to_go_on_is_told_when_its_turn_has_come(opened, application):
    application.go_on.clear()
    async with asyncio.timeout(LIMIT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", opened.port)
        writer.write(GET + WAITS)
        while not application.asked:
            await asyncio.sleep(0.01)
        application.go_on.set()
        heard = await reader.readuntil(b"GET /a ")
        assert statuses(heard) == [200]
        assert statuses(await reader.readuntil(b"\r\n\r\n")) == [100]
        writer.write(b"ab")
        writer.write_eof()
        assert (await reader.read()).endswith(b"POST /w ab")
        writer.close()


@pytest.mark.parametrize(
    "asked",
    [
        WAITS + b"ab",
        WAITS + b"a",
        WAITS.replace(b"1.1", b"1.0"),
        WAITS.replace(b"100-Continue", b"else"),
        WAITS.replace(b": 2", b": 0"),
        WAITS.replace(b": 2", b": 99999"),
        WAITS.replace(b"Content-Length: 2", b"Transfer-Encoding: chunked"),
    ],
    ids=["all came", "some came", "HTTP/1.0", "another wish", "none", "too much", "chunks"],
)
async def test_nobody_else_is_told_to_go_on(asked):
    found, paths = await _spoken([asked])
    assert 100 not in found
    assert paths == ["/w"]


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nA : b\r\n\r\n",
        b"GET / HTTP/1.1\nA: b\n\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1e3\r\n\r\n",
        b"hello\r\n\r\n",
    ],
)
async def test_what_is_no_http_or_may_be_read_in_two_ways_is_refused(talk, application, nonsense):
    heard = await talk(nonsense + GET, leave=False)
    assert statuses(heard) == [400]
    assert b"Connection: close" in heard
    assert application.asked == []


async def test_an_endless_head_is_refused(talk, application):
    heard = await talk(b"GET / HTTP/1.1\r\nA: ", *[b"a" * 4096] * 5, leave=False)
    assert statuses(heard) == [431]
    assert application.asked == []


async def test_who_wants_another_protocol_is_answered_in_this_one(talk):
    asked = b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    assert statuses(await talk(asked + b"whatever that speaks", leave=False)) == [200]


OFFERED = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n"
OFFERS = POST.replace(b"Host: h\r\n", b"Host: h\r\n" + OFFERED)


async def test_who_offers_another_protocol_is_read_and_stays_in_this_one(talk):
    """So does the HTTP client of Java offer HTTP/2 wherever it speaks without TLS."""
    heard = await talk(OFFERS + OFFERS + GET)
    assert statuses(heard) == [200, 200, 200]
    assert heard.count(b"POST /path hello") == 2
    assert heard.endswith(b"GET /a ")


async def test_of_an_offer_in_chunks_or_of_a_tunnel_nothing_more_is_read(talk, application):
    chunked = OFFERS.replace(b"Content-Length: 5", b"Transfer-Encoding: chunked")
    tunnel = b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n"
    for first in (chunked, tunnel):
        assert statuses(await talk(first + GET, leave=False)) == [200]
    assert len(application.asked) == 2


async def test_the_body_of_an_offer_may_be_torn_or_too_much(talk):
    assert statuses(await talk(OFFERS[:-2])) == [400]
    much = OFFERS.replace(b"Content-Length: 5", b"Content-Length: 1000000")
    heard = await talk(much, *[b"x" * 50_000] * 10, leave=False)
    assert statuses(heard) == [200]
    assert b"Connection: close" in heard


async def test_a_torn_body_is_refused(talk):
    assert statuses(await talk(POST[:-2])) == [400]


async def test_a_body_that_nobody_reads_does_not_hide_the_answer(talk):
    head = b"POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n"
    heard = await talk(head, *[b"x" * 50_000] * 10, leave=False)
    assert statuses(heard) == [200]
    assert b"Connection: close" in heard


async def test_what_was_asked_is_answered_before_an_address_closes(talk, opened, application):
    application.go_on.clear()
    asking = asyncio.create_task(talk(GET, leave=False))
    idle = asyncio.create_task(talk(leave=False))
    async with asyncio.timeout(LIMIT_S):
        while not (application.asked and opened._new.since):
            await asyncio.sleep(0.01)
    closing = asyncio.create_task(opened.close())
    assert await idle == b""
    assert not closing.done()
    application.go_on.set()
    heard = await asking
    assert statuses(heard) == [200]
    assert b"Connection: close" in heard
    await closing


async def test_a_caller_who_hangs_up_does_not_stop_what_was_begun(opened, application):
    application.go_on.clear()
    async with asyncio.timeout(LIMIT_S):
        _, writer = await asyncio.open_connection("127.0.0.1", opened.port)
        writer.write(GET)
        while not application.asked:
            await asyncio.sleep(0.01)
        (work,) = opened._working
        writer.transport.abort()
        while not work._deaf:  # until it has heard of that
            await asyncio.sleep(0.01)
        assert opened._working == {work}
        application.go_on.set()
        while opened._working:
            await asyncio.sleep(0.01)


# ---- however it is cut


class Written(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: bytes) -> None:  # type: ignore[override]
        self.written += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return False


class Porter:
    closing = False

    def works(self, connection: Connection) -> None: ...
    def rests(self, connection: Connection) -> None: ...
    def leaves(self, connection: Connection) -> None: ...
    def gone(self, connection: Connection) -> None: ...


async def _spoken(pieces: list[bytes]) -> tuple[list[int], list[str]]:
    application, transport = Application(), Written()
    connection = Connection(application, Porter(), 0.0)
    connection.connection_made(transport)
    for piece in pieces:
        connection.data_received(piece)
    for _ in range(20):
        await asyncio.sleep(0)
    return statuses(transport.written), [request.path for request in application.asked]


@given(st.sampled_from([POST, OFFERS]), st.lists(st.integers(0, 250), max_size=12))
def test_however_the_bytes_are_cut_they_are_the_same_requests(post, cuts):
    whole = GET + post + GET
    places = [0, *sorted(cut % len(whole) for cut in cuts), len(whole)]
    pieces = [whole[a:b] for a, b in pairwise(places) if a < b]
    assert asyncio.run(_spoken(pieces)) == ([200, 200, 200], ["/a", "/path", "/a"])


@given(st.lists(st.binary(max_size=60), max_size=5), st.booleans())
def test_whatever_bytes_come_nothing_is_raised(pieces, after_a_request):
    found, _ = asyncio.run(_spoken([GET, *pieces] if after_a_request else pieces))
    assert set(found) <= {100, 200, 400, 431}
