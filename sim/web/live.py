"""The live feed: one WebSocket per page; everything first, then each change as it happens.

A page that reads too slowly is dropped (it reconnects and starts from everything again), so that
nothing piles up here.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import asdict

from aiohttp import WSMsgType, web

from sim.handset import Handset
from sim.ledger_view import LedgerView
from sim.network import Network
from sim.peers import Peers
from sim.tower import Change

QUEUE_MAX = 500
HEARTBEAT_S = 20.0


class Live:
    """Fans changes out to every page."""

    def __init__(
        self, network: Network, ledger: LedgerView | None, peers: Peers | None, pin: str = ""
    ) -> None:
        self._network = network
        self._ledger = ledger
        self._peers = peers
        self._pin = pin
        self._pages: dict[web.WebSocketResponse, asyncio.Queue[str]] = {}

    def everything(self) -> dict[str, object]:
        """What a page shows when it opens."""
        tower = self._network.tower
        return {
            "type": "everything",
            "services": [
                {"service_code": service.service_code, "shortcode": service.shortcode}
                for service in self._network.services
            ],
            "pin": self._pin,  # of everyone in the development world; shown as a hint
            "phones": [h.as_json() for h in tower.handsets.values() if h.shown],
            "wire": [asdict(exchange) for exchange in tower.wire],
            "ledger": self._ledger.as_json() if self._ledger else None,
            "peers": self.peers(),
        }

    def peers(self) -> dict[str, object] | None:
        """The ledger's peers, if they can be played with."""
        return self._peers.as_json() if self._peers else None

    async def run(self, _app: web.Application) -> AsyncIterator[None]:
        """Watch while the application runs."""
        stop = [self._network.tower.watch(self._changed)]
        if self._ledger is not None:
            stop.append(self._ledger.watch(self._ledger_changed))
        if self._peers is not None:
            stop.append(self._peers.watch(self._peers_changed))
        yield
        for unwatch in stop:
            unwatch()

    async def close(self, _app: web.Application) -> None:
        """Let every page go, so that the server need not wait for them."""
        for page in tuple(self._pages):
            await page.close(code=1001, message=b"the simulator stops")

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """One page, until it leaves."""
        page = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=4096)
        await page.prepare(request)
        queue: asyncio.Queue[str] = asyncio.Queue(QUEUE_MAX)
        queue.put_nowait(json.dumps(self.everything()))
        self._pages[page] = queue
        writer = asyncio.get_running_loop().create_task(_write(page, queue))
        try:
            async for message in page:
                if message.type is WSMsgType.ERROR:
                    break
        finally:
            self._pages.pop(page, None)
            writer.cancel()
        return page

    def _changed(self, change: Change) -> None:
        if isinstance(change, Handset):
            if change.shown:
                self._send({"type": "phone", "phone": change.as_json()})
        else:
            self._send({"type": "wire", "exchange": asdict(change)})

    def _ledger_changed(self) -> None:
        if self._ledger is not None:
            self._send({"type": "ledger", "ledger": self._ledger.as_json()})

    def _peers_changed(self) -> None:
        self._send({"type": "peers", "peers": self.peers()})

    def _send(self, change: dict[str, object]) -> None:
        if not self._pages:
            return
        text = json.dumps(change)
        for page, queue in tuple(self._pages.items()):
            try:
                queue.put_nowait(text)
            except asyncio.QueueFull:
                del self._pages[page]
                self._network.tower.start(_drop(page))


async def _write(page: web.WebSocketResponse, queue: asyncio.Queue[str]) -> None:
    while True:
        await page.send_str(await queue.get())


async def _drop(page: web.WebSocketResponse) -> None:
    await page.close(code=1013, message=b"too slow")
