"""The ledger of a world has as many peers as it was founded with, on consecutive ports."""

import json
import socket
from pathlib import Path

import pytest

from ledger_client.genesis import BANK_KEYS, pinned
from ledger_client.keys import SigningKey, load_key
from sim.founding import CannotStart, found
from sim.up import World


@pytest.fixture
def world(tmp_path: Path):
    keys = tmp_path / "state" / "keys"
    keys.mkdir(parents=True)
    for number, name in enumerate(BANK_KEYS, start=1):
        public = SigningKey.from_seed(bytes([number]) * 32).public_key
        (keys / f"{name}.pub").write_text(public + "\n")

    def of(peers: int, ledger_port: int = 50051) -> World:
        return World(tmp_path / "state", tmp_path, ledger_port=ledger_port, peers=peers)

    return of


def founded(world: World):
    found(world.genesis, world.keys, world.peer_keys)
    return pinned(json.loads(world.genesis.read_text()))


def test_the_first_block_names_every_peer_once_and_for_all(world):
    trust = founded(world(4))
    assert trust.peers == {load_key(path).public_key for path in world(4).peer_keys}
    assert len(trust.peers) == 4
    assert founded(world(4)) == trust


def test_one_peer_is_what_it_always_was(world):
    founded(world(1))
    assert [path.name for path in world(1).peer_keys] == ["peer.key"]


def test_another_number_of_peers_is_refused_with_what_to_do(world):
    founded(world(3))
    with pytest.raises(CannotStart, match="was begun with --peers 3"):
        founded(world(1))


def test_the_gateway_is_told_of_every_peer(world):
    told = world(3, ledger_port=7000).gateway_environment("key")["GATEWAY_LEDGER_PEERS"]
    assert told == "127.0.0.1:7000,127.0.0.1:7001,127.0.0.1:7002"


def test_a_taken_port_of_any_peer_is_named(world):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        with pytest.raises(CannotStart, match=f"Port {taken} is taken and the development ledger"):
            world(2, ledger_port=taken - 1).check_ports()
    overlapping = World(Path(), Path(), port=7001, ledger_port=7000, peers=2)
    with pytest.raises(CannotStart, match="different ports"):
        overlapping.check_ports()
