"""Faults and lies, each seen from outside, on one peer while the rest of the world stays true."""

import asyncio
from hashlib import sha3_256

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from town import Town, key, peer_keys, town

from ledger_client.keys import verify
from ledger_client.ledger import TransferAsset
from ledger_client.proto import queries_pb2 as ask
from ledger_client.proto.block_pb2 import Block
from ledger_client.proto.endpoint_pb2 import TxStatus
from ledger_client.proto.transaction_pb2 import Transaction
from sim.ledger.lies import ForgedSignature, Forked, Inserted, Rewound, Unlinked
from sim.ledger.misbehaviour import (
    ClockOff,
    CutsStreams,
    DropsReply,
    ForgetsCommits,
    HidesReasons,
    LateBlocks,
    Refuses,
    ReordersStatuses,
    Silent,
    Slow,
)
from sim.ledger.rules import FUTURE_MS

ALICE, BOB = "alice@bank", "bob@bank"
MINUTE_MS = 60_000


@pytest.fixture
async def bank(tmp_path):
    async with town(tmp_path) as place:
        await place.people(ALICE, BOB)
        yield place


def spoil(bank: Town, *manners) -> None:
    bank.server.peers[0].misbehave(*manners)


async def names(stream):
    return [TxStatus.Name(it.tx_status) async for it in stream]


async def every_call(bank: Town, patience_s: float) -> list[object]:
    """What becomes of one call of each kind within that time: an error's code, or "silence"."""

    async def first(stream):
        return await anext(aiter(stream))

    calls = [
        bank.send(bank.pay(ALICE, BOB, "1")),
        bank.told("ab" * 32),
        first(bank.stream("ab" * 32)),
        first(bank.follow()),
        bank.ask("opener@bank", get_block=ask.GetBlock(height=1)),
        bank.queries.Healthcheck(Empty()),
    ]

    async def outcome(call):
        try:
            return await asyncio.wait_for(call, patience_s)
        except TimeoutError:
            return "silence"
        except grpc.aio.AioRpcError as error:
            return error.code()

    return await asyncio.gather(*map(outcome, calls))


async def test_a_silent_peer_takes_every_call_and_answers_none(bank: Town):
    spoil(bank, Silent())
    assert await every_call(bank, 0.2) == ["silence"] * 6
    spoil(bank)
    assert await bank.server.round() is None  # what it took is lost


async def test_a_refusing_peer_ends_every_call(bank: Town):
    spoil(bank, Refuses())
    assert await every_call(bank, 10) == [grpc.StatusCode.UNAVAILABLE] * 6


async def test_a_slow_peer_answers_truly_in_the_end(bank: Town):
    spoil(bank, Slow(ms=50))
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await bank.status("ab" * 32) == "NOT_RECEIVED"
    assert loop.time() - began >= 0.05


async def test_bytes_whose_reply_was_dropped_are_committed_all_the_same(bank: Town):
    spoil(bank, DropsReply())
    paid = bank.pay(ALICE, BOB, "1")
    with pytest.raises(grpc.aio.AioRpcError):
        await bank.send(paid)
    await bank.server.round()
    assert await bank.status(paid) == "COMMITTED"


async def test_bytes_whose_caller_gave_up_are_taken_all_the_same(bank: Town):
    paid = bank.pay(ALICE, BOB, "1")
    peer = bank.server.peers[0]._peer
    calling = asyncio.create_task(peer.receive([Transaction.FromString(paid.data)]))
    await asyncio.sleep(0)
    calling.cancel()
    await asyncio.gather(*peer._admitting)
    await bank.server.round()
    assert await bank.status(paid) == "COMMITTED"


async def test_a_committed_hash_may_be_denied(bank: Town):
    paid, lost = bank.pay(ALICE, BOB, "1"), bank.pay(ALICE, BOB, "5000")
    spoil(bank, ForgetsCommits())
    assert await bank.settle(paid, lost) == ["NOT_RECEIVED", "REJECTED"]
    assert await names(bank.stream(paid.tx_hash)) == ["NOT_RECEIVED"]
    spoil(bank)
    assert await bank.status(paid) == "COMMITTED"


