"""The ledger of a world has as many peers as it was founded with, on consecutive ports."""

import json
import socket
from pathlib import Path

import pytest
from google.protobuf.json_format import ParseDict

from ledger_client.charter import read_charter
from ledger_client.genesis import BANK_KEYS, pinned
from ledger_client.keys import SigningKey, load_key
from ledger_client.proto.block_pb2 import Block
from sim.founding import CannotStart, found
from sim.world import World


@pytest.fixture
def world(tmp_path: Path):
    for first, folder in ((1, "state/keys"), (11, "state/tonle/keys")):
        keys = tmp_path / folder
        keys.mkdir(parents=True)
        for number, name in enumerate(BANK_KEYS, start=first):
            public = SigningKey.from_seed(bytes([number]) * 32).public_key
            (keys / f"{name}.pub").write_text(public + "\n")

    def of(peers: int, ledger_port: int = 50051, banks: int = 1) -> World:
        state = tmp_path / "state"
        return World(state, tmp_path, ledger_port=ledger_port, peers=peers, banks=banks)

    return of


def founded(world: World):
    keys = {member.bank.domain: member.keys for member in world.members}
    found(world.genesis, keys, world.peer_keys)
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
    with pytest.raises(CannotStart, match="was begun with PEERS=3: start it so again"):
        founded(world(1))


def test_the_gateway_is_told_of_every_peer(world):
    one = world(3, ledger_port=7000)
    told = one.gateway_environment(one.members[0], "key")["GATEWAY_LEDGER_PEERS"]
    assert told == "127.0.0.1:7000,127.0.0.1:7001,127.0.0.1:7002"


def test_a_second_bank_is_on_the_same_ledger_for_good(world):
    founded(world(1, banks=2))
    domains = read_charter(ParseDict(json.loads(world(1).genesis.read_text()), Block()))
    assert {"bank", "tonle"} < domains.default_roles.keys()
    with pytest.raises(CannotStart, match="PEERS=1 BANKS=2: start it so again"):
        founded(world(1))


def test_two_gateways_share_the_ledger_and_nothing_else(world, monkeypatch):
    monkeypatch.setenv("GATEWAY_DATABASE_URL", "postgresql://one/of/mine")
    monkeypatch.setenv("GATEWAY_REDIS_URL", "redis://mine:6379")
    two = world(1, banks=2)
    first, second = (two.gateway_environment(member, "key") for member in two.members)
    assert first["GATEWAY_DATABASE_URL"] == "postgresql://one/of/mine"
    assert (second["GATEWAY_BANK_DOMAIN"], second["GATEWAY_REDIS_URL"]) == ("tonle", "")
    assert second["GATEWAY_DATABASE_URL"].startswith("sqlite:///")
    assert first["GATEWAY_MEMBER_BANKS"] == "tonle=Tonle Bank"
    assert second["GATEWAY_MEMBER_BANKS"] == "bank=Mekong Bank"
    same = {name for name in first if name.startswith("GATEWAY_") and first[name] == second[name]}
    assert {"GATEWAY_LEDGER_PEERS", "GATEWAY_LEDGER_GENESIS_FILE"} < same
    assert not {name for name in same if name.endswith(("KEY_FILE", "KEK_FILE", "PORT", "CODE"))}


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
