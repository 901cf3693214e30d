"""A peer is stopped, started and spoilt by a line of text, as a developer does it from the page."""

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from town import Town, town

from sim.ledger.orders import BadOrder, obey

ALICE, BOB = "alice@bank", "bob@bank"


@pytest.fixture
async def four(tmp_path):
    async with town(tmp_path, peers=4) as place:
        await place.people(ALICE, BOB)
        yield place


async def test_a_stopped_peer_is_gone_and_comes_back_with_the_whole_chain(four: Town):
    await obey(four.server, "2 stopped")
    await obey(four.server, "2 stopped")  # twice is once
    async with four.at(1) as there:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await there.queries.Healthcheck(Empty(), timeout=5)
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    paid = four.pay(ALICE, BOB, "1")
    await four.settle(paid)
    await obey(four.server, "2 up")
    async with four.at(1) as there:
        await there.queries.Healthcheck(Empty(), wait_for_ready=True)
        assert await there.status(paid) == "COMMITTED"
        assert await there.riel(BOB) == 1001


async def test_a_silent_peer_answers_nobody_until_it_is_up_again(four: Town):
    await obey(four.server, "1 silent")
    async with four.at(0) as there:
        with pytest.raises(grpc.aio.AioRpcError) as waited:
            await there.queries.Healthcheck(Empty(), timeout=0.2)
        assert waited.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        await obey(four.server, "1 up")
        await there.queries.Healthcheck(Empty(), timeout=5)


async def test_a_liar_denies_what_is_committed(four: Town):
    paid = four.pay(ALICE, BOB, "1")
    await four.settle(paid)
    await obey(four.server, "3 stopped")
    await obey(four.server, "3 lying")  # which starts it again
    async with four.at(2) as there:
        assert await there.status(paid) == "NOT_RECEIVED"
    assert await four.status(paid) == "COMMITTED"


@pytest.mark.parametrize("line", ["", "2", "x up", "5 up", "0 up", "-1 up", "2 angry", "2 up now"])
async def test_what_is_no_order_changes_nothing(four: Town, line):
    with pytest.raises(BadOrder):
        await obey(four.server, line)
    assert all(peer.runs for peer in four.server.peers)
