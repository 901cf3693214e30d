"""Measures of real processes: killed, stopped and repeated at, and what people saw of it.

What is done to them lives beside the end-to-end tests (`e2e/hurt`), where a small share of each
runs in every test run; here is how much is asked of it, and how that is said.
"""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

from figures import Effort, Row

from gateway import logs

TESTS = Path(__file__).parent.parent
sys.path += [str(TESTS / name) for name in ("", "e2e", "e2e/hurt")]

from callers import town_of  # noqa: E402 - they know each other by their short names
from clocks_wrong import keep_time  # noqa: E402
from full_disk import fill  # noqa: E402
from kills import kill  # noqa: E402
from limits_spent import LIMITED, SESSIONS, spend_limits  # noqa: E402
from repeats import repeat  # noqa: E402
from restores import restore  # noqa: E402
from stack import Stack  # noqa: E402
from stands import Ground, levelled  # noqa: E402
from stops import (  # noqa: E402
    ANSWER_S,
    PAGE_S,
    PAYMENT_S,
    stop_each,
    stoppable,
)

T = TypeVar("T")
CYCLES = 100
STOPPED_S = 15
SESSIONS_REPEATED = 5_000  # on each of two stacks
ROUNDS = 100
NAMES = {"sqlite": "SQLite", "postgres": "PostgreSQL", "pair": "two processes"}


def real_processes(effort: Effort) -> Iterator[Row]:
    """All of them, on one ground."""
    logs.set_up("warning")
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # a killed client hangs up
    effort.say("real processes: making people, a ledger and a database")
    with levelled(LIMITED) as ground:
        for measure in MEASURES:
            yield from measure(ground, effort)


def kills(ground: Ground, effort: Effort) -> Iterator[Row]:
    """`kill -9` at named points and at random, per database."""
    for kind in ("sqlite", "postgres"):
        cycles = effort.many(CYCLES)
        with ground.stack(kind) as stack:
            stack.start()

            say = _named(effort, NAMES[kind])
            done, found = asyncio.run(_in_town(stack, kill, cycles, say=say))
        _show(effort, found.wrong, done.missed)
        wrong = len(found.wrong) + len(done.missed)
        reached = f"{done.at.total()} kills, {found.paid} paid, {wrong} wrong"
        yield Row(f"kill -9, {NAMES[kind]}", f"{cycles} kills, 0 wrong", reached, not wrong)


def stops(ground: Ground, effort: Effort) -> Iterator[Row]:
    """`SIGSTOP` of each part in turn, while people go on."""
    with stoppable(ground) as parts:
        say, seconds = _named(effort, "SIGSTOP"), effort.many(STOPPED_S)
        seen, found = asyncio.run(_in_town(parts.stack, stop_each, parts, seconds, say=say))
    _show(effort, found.wrong, *(one.broken for one in seen))
    for one in seen:
        asked = f"p99 {PAGE_S} s, payments {PAYMENT_S} s, all {ANSWER_S:g} s"
        reached = f"{one.page_s:.1f}, {one.payment_s:.1f}, {one.most_s:.1f} s of {one.turns} turns"
        yield Row(f"{one.part} stopped", asked, reached, one.kept)
    reached = f"{found.paid} paid, {len(found.wrong)} wrong"
    yield Row("… and going on again", "0 wrong", reached, not found.wrong)


def limits(ground: Ground, effort: Effort) -> Iterator[Row]:
    """64 sessions spend one person's limit, round after round."""
    for kind, name in NAMES.items():
        rounds = min(effort.many(ROUNDS), len(LIMITED))
        spent = spend_limits(ground, kind, LIMITED[:rounds], say=_named(effort, name))
        _show(effort, spent.wrong)
        reached = f"{spent.rounds} rounds, {spent.payments} paid, {len(spent.wrong)} wrong"
        asked = f"{ROUNDS} rounds, to the last riel"
        yield Row(f"{SESSIONS} sessions, one limit, {name}", asked, reached, not spent.wrong)


def repeats(ground: Ground, effort: Effort) -> Iterator[Row]:
    """Every callback several times at once."""
    for kind in ("sqlite", "pair"):
        sessions = effort.many(SESSIONS_REPEATED)
        with ground.stack(kind) as stack:
            stack.start()
            say = _named(effort, NAMES[kind])
            done = asyncio.run(_in_town(stack, repeat, sessions, say=say))
        _show(effort, done.wrong)
        reached = f"{done.callbacks:,} callbacks, {done.found.paid:,} paid, {len(done.wrong)} wrong"
        asked = f"{sessions:,} sessions, 0 wrong"
        yield Row(f"callbacks 1-5 times, {NAMES[kind]}", asked, reached, not done.wrong)
        if kind == "pair":
            again = done.found.doubled_sms
            reached = f"{again} sent twice, {done.found.paid:,} payments"
            yield Row("two processes, one outbox", "no SMS sent twice", reached, not again)


def restores(ground: Ground, effort: Effort) -> Iterator[Row]:
    """A database from an hour ago, per database."""
    for kind in ("sqlite", "postgres"):
        effort.say(f"{NAMES[kind]}: restored from backup")
        with ground.stack(kind) as stack:
            stack.start()
            done = asyncio.run(_in_town(stack, restore))
        _show(effort, done.found.wrong)
        early, wrong = done.signed_too_early, len(done.found.wrong)
        reached = f"{early} signed too early, {done.found.paid} paid, {wrong} wrong"
        asked = "nothing signed too early, 0 wrong"
        yield Row(f"backup restored, {NAMES[kind]}", asked, reached, not early and not wrong)


def full_disk(ground: Ground, effort: Effort) -> Iterator[Row]:
    """No file may grow for a while."""
    effort.say("SQLite: a full disk")
    with ground.stack("sqlite") as stack:
        stack.start()
        full = asyncio.run(_in_town(stack, fill))
    _show(effort, full.found.wrong, full.broken)
    wrong = len(full.found.wrong) + len(full.broken)
    reached = f"{wrong} wrong, {full.found.paid} paid before and after"
    yield Row("full disk, SQLite", "a page for everybody, 0 wrong", reached, not wrong)


def clocks(ground: Ground, effort: Effort) -> Iterator[Row]:
    """A clock that is wrong, jumps, and passes into the next day."""
    effort.say("SQLite: wrong clocks")
    with ground.stack("sqlite") as stack:
        stack.start()
        kept = asyncio.run(_in_town(stack, keep_time))
    _show(effort, kept.wrong)
    reached = f"{kept.found.paid} paid, {len(kept.wrong)} wrong"
    yield Row("clock -6 min, +4 min, 17:00 UTC", "no wrong day, 0 wrong", reached, not kept.wrong)


async def _in_town(stack: Stack, work: Callable[..., Awaitable[T]], *what: object, **how) -> T:
    async with town_of(stack) as town:
        return await work(town, *what, **how)


def _named(effort: Effort, name: str) -> Callable[[str], None]:
    return lambda what: effort.say(f"{name}: {what}")


def _show(effort: Effort, *findings: "list[str] | tuple[str, ...]") -> None:
    for finding in findings:
        for one in finding[:10]:
            effort.show(one)


MEASURES = (kills, stops, repeats, limits, restores, full_disk, clocks)
