"""The simulator as a server: one network, its page, Africa's Talking's REST API, on loopback."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web

from sim.africastalking import RestApi
from sim.callbacks import Poster
from sim.ledger_view import Followed, LedgerView
from sim.memory import Memory
from sim.network import Network
from sim.peers import Peers
from sim.services import Service
from sim.web.app import build_app

HOST = "127.0.0.1"
CONNECTIONS_MAX = 512


@dataclass(frozen=True, slots=True)
class Serving:
    """What a simulator is set up with."""

    services: tuple[Service, ...]
    port: int = 8800
    pin: str = ""
    ledger: Followed | None = None
    peers: Peers | None = None
    memory: Path | None = None  # the file of what phones and wire log keep over a restart


@contextlib.asynccontextmanager
async def network_for(serving: Serving) -> AsyncIterator[Network]:
    """A running network; nothing listens."""
    # No proxy, no cookies: a carrier's callback knows neither.
    http = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )
    async with http:
        network = Network(
            serving.services,
            Poster(http),
            now=time.time,
            entropy=os.urandom,
        )
        ticking = asyncio.get_running_loop().create_task(network.run())
        try:
            async with _remembering(serving.memory, network):
                yield network
        finally:
            ticking.cancel()
            await network.tower.close()


@contextlib.asynccontextmanager
async def _remembering(file: Path | None, network: Network) -> AsyncIterator[None]:
    """What phones and wire log held the last time is there, and will be the next time."""
    if file is None:
        yield
        return
    memory = Memory(file, network.tower)
    memory.recall()
    keeping = asyncio.get_running_loop().create_task(memory.keep())
    try:
        yield
    finally:
        keeping.cancel()
        memory.save()


@contextlib.asynccontextmanager
async def simulator(serving: Serving) -> AsyncIterator[Network]:
    """A simulator that listens until the block is left."""
    async with network_for(serving) as network:
        view = LedgerView() if serving.ledger is not None else None
        rest = RestApi(network)
        app = build_app(network, rest, view, serving.peers, pin=serving.pin)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        following: asyncio.Task[None] | None = None
        try:
            await web.TCPSite(runner, HOST, serving.port).start()
            if view is not None and serving.ledger is not None:
                following = asyncio.get_running_loop().create_task(view.follow(serving.ledger))
            yield network
        finally:
            if following is not None:
                following.cancel()
            await runner.cleanup()
