"""A disk that is full for a while, under a gateway on SQLite: no file of its process may grow.

Its log lies on the same disk. What people are told meanwhile must be true; once there is room
again, all goes on by itself.
"""

import asyncio
import resource
from collections.abc import Sequence
from dataclasses import dataclass

from afterwards import Found, judged
from callers import BROKEN, Town
from payers import Payer, payers

PHONES = 6
FULL = 4096  # bytes: everything is larger already


@dataclass(frozen=True, slots=True)
class Full:
    """What people were told while the disk was full, and what was found in the end."""

    broken: tuple[str, ...]  # answers that were no pages
    paid_meanwhile: int
    found: Found


async def fill(town: Town) -> Full:
    """Pay with room, without, and with room again."""
    people, gateway = payers(town, PHONES), town.stack.gateways[0]
    await _pay(people)
    before = sum(len(town.payments(payer.person)) for payer in people)
    answered = [len(payer.answers) for payer in people]
    resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (FULL, resource.RLIM_INFINITY))
    try:
        await _pay(people)
        await asyncio.gather(*(payer.look("2") for payer in people))
    finally:
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, unlimited)
    meanwhile = sum(len(town.payments(payer.person)) for payer in people) - before
    answers = [one for p, at in zip(people, answered, strict=True) for one, _ in p.answers[at:]]
    broken = tuple(
        f"{answer.status} {answer.body[:40]}"
        for answer in answers
        if answer.status == BROKEN or not answer.body.startswith(("CON ", "END "))
    )
    assert gateway.running, gateway.tail()
    await _pay(people)
    return Full(broken, meanwhile, await judged(town, people))


async def _pay(people: Sequence[Payer]) -> None:
    ring = zip(people, [*people[1:], people[0]], strict=True)
    await asyncio.gather(*(payer.pay(payee.person) for payer, payee in ring))
