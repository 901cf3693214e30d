"""Several peers of one chain: who knows what, who is needed, who catches up."""

from hashlib import sha3_256

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from town import Town, first_block, key, peer_keys, town

from ledger_client.keys import verify
from ledger_client.ledger import AddSignatory, TransferAsset
from ledger_client.proto import endpoint_pb2
from ledger_client.proto import queries_pb2 as ask
from ledger_client.proto.endpoint_pb2 import TxStatus
from ledger_client.proto.transaction_pb2 import Transaction
from sim.ledger import BadGenesis, Settings, serve
from sim.ledger.chain import majority_of

ALICE, BOB = "alice@bank", "bob@bank"


@pytest.fixture
async def four(tmp_path):
    async with town(tmp_path, peers=4) as place:
        await place.people(ALICE, BOB)
        yield place


async def names(stream):
    return [TxStatus.Name(it.tx_status) async for it in stream]


def test_a_network_of_four_can_lose_one():
    assert [majority_of(peers) for peers in range(1, 8)] == [1, 2, 2, 3, 3, 4, 4]


async def test_every_peer_knows_every_verdict_and_the_same_blocks(four: Town):
    paid, lost = four.pay(ALICE, BOB, "1"), four.pay(ALICE, BOB, "5000")
    await four.settle(paid, lost)
    for number in range(4):
        async with four.at(number) as there:
            assert await there.status(paid) == "COMMITTED"
            assert await there.status(lost) == "REJECTED"
            assert (await there.queries.Healthcheck(Empty())).last_block_height == 4
            block = (await there.block(4)).block_v1
            assert sha3_256(block.payload.SerializeToString()).hexdigest() == (
                four.server.chain.store.block_hash(4)
            )
            assert await there.riel(BOB) == 1001


async def test_only_the_peer_it_was_sent_to_tells_every_step(four: Town):
    paid = four.pay(ALICE, BOB, "5000")
    async with four.at(2) as there:
        here, elsewhere = aiter(four.stream(paid.tx_hash)), aiter(there.stream(paid.tx_hash))
        await anext(here)
        await anext(elsewhere)
        await four.send(paid)
        assert await there.status(paid) == "NOT_RECEIVED"
        await four.server.round()
        assert await names(here) == [
            "STATELESS_VALIDATION_SUCCESS",
            "ENOUGH_SIGNATURES_COLLECTED",
            "STATEFUL_VALIDATION_FAILED",
            "REJECTED",
        ]
        assert await names(elsewhere) == ["ENOUGH_SIGNATURES_COLLECTED", "REJECTED"]


async def test_the_same_bytes_to_all_peers_at_once_move_money_once(four: Town):
    paid = four.pay(ALICE, BOB, "7")
    for number in range(4):
        async with four.at(number) as there:
            await there.send(paid)
    assert await four.server.round() == 4
    assert await four.server.round() is None
    assert await four.riel(BOB) == 1007


async def test_each_peer_signs_and_each_copy_shows_another_supermajority(four: Town):
    await four.settle(four.pay(ALICE, BOB, "1"))
    subsets = set()
    for number in range(4):
        async with four.at(number) as there:
            stored = (await there.block(4)).block_v1
            payload = stored.payload.SerializeToString()
            for it in stored.signatures:
                assert verify(it.public_key, payload, bytes.fromhex(it.signature))
            subsets.add(frozenset(it.public_key for it in stored.signatures))
    assert {len(it) for it in subsets} == {3}
    assert len(subsets) > 1
    assert frozenset().union(*subsets) == {it.public_key for it in peer_keys(4)}


async def test_the_stream_tells_a_peers_own_copy(four: Town):
    async with four.at(3) as there:
        reading = anext(aiter(there.follow()))
        await there.status("ab" * 32)  # one call later the stream stands
        await four.settle(four.pay(ALICE, BOB, "1"))
        assert (await reading).block_response.block == await there.block(4)


async def test_one_peer_may_die_and_two_may_not(four: Town):
    await four.server.peers[3].stop()
    assert await four.settle(four.pay(ALICE, BOB, "1")) == ["COMMITTED"]
    block = (await four.block(4)).block_v1
    assert {it.public_key for it in block.signatures} == {it.public_key for it in peer_keys(3)}
    await four.server.peers[2].stop()
    stuck = four.pay(ALICE, BOB, "1")
    assert await four.settle(stuck) == ["ENOUGH_SIGNATURES_COLLECTED"]
    assert four.server.chain.height == 4
    await four.server.peers[2].restart()
    await four.server.round()
    assert await four.status(stuck) == "COMMITTED"


