"""One aiohttp application: the page, its API and live feed, and Africa's Talking's REST API.

    GET  /                                the phones
    GET  /live                            WebSocket: everything first, then each change
    GET  /api/state                       everything, once
    POST /api/phones                      {"msisdn"}            another phone on the page
    GET  /api/phones/{msisdn}             one phone, and below what its keys do; each answers so
    POST /api/phones/{msisdn}/dial        {"code"}
    POST /api/phones/{msisdn}/reply       {"text"}
    POST /api/phones/{msisdn}/end|expire  {}
    POST /api/phones/{msisdn}/sms         {"text", "to"?}
    POST /api/phones/{msisdn}/read        {"id"?}
    GET  /api/peers                       the ledger's peers, where they can be played with
    POST /api/peers/{number}              {"manner"}            up | stopped | slow | silent | lying

Anything wrong is 4xx with {"error": a sentence}.
"""

import json
import re
from pathlib import Path
from typing import Any

from aiohttp import web

from sim.acts import ACTS, BadAct, act
from sim.africastalking import RestApi
from sim.ledger_view import LedgerView
from sim.loopback import add_policy, only_here
from sim.manners import Manner
from sim.network import Network
from sim.peers import NoSuchPeer, Peers
from sim.tower import NetworkError
from sim.web.live import Live

STATIC = Path(__file__).with_name("static")
E164 = re.compile(r"\+[1-9][0-9]{6,14}")
BODY_MAX = 16 * 1024
PHONES_MAX = 24

Fields = dict[str, Any]


class Pages:
    """The handlers."""

    def __init__(self, network: Network, live: Live, peers: Peers | None) -> None:
        self._network = network
        self._live = live
        self._peers = peers

    def add_to(self, app: web.Application) -> None:
        """Routes of the page and of the API."""
        router = app.router
        router.add_get("/", self._index)
        router.add_static("/static/", STATIC)
        router.add_get("/live", self._live.serve)
        router.add_get("/api/state", self._state)
        router.add_post("/api/phones", self._add)
        router.add_get("/api/phones/{msisdn}", self._phone)
        router.add_post(f"/api/phones/{{msisdn}}/{{act:{'|'.join(ACTS)}}}", self._act)

        if self._peers is not None:
            router.add_get("/api/peers", self._all_peers)
            router.add_post("/api/peers/{number:[0-9]{1,3}}", self._peer)

    async def _act(self, request: web.Request) -> web.Response:
        msisdn = _msisdn(request.match_info["msisdn"])
        fields = await _fields(request)
        try:
            state = await act(self._network, msisdn, request.match_info["act"], fields)
        except BadAct as error:
            raise _refused(400, str(error)) from error
        except NetworkError as error:
            raise _refused(409, str(error)) from error
        return web.json_response(state)

    async def _index(self, _request: web.Request) -> web.FileResponse:
        return web.FileResponse(STATIC / "index.html")

    async def _state(self, _request: web.Request) -> web.Response:
        return web.json_response(self._live.everything())

    async def _phone(self, request: web.Request) -> web.Response:
        msisdn = _msisdn(request.match_info["msisdn"])
        return web.json_response(self._network.tower.handset(msisdn).as_json())

    async def _add(self, request: web.Request) -> web.Response:
        msisdn = _msisdn((await _fields(request)).get("msisdn"))
        tower = self._network.tower
        if sum(handset.shown for handset in tower.handsets.values()) >= PHONES_MAX:
            raise _refused(409, f"{PHONES_MAX} phones are enough for one page")
        if not tower.handset(msisdn).shown:
            tower.put(tower.handset(msisdn))
        return web.json_response(tower.handset(msisdn).as_json(), status=201)

    async def _all_peers(self, _request: web.Request) -> web.Response:
        return web.json_response(self._live.peers())

    async def _peer(self, request: web.Request) -> web.Response:
        manner = (await _fields(request)).get("manner")
        if self._peers is None or manner not in tuple(Manner):
            raise _refused(400, f"a peer is one of {', '.join(Manner)}")
        try:
            self._peers.become(int(request.match_info["number"]), Manner(manner))
        except NoSuchPeer as error:
            raise _refused(400, str(error)) from error
        return await self._all_peers(request)


def build_app(
    network: Network,
    rest: RestApi,
    ledger: LedgerView | None,
    peers: Peers | None = None,
    *,
    pin: str = "",
) -> web.Application:
    """Everything the simulator serves on its one port; `pin` is told as a hint."""
    app = web.Application(middlewares=[only_here], client_max_size=BODY_MAX)
    app.on_response_prepare.append(add_policy)
    live = Live(network, ledger, peers, pin)
    Pages(network, live, peers).add_to(app)
    rest.add_to(app)
    app.cleanup_ctx.append(live.run)
    app.on_shutdown.append(live.close)
    return app


async def _fields(request: web.Request) -> Fields:
    """A JSON object; the type is required, so that no plain form of another site gets here."""
    if request.content_type != "application/json":
        raise _refused(415, "send application/json")
    try:
        fields = await request.json()
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise _refused(400, "that is no JSON") from error
    if not isinstance(fields, dict):
        raise _refused(400, "send a JSON object")
    return fields


def _msisdn(text: object) -> str:
    if not isinstance(text, str) or not E164.fullmatch(text):
        raise _refused(400, "a phone number is written +85512345601")
    return text


def _refused(status: int, sentence: str) -> web.HTTPException:
    kind = {400: web.HTTPBadRequest, 409: web.HTTPConflict, 415: web.HTTPUnsupportedMediaType}
    return kind[status](text=json.dumps({"error": sentence}), content_type="application/json")
