"""One process, started as `serve` starts it: which port says what, and what is refused at start."""

import asyncio
import gc
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest
from ports import quiet_port

from gateway.clock import system_entropy
from gateway.config import Settings, SettingsError
from gateway.desk.journal import ChainKeySealed
from gateway.kek import Kek
from gateway.serve import serve_forever
from ledger_client.keys import SigningKey, save_key

READY_S = 20.0


@pytest.fixture
def settings(tmp_path: Path, sqlite_url: str) -> Settings:
    """All that serving needs but a ledger: it is away."""
    save_key(tmp_path / "opener.key", SigningKey.generate(system_entropy))
    Kek.create(tmp_path / "kek.toml", system_entropy)
    return Settings(
        env="development",
        callback_secret="local",
        database_url=sqlite_url,
        port=quiet_port(),
        ledger_peers=(f"127.0.0.1:{quiet_port()}",),
        opener_key_file=tmp_path / "opener.key",
        kek_file=tmp_path / "kek.toml",
    )


@pytest.fixture(autouse=True)
def _as_it_was():
    """Serving changes what is the process's own."""
    files, collector = resource.getrlimit(resource.RLIMIT_NOFILE), gc.get_threshold()
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, files)
    gc.unfreeze()
    gc.set_threshold(*collector)


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[aiohttp.ClientSession]:
    running = asyncio.create_task(serve_forever(settings))
    try:
        async with aiohttp.ClientSession() as http, asyncio.timeout(READY_S):
            while not running.done():
                with suppress(aiohttp.ClientConnectionError):
                    async with http.get(f"http://127.0.0.1:{settings.port}/health"):
                        break
                await asyncio.sleep(0.02)
            if running.done():
                running.result()
            yield http
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError, SettingsError, ChainKeySealed):
            await running


async def statuses(http: aiohttp.ClientSession, port: int) -> dict[str, int]:
    found = {}
    for path in ("/health", "/ready", "/metrics"):
        async with http.get(f"http://127.0.0.1:{port}{path}") as reply:
            found[path] = reply.status
    return found


async def test_one_port_says_everything(settings):
    async with serving(settings) as http:
        assert await statuses(http, settings.port) == {
            "/health": 200,
            "/ready": 200,
            "/metrics": 200,
        }


async def test_with_a_port_for_operators_the_carriers_port_says_only_that_it_lives(settings):
    settings = settings.model_copy(update={"admin_port": quiet_port()})
    async with serving(settings) as http:
        assert await statuses(http, settings.port) == {
            "/health": 200,
            "/ready": 404,
            "/metrics": 404,
        }
        assert await statuses(http, settings.admin_port) == {
            "/health": 200,
            "/ready": 200,
            "/metrics": 200,
        }


@pytest.mark.parametrize("which", ["PORT", "ADMIN_PORT"])
async def test_a_port_that_is_taken_is_named(settings, which):
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    try:
        with pytest.raises(SettingsError, match=f"cannot listen on .*GATEWAY_{which}$"):
            await serve_forever(settings.model_copy(update={which.lower(): port}))
    finally:
        taken.close()


async def test_room_for_connections_is_made_or_refused_at_start(settings):
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, most))
    async with serving(settings):
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > settings.connections
    with pytest.raises(SettingsError, match="GATEWAY_CONNECTIONS"):
        await serve_forever(settings.model_copy(update={"connections": most * 2}))


async def test_with_another_databases_key_encryption_key_nothing_is_served(settings):
    """Every payment would fail, and the rows' proof with it."""
    async with serving(settings):
        pass
    settings.kek_file.unlink()
    Kek.create(settings.kek_file, system_entropy)
    with pytest.raises(ChainKeySealed):
        async with serving(settings):
            pass
