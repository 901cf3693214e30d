"""One process's life: start, answer, stop without losing anything.

Stopping goes against the stream: no more callbacks, then turns end, then payments that were begun
are stored and answered, then the background rests. What is stored goes on in whichever process
comes next, so a stop that is not graceful costs nothing but time.
"""

import asyncio
import gc
import resource
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy import Connection, select

from gateway import logs
from gateway.app import Gateway, gateway_of, key_of
from gateway.carriers.carrier import Lines
from gateway.config import PREFIX, Settings, SettingsError
from gateway.desk.audit import BEGIN_S
from gateway.desk.journal import Journal
from gateway.desk.seed import Seeder, Treasury, load_people
from gateway.door import Door, Patience
from gateway.http import Route
from gateway.stores.migrate import newest_version, schema_version
from gateway.stores.sessions import SessionKey, SessionsUnavailable
from gateway.stores.sql import StoreUnavailable
from gateway.stores.tables import Cursor, table_of
from gateway.web import Check, application

LOG = logs.get("serve")
DRAIN_S: Final = 10.0  # what was begun has this long to end
RETRY_S: Final = 1.0
OPERATORS_MOST: Final = 64  # connections to their own port, if they have one
FILES_OF_OUR_OWN: Final = 256  # operators, stores, the ledger, carriers' APIs, libraries


async def serve_forever(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM."""
    require_schema(settings)
    _make_files_possible(settings)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with gateway_of(settings) as gateway:
        await gateway.world.sql.run(partial(_prove, gateway.journal), [None], timeout_s=BEGIN_S)
        background = Background(gateway)
        entrances = _entrances(gateway)
        try:
            for entrance in entrances:
                await _open(entrance)
            background.start()
            _rest_the_collector()
            LOG.info("serving", host=settings.host, port=settings.port, env=settings.env)
            await stop.wait()
            LOG.info("stopping")
        finally:
            for entrance in entrances:
                await entrance.door.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_S):
                    await gateway.handlers.drain()
                    await gateway.transfers.drain()
                    await background.stop()
    LOG.info("stopped")


def _prove(journal: Journal, connection: Connection, items: Sequence[None]) -> Sequence[None]:
    """Without the key of the movements every payment would fail, each with a fault of its own."""
    journal.key(connection)
    return items


def _rest_the_collector() -> None:
    """Spare a tenth of every turn: garbage here goes by reference counts, and cycles are few.

    What was made so far lives as long as the process, so no collection need look at it again; and
    with the usual 700 new objects a few dozen turns under way set one off all the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def require_schema(settings: Settings) -> None:
    """Refuse a database of another release, before anything is written to it."""
    version, wanted = schema_version(settings.database_url), newest_version()
    if version != wanted:
        raise SettingsError(
            f"the database of GATEWAY_DATABASE_URL is at revision {version or 'none'}, "
            f"this release needs {wanted}: run `ussd-gateway migrate`"
        )


class Background:
    """What goes on without anybody asking, each part started again should it ever fall over."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stopping = False

    def start(self) -> None:
        """Start them all."""
        gateway = self._gateway
        for name, run in (
            ("outbox", gateway.outbox.run),
            ("follower", gateway.follower.run),
            ("sender", gateway.sender.run),
            ("housekeeping", gateway.housekeeping.run),
            ("returns", gateway.returns.run),
            ("invitations", gateway.invitations.run),
            ("disputes", gateway.disputes.run),
            ("reconciler", gateway.reconciler.run),
        ):
            self._tasks[name] = asyncio.create_task(self._supervise(name, run), name=name)

    async def stop(self) -> None:
        """Let what is under way end."""
        self._stopping = True
        self._gateway.outbox.stop()
        self._gateway.sender.stop()
        for name, task in self._tasks.items():
            if name not in ("outbox", "sender"):
                task.cancel()  # what it does is done whole or not at all
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _supervise(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        while not self._stopping:
            try:
                await run()
            except Exception as error:  # noqa: BLE001  # it must go on, whatever it was
                self._gateway.meters.faults.labels(name).inc()
                LOG.error("fell over and starts again", part=name, error=error)
                await self._gateway.world.clock.sleep(RETRY_S)


class Entrance(NamedTuple):
    """A door, where it opens, and which settings say so."""

    door: Door
    host: str
    port: int
    settings: str


def _entrances(gateway: Gateway) -> list[Entrance]:
    """The carriers' address, and one for operators when it is to be another."""
    settings, meters, entropy = gateway.settings, gateway.meters, gateway.world.entropy
    checks, apart = _checks(gateway), settings.admin_port is not None

    def door(routes: Sequence[Route], checks: dict[str, Check] | None, most: int) -> Door:
        answer = application(routes, checks, meters, entropy)
        return Door(answer, Patience(idle_s=settings.keepalive_s, most=most), meters.cut, DRAIN_S)

    public = door(_callbacks(gateway), None if apart else checks, settings.connections)
    entrances = [Entrance(public, settings.host, settings.port, PREFIX)]
    if settings.admin_port is not None:
        own = door((), checks, OPERATORS_MOST)
        entrances.append(Entrance(own, settings.admin_host, settings.admin_port, f"{PREFIX}ADMIN_"))
    return entrances


def _callbacks(gateway: Gateway) -> list[Route]:
    lines = Lines(
        ussd=gateway.turns.take,
        sms=gateway.inbox.take,
        delivery=gateway.sender.reported,
        unheard=gateway.inbox.ignore,
    )
    return [route for carrier in gateway.carriers for route in carrier.routes(lines)]


async def _open(entrance: Entrance) -> None:
    host, port = entrance.host, entrance.port
    try:
        await entrance.door.open(host, port)
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {host}:{port} ({error.strerror}): "
            f"set {entrance.settings}HOST or {entrance.settings}PORT"
        ) from error


