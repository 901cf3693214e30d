"""The chain: is it one and the same on every peer, the one that was pinned, and truly signed?

Also what shows of the network as a whole: which keys it takes, and when it last made a block.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

from ledger_client.asking import Asking, lacks_permission
from ledger_client.blocks import read_block
from ledger_client.check.findings import Finding, Terms, fine, missing, spoken, unknown
from ledger_client.check.peers import Seen
from ledger_client.keys import SigningKey
from ledger_client.ledger import Block, QueryRefused, Reached
from ledger_client.trust import GENESIS_HEIGHT, Trust

LAST_BLOCKS: Final = 10
_MOMENT_MS: Final = 2000
_IDLE_MS: Final = 60_000
_HASH_SHOWN: Final = 12


async def of_chain(
    seen: Sequence[Seen], trust: Trust, terms: Terms, now_ms: int
) -> AsyncIterator[Finding]:
    """Say how it stands with the chain; every peer in `seen` has told its first block."""
    yield _first(seen, trust, terms)
    if len(seen) > 1:
        yield await _same(seen, terms)
    highest = max(seen, key=lambda each: each.height)
    last = await _last(highest)
    yield _age(last[-1], now_ms, highest.asking.clock_ahead_ms)
    yield _signed(last, highest, trust, terms)
    if trust.peers:
        yield await _pinned(highest.asking, trust, terms)


def of_keys(seen: Sequence[Seen], key: SigningKey, terms: Terms) -> Finding:
    """Say which form of keys the network takes, and whether ours is of it."""
    stock = [each.asking.address for each in seen if not each.takes_multihash]
    if not stock:
        return fine("keys", "are taken in both forms, raw and ed0120…")
    if key.form == "raw":
        return fine("keys", "are taken in raw form, not as ed0120…")
    return missing(
        "keys",
        f"as ed0120…, like the opener's, are not taken by {', '.join(stock)}",
        f"a raw key in {terms.opener_key} (and on the account: AddSignatory), or irohad with Ursa",
    )


def _first(seen: Sequence[Seen], trust: Trust, terms: Terms) -> Finding:
    about = "first block"
    began = _by_hash({it.asking.address: read_block(it.genesis) for it in seen if it.genesis})
    if len(began) > 1:
        return missing(about, f"differs: {_told(began)}", f"leave one network in {terms.peers}")
    (block_hash,) = began
    if not trust.genesis_hash:
        says = f"is pinned by nothing; this network's has hash {block_hash}"
        return missing(about, says, f"set {terms.genesis} to the file that the network began with")
    if block_hash != trust.genesis_hash:
        says = f"is {block_hash}, not the pinned {trust.genesis_hash}"
        return missing(about, says, f"{terms.peers} are of another network, or {terms.genesis} is")
    return fine(about, "is the pinned one")


async def _same(seen: Sequence[Seen], terms: Terms) -> Finding:
    """Compare the highest block that all have."""
    height = min(each.height for each in seen)
    found = await asyncio.gather(*(each.asking.block(height) for each in seen))
    blocks = {
        each.asking.address: read_block(block)
        for each, block in zip(seen, found, strict=True)
        if block is not None
    }
    kinds = _by_hash(blocks)
    if len(kinds) > 1:
        remedy = f"ask who runs the network which is right, and leave only those in {terms.peers}"
        return missing("chain", f"is not one: block {height} differs: {_told(kinds)}", remedy)
    return fine("chain", f"is one: block {height} is the same on all {len(seen)} peers")


async def _last(seen: Seen) -> list[Block]:
    """Fetch the last blocks of a peer, oldest first."""
    first = max(GENESIS_HEIGHT, seen.height - LAST_BLOCKS + 1)
    blocks = [await seen.asking.block(height) for height in range(first, seen.height + 1)]
    return [read_block(block) for block in blocks if block is not None]


def _age(last: Block, now_ms: int, clock_ahead_ms: int) -> Finding:
    about = "last block"
    if not last.created_time:
        return fine(about, "is the first: nothing has happened yet")
    age_ms = now_ms + clock_ahead_ms - last.created_time
    if age_ms < _MOMENT_MS:  # to the millisecond the clocks are not known
        return fine(about, "was made a moment ago")
    idle = "; the ledger is idle, which is no fault" if age_ms > _IDLE_MS else ""
    return fine(about, f"was made {spoken(age_ms)} ago{idle}")


def _signed(last: Sequence[Block], seen: Seen, trust: Trust, terms: Terms) -> Finding:
    about = "signatures"
    if not trust.peers:
        remedy = f"set {terms.genesis}, or {terms.peer_keys}"
        return missing(about, "prove nothing: the peers' keys are not pinned", remedy)
    reached = Reached(last[0].height - 1)
    for block in last:
        if why := trust.doubt(block, reached):
            says = f"do not prove block {block.height} of {seen.asking.address}: {why}"
            remedy = f"correct {terms.peer_keys}, or stay away from that peer"
            return missing(about, says, remedy)
        reached = Reached(block.height, block.block_hash)
    if last[-1].height == GENESIS_HEIGHT:
        return fine(about, "are none yet: the first block carries none")
    return fine(about, f"prove the last {len(last)} blocks, and each links to the one before")


async def _pinned(asking: Asking, trust: Trust, terms: Terms) -> Finding:
    """Compare the network's peers with those that are pinned."""
    about = "pinned peers"
    try:
        there = await asking.peer_keys()
    except QueryRefused as refusal:
        if not lacks_permission(refusal):
            raise
        return unknown(
            about, "cannot be compared: the opener may not ask for today's peers (can_get_peers)"
        )
    if there == trust.peers:
        return fine(about, f"are the {len(there)} of the network")
    strangers, gone = there - trust.peers, trust.peers - there
    says = "; ".join(
        f"{what} {', '.join(sorted(keys))}"
        for what, keys in (("lack", strangers), ("hold what is no peer's:", gone))
        if keys
    )
    return missing(about, says, f"set {terms.peer_keys} to the keys of today's peers")


def _by_hash(blocks: Mapping[str, Block]) -> dict[str, list[str]]:
    """Group addresses by the hash of their block."""
    found: dict[str, list[str]] = {}
    for address, block in blocks.items():
        found.setdefault(block.block_hash, []).append(address)
    return found


def _told(kinds: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(
        f"{block_hash[:_HASH_SHOWN]}… on {', '.join(addresses)}"
        for block_hash, addresses in kinds.items()
    )
