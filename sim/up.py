"""`ussd-sim up`: the whole world on loopback, in one command.

Ledger, gateway and people are made when missing, started in order, watched, and stopped in
reverse. The gateway is a process of its own that is told everything by `GATEWAY_…` variables, as
an operator would; nothing here imports it. All state is in one folder and survives a restart.
"""

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from rich.console import Console

from ledger_client.iroha1 import Iroha1
from ledger_client.keys import load_key
from sim.africastalking import Account
from sim.callbacks import OK, Application
from sim.children import Child, clean_environment, complete, running
from sim.founding import BANK, CannotStart, found
from sim.people import load_people
from sim.serve import HOST, Serving, simulator

SECRET = "local"  # noqa: S105  # development only, and the issue names it
USERNAME = "sandbox"
SERVICE_CODE, SHORTCODE = "*855#", "855"
READY_S = 60.0
POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class World:
    """Where everything is."""

    state: Path
    people: Path
    port: int = 8800
    gateway_port: int = 8855
    ledger_port: int = 50051
    peers: int = 1

    @property
    def keys(self) -> Path:
        return self.state / "keys"

    @property
    def genesis(self) -> Path:
        return self.state / "ledger" / "genesis.json"

    @property
    def gateway_url(self) -> str:
        return f"http://{HOST}:{self.gateway_port}"

    @property
    def ledger_ports(self) -> range:
        """One for each peer."""
        return range(self.ledger_port, self.ledger_port + self.peers)

    @property
    def ledger_addresses(self) -> list[str]:
        return [f"{HOST}:{port}" for port in self.ledger_ports]

    @property
    def peer_keys(self) -> list[Path]:
        """Each peer's key file; the first is named as if it were the only one."""
        names = ["peer", *(f"peer{number}" for number in range(2, self.peers + 1))]
        return [self.genesis.with_name(f"{name}.key") for name in names]

    def log(self, name: str) -> Path:
        return self.state / "logs" / f"{name}.log"

    def check_ports(self) -> None:
        """Raise `CannotStart` naming every port that somebody else has."""
        wanted = (
            (self.port, "simulator", "--port", "SIM_PORT"),
            (self.gateway_port, "gateway", "--gateway-port", "GATEWAY_PORT"),
            *(
                (port, "development ledger", "--ledger-port", "LEDGER_PORT")
                for port in self.ledger_ports
            ),
        )
        if len({port for port, *_ in wanted}) != len(wanted):
            raise CannotStart("simulator, gateway and each peer of the ledger need different ports")
        taken = [
            f"Port {port} is taken and the {who} needs it: choose another with {option} {port + 1}"
            f" (make run {variable}={port + 1})"
            for port, who, option, variable in wanted
            if not _is_free(port)
        ]
        if taken:
            raise CannotStart("\n".join(taken))

    def gateway_environment(self, api_key: str) -> dict[str, str]:
        """What the gateway is told. What the person has set stays, but for how parts find parts."""
        mine = {
            "GATEWAY_DATABASE_URL": f"sqlite:///{self.state / 'gateway.db'}",
            "GATEWAY_BANK_NAME": "Mekong Bank",
            "GATEWAY_ARGON2_THREADS": "2",
            # One person plays everybody here: the bound for a real number is soon reached.
            "GATEWAY_SMS_REPLIES_PER_HOUR": "1000",
        }
        fixed = {
            "GATEWAY_ENV": "development",
            "GATEWAY_HOST": HOST,
            "GATEWAY_PORT": str(self.gateway_port),
            "GATEWAY_LEDGER_PEERS": ",".join(self.ledger_addresses),
            "GATEWAY_LEDGER_GENESIS_FILE": str(self.genesis),
            "GATEWAY_AFRICASTALKING_URL": f"http://{HOST}:{self.port}",
            "GATEWAY_AFRICASTALKING_USER": USERNAME,
            "GATEWAY_AFRICASTALKING_KEY": api_key,
            "GATEWAY_CALLBACK_SECRET": SECRET,
            "GATEWAY_SERVICE_CODE": SERVICE_CODE,
            "GATEWAY_SHORTCODE": SHORTCODE,
            "GATEWAY_BANK_DOMAIN": BANK,
            "GATEWAY_OPENER_KEY_FILE": str(self.keys / "opener.key"),
            "GATEWAY_TREASURY_KEY_FILE": str(self.keys / "treasury.key"),
            "GATEWAY_KEK_FILE": str(self.keys / "kek.toml"),
        }
        return {**mine, **clean_environment(), **fixed}


