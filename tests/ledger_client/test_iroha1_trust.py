"""A peer that lies about blocks is told of, left, and believed in nothing."""

import asyncio
from contextlib import aclosing

import pytest
from scripted_peer import ScriptedPeer, block, hash_at, refusal

from ledger_client.blocks import read_block
from ledger_client.keys import SigningKey
from ledger_client.ledger import Block, Doubt, Reached
from ledger_client.trust import Trust

KEYS = [SigningKey.from_seed(bytes([number]) * 32) for number in range(1, 4)]
TRUST = Trust(frozenset(key.public_key for key in KEYS), hash_at(1))
FORGED = {
    "forged": lambda: block(3, KEYS[0], created_time=1),
    "unlinked": lambda: block(3, *KEYS, prev_block_hash="ab" * 32),
    "unsigned": lambda: block(3),
}


def good(height: int):
    return block(height, *KEYS[:2]) if height > 1 else block(1)


async def take(blocks, count: int) -> tuple[list[int], list[Doubt]]:
    heights, doubts = [], []
    async with asyncio.timeout(5):
        while len(heights) < count:
            found = await anext(blocks)
            if isinstance(found, Block):
                heights.append(found.height)
            else:
                doubts.append(found)
    return heights, doubts


async def doubted(blocks, least: int) -> list[Doubt]:
    found: list[Doubt] = []
    async with asyncio.timeout(5):
        while len(found) < least:
            each = await anext(blocks)
            assert isinstance(each, Doubt), "a block nobody proved was passed on"
            found.append(each)
    return found


async def listening(peer: ScriptedPeer) -> None:
    async with asyncio.timeout(5):
        while not peer.listeners:
            await asyncio.sleep(0.001)


async def test_a_chain_signed_by_enough_pinned_peers_is_passed_on_from_genesis(peers, client_of):
    peers[0].blocks = [good(height) for height in range(1, 6)]
    async with aclosing(client_of(peers[0], trust=TRUST).blocks(Reached(0))) as blocks:
        assert await take(blocks, 5) == ([1, 2, 3, 4, 5], [])


@pytest.mark.parametrize("kind", FORGED)
async def test_a_lie_told_by_height_is_doubted_and_the_next_peer_asked(peers, client_of, kind):
    peers[0].blocks = [good(1), good(2), FORGED[kind]()]
    peers[1].blocks = [good(1), good(2), good(3), good(4)]
    async with aclosing(client_of(*peers, trust=TRUST).blocks(Reached(0))) as blocks:
        heights, doubts = await take(blocks, 4)
    assert heights == [1, 2, 3, 4]
    assert [(each.peer, each.height) for each in doubts] == [(peers[0].address, 3)]


@pytest.mark.parametrize("kind", FORGED)
async def test_a_lie_told_by_the_stream_is_doubted_and_the_next_peer_asked(peers, client_of, kind):
    for each in peers:
        each.blocks = [good(1), good(2)]
    async with aclosing(client_of(*peers, trust=TRUST).blocks(Reached(0))) as blocks:
        assert await take(blocks, 2) == ([1, 2], [])
        coming = asyncio.create_task(take(blocks, 1))
        await listening(peers[0])
        peers[1].blocks.append(good(3))
        peers[0].tell(FORGED[kind]())
        heights, doubts = await coming
    assert heights == [3]
    assert [(each.peer, each.height) for each in doubts] == [(peers[0].address, 3)]


async def test_when_every_peer_lies_nothing_is_passed_on_and_it_is_told_again_and_again(
    peers, client_of
):
    for each in peers:
        each.blocks = [good(1), FORGED["forged"]()]
        each.blocks[1].block_v1.payload.height = 2
    async with aclosing(client_of(*peers, trust=TRUST).blocks(Reached(1, hash_at(1)))) as blocks:
        doubts = await doubted(blocks, 4)
    assert {each.peer for each in doubts} == {peers[0].address, peers[1].address}
    assert {each.height for each in doubts} == {2}


async def test_a_ledger_with_another_block_in_the_last_ones_place_is_not_followed(peers, client_of):
    """Rewound and grown again: what it says next links to a past that is not ours."""
    peers[0].blocks = [good(1), block(2, *KEYS, created_time=7)]
    client = client_of(peers[0], trust=TRUST)
    async with aclosing(client.blocks(Reached(2, hash_at(2)))) as blocks:
        doubts = await doubted(blocks, 2)
    assert "another block stands in its place" in doubts[0].why
    assert {each.gone for each in doubts} == {False, True}


