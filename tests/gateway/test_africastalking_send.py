"""SMS out through the official SDK over real HTTP: what was sent, what was not, what may have been.

Only what surely was not sent may be tried again and again, so each kind of trouble is told apart.
"""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web
from ports import quiet_port

from gateway.carriers import africastalking
from gateway.carriers.africastalking import AfricasTalking
from gateway.carriers.carrier import SendFailed, SendRefused, SendUncertain
from gateway.carriers.http import Gate
from menus.kinds import Msisdn

DARA = Msisdn("+85512345601")
# A pair that no authority has signed, made for this test and used nowhere else; until 2126.
STRANGER = """-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgmye2RtmLngluHM/R
bFeojfWfV0oW3YHAOTVbzZDonvmhRANCAAQwbmAqMm6SbxIbFSgLQ0jBokXulRou
OgaoS2xU4MqG9nH/4+7YezUQq6ExbatKZ47SM2KxN3vO/je8IC7yCyxY
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBiTCCATCgAwIBAgIUcsyXSswIXxuqoTD2sGqSSs7u1A8wCgYIKoZIzj0EAwIw
ETEPMA0GA1UEAwwGbm9ib2R5MCAXDTI2MTEyMjIzMzE0OVoYDzIxMjYxMDI5MjMz
MTQ5WjARMQ8wDQYDVQQDDAZub2JvZHkwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AAQwbmAqMm6SbxIbFSgLQ0jBokXulRouOgaoS2xU4MqG9nH/4+7YezUQq6ExbatK
Z47SM2KxN3vO/je8IC7yCyxYo2QwYjAdBgNVHQ4EFgQUr00xfR+ZaEdNGN5YbdtS
Ia1xC+MwHwYDVR0jBBgwFoAUr00xfR+ZaEdNGN5YbdtSIa1xC+MwDwYDVR0TAQH/
BAUwAwEB/zAPBgNVHREECDAGhwR/AAABMAoGCCqGSM49BAMCA0cAMEQCICslWm3Y
bi4ggrOHT95fvTLj/S0GKgnmyJbHE1aldzAjAiB/l1xS9qexH9mB7CcGxX5zAqmK
2Mi7TgC1PY3ZvsfKig==
-----END CERTIFICATE-----
"""
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def carrier_at(url: str, **patience: float) -> AfricasTalking:
    return AfricasTalking(Gate("s"), africastalking._Sms(url, "sandbox", "key"), "855", **patience)


@pytest.fixture
async def rest(aiohttp_server) -> AsyncIterator[Callable[..., Awaitable[AfricasTalking]]]:
    """Africa's Talking's REST API, answering as a test says."""
    carriers: list[AfricasTalking] = []

    async def start(answer: Answer, **patience: float) -> AfricasTalking:
        app = web.Application()
        app.router.add_post("/version1/messaging", answer)
        server = await aiohttp_server(app)
        carriers.append(carrier_at(str(server.make_url("")), **patience))
        return carriers[-1]

    yield start
    for carrier in carriers:
        await carrier.close()


def recipients(code: int, message_id: str = "ATXid_1"):
    entry = {"statusCode": code, "number": "+85512345601", "cost": "0", "messageId": message_id}
    return {"SMSMessageData": {"Message": "Sent", "Recipients": [{**entry, "status": "x"}]}}


async def fate(carrier: AfricasTalking) -> type[Exception]:
    with pytest.raises((SendFailed, SendRefused, SendUncertain)) as raised:
        await carrier.send(DARA, "YES 1234")
    assert "1234" not in str(raised.value)
    return raised.type


async def test_the_sdk_sends_to_the_configured_place_and_brings_the_id_back(rest):
    posted = []

    async def answer(request: web.Request) -> web.Response:
        posted.append((request.headers["apiKey"], dict(await request.post())))
        return web.json_response(recipients(101), status=201)

    carrier = await rest(answer)
    assert await carrier.send(DARA, "Sent 5,000 KHR") == "ATXid_1"
    (key, form) = posted[0]
    assert key == "key"
    assert form == {
        "username": "sandbox",
        "to": "+85512345601",
        "message": "Sent 5,000 KHR",
        "bulkSMSMode": "1",
        "from": "855",
    }


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (401, SendRefused),
        (403, SendRefused),
        (406, SendRefused),
        (405, SendFailed),
        (500, SendFailed),
        (501, SendFailed),
        (502, SendFailed),
    ],
)
async def test_a_recipients_refusal_is_final_and_a_fault_is_not(rest, code, expected):
    async def answer(_request: web.Request) -> web.Response:
        return web.json_response(recipients(code), status=201)

    assert await fate(await rest(answer)) is expected