@dataclass(frozen=True, slots=True)
class Running:
    """A world that runs: `ends` fails with `ChildFailed` when a part dies."""

    ends: "asyncio.Future[None]"
    gateway_pid: int


@contextlib.asynccontextmanager
async def world_up(world: World, console: Console) -> AsyncIterator[Running]:
    """Everything runs while the block does."""
    world.check_ports()
    world.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    env = world.gateway_environment(secrets.token_hex(16))
    people = load_people(world.people)
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(_pid_file(world.state / "up.pid"))
        with _step(console, "keys"):
            await complete(
                "ussd-gateway keys",
                ["-m", "gateway", "keys", str(world.keys)],
                env,
                world.log("setup"),
            )
            found(world.genesis, world.keys, world.peer_keys)
        with _step(console, f"development ledger on {', '.join(world.ledger_addresses)}"):
            ledger_runs = await stack.enter_async_context(_ledger(world, env))
            opener_key = load_key(world.keys / "opener.key")
            ledger = Iroha1(world.ledger_addresses, f"opener@{BANK}", opener_key)
            stack.push_async_callback(ledger.close)
            await _until(ledger.healthy, "the ledger", ledger_runs.ends)
        serving = Serving(
            Application.under(f"{world.gateway_url}/africastalking/{SECRET}"),
            port=world.port,
            account=Account(USERNAME, env["GATEWAY_AFRICASTALKING_KEY"]),
            service_code=SERVICE_CODE,
            shortcode=SHORTCODE,
            people=people.everyone,
            pin=people.pin,
            ledger=ledger,
        )
        await stack.enter_async_context(simulator(serving))
        with _step(console, f"gateway on {world.gateway_url}"):
            await complete(
                "ussd-gateway migrate", ["-m", "gateway", "migrate"], env, world.log("setup")
            )
            gateway_runs = await stack.enter_async_context(
                running("the gateway", ["-m", "gateway", "serve"], env, world.log("gateway"))
            )
            await _until(_ready(world.gateway_url), "the gateway", gateway_runs.ends)
        with _step(console, "people and their money"):
            await complete(
                "ussd-gateway seed",
                ["-m", "gateway", "seed", str(world.people)],
                env,
                world.log("setup"),
            )
        yield Running(_first_of(ledger_runs.ends, gateway_runs.ends), gateway_runs.pid)


def _ledger(world: World, env: dict[str, str]) -> contextlib.AbstractAsyncContextManager[Child]:
    folder = world.genesis.parent
    return running(
        "the development ledger",
        [
            *("-m", "sim.ledger", "--data", str(folder), "--port", str(world.ledger_port)),
            *("--genesis", str(world.genesis)),
            *(part for path in world.peer_keys for part in ("--peer-key", str(path))),
        ],
        env,
        world.log("ledger"),
    )


# --- waiting ------------------------------------------------------------------------------------


def _ready(url: str) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        timeout = aiohttp.ClientTimeout(total=2)
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with (
                aiohttp.ClientSession(trust_env=False, timeout=timeout) as http,
                http.get(f"{url}/ready") as response,
            ):
                return response.status == OK
        return False

    return ask


async def _until(
    ready: Callable[[], Awaitable[bool]], who: str, ends: "asyncio.Task[None]"
) -> None:
    """Until `ready`; raises what `ends` raises, or `CannotStart` when it takes too long."""
    try:
        async with asyncio.timeout(READY_S):
            while not await ready():
                if ends.done():
                    ends.result()
                await asyncio.sleep(POLL_S)
    except TimeoutError as error:
        raise CannotStart(f"{who} is not ready after {READY_S:g} s; see the logs") from error


async def _wait_first(*tasks: "asyncio.Task[None]") -> None:
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


def _first_of(*tasks: "asyncio.Task[None]") -> "asyncio.Future[None]":
    return asyncio.ensure_future(_wait_first(*tasks))


# --- small things --------------------------------------------------------------------------------


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


@contextlib.contextmanager
def _pid_file(path: Path) -> Iterator[None]:
    """Who runs this world; another one on the same folder would spoil it."""
    with contextlib.suppress(OSError, ValueError):
        other = int(path.read_text())
        os.kill(other, 0)
        raise CannotStart(f"process {other} runs on {path.parent} already: stop it first")
    path.write_text(f"{os.getpid()}\n")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _step(console: Console, what: str) -> Iterator[None]:
    """Say what is being done, then that it is done."""
    with console.status(f"{what} …"):
        yield
    console.print(f"[green]✓[/] {what}", highlight=False)
