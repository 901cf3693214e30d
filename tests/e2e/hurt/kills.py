"""`kill -9` of a gateway that people pay through, again and again: at named points and at random.

After each the gateway is started as an operator would, and carriers repeat what was not answered.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from afterwards import Found, judged
from callers import Town
from dying import POINTS
from payers import Payer, payers
from process import Process
from stack import Stack

DYING = Path(__file__).with_name("dying.py")
PHONES, TEXTERS = 6, 1
REACHED_S = 10.0  # a point that nobody reaches in this time is no point
SOONEST_S, LATEST_S = 0.02, 0.6  # of random kills, after people began
AT_RANDOM = "at random"
Say = Callable[[str], None]


@dataclass
class Kills:
    """How many gateways were killed, and where."""

    at: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)  # points that were not reached


async def kill(
    town: Town, cycles: int, *, seed: int = 0, hurried: bool = False, say: Say = lambda _: None
) -> tuple[Kills, Found]:
    """Kill the stack's one gateway so often; what was found when all ran again."""
    chance, kills, people = random.Random(seed), Kills(), payers(town, PHONES)
    town.stack.gateways[0].stop()
    for cycle, point in enumerate(_points(cycles, chance)):
        await _start(town.stack, point)
        await _once(town, people, point, chance, kills)
        say(f"kill -9: {cycle + 1} of {cycles}, {point}")
    await _start(town.stack, AT_RANDOM)
    await asyncio.gather(*(payer.repeat() for payer in people))
    return kills, await judged(town, people, hurried=hurried)


def _points(cycles: int, chance: random.Random) -> list[str]:
    """Every other kill is at random; the named points take turns."""
    named = list(POINTS)
    chance.shuffle(named)
    return [named[at // 2 % len(named)] if at % 2 == 0 else AT_RANDOM for at in range(cycles)]


async def _start(stack: Stack, point: str) -> None:
    """Start the gateway that is to die at this point, once `_armed` says so."""
    _armed(stack).unlink(missing_ok=True)
    port = {"GATEWAY_PORT": str(stack.gateway_ports[0])}
    if point == AT_RANDOM:
        stack.gateways[0] = stack.process("gateway0", "serve", **port)
    else:
        command = [str(DYING), point, str(_armed(stack))]
        stack.gateways[0] = Process("gateway0", command, stack.env | port, stack.folder)
    stack.start_gateway()


def _armed(stack: Stack) -> Path:
    return stack.folder / "armed"


async def _once(
    town: Town, people: Sequence[Payer], point: str, chance: random.Random, kills: Kills
) -> None:
    """People pay until their gateway is gone."""
    gateway = town.stack.gateways[0]
    paying = [asyncio.create_task(_pay_on(payer, people, chance)) for payer in people]
    if point == AT_RANDOM:
        await asyncio.sleep(chance.uniform(SOONEST_S, LATEST_S))
    else:
        _armed(town.stack).touch()
        await _gone(gateway)
    if gateway.running:
        gateway.kill()
        if point != AT_RANDOM:
            kills.missed.append(point)
    await asyncio.gather(*paying)
    kills.at[point] += 1


async def _gone(gateway: Process) -> None:
    deadline = asyncio.get_running_loop().time() + REACHED_S
    while gateway.running and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.005)


async def _pay_on(payer: Payer, people: Sequence[Payer], chance: random.Random) -> None:
    await payer.repeat()
    texts = payer in people[:TEXTERS]
    while True:
        payee = chance.choice([other for other in people if other is not payer]).person
        if not await (payer.text(payee) if texts else payer.pay(payee)):
            return