async def test_a_rejection_may_come_without_a_reason(bank: Town):
    spoil(bank, HidesReasons())
    lost = bank.pay(ALICE, BOB, "5000")
    stream = aiter(bank.stream(lost.tx_hash))
    await anext(stream)
    await bank.settle(lost)
    assert await names(stream) == [
        "STATELESS_VALIDATION_SUCCESS",
        "ENOUGH_SIGNATURES_COLLECTED",
        "REJECTED",
    ]


async def test_streams_may_be_cut_after_some_messages(bank: Town):
    spoil(bank, CutsStreams(after=2))
    paid = bank.pay(ALICE, BOB, "1")
    stream = aiter(bank.stream(paid.tx_hash))
    assert TxStatus.Name((await anext(stream)).tx_status) == "NOT_RECEIVED"
    await bank.settle(paid)
    assert TxStatus.Name((await anext(stream)).tx_status) == "STATELESS_VALIDATION_SUCCESS"
    with pytest.raises(grpc.aio.AioRpcError):
        await anext(stream)
    spoil(bank, CutsStreams())
    with pytest.raises(grpc.aio.AioRpcError):
        await anext(aiter(bank.follow()))
    spoil(bank, CutsStreams(after=5))
    assert await names(bank.stream(paid.tx_hash)) == ["COMMITTED"]  # it ends before it is cut


async def test_statuses_may_come_in_another_order(bank: Town):
    spoil(bank, ReordersStatuses())
    paid = bank.pay(ALICE, BOB, "1")
    reading = asyncio.create_task(names(bank.stream(paid.tx_hash)))
    await bank.status(paid)  # one call later the stream stands
    await bank.settle(paid)
    assert await reading == [
        "COMMITTED",
        "STATEFUL_VALIDATION_SUCCESS",
        "ENOUGH_SIGNATURES_COLLECTED",
        "STATELESS_VALIDATION_SUCCESS",
        "NOT_RECEIVED",
    ]


async def test_blocks_may_be_late(bank: Town):
    spoil(bank, LateBlocks(by=1))
    top = bank.server.chain.height
    assert (await bank.queries.Healthcheck(Empty())).last_block_height == top - 1
    refused = await bank.ask("opener@bank", get_block=ask.GetBlock(height=top))
    assert refused.error_code == 3
    reading = anext(aiter(bank.follow()))
    await bank.status("ab" * 32)
    await bank.settle(bank.pay(ALICE, BOB, "1"))
    assert (await bank.block(top)).block_v1.payload.height == top
    await bank.settle(bank.pay(ALICE, BOB, "2"))
    assert (await reading).block_response.block.block_v1.payload.height == top + 1


async def test_a_restart_loses_what_only_memory_knew(bank: Town):
    malformed = bank.resigned(Transaction.FromString(bank.pay(ALICE, BOB, "1").data))
    paid, queued = bank.pay(ALICE, BOB, "1"), bank.pay(ALICE, BOB, "2")
    assert await bank.settle(malformed) == ["STATELESS_VALIDATION_FAILED"]
    assert await bank.settle(paid) == ["COMMITTED"]
    await bank.send(queued)
    await bank.server.peers[0].restart()
    async with bank.at(0) as again:
        found = [await again.status(it) for it in (malformed, paid, queued)]
    assert found == ["NOT_RECEIVED", "COMMITTED", "NOT_RECEIVED"]


async def test_a_clock_may_be_off_by_minutes(bank: Town):
    spoil(bank, ClockOff(ms=-6 * MINUTE_MS))
    paid = bank.pay(ALICE, BOB, "1")
    assert await bank.settle(paid) == ["STATELESS_VALIDATION_FAILED"]
    assert "sent from future" in (await bank.told(paid)).err_or_cmd_name
    refused = await bank.ask("opener@bank", get_block=ask.GetBlock(height=1))
    assert "sent from future" in refused.message
    spoil(bank, ClockOff(ms=6 * MINUTE_MS))
    early = bank.sign(
        ALICE, TransferAsset(ALICE, BOB, "khr#nbc", "1"), at=bank.now + FUTURE_MS + MINUTE_MS
    )
    assert await bank.settle(early) == ["COMMITTED"]


