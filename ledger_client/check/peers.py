"""Each peer by itself: does it answer, is it well, how far has it come, what time is it there?

`look` asks; `of_peer` says what it means.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ledger_client.asking import Asking, Health, knows_no_signer, lacks_permission
from ledger_client.check.findings import Finding, Terms, fine, missing, spoken
from ledger_client.ledger import LedgerUnreachable, QueryRefused
from ledger_client.proto import block_pb2
from ledger_client.trust import GENESIS_HEIGHT

BEHIND_MOST: Final = 10
"""Blocks that a peer may be behind another at any moment."""

CLOCK_OFF_MOST_MS: Final = 60_000
_SAME_MS: Final = 2000


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of looking at one peer; `trouble` says why it does not answer."""

    asking: Asking
    trouble: str = ""
    health: Health | None = None
    clock_found: bool = False
    takes_multihash: bool = False
    refusal: QueryRefused | None = None  # of our first question under our own name
    genesis: block_pb2.Block | None = None
    height: int = 0


async def look(asking: Asking, *, patience_s: float) -> Seen:
    """Look at one peer; never longer than `patience_s`."""
    try:
        async with asyncio.timeout(patience_s):
            return await _look(asking)
    except LedgerUnreachable as unreachable:
        return Seen(asking, str(unreachable).removeprefix(f"{asking.address}: "))
    except TimeoutError:
        return Seen(asking, f"too slow: still not done after {patience_s:g} s")


async def _look(asking: Asking) -> Seen:
    health = await asking.health()
    ahead_ms = await asking.ahead_of_us()
    if ahead_ms is not None:
        asking.clock_ahead_ms = ahead_ms
    takes_multihash = await asking.takes("multihash")
    refusal, genesis, height = None, None, health.height
    try:
        genesis = await asking.block(GENESIS_HEIGHT)
        height = await asking.height(health.height)
    except QueryRefused as refused:
        refusal = refused
    return Seen(
        asking,
        health=health,
        clock_found=ahead_ms is not None,
        takes_multihash=takes_multihash,
        refusal=refusal,
        genesis=genesis,
        height=height,
    )


def of_peer(seen: Seen, top: int, terms: Terms) -> Iterator[Finding]:
    """Say how it stands with one peer, when `top` is the height of the highest."""
    about = f"peer {seen.asking.address}"
    if seen.health is None:
        yield missing(about, f"does not answer: {seen.trouble}", _wake(seen.asking, terms))
        return
    encryption = "TLS" if seen.asking.encrypted else "no TLS"
    behind = top - seen.height
    state = f"{encryption}, height {seen.height}"
    state += f", {behind} behind" if behind else ""
    state += ", catching up" if seen.health.syncing else ""
    if not seen.health.healthy:
        yield missing(about, f"answers, and says it is not well: {state}", "see its log")
    elif behind > BEHIND_MOST:
        remedy = f"see its log; until it has caught up, take it out of {terms.peers}"
        yield missing(about, f"is left behind: {state}", remedy)
    else:
        yield fine(about, f"answers: {state}")
    if seen.refusal is not None and seen.height:
        yield from _refused(about, seen.refusal)
    yield _clock(seen)


def _wake(asking: Asking, terms: Terms) -> str:
    remedy = f"start it, or correct {terms.peers}"
    if asking.encrypted:
        return f"{remedy}; if it speaks no TLS, or another authority signed, {terms.certificates}"
    return f"{remedy}; if it speaks TLS, set {terms.certificates}"


def _refused(about: str, refusal: QueryRefused) -> Iterator[Finding]:
    """Say why it answers no question of ours, unless it is for `bank` to say."""
    if not lacks_permission(refusal) and not knows_no_signer(refusal):
        yield missing(about, f"will not answer: {refusal}", "see its log")


def _clock(seen: Seen) -> Finding:
    about = f"clock of {seen.asking.address}"
    ahead_ms = seen.asking.clock_ahead_ms
    remedy = "set both by NTP: a peer refuses what is dated 5 minutes ahead of it, or a day back"
    if not seen.clock_found:
        return missing(about, "and this host's are many hours apart", remedy)
    if abs(ahead_ms) < _SAME_MS:
        return fine(about, "agrees with this host's")
    if abs(ahead_ms) <= CLOCK_OFF_MOST_MS:
        return fine(about, _off(ahead_ms))
    return missing(about, _off(ahead_ms), remedy)


def _off(ahead_ms: int) -> str:
    return f"is {spoken(ahead_ms)} {'ahead of' if ahead_ms > 0 else 'behind'} this host's"
