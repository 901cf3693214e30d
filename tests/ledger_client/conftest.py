"""Scripted peers, and the client in front of them."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from scripted_peer import ScriptedPeer

from ledger_client.iroha1 import Iroha1
from ledger_client.keys import SigningKey

OPENER = "opener@bank"


class Clock:
    """Sleeping takes no time, and is noted."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


@pytest.fixture
def ticks() -> Clock:
    return Clock()


@pytest.fixture
async def peers() -> AsyncIterator[list[ScriptedPeer]]:
    """Two of them, running."""
    both = [ScriptedPeer(), ScriptedPeer()]
    for each in both:
        await each.start()
    yield both
    for each in both:
        await each.stop()


@pytest.fixture
async def client_of(ticks: Clock) -> AsyncIterator[Callable[..., Iroha1]]:
    """Make a client of these addresses or peers; closed after the test."""
    made: list[Iroha1] = []

    def make(*peers: ScriptedPeer | str, **settings) -> Iroha1:
        addresses = [peer if isinstance(peer, str) else peer.address for peer in peers]
        settings = {"deadline_s": 5.0, "quiet_s": 5.0, "entropy": bytes, **settings}
        client = Iroha1(
            addresses,
            OPENER,
            SigningKey.from_seed(b"\x01" * 32),
            sleep=ticks.sleep,
            now_ms=lambda: 1_700_000_000_000,
            **settings,
        )
        made.append(client)
        return client

    yield make
    for each in made:
        await each.close()
