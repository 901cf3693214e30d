"""Whose callback it is: proxies that are trusted speak for the carrier, nobody else does."""

from ipaddress import ip_address, ip_network

import pytest
from clocks import seeded
from hypothesis import given
from hypothesis import strategies as st

from gateway.carriers.http import Gate, caller
from gateway.http import Response
from gateway.meters import Meters
from gateway.web import application

PROXIES = [ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "whom"),
    [
        ("192.0.2.9", [], "192.0.2.9"),
        ("192.0.2.9", ["198.51.100.1"], "192.0.2.9"),  # a stranger speaks for nobody
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        (
            "10.0.0.1",
            ["203.0.113.7, 198.51.100.1"],
            "198.51.100.1",
        ),  # forged is what is left of it
        ("10.0.0.1", ["198.51.100.1", "10.0.0.2"], "198.51.100.1"),  # two proxies, two headers
        ("10.0.0.1", ["203.0.113.7,198.51.100.1,10.0.0.3,10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),  # from behind the proxies themselves
        ("::ffff:10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("2001:db8::1", ["2001:db9::1"], "2001:db9::1"),
    ],
)
def test_the_last_address_that_is_no_trusted_proxys(peer, forwarded, whom):
    assert caller(peer, forwarded, PROXIES) == ip_address(whom)


@pytest.mark.parametrize("nonsense", ["", "unknown", "1.2.3.4:80", "_hidden", "1.2.3", "១.2.3.4"])
def test_what_a_proxy_was_told_that_is_no_address_is_nobodys(nonsense):
    with pytest.raises(ValueError, match="address"):
        caller("10.0.0.1", [f"198.51.100.1, {nonsense}"], PROXIES)
    assert caller("10.0.0.1", [f"{nonsense}, 198.51.100.1"], PROXIES) == ip_address("198.51.100.1")


@given(st.text(max_size=60), st.ip_addresses(v=4))
def test_nothing_that_a_caller_writes_makes_it_somebody_else(forged, stranger):
    """The proxy adds whom it heard from at the right of whatever came."""
    if any(stranger in proxies for proxies in PROXIES):
        return
    assert caller("10.0.0.1", [forged, str(stranger)], PROXIES) == stranger
    assert caller("10.0.0.1", [f"{forged}, {stranger}"], PROXIES) == stranger
    assert caller(str(stranger), [forged], PROXIES) == stranger


@pytest.mark.parametrize(
    ("trusted", "forwarded", "status"),
    [
        (["127.0.0.1"], "198.51.100.1", 200),
        (["127.0.0.1"], "198.51.100.1, 192.0.2.66", 404),
        (["127.0.0.1"], "nonsense", 404),
        (["127.0.0.1"], None, 404),
        (["10.0.0.1"], "198.51.100.1", 404),
        ([], "198.51.100.1", 404),
    ],
)
async def test_the_allow_list_sees_the_carrier_behind_the_proxy(serve, trusted, forwarded, status):
    async def took(_form) -> Response:
        return Response(b"took it")

    route = Gate("s3cret", ["198.51.100.0/24"], trusted).post("/{secret}/x", took)
    client = await serve(application([route], {}, Meters(), seeded()))
    headers = {"X-Forwarded-For": forwarded} if forwarded is not None else {}
    reply = await client.post("/s3cret/x", data={"text": "1"}, headers=headers)
    assert reply.status == status
