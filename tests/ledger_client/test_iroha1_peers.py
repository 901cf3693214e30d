"""The client before peers that die, refuse, fall silent or talk nonsense."""

import asyncio

import grpc
import pytest
from scripted_peer import UNREADABLE, refusal

from ledger_client.keys import SigningKey, verify
from ledger_client.ledger import (
    InvalidTransaction,
    LedgerUnreachable,
    QueryRefused,
    TransferAsset,
    Verdict,
)
from ledger_client.proto.endpoint_pb2 import ToriiResponse, TxList
from ledger_client.proto.qry_responses_pb2 import HealthcheckData, QueryResponse
from ledger_client.transaction import build

NOBODY = "127.0.0.1:1"  # nothing listens there
IMPATIENT = {"deadline_s": 0.2}


def signed(count: int) -> list[bytes]:
    key = SigningKey.from_seed(b"\x01" * 32, "multihash")
    return [
        build(
            "a@bank",
            [TransferAsset("a@bank", "b@bank", "khr#nbc", "1", str(n))],
            10**12 + n,
            key=key,
        ).data
        for n in range(count)
    ]


def members(bodies: list[bytes]) -> list[bytes]:
    return [each.SerializeToString() for b in bodies for each in TxList.FromString(b).transactions]


def balances(**amounts: str) -> QueryResponse:
    held = [{"asset_id": f"{name}#nbc", "balance": value} for name, value in amounts.items()]
    return QueryResponse(account_assets_response={"account_assets": held})


# --- sending -----------------------------------------------------------------------------------


async def test_transactions_go_to_the_first_peer_in_chunks_byte_for_byte(peers, client_of):
    stored = signed(7)
    await client_of(*peers, chunk=3).submit(stored)
    assert len(peers[0].sent) == 3
    assert members(peers[0].sent) == stored
    assert peers[1].sent == []


async def test_what_is_sent_again_goes_to_the_next_peer_each_in_a_call_of_its_own(peers, client_of):
    stored = signed(3)
    await client_of(*peers).submit(stored, again=True)
    assert [members([body]) for body in peers[1].sent] == [[one] for one in stored]
    assert peers[0].sent == []


async def test_nothing_to_send_calls_nobody(client_of):
    await client_of(NOBODY).submit([])
    assert await client_of(NOBODY).statuses([]) == []


async def test_a_peer_that_is_gone_costs_nothing_and_the_next_gets_the_same_bytes(peers, client_of):
    stored = signed(2)
    await client_of(NOBODY, peers[1]).submit(stored)
    assert members(peers[1].sent) == stored


async def test_a_peer_that_never_answers_costs_one_deadline_once(peers, client_of):
    peers[0].deaf = True
    client = client_of(*peers, **IMPATIENT)
    for _ in range(3):
        await client.submit(signed(1))
    assert peers[0].asked == {"ListTorii": 1}
    assert len(peers[1].sent) == 3


async def test_many_calls_that_fail_together_do_not_go_round_the_ring(peers, client_of):
    peers[0].refuses = True
    client = client_of(*peers)
    await asyncio.gather(*(client.statuses([f"{n:02x}"]) for n in range(9)))
    peers[0].refuses = False
    await client.submit(signed(1))
    assert (len(peers[0].sent), len(peers[1].sent)) == (0, 1)


async def test_a_peer_that_failed_is_still_the_last_hope(peers, client_of):
    peers[0].refuses = True
    client = client_of(*peers)
    await client.submit(signed(1))
    peers[0].refuses, peers[1].refuses = False, True
    await client.submit(signed(1))
    assert (len(peers[0].sent), len(peers[1].sent)) == (1, 1)


async def test_when_nobody_answers_the_outcome_is_unknown_and_every_peer_is_named(peers, client_of):
    peers[0].refuses = True
    with pytest.raises(LedgerUnreachable) as unreachable:
        await client_of(peers[0], NOBODY).submit(signed(1))
    assert f"{peers[0].address}: UNAVAILABLE not now" in str(unreachable.value)
    assert NOBODY in str(unreachable.value)
    assert peers[0].asked == {"ListTorii": 1}


