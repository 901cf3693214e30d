"""What an address tells whoever asks: carriers' addresses nothing that is for operators only."""

import pytest
from clocks import seeded

from gateway.http import Request, Response, Route
from gateway.meters import Meters
from gateway.web import application


async def well() -> None:
    return None


async def ill() -> str:
    return "the database does not answer"


@pytest.mark.parametrize(("check", "status", "word"), [(well, 200, "ok"), (ill, 503, "the data")])
async def test_readiness_is_what_its_checks_say(serve, check, status, word):
    client = await serve(application([], {"database": check}, Meters(), seeded()))
    reply = await client.get("/ready")
    assert reply.status == status
    assert (await reply.json())["database"].startswith(word)


async def test_an_address_without_checks_tells_neither_readiness_nor_metrics(serve):
    client = await serve(application([], None, Meters(), seeded()))
    assert (await client.get("/health")).status == 200
    assert (await client.get("/ready")).status == 404
    assert (await client.get("/metrics")).status == 404


async def test_another_method_is_told_which_there_is_and_another_path_nothing(serve):
    async def take(_request: Request) -> Response:
        return Response(b"taken")

    route = Route("POST", "/s3cret/ussd", take)
    client = await serve(application([route], None, Meters(), seeded()))
    reply = await client.get("/s3cret/ussd")
    assert (reply.status, reply.headers["Allow"]) == (405, "POST")
    reply = await client.get("/other/ussd")
    assert (reply.status, "Allow" in reply.headers) == (404, False)
    assert (await client.head("/health")).status == 200


async def test_a_fault_is_counted_and_quotes_nothing(serve):
    async def fall(_request: Request) -> Response:
        raise RuntimeError("1*730264")

    meters = Meters()
    client = await serve(application([Route("GET", "/x", fall)], {}, meters, seeded()))
    reply = await client.get("/x")
    assert (reply.status, await reply.text()) == (503, "not now\n")
    assert 'gateway_faults_total{room="web"} 1.0' in await (await client.get("/metrics")).text()