async def test_a_stopped_peer_comes_back_on_its_port_with_the_whole_chain(four: Town):
    peer = four.server.peers[1]
    address = peer.address
    async with four.at(1) as there:
        await peer.stop()
        with pytest.raises(grpc.aio.AioRpcError):
            await there.status("ab" * 32)
        paid = four.pay(ALICE, BOB, "1")
        await four.settle(paid)
        await peer.restart()
        assert peer.address == address
        await there.commands.Status(
            endpoint_pb2.TxStatusRequest(tx_hash=paid.tx_hash), wait_for_ready=True
        )
        assert await there.status(paid) == "COMMITTED"
        assert (await there.block(4)).block_v1.payload.height == 4


async def test_what_only_a_crashed_peer_knew_is_lost_until_it_is_sent_again(four: Town):
    paid = four.pay(ALICE, BOB, "1")
    async with four.at(1) as there:
        await there.send(paid)
    await four.server.peers[1].restart()
    await four.server.round()
    assert await four.status(paid) == "NOT_RECEIVED"
    assert await four.settle(paid) == ["COMMITTED"]


async def test_without_a_quorum_peers_answer_that_they_are_not_well(four: Town):
    for peer in four.server.peers[1:]:
        peer.pause()
    await four.server.round()
    assert not (await four.queries.Healthcheck(Empty())).is_healthy
    for peer in four.server.peers[1:]:
        peer.resume()
    await four.server.round()
    assert (await four.queries.Healthcheck(Empty())).is_healthy


async def test_a_peer_cut_off_hears_of_nothing_until_it_is_back(four: Town):
    peer = four.server.peers[1]
    async with four.at(1) as there:
        peer.pause()
        paid, waiting = four.pay(ALICE, BOB, "1"), four.pay(ALICE, BOB, "2")
        await there.send(waiting)
        assert await four.settle(paid) == ["COMMITTED"]
        assert await there.status(paid) == "NOT_RECEIVED"
        assert await there.status(waiting) == "ENOUGH_SIGNATURES_COLLECTED"
        refused = await there.ask("opener@bank", get_block=ask.GetBlock(height=4))
        assert refused.error_code == 3
        reading = anext(aiter(there.follow()))
        await there.status("ab" * 32)
        peer.resume()
        assert (await reading).block_response.block.block_v1.payload.height == 4
        assert await there.status(paid) == "COMMITTED"
        await four.server.round()
        assert await four.status(waiting) == "COMMITTED"


async def test_what_lacks_a_signature_waits_at_one_peer_only(four: Town):
    second = four.key("second")
    await four.settle(four.sign(ALICE, AddSignatory(ALICE, second.public_key)))
    payment = four.sign(ALICE, TransferAsset(ALICE, BOB, "khr#nbc", "5"), quorum=2)
    other = four.resigned(Transaction.FromString(payment.data), second)
    await four.send(payment)
    async with four.at(1) as there:
        assert await there.settle(other) == ["MST_PENDING"]
    assert await four.settle(other) == ["COMMITTED"]


async def test_no_peer_starves_when_blocks_are_full(tmp_path):
    settings = Settings(block_ms=None, block_most=2)
    async with town(tmp_path, settings, peers=2) as two:
        for name in (ALICE, BOB):
            await two.settle(*two.opening(name))
        async with two.at(1) as there:
            for _ in range(3):
                await two.send(*(two.pay("treasury@bank", ALICE, "1") for _ in range(2)))
            mine = two.pay("treasury@bank", BOB, "1")
            await there.send(mine)
            await two.server.round()
            await two.server.round()
            assert await there.status(mine) == "COMMITTED"


async def test_a_key_that_the_genesis_does_not_name_is_refused(tmp_path):
    with pytest.raises(BadGenesis, match="not a peer"):
        await serve(tmp_path, first_block(), key("peer"), key("stranger"))


async def test_peers_listen_on_consecutive_ports_and_decide_by_themselves(tmp_path):
    async with town(tmp_path, Settings(block_ms=1), peers=3) as three:
        paid = three.pay("treasury@bank", "settlement@bank", "1")
        await three.send(paid)
        async with three.at(2) as there:
            while "COMMITTED" not in await names(there.stream(paid.tx_hash)):
                pass  # a stream ends after some quiet rounds: as with real peers, open another
        assert len(set(three.server.addresses)) == 3
