"""A database taken back to what it was an hour ago, while the ledger went on.

People pay, the database is copied, they pay again, and the copy takes its place. Then the gateway
is started, at first with a ledger that tells nothing.
"""

import asyncio
import json
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from afterwards import Found, judged
from callers import Town, eventually
from payers import Payer, payers
from sqlalchemy import make_url
from stack import Stack, fetch

PHONES, ROUNDS = 6, 2
WALKED_S = 30.0


@dataclass(frozen=True, slots=True)
class Restored:
    """What people were told while nothing could be known, and what was found in the end."""

    signed_too_early: int
    pages: tuple[str, ...]
    remark: str  # of /ready
    found: Found


async def restore(town: Town) -> Restored:
    """All of it, on a stack that runs."""
    stack, people = town.stack, payers(town, PHONES)
    await _pay(people)
    await town.settled(*(payer.person for payer in people))
    stack.gateways[0].stop()
    copy = keep(stack)
    stack.start_gateway()
    await _pay(people)
    stack.gateways[0].kill()
    bring_back(stack, copy)
    stack.ledger.signal(signal.SIGSTOP)
    stack.start_gateway()
    remark = _ready(stack)
    rows = len(stack.rows("SELECT ref FROM transfer"))
    told = [len(payer.intents) for payer in people]
    await _pay(people, rounds=1)
    early = len(stack.rows("SELECT ref FROM transfer")) - rows
    pages = {p.intents[at].told[-1] for p, at in zip(people, told, strict=True)}
    stack.ledger.thaw()
    await eventually(lambda: _ready(stack) == "ok", WALKED_S, lambda: _ready(stack))
    await _pay(people, rounds=1)
    return Restored(early, tuple(sorted(pages)), remark, await judged(town, people, hurried=True))


async def _pay(people: Sequence[Payer], rounds: int = ROUNDS) -> None:
    for _ in range(rounds):
        ring = zip(people, [*people[1:], people[0]], strict=True)
        await asyncio.gather(*(payer.pay(payee.person) for payer, payee in ring))


def _ready(stack: Stack) -> str:
    return str(json.loads(fetch(stack.gateway_ports[0], "/ready")[1])["payments"])


def keep(stack: Stack) -> str:
    """A copy of the database, whose gateway is stopped; its name."""
    url = make_url(stack.database_url)
    if url.get_backend_name() == "sqlite":
        assert url.database is not None
        copy = f"{url.database}.copy"
        shutil.copyfile(url.database, copy)
        assert not Path(f"{url.database}-wal").exists(), "it was not closed"
        return copy
    copy = f"{url.database}_copy"
    _administer(stack, f'CREATE DATABASE "{copy}" TEMPLATE "{url.database}"')
    return copy


def bring_back(stack: Stack, copy: str) -> None:
    """Put the copy into the place of the database."""
    url = make_url(stack.database_url)
    assert url.database is not None
    if url.get_backend_name() == "sqlite":
        for suffix in ("-wal", "-shm"):
            Path(url.database + suffix).unlink(missing_ok=True)
        Path(copy).replace(url.database)
        return
    _administer(stack, f'DROP DATABASE "{url.database}" WITH (FORCE)')
    _administer(stack, f'ALTER DATABASE "{copy}" RENAME TO "{url.database}"')


def _administer(stack: Stack, statement: str) -> None:
    server = stack.database_url.rpartition("/")[0]
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[arg-type]
