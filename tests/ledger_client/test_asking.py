"""What shows in a peer's answers although it never tells: how high it is, what time it is there."""

from collections.abc import AsyncIterator

import pytest
from grpc import StatusCode
from networks import NOON, OPENER, begun, key
from scripted_peer import UNREADABLE, ScriptedPeer, block, refusal

from ledger_client.asking import Asking, Health
from ledger_client.ledger import LedgerUnreachable, QueryRefused
from ledger_client.proto.qry_responses_pb2 import HealthcheckData
from sim.ledger.misbehaviour import ClockOff


def asking_at(address: str) -> Asking:
    return Asking(
        address,
        OPENER,
        key(OPENER),
        tls_ca=None,
        deadline_s=5.0,
        now_ms=lambda: NOON,
        entropy=bytes,
    )


@pytest.fixture
async def peer() -> AsyncIterator[ScriptedPeer]:
    peer = ScriptedPeer()
    await peer.start()
    yield peer
    await peer.stop()


@pytest.fixture
async def asking(peer) -> AsyncIterator[Asking]:
    asking = asking_at(peer.address)
    yield asking
    await asking.close()


@pytest.mark.parametrize("height", [1, 2, 7, 40])
@pytest.mark.parametrize("hint", [-40, -2, -1, 0, 1, 2, 1000])
async def test_the_height_is_found_wherever_one_begins(peer, asking, height, hint):
    """A real peer tells the round that it is in, which is one more, or nothing at all."""
    peer.blocks = [block(each) for each in range(1, height + 1)]
    assert await asking.height(max(0, height + hint)) == height
    assert peer.asked["Find"] < 25


async def test_the_usual_hint_costs_two_questions(peer, asking):
    peer.blocks = [block(each) for each in range(1, 41)]
    assert await asking.height(41) == 40
    assert peer.asked["Find"] == 2


@pytest.mark.parametrize("off_ms", [0, 1, -90_000, 3_600_000, -40_000_000])
async def test_the_time_at_a_peer_is_found_to_the_second(tmp_path, off_ms):
    async with begun(tmp_path) as place:
        place.server.peers[0].misbehave(ClockOff(off_ms))
        asking = asking_at(place.server.address)
        assert abs(await asking.ahead_of_us() - off_ms) < 1000
        await asking.close()


async def test_a_peer_without_healthcheck_is_well(peer, asking):
    peer.health = StatusCode.UNIMPLEMENTED
    assert await asking.health() == Health(healthy=True, syncing=False, height=0)


async def test_a_peer_tells_how_it_is(peer, asking):
    peer.health = HealthcheckData(is_healthy=False, is_syncing=True, last_block_height=3)
    assert await asking.health() == Health(healthy=False, syncing=True, height=3)


@pytest.mark.parametrize("reply", [UNREADABLE, refusal("STATEFUL_INVALID", 1, "disk full")])
async def test_what_no_healthy_peer_answers_is_no_answer(peer, asking, reply):
    peer.replies = [reply]
    with pytest.raises(LedgerUnreachable):
        await asking.account(OPENER)
    peer.health = UNREADABLE
    with pytest.raises(LedgerUnreachable):
        await asking.health()


@pytest.mark.parametrize("reason", ["NO_ACCOUNT", "NO_SIGNATORIES", "NO_ASSET", "NO_ROLES"])
async def test_what_is_not_there_is_none_whatever_the_reason_is_called(peer, asking, reason):
    peer.replies = [refusal(reason, 0) for _ in range(4)]
    assert await asking.account("a@b") is None
    assert await asking.signatories("a@b") == frozenset()
    assert await asking.precision("a#b") is None
    assert await asking.permissions("a") is None


@pytest.mark.parametrize(
    "refused", [("STATEFUL_INVALID", 2), ("STATEFUL_INVALID", 3), ("STATELESS_INVALID", 0)]
)
async def test_not_to_be_told_is_another_thing(peer, asking, refused):
    peer.replies = [refusal(*refused)]
    with pytest.raises(QueryRefused):
        await asking.precision("a#b")


async def test_no_two_questions_are_equal(peer, asking):
    """Else the second would be refused."""
    peer.blocks = [block(1)]
    for _ in range(3):
        await asking.block(1)
    assert len({query.payload.SerializeToString() for query in peer.queries}) == 3