async def test_garbage_is_never_sent(peers, client_of):
    with pytest.raises(InvalidTransaction):
        await client_of(*peers, chunk=1).submit([*signed(2), b"\xff"])
    assert peers[0].sent == []


async def test_a_peer_that_restarts_is_used_again(peers, client_of):
    client = client_of(peers[0])
    await client.submit(signed(1))
    address = peers[0].address
    await peers[0].stop()
    with pytest.raises(LedgerUnreachable):
        await client.submit(signed(1))
    await peers[0].start(address)
    for _ in range(100):  # the channel looks again after 0.1 s
        try:
            await client.submit(signed(1))
            break
        except LedgerUnreachable:
            await asyncio.sleep(0.02)
    assert len(peers[0].sent) == 2


# --- statuses ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "verdict"),
    [
        ("STATELESS_VALIDATION_FAILED", Verdict.INVALID),
        ("STATELESS_VALIDATION_SUCCESS", Verdict.PENDING),
        ("STATEFUL_VALIDATION_FAILED", Verdict.PENDING),
        ("STATEFUL_VALIDATION_SUCCESS", Verdict.PENDING),
        ("REJECTED", Verdict.REJECTED),
        ("COMMITTED", Verdict.COMMITTED),
        ("MST_EXPIRED", Verdict.UNKNOWN),
        ("NOT_RECEIVED", Verdict.UNKNOWN),
        ("MST_PENDING", Verdict.PENDING),
        ("ENOUGH_SIGNATURES_COLLECTED", Verdict.PENDING),
    ],
)
async def test_what_each_status_of_irohas_means(peers, client_of, told, verdict):
    peers[0].statuses["ab"] = ToriiResponse(
        tx_status=told,
        tx_hash="ab",
        error_code=6,
        failed_cmd_index=1,
        err_or_cmd_name="TransferAsset",
    )
    (status,) = await client_of(*peers).statuses(["ab"])
    assert status.verdict is verdict
    assert status.final == (told in ("COMMITTED", "REJECTED"))
    assert (status.code, status.command_index, status.text) == (6, 1, "TransferAsset")


async def test_statuses_come_in_the_order_asked_with_few_calls_at_once(peers, client_of):
    hashes = [f"{n:064x}" for n in range(40)]
    peers[0].statuses = {
        each: ToriiResponse(tx_status="COMMITTED", tx_hash=each) for each in hashes[::2]
    }
    statuses = await client_of(*peers, parallel=3).statuses(hashes)
    assert [each.tx_hash for each in statuses] == hashes
    assert [each.verdict for each in statuses] == [Verdict.COMMITTED, Verdict.UNKNOWN] * 20


async def test_all_statuses_are_one_peers_word(peers, client_of):
    peers[0].statuses["05"] = UNREADABLE
    hashes = [f"{n:02x}" for n in range(10)]
    assert len(await client_of(*peers, parallel=2).statuses(hashes)) == 10
    assert peers[1].asked == {"Status": 10}


# --- queries -----------------------------------------------------------------------------------


async def test_queries_are_signed_over_their_payload_and_never_equal(peers, client_of):
    peers[0].replies = [balances(), balances(), balances()]
    client = client_of(*peers)
    for _ in range(3):
        await client.balances("a@bank")
    seen = {query.payload.SerializeToString() for query in peers[0].queries}
    assert len(seen) == 3
    for query in peers[0].queries:
        assert query.payload.meta.creator_account_id == "opener@bank"
        assert verify(
            query.signature.public_key,
            query.payload.SerializeToString(),
            bytes.fromhex(query.signature.signature),
        )


async def test_two_processes_of_one_account_do_not_ask_the_same(peers, client_of):
    for first in (b"\x01", b"\x02"):
        peers[0].replies = [balances()]
        await client_of(*peers, entropy=lambda n, b=first: b * n).balances("a@bank")
    assert len({query.payload.SerializeToString() for query in peers[0].queries}) == 2


