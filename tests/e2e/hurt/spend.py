"""`python spend.py PLAN NAME`: a gateway whose sessions all spend one person's limit at once.

A process like any other on its stack, without its doors: sessions come to the desk directly, since
a network keeps one session for each phone. Every process starts a round when all have come to it.
What the sessions were answered with is printed as a line of JSON; any other line is a warning, such
as of a database that is locked.

Of one wallet's PINs only a few are tried at the same time: who finds it locked by others' tries, or
waited in vain, comes again, as a person would.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop

from gateway.app import Gateway, gateway_of
from gateway.config import load_settings
from gateway.logs import set_up
from gateway.origin import Origin
from gateway.serve import Background
from menus.effects import PinLocked, Transfer, Unavailable, Unconfirmed
from menus.kinds import Currency, Money, Msisdn, Pin

TRIES_MOST = 500
AGAIN = (PinLocked, Unavailable, Unconfirmed)  # nothing was done, or nothing is known yet
AT_ONCE = 10  # rounds, each of one person and a limit of their own
PAUSE_S, LOOK_S, PATIENCE_S = 0.05, 0.005, 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Who pays whom in which round, how much each session, and how many sessions there are."""

    rounds: Sequence[tuple[str, str, str, str]]  # payer, PIN, payee, payee's account
    amount: int
    sessions: int  # of each process
    processes: Sequence[str]
    folder: str


async def spend(plan: Plan, name: str) -> None:
    """All rounds of one process."""
    async with gateway_of(load_settings()) as gateway:
        background = Background(gateway)
        background.start()
        for number in range(0, len(plan.rounds), AT_ONCE):
            await _together(plan, name, number)
            answers = await asyncio.gather(
                *(
                    _session(gateway, plan.amount, who, f"{name}-{at}")
                    for who in plan.rounds[number : number + AT_ONCE]
                    for at in range(plan.sessions)
                )
            )
            print(json.dumps({"round": number, **Counter(answers)}), flush=True)  # noqa: T201
        await gateway.transfers.drain()
        await background.stop()


async def _session(gateway: Gateway, amount: int, who: tuple[str, str, str, str], name: str) -> str:
    payer, pin, payee, account = who
    to, money = Msisdn(payee), Money(Currency.KHR, amount)
    intent = f"{payer}-{name}"
    effect = Transfer(intent, to, account, money, again=True, pin=Pin(pin))
    outcome: object = None
    for turn in range(TRIES_MOST):
        deadline = gateway.world.clock.monotonic() + gateway.settings.ledger_wait_s
        origin = Origin(Msisdn(payer), "ussd", "spend", intent, turn, deadline)
        outcome = await gateway.transfers.transfer(effect, origin)
        if not isinstance(outcome, AGAIN):
            break
        await asyncio.sleep(PAUSE_S)
    return type(outcome).__name__


async def _together(plan: Plan, name: str, number: int) -> None:
    """Wait until every process has come to this round."""
    places = [Path(plan.folder) / f"{other}.{number}" for other in plan.processes]
    (Path(plan.folder) / f"{name}.{number}").touch()
    deadline = time.monotonic() + PATIENCE_S
    while not all(place.exists() for place in places):
        if time.monotonic() > deadline:
            sys.exit("the other process does not come")
        await asyncio.sleep(LOOK_S)


if __name__ == "__main__":
    set_up("warning")
    told = Plan(**json.loads(Path(sys.argv[1]).read_text("utf-8")))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(spend(told, sys.argv[2]))