@pytest.mark.parametrize(
    ("status", "text", "expected"),
    [
        (401, "The supplied authentication is invalid", SendFailed),
        (429, "Slow down", SendFailed),
        (301, "Elsewhere", SendFailed),
        (503, "Not now", SendFailed),
        (500, "Oh", SendUncertain),
        (502, "<html>", SendUncertain),
        (504, "<html>", SendUncertain),
        (201, "not json", SendUncertain),
        (201, "[]", SendUncertain),
        (201, '{"SMSMessageData":{"Recipients":[{"statusCode":"soon"}]}}', SendUncertain),
        (201, '{"SMSMessageData":{"Message":"InvalidSenderId","Recipients":[]}}', SendFailed),
    ],
)
async def test_an_http_answer_tells_whether_it_may_have_been_sent(rest, status, text, expected):
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=text, content_type="application/json")

    assert await fate(await rest(answer)) is expected


async def test_a_json_answer_with_a_charset_is_read_too(rest):
    async def answer(_request: web.Request) -> web.Response:
        reply = web.json_response(recipients(101), status=201)
        reply.charset = "utf-8"
        return reply

    assert await (await rest(answer)).send(DARA, "text") == "ATXid_1"


async def test_where_nobody_listens_nothing_was_sent():
    carrier = carrier_at(f"http://127.0.0.1:{quiet_port()}")
    assert await fate(carrier) is SendFailed
    await carrier.close()


async def test_a_proof_of_identity_that_does_not_hold_leaves_nothing_sent(tmp_path):
    """TLS ends before the request begins: the carrier's expired certificate loses no receipt."""
    pair = tmp_path / "pair.pem"
    pair.write_text(STRANGER)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pair)
    async with listening(b"", tls) as port:
        carrier = carrier_at(f"https://127.0.0.1:{port}")
        assert await fate(carrier) is SendFailed
        await carrier.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 201 Cre",
        b"HTTP/1.1 201 Created\r\nContent-Length: 99\r\n\r\n{",
        b"\0\0\r\n\r\n",
    ],
    ids=["nothing", "half a head", "half a body", "no http"],
)
async def test_after_a_torn_answer_it_may_have_been_sent(answer):
    async with listening(answer) as port:
        carrier = carrier_at(f"http://127.0.0.1:{port}")
        assert await fate(carrier) is SendUncertain
        await carrier.close()


async def test_after_no_answer_it_may_have_been_sent(rest):
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def answer(_request: web.Request) -> web.Response:
        asked.set()
        await go_on.wait()
        return web.json_response(recipients(101), status=201)

    carrier = await rest(answer, send_s=0.3)
    assert await fate(carrier) is SendUncertain
    assert asked.is_set()
    go_on.set()


async def test_what_no_thread_had_begun_when_its_time_was_over_was_not_sent():
    carrier = carrier_at("http://127.0.0.1:9", send_s=0.05)
    go_on = threading.Event()
    for _ in range(africastalking.SEND_THREADS):
        carrier._threads.submit(go_on.wait, 30)
    assert await fate(carrier) is SendFailed
    go_on.set()
    await carrier.close()


async def test_sends_do_not_wait_for_each_other(rest):
    arrived = asyncio.Semaphore(0)
    go_on = asyncio.Event()

    async def answer(_request: web.Request) -> web.Response:
        arrived.release()
        await go_on.wait()
        return web.json_response(recipients(101), status=201)

    carrier = await rest(answer)
    sends = [asyncio.create_task(carrier.send(DARA, "text")) for _ in range(4)]
    for _ in sends:
        await arrived.acquire()
    go_on.set()
    assert await asyncio.gather(*sends) == ["ATXid_1"] * 4


# ---- servers that break off


@contextlib.asynccontextmanager
async def listening(answer, tls=None) -> AsyncIterator[int]:
    """A server that reads a request, says `answer` and hangs up."""

    async def meet(reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"YES+1234")
            writer.write(answer)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(meet, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]
