import json

import aiohttp
import pytest
from going import going

from ledger_client.ledger import (
    AddAssetQuantity,
    Block,
    BlockTransaction,
    CreateAccount,
    TransferAsset,
)

DARA, THIDA = "+85512345601", "+85512345602"


@going()
async def http():
    async with aiohttp.ClientSession() as session:
        yield session


async def call(http, base, path, fields, **kwargs):
    async with http.post(f"{base}/api/phones{path}", json=fields, **kwargs) as response:
        return response.status, await response.json()


async def test_a_phone_is_used_by_http(simulator, http):
    status, state = await call(http, simulator, f"/{DARA}/dial", {"code": "*855#"})
    assert status == 200
    assert state["screen"]["text"] == "1 Send\n2 Change PIN"
    assert state["screen"]["size"] == {"encoding": "GSM-7", "used": 19, "room": 182}
    assert state["in_session"] is True
    _, state = await call(http, simulator, f"/{DARA}/reply", {"text": "1"})
    _, state = await call(http, simulator, f"/{DARA}/reply", {"text": "012345602"})
    assert state["screen"]["secret"] is True
    _, state = await call(http, simulator, f"/{DARA}/end", {})
    assert (state["screen"]["kind"], state["in_session"]) == ("idle", False)


@pytest.mark.parametrize(
    ("path", "fields", "refusal"),
    [
        (f"/{DARA}/reply", {"text": "1"}, (409, "dial first")),
        (f"/{DARA}/dial", {"code": "hello"}, (400, "digits, * and #")),
        (f"/{DARA}/dial", {"code": 5}, (400, "is text")),
        (f"/{DARA}/sms", {"text": "x" * 1601}, (400, "at most 1600")),
        ("/012345601/dial", {"code": "*855#"}, (400, "written +85512345601")),
        ("", {"msisdn": None}, (400, "written +85512345601")),
        (f"/{DARA}/dial", ["*855#"], (400, "JSON object")),
    ],
)
async def test_what_is_wrong_is_told(simulator, http, path, fields, refusal):
    status, answer = await call(http, simulator, path, fields)
    assert status == refusal[0]
    assert refusal[1] in answer["error"]


async def test_only_json_is_taken_so_that_no_foreign_form_works(simulator, http, demo):
    url = f"{simulator}/api/phones/{DARA}/dial"
    async with http.post(url, data='{"code": "*855#"}') as response:
        assert response.status == 415
    assert demo.forms == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example:80"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
@pytest.mark.parametrize("path", ["/", "/live", "/api/state", "/version1/messaging"])
async def test_other_hosts_and_origins_are_refused(simulator, http, path, headers, status):
    async with http.get(simulator + path, headers=headers) as response:
        assert response.status == status


async def test_the_page_may_load_nothing_from_elsewhere(simulator, http):
    async with http.get(simulator) as response:
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
        page = await response.text()
    assert "http://" not in page
    assert "https://" not in page


async def test_the_feed_begins_with_everything_and_goes_on_with_changes(simulator, http, network):
    async with http.ws_connect(f"{simulator}/live") as feed:
        first = await feed.receive_json(timeout=5)
        assert first["type"] == "everything"
        assert [phone["name"] for phone in first["phones"]][:2] == ["Sok Dara", "Chan Thida"]
        assert len(first["phones"]) == 6
        network.sms.deliver(THIDA, "855", "hello")
        change = await feed.receive_json(timeout=5)
        assert change["phone"]["unread"] == 1


async def test_another_phone_can_be_added(simulator, http, network):
    status, state = await call(http, simulator, "", {"msisdn": "+85597123456"})
    assert (status, state["network"]) == (201, "Metfone")
    async with http.get(f"{simulator}/api/state") as response:
        assert len((await response.json())["phones"]) == 7


# --- the ledger beside the phones -------------------------------------------------------------


def block(height, creator, *commands):
    return Block(height, 0, "", "", (BlockTransaction("", creator, 0, commands),), (), ())


async def test_balances_are_folded_from_blocks(view):
    view.take(
        block(
            1,
            "treasury@bank",
            AddAssetQuantity("khr#nbc", "1000"),
            AddAssetQuantity("usd#nbc", "7.50"),
            CreateAccount("85512345601", "bank", "key"),
        )
    )
    view.take(
        block(
            2,
            "treasury@bank",
            TransferAsset("treasury@bank", "85512345601@bank", "usd#nbc", "0.30"),
        )
    )
    assert view.balances("treasury@bank") == {"khr#nbc": "1000", "usd#nbc": "7.20"}
    assert view.balances("85512345601@bank") == {"usd#nbc": "0.30"}
    assert view.as_json()["height"] == 2


async def test_a_block_out_of_order_changes_nothing(view):
    view.take(block(2, "treasury@bank", AddAssetQuantity("khr#nbc", "1000")))
    assert (view.height, view.balances("treasury@bank")) == (0, {})


async def test_a_block_is_on_the_page_at_once(simulator, http, view):
    async with http.ws_connect(f"{simulator}/live") as feed:
        await feed.receive_json(timeout=5)
        view.take(block(1, "treasury@bank", AddAssetQuantity("khr#nbc", "1000")))
        change = json.loads((await feed.receive(timeout=5)).data)
        assert change["ledger"]["accounts"][0]["balances"] == {"khr#nbc": "1000"}


# --- the ledger's peers ---------------------------------------------------------------------------


async def test_a_peer_is_told_how_to_behave_and_every_page_hears_of_it(simulator, http, orders):
    async with http.ws_connect(f"{simulator}/live") as feed:
        assert (await feed.receive_json(timeout=5))["peers"]["needed"] == 3
        async with http.post(f"{simulator}/api/peers/2", json={"manner": "silent"}) as response:
            assert response.status == 200
        told = (await feed.receive_json(timeout=5))["peers"]["peers"]
    assert [peer["manner"] for peer in told] == ["up", "silent", "up", "up"]
    assert orders == ["2 silent"]


@pytest.mark.parametrize(
    ("number", "fields"), [(5, {"manner": "up"}), (0, {"manner": "up"}), (1, {"manner": "odd"})]
)
async def test_what_no_peer_can_be_is_refused(simulator, http, orders, number, fields):
    async with http.post(f"{simulator}/api/peers/{number}", json=fields) as response:
        assert response.status == 400
        assert (await response.json())["error"]
    assert orders == []
