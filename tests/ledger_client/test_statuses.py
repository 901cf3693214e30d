"""What peers say of a transaction: one, all of them, and as it happens."""

import asyncio
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_peer import ENDS, UNREADABLE

from ledger_client.ledger import LedgerUnreachable, TxStatus, Verdict, disagree, never
from ledger_client.proto.endpoint_pb2 import ToriiResponse

HASH = "ab" * 32
REFUSED = "Transaction deserialization failed: hash Hash: [{}], SignedData: [Child errors=[{}]]"
LASTS = REFUSED.format(HASH, "Transaction: [Child errors=[Command #1: [Child errors=[…]]]]")
HEALS = (
    "",
    LASTS.replace(HASH, "cd" * 32),  # told to the neighbours of what is malformed
    REFUSED.format(HASH, "Transaction: [Child errors=[CreatedTime: [Errors=[too old]]]]"),
    REFUSED.format(HASH, "Signatures list: [Errors=[Signatures are empty.]]"),
    "Batch deserialization failed: Batch validation failed: a member is listed twice",
)
WORDS = st.lists(
    st.sampled_from(Verdict).map(lambda verdict: TxStatus(HASH, verdict, text=LASTS)), max_size=5
)


def word(status: str, text: str = "", code: int = 0) -> ToriiResponse:
    return ToriiResponse(tx_status=status, tx_hash=HASH, err_or_cmd_name=text, error_code=code)


async def test_every_peer_that_answers_is_heard(peers, client_of):
    peers[0].statuses[HASH] = word("COMMITTED")
    ((first, second),) = await client_of(*peers).opinions([HASH])
    assert {first.verdict, second.verdict} == {Verdict.COMMITTED, Verdict.UNKNOWN}


async def test_a_peer_that_does_not_answer_has_no_opinion(peers, client_of):
    peers[0].refuses = True
    peers[1].statuses[HASH] = word("REJECTED")
    ((only,),) = await client_of(*peers).opinions([HASH])
    assert only.verdict is Verdict.REJECTED
    peers[1].statuses[HASH] = UNREADABLE
    with pytest.raises(LedgerUnreachable):
        await client_of(*peers).opinions([HASH])


async def test_states_are_told_as_they_come_and_the_reason_with_them(peers, client_of):
    told = [
        word("NOT_RECEIVED"),
        word("ENOUGH_SIGNATURES_COLLECTED"),
        word("STATEFUL_VALIDATION_FAILED", "TransferAsset", 6),
        word("REJECTED"),
    ]
    peers[0].courses = [told]
    seen = [each async for each in client_of(peers[0]).watch(HASH)]
    assert [each.verdict for each in seen] == [
        Verdict.UNKNOWN, Verdict.PENDING, Verdict.PENDING, Verdict.REJECTED,
    ]  # fmt: skip
    assert (seen[2].code, seen[2].text) == (6, "TransferAsset")


async def test_a_stream_that_ends_early_is_opened_again_and_repeats_are_not_told(peers, client_of):
    peers[0].courses = [
        [word("STATELESS_VALIDATION_SUCCESS"), ENDS],
        [word("STATELESS_VALIDATION_SUCCESS"), ENDS],
        [word("COMMITTED")],
    ]
    seen = [each.verdict async for each in client_of(peers[0]).watch(HASH)]
    assert seen == [Verdict.PENDING, Verdict.COMMITTED]


async def test_a_reason_holds_nothing_that_a_database_or_a_terminal_would_choke_on(
    peers, client_of
):
    peers[0].statuses[HASH] = word("STATELESS_VALIDATION_FAILED", "a\0b\x1b[2J\n" + "c" * 9000)
    (told,) = await client_of(peers[0]).statuses([HASH])
    assert told.text.startswith("ab[2Jccc")
    assert len(told.text) < 4097


async def test_a_broken_stream_goes_on_at_the_next_peer(peers, client_of):
    peers[0].refuses = True
    peers[1].courses = [[word("COMMITTED")]]
    seen = [each.verdict async for each in client_of(*peers).watch(HASH)]
    assert seen == [Verdict.COMMITTED]


async def test_watching_ends_with_the_client(peers, client_of):
    peers[0].courses = [[word("NOT_RECEIVED")]]
    client = client_of(peers[0])
    async with aclosing(client.watch(HASH)) as states, asyncio.timeout(5):
        assert (await anext(states)).verdict is Verdict.UNKNOWN
        await client.close()
        with pytest.raises((LedgerUnreachable, asyncio.CancelledError)):
            await anext(states)


@given(WORDS)
def test_nothing_is_given_up_that_may_still_commit(words):
    """Whatever else peers say: two must refuse it, and none have seen it go further."""
    verdicts = [each.verdict for each in words]
    dead = verdicts.count(Verdict.INVALID) >= 2 and set(verdicts) <= {
        Verdict.INVALID, Verdict.UNKNOWN,
    }  # fmt: skip
    assert never(words) is dead


@pytest.mark.parametrize("text", HEALS)
def test_what_time_or_another_copy_may_heal_is_not_given_up(text):
    lasts, heals = (TxStatus(HASH, Verdict.INVALID, text=it) for it in (LASTS, text))
    assert never([lasts, lasts])
    assert not never([lasts, lasts, heals])


@given(WORDS)
def test_only_two_different_ends_are_a_disagreement(words):
    finals = {each.verdict for each in words if each.final}
    assert disagree(words) is (len(finals) > 1)


@given(st.sampled_from(Verdict))
def test_a_verdict_that_may_still_commit_is_not_final_and_only_those_are_sent_again(verdict):
    assert verdict.final is not verdict.may_still_commit
    assert not (verdict.may_be_sent_again and verdict.final)