def _make_files_possible(settings: Settings) -> None:
    """Each connection is an open file, of which most systems let a process have 1,024 at first."""
    wanted = settings.connections + FILES_OF_OUR_OWN
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if now != resource.RLIM_INFINITY and now < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
        except (ValueError, OSError):
            raise SettingsError(
                f"GATEWAY_CONNECTIONS={settings.connections} needs {wanted} open files and this "
                f"process may have {most}: raise its limit, or set fewer"
            ) from None


def _checks(gateway: Gateway) -> dict[str, Check]:
    """Whether this process can take turns. The ledger is not asked: payments wait for it.

    So they do after a restore, until its blocks are settled; that is told, and no reason to leave
    people without their menus.
    """
    world = gateway.world

    async def database() -> str | None:
        try:
            await world.sql.run(_look, [None], timeout_s=1.0, only_reads=True)
        except StoreUnavailable:
            return "the database does not answer: see GATEWAY_DATABASE_URL"
        return None

    async def sessions() -> str | None:
        try:
            await world.sessions.wait(SessionKey("", "", ""), version=0, timeout_s=0.0)
        except SessionsUnavailable:
            return "the session store does not answer: see GATEWAY_REDIS_URL"
        return None

    async def payments() -> str | None:
        signed = await gateway.follower.walked(0.0)
        return None if signed else "nothing is signed until the ledger's blocks are settled"

    return {"database": database, "sessions": sessions, "payments": payments}


def _look(connection: Connection, items: Sequence[None]) -> Sequence[None]:
    connection.execute(select(table_of(Cursor).c.height))
    return items


async def seed_people(settings: Settings, file: Path) -> None:
    """Open wallets for invented people, with the background running until all is settled."""
    people = load_people(file)
    require_schema(settings)
    key = key_of("TREASURY_KEY_FILE", settings.treasury_key_file)
    treasury = Treasury(f"treasury@{settings.bank_domain}", key)
    async with gateway_of(settings) as gateway:
        world = gateway.world
        seed = Seeder(
            world.sql,
            gateway.wallets,
            gateway.directory,
            vault=gateway.vault,
            waiters=gateway.waiters,
            poke=gateway.outbox.poke,
            clock=world.clock,
            entropy=world.entropy,
            treasury=treasury,
            assets=gateway.assets,
        )
        background = Background(gateway)
        background.start()
        try:
            await seed(people, development=settings.development)
        finally:
            await background.stop()