async def test_balances_lose_the_dot_that_one_backend_leaves(peers, client_of):
    peers[0].replies = [balances(khr="997158.", usd="12.50")]
    held = await client_of(*peers).balances("a@bank")
    assert held == {"khr#nbc": "997158", "usd#nbc": "12.50"}


async def test_signatories_are_lower_case_and_none_without_an_account(peers, client_of):
    client = client_of(*peers)
    peers[0].replies = [QueryResponse(signatories_response={"keys": ["AB", "cd"]})]
    assert await client.signatories("a@bank") == ["ab", "cd"]
    for reason in ("NO_SIGNATORIES", "NO_ACCOUNT"):
        peers[0].replies = [refusal(reason, 0)]
        assert await client.signatories("a@bank") is None


UNKNOWN_REASON = QueryResponse(error_response={"reason": 42, "message": "of a later release"})


@pytest.mark.parametrize(
    "reply",
    [
        UNREADABLE,
        QueryResponse(),  # its database is away
        QueryResponse(signatories_response={"keys": []}),
        UNKNOWN_REASON,
        refusal("STATEFUL_INVALID", 1, "internal"),
        refusal("STATEFUL_INVALID", 1001, "exception"),
    ],
)
async def test_a_reply_that_says_the_peer_is_ill_is_asked_elsewhere(peers, client_of, reply):
    peers[0].replies = [reply]
    peers[1].replies = [balances(khr="1")]
    assert await client_of(*peers).balances("a@bank") == {"khr#nbc": "1"}


async def test_a_refusal_is_an_answer_and_carries_the_ledgers_own_words(peers, client_of):
    peers[0].replies = [refusal("STATEFUL_INVALID", 2, "no permission")]
    with pytest.raises(QueryRefused, match="no permission") as refused:
        await client_of(*peers).signatories("a@other")
    assert (refused.value.reason, refused.value.code) == ("STATEFUL_INVALID", 2)
    assert peers[1].asked == {}


# --- health, and the end -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("health", "healthy"),
    [
        (HealthcheckData(is_healthy=True), True),
        (HealthcheckData(), True),
        (HealthcheckData(is_healthy=False), True),  # busy, or without a quorum
        (grpc.StatusCode.UNIMPLEMENTED, True),
        (grpc.StatusCode.UNAVAILABLE, False),
        (UNREADABLE, False),
    ],
)
async def test_a_peer_that_answers_is_there_however_it_feels(peers, client_of, health, healthy):
    peers[0].health = health
    assert await client_of(peers[0]).healthy() is healthy


async def test_one_healthy_peer_is_enough(peers, client_of):
    peers[0].deaf = True
    assert await client_of(NOBODY, *peers).healthy()
    assert not await client_of(NOBODY).healthy()


async def test_a_closed_client_says_so_and_ends_what_is_under_way(peers, client_of):
    peers[0].deaf = True
    client = client_of(peers[0])
    waiting = asyncio.create_task(client.submit(signed(1)))
    statuses = asyncio.create_task(client.statuses(["ab"]))
    while sum(peers[0].asked.values()) < 2:
        await asyncio.sleep(0.001)
    await client.close()
    for each in (waiting, statuses):
        with pytest.raises(LedgerUnreachable):
            await each
    with pytest.raises(LedgerUnreachable):
        await client.balances("a@bank")
    assert not await client.healthy()
    await client.close()


async def test_a_cancelled_call_is_cancelled_and_blames_no_peer(peers, client_of):
    peers[0].deaf = True
    client = client_of(*peers)
    waiting = asyncio.create_task(client.submit(signed(1)))
    while not peers[0].asked:
        await asyncio.sleep(0.001)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    peers[0].deaf = False
    await client.submit(signed(1))
    assert peers[1].sent == []


def test_a_client_without_peers_is_refused(client_of):
    with pytest.raises(ValueError, match="at least one peer"):
        client_of()
