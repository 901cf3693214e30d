"""The block stream: every block once, in order, whatever the peers do."""

import asyncio
from contextlib import aclosing

import pytest
from scripted_peer import BREAKS, ENDS, UNREADABLE, ScriptedPeer, block, refusal

from ledger_client.ledger import LedgerUnreachable, QueryRefused, Reached
from ledger_client.proto.qry_responses_pb2 import BlockQueryResponse
from ledger_client.proto.transaction_pb2 import Transaction
from ledger_client.stream import FRUITLESS_MOST

SOON = {"quiet_s": 0.05}


async def take(blocks, count: int) -> list[int]:
    heights = []
    async with asyncio.timeout(5):
        while len(heights) < count:
            heights.append((await anext(blocks)).height)
    return heights


def large(count: int) -> Transaction:
    detail = {"account_id": "a@bank", "key": "k", "value": "v" * count}
    made = Transaction()
    made.payload.reduced_payload.commands.add(set_account_detail=detail)
    return made


async def listening(peer: ScriptedPeer) -> None:
    async with asyncio.timeout(5):
        while not peer.listeners:
            await asyncio.sleep(0.001)


async def test_what_is_there_already_is_fetched_by_height(peers, client_of):
    peers[0].blocks = [block(height) for height in range(1, 6)]
    async with aclosing(client_of(*peers).blocks(Reached(2))) as blocks:
        assert await take(blocks, 3) == [3, 4, 5]


async def test_a_block_of_many_megabytes_is_read(peers, client_of):
    peers[0].blocks = [block(1, transactions=[large(5_000_000)] * 14)]
    async with aclosing(client_of(peers[0]).blocks(Reached(0))) as blocks:
        assert await take(blocks, 1) == [1]


async def test_a_block_that_takes_long_is_given_ever_more_time(peers, client_of):
    peers[0].blocks = [block(1), block(2)]
    peers[0].takes_s = 0.3
    async with aclosing(client_of(peers[0], deadline_s=0.1).blocks(Reached(0))) as blocks:
        assert await take(blocks, 2) == [1, 2]


async def test_when_no_peer_gives_a_block_for_long_it_comes_out(peers, client_of):
    for peer in peers:
        peer.replies = [UNREADABLE] * (FRUITLESS_MOST + 1)
    with pytest.raises(LedgerUnreachable, match="unreadable"):
        await take(client_of(*peers).blocks(Reached(0)), 1)
    peers[0].commit(block(1))
    peers[0].replies.clear()
    async with aclosing(client_of(*peers).blocks(Reached(0))) as blocks:
        assert await take(blocks, 1) == [1]


async def test_then_each_new_block_comes_by_the_stream(peers, client_of):
    peers[0].blocks = [block(1)]
    async with aclosing(client_of(*peers).blocks(Reached(0))) as blocks:
        assert await take(blocks, 1) == [1]
        coming = asyncio.create_task(take(blocks, 2))
        await listening(peers[0])
        for height in (2, 3):
            peers[0].commit(block(height))
        assert await coming == [2, 3]
    assert peers[0].asked["FetchCommits"] == 1


async def test_a_known_block_told_again_is_dropped(peers, client_of):
    peers[0].blocks = [block(1), block(2)]
    async with aclosing(client_of(*peers).blocks(Reached(0))) as blocks:
        assert await take(blocks, 2) == [1, 2]
        coming = asyncio.create_task(take(blocks, 1))
        await listening(peers[0])
        peers[0].tell(block(1), block(2))
        peers[0].commit(block(3))
        assert await coming == [3]


async def test_a_gap_in_the_stream_is_filled_by_height(peers, client_of):
    peers[0].blocks = [block(1)]
    async with aclosing(client_of(*peers).blocks(Reached(0))) as blocks:
        assert await take(blocks, 1) == [1]
        coming = asyncio.create_task(take(blocks, 4))
        await listening(peers[0])
        peers[0].blocks += [block(2), block(3)]  # never told
        peers[0].commit(block(4))
        peers[0].commit(block(5))
        assert await coming == [2, 3, 4, 5]


@pytest.mark.parametrize("how", [ENDS, BREAKS])
async def test_a_cut_stream_is_taken_up_where_it_was(peers, client_of, ticks, how):
    peers[0].blocks = [block(1)]
    async with aclosing(client_of(peers[0]).blocks(Reached(0))) as blocks:
        assert await take(blocks, 1) == [1]
        coming = asyncio.create_task(take(blocks, 3))
        await listening(peers[0])
        peers[0].commit(block(2))
        peers[0].tell(how)
        peers[0].blocks.append(block(3))  # committed while nobody listened
        async with asyncio.timeout(5):
            while peers[0].asked["FetchCommits"] < 2:
                await asyncio.sleep(0.001)
        await listening(peers[0])
        peers[0].commit(block(4))
        assert await coming == [2, 3, 4]
    assert ticks.slept[0] == 0.1


async def test_a_silent_stream_is_doubted_and_replaced_when_it_proves_deaf(peers, client_of, ticks):
    peers[0].blocks = [block(1)]
    async with aclosing(client_of(peers[0], **SOON).blocks(Reached(0))) as blocks:
        assert await take(blocks, 1) == [1]
        coming = asyncio.create_task(take(blocks, 2))
        async with asyncio.timeout(5):
            while len(peers[0].queries) < 3:  # the top was looked for: now it listens
                await asyncio.sleep(0.001)
            peers[0].blocks.append(block(2))  # the stream says nothing of it
            while peers[0].asked["FetchCommits"] < 2:
                await asyncio.sleep(0.001)
        await listening(peers[0])
        peers[0].commit(block(3))
        assert await coming == [2, 3]