async def test_several_faults_stand_one_before_the_other(bank: Town):
    spoil(bank, ForgetsCommits(), Slow(ms=1))
    paid = bank.pay(ALICE, BOB, "1")
    assert await bank.settle(paid) == ["NOT_RECEIVED"]


async def test_one_peer_misbehaves_and_the_others_do_not(tmp_path):
    async with town(tmp_path, peers=2) as two:
        two.server.peers[0].misbehave(ForgetsCommits())
        opening = two.opening(ALICE)
        assert await two.settle(*opening) == ["NOT_RECEIVED"] * 2
        async with two.at(1) as there:
            assert await there.status(opening[0]) == "COMMITTED"


# Lies about blocks: told alike by the stream and to whoever asks.


def is_signed(block: Block) -> bool:
    payload = block.block_v1.payload.SerializeToString()
    return all(
        verify(it.public_key, payload, bytes.fromhex(it.signature))
        for it in block.block_v1.signatures
    )


async def lied(bank: Town, manner) -> tuple[Block, Block]:
    """The block at the top as the stream told it and as it is given by height."""
    spoil(bank, manner)
    reading = anext(aiter(bank.follow()))
    await bank.status("ab" * 32)
    await bank.settle(bank.pay(ALICE, BOB, "1"))
    streamed = (await reading).block_response.block
    return streamed, await bank.block(bank.server.chain.height)


async def test_a_forged_signature_is_under_a_true_block(bank: Town):
    streamed, asked = await lied(bank, ForgedSignature())
    assert streamed == asked
    assert not is_signed(asked)
    spoil(bank)
    true = await bank.block(bank.server.chain.height)
    assert true.block_v1.payload == asked.block_v1.payload
    assert is_signed(true)


async def test_an_unlinked_block_may_be_signed_by_all(bank: Town):
    streamed, asked = await lied(bank, Unlinked(keys=peer_keys(1)))
    assert streamed == asked
    assert is_signed(asked)
    before = await bank.block(bank.server.chain.height - 1)
    linked = sha3_256(before.block_v1.payload.SerializeToString()).hexdigest()
    assert asked.block_v1.payload.prev_block_hash != linked


async def test_a_foreign_transaction_may_stand_in_a_block(bank: Town):
    foreign = Transaction.FromString(bank.pay("treasury@bank", BOB, "999").data)
    streamed, asked = await lied(bank, Inserted(transaction=foreign, keys=[key("peer")]))
    assert streamed == asked
    assert is_signed(asked)
    assert asked.block_v1.payload.transactions[-1] == foreign
    assert asked.block_v1.payload.tx_number == len(asked.block_v1.payload.transactions) == 2


async def test_a_lie_without_a_key_leaves_the_old_signatures(bank: Town):
    _, asked = await lied(bank, Unlinked())
    assert not is_signed(asked)


async def test_two_blocks_of_one_height(bank: Town):
    spoil(bank, Forked(keys=[key("peer")]))
    stream = aiter(bank.follow())
    reading = anext(stream)
    await bank.status("ab" * 32)
    await bank.settle(bank.pay(ALICE, BOB, "1"))
    both = [(await reading).block_response.block, (await anext(stream)).block_response.block]
    assert [it.block_v1.payload.height for it in both] == [4, 4]
    assert both[0] != both[1]
    assert all(map(is_signed, both))
    assert await bank.block(4) == both[1]


async def test_only_the_height_lied_about_is_untrue(bank: Town):
    spoil(bank, Unlinked(height=2, keys=[key("peer")]))
    lie, truth = await bank.block(2), await bank.block(3)
    assert truth.block_v1.payload.prev_block_hash == bank.server.chain.store.block_hash(2)
    assert lie.block_v1.payload.prev_block_hash != bank.server.chain.store.block_hash(1)


async def test_a_rewound_peer_denies_its_newest_blocks(bank: Town):
    spoil(bank, Rewound(height=2))
    assert (await bank.queries.Healthcheck(Empty())).last_block_height == 2
    assert (await bank.block(2)).block_v1.payload.height == 2
    refused = await bank.ask("opener@bank", get_block=ask.GetBlock(height=3))
    assert refused.error_code == 3
