"""What every session store does, in memory, on Valkey and on a cluster: rules of `sessions.py`."""

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
from clocks import FakeClock

from gateway.stores.sessions import ENDED_MOST, Claim, SessionKey, Sessions, open_sessions
from gateway.stores.sessions_redis import RedisSessions

A = SessionKey("+85512345601", "africastalking", "ATUid_1")
REDIAL = SessionKey("+85512345601", "africastalking", "ATUid_2")
OTHER = SessionKey("+85512345602", "africastalking", "ATUid_3")


class Store(NamedTuple):
    sessions: Sessions
    clock: FakeClock


@pytest.fixture(params=["memory", "redis", "cluster"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    sessions: Sessions
    if request.param == "memory":
        clock = FakeClock()
        sessions = open_sessions(None, clock)
    else:
        # Leases are the server's; our clock only paces how often we look again.
        clock = FakeClock(skipping=True)
        url = request.getfixturevalue(f"{request.param}_url")
        sessions = RedisSessions(url, clock, timeout_s=30)
    yield Store(sessions, clock)
    await sessions.close()


@pytest.fixture
def sessions(store: Store) -> Sessions:
    return store.sessions


async def claim(sessions, key=A, *, worker="one", length=0, lease_s=10.0, create=True) -> Claim:
    return await sessions.claim(key, worker=worker, length=length, lease_s=lease_s, create=create)


async def finish(sessions, key=A, *, worker="one", record=b"page 1", ttl_s=600.0) -> bool:
    return await sessions.finish(key, worker=worker, record=record, ttl_s=ttl_s)


async def test_a_session_is_made_only_when_asked_for(sessions):
    assert await claim(sessions, create=False) == Claim("missing")
    assert await claim(sessions) == Claim("fresh")


async def test_a_finished_turn_is_what_the_next_one_finds(sessions):
    await claim(sessions)
    assert await finish(sessions, record=b"\x00\xff raw bytes\r\n")
    assert await claim(sessions, worker="two", length=1, create=False) == Claim(
        "claimed", b"\x00\xff raw bytes\r\n", version=1
    )
    assert await finish(sessions, worker="two", record=b"")
    assert await claim(sessions, worker="three", length=3) == Claim("claimed", b"", version=2)


async def test_of_equal_texts_one_is_claimed_and_the_others_wait_for_its_record(sessions):
    await claim(sessions, length=7)
    assert await claim(sessions, worker="two", length=7) == Claim("busy", version=0)
    await finish(sessions)
    await claim(sessions, worker="two", length=12)
    assert await claim(sessions, worker="three", length=12) == Claim("busy", version=1)


async def test_a_late_repeat_claims_nothing_and_finds_the_last_record(sessions):
    await claim(sessions)
    await finish(sessions)
    await claim(sessions, length=5)
    await finish(sessions, record=b"page 2")
    for at_work in (False, True):
        if at_work:
            await claim(sessions, worker="two", length=9)
        for length in (0, 3, 5):
            found = await claim(sessions, worker="late", length=length, create=length == 0)
            assert found == Claim("busy", version=1)
            assert await sessions.wait(A, version=found.version, timeout_s=0) == b"page 2"
    assert await finish(sessions, worker="two", record=b"page 3"), "nothing was disturbed"


async def test_a_longer_text_shows_that_a_turn_was_answered_whose_finish_was_lost(sessions):
    await claim(sessions)
    await finish(sessions)
    await claim(sessions, worker="lost", length=1)
    lost = Claim("claimed", b"page 1", version=1, torn=True)
    assert await claim(sessions, worker="two", length=8) == lost, "whatever is left of the lease"
    assert not await finish(sessions, worker="lost", record=b"late")
    assert await claim(sessions, worker="three", length=8) == Claim("busy", version=1)
    assert await finish(sessions, worker="two", record=b"page 1 again")
    assert await claim(sessions, length=10) == Claim("claimed", b"page 1 again", version=2)


async def test_a_torn_session_is_torn_until_a_turn_is_finished(sessions):
    await claim(sessions)
    await finish(sessions)
    await claim(sessions, length=1)
    for worker, length, lease_s in (("two", 8, 0), ("three", 8, 10), ("four", 15, 10)):
        assert (await claim(sessions, worker=worker, length=length, lease_s=lease_s)).torn
    await sessions.release(A, worker="four")
    assert (await claim(sessions, worker="five", length=15)).torn
    await finish(sessions, worker="five")
    assert not (await claim(sessions, length=17)).torn


async def test_a_repeat_of_what_was_heard_before_the_lost_turn_changes_nothing(sessions):
    await claim(sessions)
    await finish(sessions)
    await claim(sessions, length=1, lease_s=0)
    await claim(sessions, worker="two", length=8, lease_s=0)
    for length in (0, 1, 4):
        assert await claim(sessions, worker="late", length=length) == Claim("busy", version=0)
    assert (await claim(sessions, worker="three", length=8)).torn


async def test_a_first_turn_whose_finish_was_lost_is_told_too(sessions):
    await claim(sessions, length=6)
    assert await claim(sessions, worker="late", length=2) == Claim("missing")
    assert await claim(sessions, worker="two", length=11) == Claim("fresh", torn=True)
    assert await finish(sessions, worker="two")
    assert await claim(sessions, length=13) == Claim("claimed", b"page 1", version=1)


async def test_a_new_session_is_not_torn_by_what_the_older_one_lost(sessions):
    await claim(sessions, length=6)
    assert (await claim(sessions, worker="two", length=11)).torn
    assert await claim(sessions, REDIAL) == Claim("fresh")
    await sessions.release(REDIAL, worker="one")
    assert await claim(sessions, OTHER, length=3) == Claim("fresh")


async def test_a_released_turn_was_not_heard(sessions):
    await claim(sessions)
    await finish(sessions)
    await claim(sessions, worker="two", length=20)
    await sessions.release(A, worker="two")
    assert await claim(sessions, length=5) == Claim("claimed", b"page 1", version=1)


async def test_not_even_the_same_worker_claims_twice(sessions):
    await claim(sessions)
    assert (await claim(sessions)).state == "busy"


async def test_only_the_holder_of_the_claim_finishes(sessions):
    await claim(sessions)
    assert not await finish(sessions, worker="two")
    assert await finish(sessions)
    assert not await finish(sessions), "a claim is finished once"


async def test_a_claim_past_its_time_is_taken_over_and_its_first_holder_fails(sessions):
    await claim(sessions)
    await finish(sessions)
    await claim(sessions, worker="slow", length=1, lease_s=0)
    again = await claim(sessions, worker="two", length=1)
    assert again == Claim("claimed", b"page 1", version=1), "the same turn once more"
    assert not await finish(sessions, worker="slow", record=b"late")
    assert await finish(sessions, worker="two", record=b"page 2")
    assert (await claim(sessions, worker="three", length=3)).record == b"page 2"


async def test_a_claim_past_its_time_that_nobody_took_over_still_finishes(sessions):
    await claim(sessions, lease_s=0)
    assert await finish(sessions)


async def test_a_session_that_nobody_finished_is_fresh_to_the_next(sessions):
    await claim(sessions)
    await finish(sessions, record=b"old")
    assert await claim(sessions, REDIAL, lease_s=0) == Claim("fresh", previous=b"old")
    assert await claim(sessions, REDIAL, worker="two") == Claim("fresh", previous=b"old")


async def test_a_redial_ends_the_older_session_and_hands_over_its_record(sessions):
    await claim(sessions)
    await finish(sessions, record=b"old")
    await claim(sessions, worker="two", length=3)
    assert await claim(sessions, REDIAL, worker="three") == Claim("fresh", previous=b"old")
    assert not await finish(sessions, A, worker="two"), "its turn is worth nothing now"
    assert await claim(sessions, A, create=False) == Claim("missing")
    assert await finish(sessions, REDIAL, worker="three", record=b"new")
    assert await claim(sessions, REDIAL, length=1) == Claim("claimed", b"new", version=1), (
        "previous is told until the first finish only"
    )


async def test_a_late_repeat_of_the_older_sessions_start_does_not_end_the_newer(sessions):
    await claim(sessions)
    await finish(sessions)
    await claim(sessions, REDIAL)
    assert await claim(sessions, A, create=True) == Claim("missing")
    assert await finish(sessions, REDIAL)


async def test_none_of_the_last_sessions_is_had_twice(sessions):
    keys = [SessionKey(A.msisdn, A.carrier, f"ATUid_{n}") for n in range(ENDED_MOST + 2)]
    for key in keys:
        assert (await claim(sessions, key)).state == "fresh"
        assert await finish(sessions, key)
    forgotten, *ended, last = keys
    for key in ended:
        assert await claim(sessions, key, worker="two") == Claim("missing")
    assert (await claim(sessions, last, worker="two", length=1)).state == "claimed"
    assert (await claim(sessions, forgotten, worker="two")).state == "fresh"


async def test_a_name_that_is_part_of_an_ended_one_is_another(sessions):
    await claim(sessions, REDIAL)
    await finish(sessions, REDIAL)
    await claim(sessions)
    await finish(sessions)
    for name in ("ATUid_", "TUid_2", "%w+"):
        assert (await claim(sessions, A._replace(session=name), worker=name)).state == "fresh"


async def test_a_released_redial_leaves_the_ended_sessions_ended(sessions):
    await claim(sessions)
    await claim(sessions, REDIAL)
    await sessions.release(REDIAL, worker="one")
    assert await claim(sessions, A, worker="two") == Claim("missing")
    assert await claim(sessions, REDIAL, worker="two") == Claim("fresh")


async def test_redials_that_never_got_a_page_keep_the_last_record(sessions):
    await claim(sessions)
    await finish(sessions, record=b"old")
    for session in ("b", "c", "d"):
        key = SessionKey(A.msisdn, A.carrier, session)
        assert await claim(sessions, key) == Claim("fresh", previous=b"old")


async def test_a_released_session_is_as_it_was(sessions):
    await claim(sessions)
    await finish(sessions)
    await claim(sessions, worker="two", length=5)
    await sessions.release(A, worker="somebody else")
    assert (await claim(sessions, worker="three", length=5)).state == "busy"
    await sessions.release(A, worker="two")
    assert await claim(sessions, worker="three", length=5) == Claim("claimed", b"page 1", version=1)


async def test_a_released_fresh_session_is_gone(sessions):
    await claim(sessions)
    await sessions.release(A, worker="one")
    assert await claim(sessions, create=False) == Claim("missing")
    assert await claim(sessions) == Claim("fresh")


async def test_a_released_fresh_redial_leaves_the_older_record_to_the_next(sessions):
    await claim(sessions)
    await finish(sessions, record=b"old")
    await claim(sessions, REDIAL)
    await sessions.release(REDIAL, worker="one")
    assert await claim(sessions, REDIAL, create=False) == Claim("missing")
    assert await claim(sessions, REDIAL) == Claim("fresh", previous=b"old")


async def advance(sessions, key=A, *, after="one", worker="two", length=1) -> bool:
    return await sessions.advance(
        key, after=after, worker=worker, length=length, record=b"page 2", ttl_s=600.0
    )


async def test_a_turn_without_effects_is_stored_in_one_step(sessions):
    await claim(sessions)
    await finish(sessions)
    assert await advance(sessions)
    assert await advance(sessions, after="two", worker="three", length=3)
    assert await sessions.wait(A, version=2, timeout_s=0) == b"page 2"
    assert await claim(sessions, worker="four", length=5) == Claim("claimed", b"page 2", version=3)
    assert await finish(sessions, worker="four")
    assert not await advance(sessions, after="three", length=7), "four's was the last"
    assert await advance(sessions, after="four", length=7)


async def test_one_step_is_refused_to_whoever_does_not_know_the_last_record(sessions):
    assert not await advance(sessions), "no session"
    await claim(sessions)
    assert not await advance(sessions), "no record"
    await finish(sessions)
    assert not await advance(sessions, after="somebody else")
    assert not await advance(sessions, length=0), "a repeat"
    assert not await advance(sessions, REDIAL), "another session"
    await claim(sessions, worker="two", length=1, lease_s=0)
    assert not await advance(sessions), "somebody is at work, perhaps"
    await claim(sessions, worker="three", length=8)
    await sessions.release(A, worker="three")
    assert not await advance(sessions, length=9), "a record was lost"
    assert await claim(sessions, worker="four", length=8) == Claim(
        "claimed", b"page 1", version=1, torn=True
    ), "nothing was changed"


async def test_one_step_after_a_redial_changes_nothing(sessions):
    await claim(sessions)
    await finish(sessions)
    await claim(sessions, REDIAL)
    assert not await advance(sessions)
    assert await finish(sessions, REDIAL)


async def test_of_many_single_steps_at_once_one_is_taken(sessions):
    await claim(sessions)
    await finish(sessions)
    taken = await asyncio.gather(*(advance(sessions, worker=str(i)) for i in range(50)))
    assert sum(taken) == 1


async def test_numbers_do_not_see_each_other(sessions):
    await claim(sessions)
    await finish(sessions)
    assert await claim(sessions, OTHER) == Claim("fresh")
    assert await finish(sessions, OTHER)
    assert (await claim(sessions, A, length=1)).state == "claimed"


async def test_of_many_at_once_exactly_one_gets_the_claim(sessions):
    claims = await asyncio.gather(*(claim(sessions, worker=str(i)) for i in range(50)))
    assert sorted(found.state for found in claims) == ["busy"] * 49 + ["fresh"]


async def test_many_numbers_at_once_each_get_their_own_answer(sessions):
    keys = [SessionKey(f"+855123456{i:02}", "at", f"s{i}") for i in range(60)]
    await asyncio.gather(*(claim(sessions, key) for key in keys))
    await asyncio.gather(*(finish(sessions, key, record=key.session.encode()) for key in keys))
    found = await asyncio.gather(*(claim(sessions, key, length=1) for key in keys))
    assert [each.record for each in found] == [key.session.encode() for key in keys]


async def test_who_waits_gets_the_record_when_it_is_finished(store):
    sessions, _ = store
    await claim(sessions)
    waiting = [asyncio.create_task(sessions.wait(A, version=0, timeout_s=60)) for _ in range(5)]
    await asyncio.sleep(0)
    await finish(sessions, record=b"page 1")
    assert await asyncio.gather(*waiting) == [b"page 1"] * 5


async def test_a_record_newer_than_the_version_is_there_at_once(sessions):
    await claim(sessions)
    await finish(sessions)
    assert await sessions.wait(A, version=0, timeout_s=0) == b"page 1"


async def test_waiting_ends_when_the_time_is_over(store):
    sessions, clock = store
    await claim(sessions, lease_s=1000)
    waiting = asyncio.create_task(sessions.wait(A, version=0, timeout_s=2))
    await clock.advance(1.9)
    await clock.advance(0.2)
    assert await waiting is None
    assert (await claim(sessions)).state == "busy"


async def test_waiting_ends_when_nobody_is_at_work_any_longer(sessions):
    assert await sessions.wait(A, version=0, timeout_s=60) is None, "no session"
    await claim(sessions)
    await finish(sessions)
    assert await sessions.wait(A, version=1, timeout_s=60) is None, "no turn under way"
    await claim(sessions, worker="two", length=1)
    waiting = asyncio.create_task(sessions.wait(A, version=1, timeout_s=60))
    await asyncio.sleep(0)
    await sessions.release(A, worker="two")
    assert await waiting is None, "given up"
    await claim(sessions, worker="three", length=1)
    waiting = asyncio.create_task(sessions.wait(A, version=1, timeout_s=60))
    await asyncio.sleep(0)
    await claim(sessions, REDIAL)
    assert await waiting is None, "ended by a redial"
