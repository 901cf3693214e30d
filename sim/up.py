"""`ussd-sim up`: the whole world on loopback, in one command.

Ledger, gateways and people are made when missing, started in order, watched, and stopped in
reverse. A gateway is a process of its own that is told everything by `GATEWAY_…` variables, as
an operator would; nothing here imports it. All state is in one folder and survives a restart.
"""

import asyncio
import contextlib
import json
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import aiohttp
from rich.console import Console

from ledger_client.genesis import GenesisError, pinned
from ledger_client.iroha1 import Iroha1
from ledger_client.keys import load_key
from ledger_client.trust import Trust
from sim.callbacks import OK
from sim.children import Child, clean_environment, complete, running
from sim.founding import CannotStart, found
from sim.peers import Peers
from sim.people import load_people
from sim.serve import Serving, simulator
from sim.world import FIRST, Member, World

T = TypeVar("T")
READY_S = 60.0
POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Running:
    """A world that runs: `ends` fails with `ChildFailed` when a part dies."""

    ends: "asyncio.Future[None]"
    gateway_pids: list[int]


@contextlib.asynccontextmanager
async def world_up(world: World, console: Console) -> AsyncIterator[Running]:
    """Everything runs while the block does."""
    world.check_ports()
    world.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    members = world.members
    api_keys = [secrets.token_hex(16) for _ in members]
    told = [world.gateway_environment(*each) for each in zip(members, api_keys, strict=True)]

    def each(do: Callable[[Member, dict[str, str]], Awaitable[T]]) -> Awaitable[list[T]]:
        return _together(*map(do, members, told))

    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(_pid_file(world.state / "up.pid"))
        with _step(console, "keys and database"):
            await each(lambda member, env: _prepare(world, member, env))
            keys = {member.bank.domain: member.keys for member in members}
            found(world.genesis, keys, world.peer_keys)
        with _step(console, f"development ledger on {', '.join(world.ledger_addresses)}"):
            ledger_runs = await stack.enter_async_context(_ledger(world))
            trust = _trust(world)
            ledger = _client(world, trust)
            stack.push_async_callback(ledger.close)
            await _until(ledger.healthy, "the ledger", ledger_runs.ends)
        services = [
            member.service(api_key, alone=world.banks == 1)
            for member, api_key in zip(members, api_keys, strict=True)
        ]
        pin = load_people(world.people).pin
        peers = Peers(world.ledger_addresses, ledger_runs.tell, trust.supermajority)
        memory = world.state / "phones.json"
        serving = Serving(
            tuple(services), world.port, pin=pin, ledger=ledger, peers=peers, memory=memory
        )
        await stack.enter_async_context(simulator(serving))
        urls = " and ".join(member.url for member in members)
        with _step(console, f"gateway on {urls}, people and their money"):
            gateways = await each(lambda member, env: _gateway(world, member, env, stack))
        parts = (ledger_runs, *gateways)
        yield Running(_first_of(*(part.ends for part in parts)), [runs.pid for runs in gateways])


async def _together(*parts: Awaitable[T]) -> list[T]:
    """What each comes to; when one fails, the others are not gone on with."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _command(world: World, env: dict[str, str], *words: str) -> None:
    """One command of a gateway, to its end."""
    name = f"ussd-gateway {words[0]}"
    await complete(name, ["-m", "gateway", *words], env, world.log("setup"))


async def _prepare(world: World, member: Member, env: dict[str, str]) -> None:
    """What a gateway finds when it starts."""
    keys = _command(world, env, "keys", str(member.keys))
    await _together(keys, _command(world, env, "migrate"))


async def _gateway(
    world: World, member: Member, env: dict[str, str], stack: contextlib.AsyncExitStack
) -> Child:
    """A gateway that is ready, and has the people whom its bank begins with."""
    first = member.bank is FIRST
    whose = "the gateway" if first else f"the gateway of {member.bank.name}"
    log = world.log("gateway" if first else f"gateway-{member.bank.domain}")
    serving = running(whose, ["-m", "gateway", "serve"], env, log)
    runs = await stack.enter_async_context(serving)
    ready = _until(_ready(member.url), whose, runs.ends)
    await _together(ready, _command(world, env, "seed", str(member.people)))
    return runs


def _trust(world: World) -> Trust:
    with contextlib.suppress(GenesisError, ValueError):  # the ledger itself says what is wrong
        return pinned(json.loads(world.genesis.read_text()))
    return Trust()


def _client(world: World, trust: Trust) -> Iroha1:
    """The simulator's own eyes on the ledger; it believes signed blocks only, as gateways do."""
    opener_key = load_key(world.members[0].keys / "opener.key")
    return Iroha1(world.ledger_addresses, f"opener@{FIRST.domain}", opener_key, trust=trust)


def _ledger(world: World) -> contextlib.AbstractAsyncContextManager[Child]:
    folder = world.genesis.parent
    return running(
        "the development ledger",
        [
            *("-m", "sim.ledger", "--data", str(folder), "--port", str(world.ledger_port)),
            *("--genesis", str(world.genesis), "--orders"),
            *(part for path in world.peer_keys for part in ("--peer-key", str(path))),
        ],
        clean_environment(),
        world.log("ledger"),
        told=True,
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
