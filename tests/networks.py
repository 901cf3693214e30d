"""Networks with something missing: begun from our own genesis block, on the development ledger."""

import copy
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha3_256
from pathlib import Path
from typing import Any

from ledger_client.check import Finding, Network, State, check
from ledger_client.genesis import Bank, Peer, genesis, pinned
from ledger_client.iroha1 import Iroha1
from ledger_client.keys import KeyForm, SigningKey
from ledger_client.ledger import SetAccountDetail
from ledger_client.transaction import build
from sim.ledger import LedgerServer, Settings, serve

NOON = 1_760_000_000_000
OPENER = "opener@bank"
BY_HAND = Settings(block_ms=None)

Command = dict[str, Any]


def key(name: str, form: KeyForm = "raw") -> SigningKey:
    return SigningKey.from_seed(sha3_256(name.encode()).digest(), form)


def peer_keys(peers: int) -> list[SigningKey]:
    return [key(f"peer {number}") for number in range(peers)]


def first_block(peers: int = 1, opener: SigningKey | None = None) -> dict[str, Any]:
    """As `ussd-gateway ledger genesis` writes it."""
    own = {"opener": opener or key(OPENER)}
    bank = Bank.of("bank", lambda name: own.get(name, key(f"{name}@bank")).public_key)
    there_are = [
        Peer(f"192.0.2.{number}:10001", each.public_key)
        for number, each in enumerate(peer_keys(peers), start=1)
    ]
    return genesis([bank], there_are, issuer=key("issuer").public_key)


def changed(
    block: dict[str, Any], change: Callable[[Command], Command | None], more: Iterable[Command] = ()
) -> dict[str, Any]:
    """The block with every command of its first transaction as `change` says; None: without it."""
    twin = copy.deepcopy(block)
    reduced = twin["block_v1"]["payload"]["transactions"][0]["payload"]["reducedPayload"]
    kept = [change(command) for command in reduced["commands"]]
    reduced["commands"] = [command for command in kept if command is not None] + list(more)
    return twin


def without(block: dict[str, Any], role: str, permission: str) -> dict[str, Any]:
    """The block whose `role` lacks one permission."""

    def change(command: Command) -> Command:
        made = command.get("createRole")
        if made and made["roleName"] == role:
            made["permissions"].remove(permission)
        return command

    return changed(block, change)


class Place:
    """A network that runs, and its settings as a gateway would have them."""

    def __init__(self, server: LedgerServer, block: dict[str, Any]) -> None:
        self.server = server
        self.now = NOON
        self.network = Network(server.addresses, "bank", "nbc", key(OPENER), trust=pinned(block))

    async def look(self, *, now: int | None = None, **settings: Any) -> list[Finding]:
        """Everything found, in order; other `settings` than the gateway's own."""
        probing = settings.pop("probing", False)
        patience_s = settings.pop("patience_s", 20.0)
        network = replace(self.network, **settings)
        found = check(
            network,
            now_ms=lambda: now or self.now,
            probing=probing,
            deadline_s=5.0,
            patience_s=patience_s,
        )
        return [finding async for finding in found]

    async def blocks(self, count: int) -> None:
        """Make some, each with a harmless transaction."""
        ledger = Iroha1(self.server.addresses, OPENER, key(OPENER), now_ms=lambda: self.now)
        for _ in range(count):
            self.now += 1
            beat = SetAccountDetail(OPENER, "beat", str(self.now))
            await ledger.submit([build(OPENER, [beat], self.now, key=key(OPENER)).data])
            await self.server.round()
        await ledger.close()


@asynccontextmanager
async def begun(
    folder: Path, block: dict[str, Any] | None = None, peers: int = 1, settings: Settings = BY_HAND
) -> AsyncIterator[Place]:
    """A network of so many peers, begun from `block`."""
    block = block or first_block(peers)
    server = await serve(
        folder, block, *peer_keys(peers), settings=settings, now_ms=lambda: place.now
    )
    place = Place(server, block)
    try:
        yield place
    finally:
        await server.stop()


def wrong(findings: Iterable[Finding]) -> dict[str, str]:
    """What is missing or unknown: what is said about what."""
    return {it.about: it.says for it in findings if it.state is not State.FINE}


def the(about: str, findings: Iterable[Finding]) -> Finding:
    """The one finding about it."""
    (found,) = [finding for finding in findings if finding.about == about]
    return found