async def test_a_ledger_that_has_lost_the_last_block_is_not_followed(peers, client_of):
    for each in peers:
        each.blocks = [good(1)]
    client = client_of(*peers, trust=TRUST)
    async with aclosing(client.blocks(Reached(5, hash_at(5)))) as blocks:
        doubts = await doubted(blocks, 1)
    assert "gone" in doubts[0].why
    assert doubts[0].gone


async def test_a_peer_that_is_only_behind_is_no_liar(peers, client_of):
    peers[0].blocks = [good(1)]
    peers[1].blocks = [good(height) for height in range(1, 5)]
    client = client_of(*peers, trust=TRUST, quiet_s=0.05)
    async with aclosing(client.blocks(Reached(3, hash_at(3)))) as blocks:
        assert await take(blocks, 1) == ([4], [])


async def test_another_genesis_is_another_ledger(peers, client_of):
    peers[0].blocks = [block(1, created_time=1)]
    async with aclosing(client_of(peers[0], trust=TRUST).blocks(Reached(0))) as blocks:
        doubts = await doubted(blocks, 1)
    assert doubts[0].why == "this ledger began with another genesis block"


@pytest.mark.parametrize("said", [1, 9], ids=["an old block", "a block that is not there"])
async def test_a_peer_that_talks_to_no_purpose_holds_nothing_up(peers, client_of, said):
    """Again and again, within the time that silence would need to be noticed."""
    peers[0].blocks = [good(1), good(2)]
    peers[1].blocks = [good(1), good(2), good(3)]
    client = client_of(*peers, trust=TRUST, quiet_s=0.1)

    async def talk() -> None:
        while True:
            peers[0].tell(good(said))
            await asyncio.sleep(0.01)

    talking = asyncio.create_task(talk())
    async with aclosing(client.blocks(Reached(2, hash_at(2)))) as blocks:
        assert (await take(blocks, 1))[0] == [3]
    talking.cancel()


async def test_a_peer_that_refuses_is_left_while_another_answers(peers, client_of):
    """A new peer knows no accounts yet, and so no rights."""
    peers[0].replies = [refusal("STATEFUL_INVALID", 2, "no permission")] * 100
    peers[1].blocks = [good(1), good(2)]
    async with aclosing(client_of(*peers, trust=TRUST).blocks(Reached(0))) as blocks:
        assert (await take(blocks, 2))[0] == [1, 2]


def test_a_pinned_key_is_tried_once_however_often_it_signs(monkeypatch):
    made = block(3, *[KEYS[0]] * 1000)
    tried = []
    monkeypatch.setattr("ledger_client.trust.verify", lambda *told: bool(tried.append(told)))
    assert TRUST.doubt(read_block(made), Reached(2, hash_at(2)))
    assert len(tried) == 1


# ---- is there anything more?


@pytest.mark.parametrize("liar", [0, 1])
@pytest.mark.parametrize("kind", FORGED)
async def test_a_peer_that_invents_a_block_does_not_hide_the_end_of_the_chain(
    peers, client_of, kind, liar
):
    for each in peers:
        each.blocks = [good(1), good(2)]
    peers[liar].blocks.append(FORGED[kind]())
    client = client_of(*peers, trust=TRUST)
    assert await client.is_last(Reached(2, hash_at(2)))
    assert not await client.is_last(Reached(1, hash_at(1)))


async def test_a_block_that_one_peer_alone_has_is_not_missed(peers, client_of):
    for each in peers:
        each.blocks = [good(1), good(2)]
    peers[1].blocks.append(good(3))
    assert not await client_of(*peers, trust=TRUST).is_last(Reached(2, hash_at(2)))


@pytest.mark.parametrize("other", [[good(1)], [good(1), block(2, *KEYS, created_time=7)]])
async def test_what_no_peer_has_in_its_place_is_not_the_end_of_the_chain(peers, client_of, other):
    for each in peers:
        each.blocks = other
    assert not await client_of(*peers, trust=TRUST).is_last(Reached(2, hash_at(2)))
    peers[1].blocks = [good(1), good(2)]
    assert await client_of(*peers, trust=TRUST).is_last(Reached(2, hash_at(2)))
