"""The suite of `ledger_suite` on the development ledger, and on a real network when one is named.

==============================  =================================================================
GATEWAY_TEST_IROHA_PEERS        `host:port` of each peer's Torii, with commas between; unset: the
                                development ledger only
GATEWAY_TEST_IROHA_KEYS         folder with opener.key, treasury.key, recoverer.key and
                                recoverer_second.key of a bank that our genesis block made
GATEWAY_TEST_IROHA_DOMAIN       that bank's domain; `bank` if unset
GATEWAY_TEST_IROHA_URSA         anything: its peers take `ed0120…` keys too
==============================  =================================================================
"""

import os
from hashlib import sha3_256
from pathlib import Path

import pytest
from ledger_suite import LedgerConformance, Net

from ledger_client.genesis import Bank, Peer, genesis
from ledger_client.iroha1 import Iroha1
from ledger_client.keys import SigningKey, load_key
from ledger_client.trust import Trust
from sim.ledger import Settings, serve

BOTH = ("raw", "multihash")
KEYS = ("opener", "treasury", "recoverer", "recoverer_second")


def key(name: str) -> SigningKey:
    return SigningKey.from_seed(sha3_256(name.encode()).digest())


class TestDevelopmentLedger(LedgerConformance):
    @pytest.fixture(params=["rocksdb", "postgres"])
    def profile(self, request):
        return request.param

    @pytest.fixture(params=[1, 4])
    def peer_keys(self, request):
        return [key(f"peer {number}") for number in range(request.param)]

    @pytest.fixture
    async def net(self, tmp_path, profile, peer_keys):
        peers = [
            Peer(f"127.0.0.1:{10001 + number}", each.public_key)
            for number, each in enumerate(peer_keys)
        ]
        bank = Bank.of("bank", lambda name: key(name).public_key)
        settings = Settings(block_ms=5, ursa=True, profile=profile)
        first = genesis([bank], peers, issuer=key("issuer").public_key)
        server = await serve(tmp_path, first, *peer_keys, settings=settings)
        trust = Trust(peers=frozenset(each.public_key for each in peer_keys))
        ledger = Iroha1(server.addresses, "opener@bank", key("opener"), trust=trust, quiet_s=0.5)
        yield Net(ledger, {name: key(name) for name in KEYS}, forms=BOTH)
        await ledger.close()
        await server.stop()


if PEERS := os.environ.get("GATEWAY_TEST_IROHA_PEERS"):

    class TestRealNetwork(LedgerConformance):
        @pytest.fixture
        async def net(self):
            folder = Path(os.environ["GATEWAY_TEST_IROHA_KEYS"])
            domain = os.environ.get("GATEWAY_TEST_IROHA_DOMAIN", "bank")
            keys = {name: load_key(folder / f"{name}.key") for name in KEYS}
            forms = BOTH if os.environ.get("GATEWAY_TEST_IROHA_URSA") else ("raw",)
            ledger = Iroha1(PEERS.split(","), f"opener@{domain}", keys["opener"])
            yield Net(ledger, keys, domain=domain, forms=forms)
            await ledger.close()
