"""A network as an operator sees it: what a gateway needs of it, and what of that is missing.

Bottom up: `findings` are what is said; `peers`, `chain` and `bank` each look at one part; `probe`
sends one harmless transaction. Nothing else here changes anything. Every question has a deadline,
and whatever does not answer is a finding, never an error.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from ledger_client.asking import Asking, knows_no_signer, lacks_permission
from ledger_client.charter import read_charter
from ledger_client.check.bank import BankCheck
from ledger_client.check.chain import of_chain, of_keys
from ledger_client.check.findings import Finding, State, Terms, missing, unknown
from ledger_client.check.peers import Seen, look, of_peer
from ledger_client.check.probe import probe
from ledger_client.iroha1 import Iroha1
from ledger_client.keys import SigningKey
from ledger_client.ledger import LedgerUnreachable
from ledger_client.trust import Trust

__all__ = ["Finding", "Network", "State", "Terms", "check"]


@dataclass(frozen=True, slots=True)
class Network:
    """A network as a gateway is told of it, by its settings."""

    peers: Sequence[str]
    domain: str
    asset_domain: str
    key: SigningKey
    trust: Trust
    tls_ca: bytes | None = None

    @property
    def opener(self) -> str:
        return f"opener@{self.domain}"


async def check(
    network: Network,
    *,
    now_ms: Callable[[], int],
    terms: Terms = Terms(),  # noqa: B008 - frozen
    probing: bool = False,
    deadline_s: float = 2.0,
    patience_s: float = 30.0,
    entropy: Callable[[int], bytes] = os.urandom,
) -> AsyncIterator[Finding]:
    """Look at everything, and say of each thing how it stands, as soon as it is known.

    `deadline_s` is for each question, `patience_s` for each peer, and for the probe.
    """
    every = [
        Asking(
            address,
            network.opener,
            network.key,
            tls_ca=network.tls_ca,
            deadline_s=deadline_s,
            now_ms=now_ms,
            entropy=entropy,
        )
        for address in network.peers
    ]
    try:
        seen = await asyncio.gather(*(look(each, patience_s=patience_s) for each in every))
        top = max(each.height for each in seen)
        for each in seen:
            for finding in of_peer(each, top, terms):
                yield finding
        async for finding in _deeper(network, seen, now_ms, terms):
            yield finding
    finally:
        for asking in every:
            await asking.close()
    if probing:
        yield await _probe(network, now_ms, deadline_s, patience_s)


async def _deeper(
    network: Network, seen: Sequence[Seen], now_ms: Callable[[], int], terms: Terms
) -> AsyncIterator[Finding]:
    """What only peers that answer can tell."""
    awake = [each for each in seen if each.health]
    if not awake:
        yield unknown("everything else", "is not known: no peer answers")
        return
    yield of_keys(awake, network.key, terms)
    known = [each for each in awake if each.genesis]
    if not known:
        yield _refused(network, awake, terms)
        return
    for each in awake:
        if each.refusal and knows_no_signer(each.refusal):
            says = f"does not know {network.opener}, or not by this key; others do"
            remedy = f"it is of another network, or far behind: take it out of {terms.peers}"
            yield missing(f"peer {each.asking.address}", says, remedy)
    best = max(known, key=lambda each: each.height)
    assert best.genesis is not None  # noqa: S101 - known are those that told it
    bank = BankCheck(
        best.asking, read_charter(best.genesis), network.domain, network.asset_domain, terms
    )
    try:
        async for finding in of_chain(known, network.trust, terms, now_ms()):
            yield finding
        async for finding in bank.findings():
            yield finding
    except LedgerUnreachable as unreachable:
        yield unknown(
            "the rest", f"is not known: a peer that had answered no longer does: {unreachable}"
        )


def _refused(network: Network, awake: Sequence[Seen], terms: Terms) -> Finding:
    """Say why no peer answers under our name."""
    refusals = [each.refusal for each in awake if each.refusal]
    if any(map(lacks_permission, refusals)):
        remedy = f"AppendRole {network.opener} opener, a role that holds it (CreateRole)"
        return missing(network.opener, "lacks can_get_blocks", remedy)
    if any(map(knows_no_signer, refusals)):
        return missing(
            network.opener,
            f"does not exist, or its key is not {network.key.public_key}",
            f"{terms.domain} and {terms.opener_key} must be as on the ledger; "
            f"or CreateAccount opener {network.domain} with that key, AppendRole opener",
        )
    return unknown(network.opener, f"is not heard by any peer: {refusals[0]}")


async def _probe(
    network: Network, now_ms: Callable[[], int], deadline_s: float, patience_s: float
) -> Finding:
    ledger = Iroha1(
        network.peers, network.opener, network.key, tls_ca=network.tls_ca, deadline_s=deadline_s
    )
    try:
        return await probe(ledger, network.opener, network.key, now_ms(), patience_s=patience_s)
    finally:
        await ledger.close()