async def test_a_peer_left_behind_by_the_others_is_found_out_and_left(peers, client_of):
    """Cut off with a minority it answers everything, and never has a new block."""
    for each in peers:
        each.blocks = [block(1)]
    client = client_of(*peers, **SOON)
    async with aclosing(client.blocks(Reached(0))) as blocks:
        assert await take(blocks, 1) == [1]
        coming = asyncio.create_task(take(blocks, 2))
        await listening(peers[0])
        peers[1].commit(block(2))
        await listening(peers[1])
        peers[1].commit(block(3))
        assert await coming == [2, 3]
    await client.statuses(["ab"])
    assert peers[0].asked.get("Status") is None


async def test_another_peer_that_refuses_in_a_silence_does_no_harm(peers, client_of):
    """It may be new, and know no accounts yet."""
    peers[0].blocks = [block(1)]
    async with aclosing(client_of(*peers, **SOON).blocks(Reached(1))) as blocks:
        coming = asyncio.create_task(take(blocks, 1))
        async with asyncio.timeout(5):
            while len(peers[1].queries) < 2:
                await asyncio.sleep(0.001)
        peers[0].commit(block(2))
        assert await coming == [2]


async def test_an_idle_ledger_keeps_its_stream(peers, client_of):
    peers[0].blocks = [block(1)]
    async with aclosing(client_of(peers[0], **SOON).blocks(Reached(1))) as blocks:
        coming = asyncio.create_task(take(blocks, 1))
        async with asyncio.timeout(5):
            while len(peers[0].queries) < 6:
                await asyncio.sleep(0.001)
        peers[0].commit(block(2))
        assert await coming == [2]
    assert peers[0].asked["FetchCommits"] == 1


async def test_a_dead_peer_is_left_for_another_that_goes_on_without_a_gap(peers, client_of):
    for each in peers:
        each.blocks = [block(1), block(2)]
    async with aclosing(client_of(*peers).blocks(Reached(0))) as blocks:
        assert await take(blocks, 2) == [1, 2]
        coming = asyncio.create_task(take(blocks, 1))
        await listening(peers[0])
        await peers[0].stop()
        await listening(peers[1])
        peers[1].commit(block(3))
        assert await coming == [3]


async def test_the_stream_follows_when_other_calls_have_left_its_peer(peers, client_of):
    for each in peers:
        each.blocks = [block(1)]
    client = client_of(*peers, **SOON)
    async with aclosing(client.blocks(Reached(1))) as blocks:
        coming = asyncio.create_task(take(blocks, 1))
        await listening(peers[0])
        peers[0].statuses["ab"] = UNREADABLE
        await client.statuses(["ab"])
        await listening(peers[1])
        peers[1].commit(block(2))
        assert await coming == [2]


async def test_with_no_peer_at_all_it_waits_longer_and_longer_and_comes_back(
    peers, client_of, ticks
):
    peers[0].refuses = True
    peers[0].blocks = [block(1)]
    async with aclosing(client_of(peers[0]).blocks(Reached(0))) as blocks:
        coming = asyncio.create_task(take(blocks, 1))
        async with asyncio.timeout(5):
            while len(ticks.slept) < 8:
                await asyncio.sleep(0.001)
        peers[0].refuses = False
        assert await coming == [1]
    assert ticks.slept[:8] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.0, 3.0, 3.0]


@pytest.mark.parametrize("code", [2, 3])
async def test_a_refusal_is_the_operators_matter(peers, client_of, code):
    """Code 3 on the genesis block too means a wrong signature, not a missing height."""
    peers[0].replies = [refusal("STATEFUL_INVALID", code, "no")] * 2
    with pytest.raises(QueryRefused) as refused:
        await take(client_of(*peers).blocks(Reached(5)), 1)
    assert refused.value.code == code


async def test_a_refused_stream_is_the_operators_matter(peers, client_of):
    peers[0].blocks = [block(1)]
    async with aclosing(client_of(*peers).blocks(Reached(1))) as blocks:
        coming = asyncio.create_task(take(blocks, 1))
        await listening(peers[0])
        peers[0].tell(BlockQueryResponse(block_error_response={"message": "no permission"}))
        with pytest.raises(QueryRefused, match="no permission"):
            await coming


async def test_closing_the_client_ends_the_stream(peers, client_of):
    peers[0].blocks = [block(1)]
    client = client_of(*peers)
    blocks = client.blocks(Reached(0))
    assert await take(blocks, 1) == [1]
    coming = asyncio.create_task(anext(blocks, None))
    await listening(peers[0])
    await client.close()
    assert await asyncio.wait_for(coming, 5) is None


async def test_leaving_the_loop_leaves_no_stream_open(peers, client_of):
    peers[0].blocks = [block(1)]
    async with aclosing(client_of(*peers).blocks(Reached(0))) as blocks:
        await take(blocks, 1)
        coming = asyncio.create_task(anext(blocks))
        await listening(peers[0])
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)
    async with asyncio.timeout(5):
        while peers[0].listeners:
            await asyncio.sleep(0.001)
