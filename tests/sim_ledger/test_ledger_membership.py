"""Peers come and go by commands in blocks: who signs and who is needed from then on."""

import logging

import pytest
from town import BY_HAND, Town, first_block, key, peer_keys, town

from ledger_client.keys import verify
from ledger_client.proto import commands_pb2, primitive_pb2
from sim.ledger import serve

TREASURY, SETTLEMENT, CHIEF = "treasury@bank", "settlement@bank", "chief@bank"
STRANGER = key("stranger").public_key
# Somebody who may add and remove peers.
EXTRA = [
    {"createRole": {"roleName": "chief", "permissions": ["can_add_peer", "can_remove_peer"]}},
    {
        "createAccount": {
            "accountName": "chief",
            "domainId": "bank",
            "publicKey": key(CHIEF).public_key,
        }
    },
    {"appendRole": {"accountId": CHIEF, "roleName": "chief"}},
]


@pytest.fixture
async def four(tmp_path):
    async with town(tmp_path, BY_HAND, extra=EXTRA, peers=4) as place:
        yield place


def without(bank: Town, number: int):
    gone = commands_pb2.RemovePeer(public_key=peer_keys(4)[number].public_key)
    return bank.wired(CHIEF, commands_pb2.Command(remove_peer=gone))


def with_(bank: Town, public_key: str):
    peer = primitive_pb2.Peer(address="127.0.0.1:10009", peer_key=public_key)
    added = commands_pb2.AddPeer(peer=peer)
    return bank.wired(CHIEF, commands_pb2.Command(add_peer=added))


def pay(bank: Town):
    return bank.pay(TREASURY, SETTLEMENT, "1")


async def signers(bank: Town, height: int) -> set[str]:
    """Who signed a block, by all copies together."""
    found = set()
    for number, peer in enumerate(bank.server.peers):
        if peer.height >= height:
            async with bank.at(number) as there:
                block = (await there.block(height)).block_v1
                payload = block.payload.SerializeToString()
                for it in block.signatures:
                    assert verify(it.public_key, payload, bytes.fromhex(it.signature))
                    found.add(it.public_key)
    return found


def public_keys(*numbers: int) -> set[str]:
    return {peer_keys(4)[it].public_key for it in numbers}


async def test_a_removed_peer_signs_the_block_that_removes_it_and_none_after(four: Town):
    assert await four.settle(without(four, 3)) == ["COMMITTED"]
    assert await four.settle(pay(four)) == ["COMMITTED"]
    assert await signers(four, 2) == public_keys(0, 1, 2, 3)
    assert await signers(four, 3) == public_keys(0, 1, 2)
    assert [it.height for it in four.server.peers] == [3, 3, 3, 2]


async def test_what_is_sent_to_a_removed_peer_waits(four: Town):
    await four.settle(without(four, 3))
    paid = pay(four)
    async with four.at(3) as there:
        assert await there.settle(paid) == ["ENOUGH_SIGNATURES_COLLECTED"]
    assert await four.status(paid) == "NOT_RECEIVED"


async def test_fewer_are_needed_once_a_peer_is_removed(four: Town):
    await four.settle(without(four, 3))
    await four.server.peers[2].stop()
    assert await four.settle(pay(four)) == ["COMMITTED"]
    await four.server.peers[1].stop()
    assert await four.settle(pay(four)) == ["ENOUGH_SIGNATURES_COLLECTED"]


async def test_a_peer_added_again_hears_what_it_missed_and_signs(four: Town):
    await four.settle(without(four, 3))
    await four.settle(pay(four))
    await four.settle(with_(four, peer_keys(4)[3].public_key))
    assert four.server.peers[3].height == 4
    assert await four.settle(pay(four)) == ["COMMITTED"]
    assert await signers(four, 5) == public_keys(0, 1, 2, 3)


async def test_earlier_blocks_keep_the_supermajority_that_they_were_made_with(four: Town):
    for number in (3, 2):
        await four.settle(without(four, number))
    async with four.at(0) as there:
        assert len((await there.block(2)).block_v1.signatures) >= 3


async def test_a_removed_peer_does_not_learn_of_blocks_by_being_connected_again(four: Town):
    four.server.peers[3].pause()
    await four.settle(without(four, 3))
    four.server.peers[3].resume()
    await four.server.round()
    assert four.server.peers[3].height == 1


async def test_peers_that_nobody_runs_are_counted_and_missed_and_that_is_logged(tmp_path, caplog):
    async with town(tmp_path, BY_HAND, extra=EXTRA) as one:
        assert not caplog.records
        assert await one.settle(with_(one, STRANGER)) == ["COMMITTED"]
        stuck = pay(one)
        assert await one.settle(stuck) == ["ENOUGH_SIGNATURES_COLLECTED"]
    (said,) = caplog.records
    assert (said.levelno, said.getMessage()) == (
        logging.WARNING,
        "no block can be made: 2 of the ledger's peers must take part and 1 run here",
    )
    caplog.clear()
    async with town(tmp_path, BY_HAND, extra=EXTRA, since=one) as again:
        assert await again.settle(stuck) == ["ENOUGH_SIGNATURES_COLLECTED"]
    assert [it.getMessage() for it in caplog.records] == [said.getMessage()]


async def test_peers_of_the_genesis_block_that_do_not_run_are_missed_from_the_start(
    tmp_path, caplog
):
    for running, said in ((3, 0), (2, 1)):
        caplog.clear()
        keys = peer_keys(running)
        server = await serve(tmp_path, first_block(peers=4), *keys, settings=BY_HAND)
        assert server.chain.majority == 3
        assert len(caplog.records) == said
        await server.stop()


async def test_a_ledger_starts_again_with_the_key_of_a_removed_peer(tmp_path):
    async with town(tmp_path, BY_HAND, extra=EXTRA, peers=4) as four:
        await four.settle(without(four, 1))
    async with town(tmp_path, BY_HAND, extra=EXTRA, peers=4, since=four) as again:
        assert await again.settle(pay(again)) == ["COMMITTED"]
        assert await signers(again, 3) == public_keys(0, 2, 3)
