"""What was signed is sent, exactly as stored, until a block holds it; or never, and cancelled."""

import asyncio
from dataclasses import replace
from functools import partial
from itertools import permutations

import pytest
from clocks import FakeClock
from money_parts import (
    DARA,
    MESSAGE,
    SUBMISSION,
    THIDA,
    TRANSFER,
    Desk,
    MemoryLedger,
    counters,
    eventually,
    execute,
    fetch,
    holding,
    khr,
    person,
)
from sqlalchemy import insert, update
from structlog.testing import capture_logs

from gateway.desk.outbox import GiveUp, Lease, give_up, lease
from gateway.stores.runners import open_sql
from ledger_client.ledger import TxStatus, Verdict
from menus.effects import Committed, InProgress

GIVEN_BACK = {("KHR", "2026-11-22"): (0, 0), ("KHR", "2026-11"): (0, 0)}


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
async def desk(sql, clock, ledger) -> Desk:
    await person(sql, DARA, ledger, riel=400_000)
    await person(sql, THIDA, ledger, riel=50_000)
    return Desk(sql, ledger, clock, any_pin=True)


async def signed(desk: Desk, amount: int = 5_000) -> dict:
    """A payment that is committed here and has not left: its submission."""
    outcome = await desk.pay(DARA, THIDA, khr(amount), wait_s=0.01)
    assert isinstance(outcome, InProgress)
    rows = await fetch(desk.sql, TRANSFER, ref=outcome.ref)
    return (await fetch(desk.sql, SUBMISSION, tx_hash=rows[0]["tx_hash"]))[0]


async def submission(desk: Desk, tx_hash: str) -> dict:
    return (await fetch(desk.sql, SUBMISSION, tx_hash=tx_hash))[0]


async def test_after_a_crash_before_the_send_a_new_process_sends_the_same_bytes(
    desk, sql, clock, ledger
):
    row = await signed(desk)
    successor = Desk(sql, ledger, clock, seed="successor")
    async with successor.running():
        await eventually(lambda: finished(sql, 1))
    assert ledger.calls == [[row["tx_hash"]]]
    assert await holding(sql, DARA) == (395_000, 0, 0)
    assert len(await fetch(sql, MESSAGE)) == 2


async def test_nothing_leaves_before_its_first_send_is_committed(desk, ledger):
    row = await signed(desk)
    seen = []
    submit = ledger.submit

    async def watching(transactions, *, again):
        seen.append((await submission(desk, row["tx_hash"]))["first_sent_at"])
        await submit(transactions, again=again)

    ledger.submit = watching
    await desk.outbox.round()
    assert seen == [row["created_time"]]


async def test_nothing_is_leased_while_no_peer_answers(desk, ledger):
    row = await signed(desk)
    ledger.away = True
    assert not await desk.outbox.round()
    assert (await submission(desk, row["tx_hash"]))["first_sent_at"] is None


async def test_what_never_left_within_ten_minutes_is_cancelled_and_told(desk, sql, clock, ledger):
    row = await signed(desk)
    ledger.away = True
    await clock.advance(10 * 60 - 1)
    await desk.outbox.round()
    assert (await submission(desk, row["tx_hash"]))["state"] == "signed"
    await clock.advance(1)
    await desk.outbox.round()
    await desk.outbox.round()
    assert (await submission(desk, row["tx_hash"]))["state"] == "cancelled"
    assert (await fetch(sql, TRANSFER))[0]["state"] == "cancelled"
    assert await holding(sql, DARA) == (400_000, 0, 0)
    assert await holding(sql, THIDA) == (50_000, 0, 0)
    assert await counters(sql, DARA) == GIVEN_BACK
    (message,) = await fetch(sql, MESSAGE)
    assert message["msisdn"] == DARA.e164
    ledger.away = False
    assert not await desk.outbox.round()
    assert ledger.calls == []


async def test_nothing_is_cancelled_before_all_blocks_are_settled(desk, clock, ledger):
    """A backup may have been made between a payment's commit and its first sending."""
    row = await signed(desk)
    walked = False

    async def may_sign(_patience_s: float) -> bool:
        return walked

    desk.outbox._may_sign = may_sign
    await clock.advance(11 * 60)
    await desk.outbox.round()
    assert ledger.calls == []
    assert (await submission(desk, row["tx_hash"]))["state"] == "signed"
    walked = True
    await desk.outbox.round()
    assert (await submission(desk, row["tx_hash"]))["state"] == "cancelled"


async def test_what_has_left_once_is_never_cancelled_however_long_it_takes(desk, clock, ledger):
    row = await signed(desk)
    ledger.deaf = True
    await desk.outbox.round()
    ledger.away = True
    for _ in range(30):
        await clock.advance(60)
        await desk.outbox.round()
    assert (await submission(desk, row["tx_hash"]))["state"] == "signed"


async def test_what_left_while_another_process_was_about_to_cancel_it_stays(desk, sql):
    row = await signed(desk)
    await desk.outbox.round()
    late = GiveUp(
        [row["tx_hash"]],
        "cancelled",
        never_sent=True,
        now_ms=row["created_time"],
        day="2026-11-22",
    )
    (ended,) = await sql.run(partial(give_up, desk.receipts, journal=desk.journal), [late])
    assert ended == []
    assert await holding(sql, DARA) == (400_000, 5_000, 0)


async def test_two_processes_cancel_once(sql, database_url, clock, ledger):
    await person(sql, DARA, ledger, riel=400_000)
    await person(sql, THIDA, ledger)
    ledger.away = True
    other = open_sql(database_url)
    one = Desk(sql, ledger, clock, any_pin=True)
    two = Desk(other, ledger, clock)
    for amount in (500, 600, 700):
        await signed(one, amount)
    await clock.advance(601)
    await asyncio.gather(one.outbox.round(), two.outbox.round())
    await other.close()
    assert await counters(sql, DARA) == GIVEN_BACK
    assert await holding(sql, DARA) == (400_000, 0, 0)
    assert len(await fetch(sql, MESSAGE)) == 3


async def test_what_the_ledger_forgot_is_asked_after_and_sent_again(desk, clock, ledger):
    row = await signed(desk)
    ledger.deaf = True
    await desk.outbox.round()
    await clock.advance(4)
    assert not await desk.outbox.round()
    await clock.advance(3)
    await desk.outbox.round()
    assert ledger.asked == [[row["tx_hash"]]]
    assert ledger.calls == [[row["tx_hash"]]] * 2
    again = await submission(desk, row["tx_hash"])
    assert (again["data"], again["sends"]) == (row["data"], 2)


async def test_what_the_ledger_works_on_is_not_sent_again(desk, clock, ledger):
    row = await signed(desk)
    ledger.auto = False
    await desk.outbox.round()
    await clock.advance(10)
    await desk.outbox.round()
    assert ledger.calls == [[row["tx_hash"]]]


async def test_a_peer_that_always_works_on_it_is_not_believed_for_ever(desk, clock, ledger):
    """It may hold back what it took: the same bytes go to another, which is harmless."""
    row = await signed(desk)
    ledger.auto = False
    await desk.outbox.round()
    for _ in range(3):
        await clock.advance(80)
        await desk.outbox.round()
    assert ledger.calls == [[row["tx_hash"]]] * 3
    assert ledger.again == [False, True, True]


async def test_committed_by_status_is_left_to_the_blocks(desk, sql, clock, ledger):
    row = await signed(desk)
    await desk.outbox.round()
    await clock.advance(10)
    await desk.outbox.round()
    assert ledger.asked
    assert (await submission(desk, row["tx_hash"]))["state"] == "signed"


async def test_a_stateless_refusal_is_a_fault_and_gives_nothing_back(desk, sql, clock, ledger):
    """One peer's word: a badly signed copy can bring it about while the payment commits."""
    row = await signed(desk)
    reserved = await holding(sql, DARA)
    ledger.invalid[row["tx_hash"]] = "Wrongly formed signature: bad public key"
    await desk.outbox.round()
    await clock.advance(10)
    await desk.outbox.round()
    after = await submission(desk, row["tx_hash"])
    assert after["state"] == "signed"
    assert after["reason"].endswith("Wrongly formed signature: bad public key")
    assert await holding(sql, DARA) == reserved
    assert len(await fetch(sql, MESSAGE)) == 0


@pytest.mark.parametrize("verdict", [Verdict.PENDING, Verdict.REJECTED])
async def test_the_first_reason_of_a_stateful_refusal_is_kept(desk, clock, ledger, verdict):
    """The ledger tells it live and once, perhaps before any block holds the refusal."""
    row = await signed(desk)
    tx_hash = row["tx_hash"]
    ledger.deaf = True
    await desk.outbox.round()
    for code, text in ((4, "TransferAsset: not enough balance"), (0, "")):
        ledger.refused[tx_hash] = TxStatus(tx_hash, verdict, code, 1, text)
        await clock.advance(20)
        await desk.outbox.round()
        after = await submission(desk, tx_hash)
        assert after["state"] == "signed"
        assert after["reason"] == "4/1 TransferAsset: not enough balance"
    faults = desk.meters.registry.get_sample_value("gateway_faults_total", {"room": "outbox"})
    assert not faults, "no fault of ours: the follower tells of it when a block says so"


REFUSED = "hash Hash: [{}], SignedData: [Child errors=[Transaction: [Errors=[Amount]]]]"
SPOILT = "hash Hash: [{}], SignedData: [Child errors=[Signatures list: [Bad signature.]]]"
TOO_OLD = "hash Hash: [{}], SignedData: [Child errors=[Transaction: [CreatedTime: [too old]]]]"
A_NEIGHBOURS = REFUSED.format("cd" * 32)


async def unseen(desk, clock, ledger, first: Verdict, *second: TxStatus) -> dict:
    """A payment that was sent and is in no block, and what the peers say of it."""
    ledger.deaf = True
    row = await signed(desk)
    if first is Verdict.INVALID:
        ledger.invalid[row["tx_hash"]] = REFUSED.format(row["tx_hash"])
    else:
        ledger.verdicts[row["tx_hash"]] = first
    ledger.second[row["tx_hash"]] = [
        replace(one, tx_hash=row["tx_hash"], text=one.text.format(row["tx_hash"])) for one in second
    ]
    await desk.outbox.round()
    await clock.advance(10)
    with capture_logs() as lines:
        await desk.outbox.round()
    return {**await submission(desk, row["tx_hash"]), "lines": [it["event"] for it in lines]}


def says(verdict: Verdict, text: str = "") -> TxStatus:
    return TxStatus("", verdict, text=text)


async def test_two_peers_who_refuse_what_was_signed_end_it_and_all_is_given_back(
    desk, sql, clock, ledger
):
    row = await unseen(desk, clock, ledger, Verdict.INVALID, says(Verdict.INVALID, REFUSED))
    assert row["state"] == "rejected"
    assert (await holding(sql, DARA))[:2] == (400_000, 0)
    assert len(ledger.calls) == 1


@pytest.mark.parametrize(
    "second",
    [
        [],
        [says(Verdict.UNKNOWN)],
        [says(Verdict.PENDING)],
        [says(Verdict.INVALID, SPOILT)],
        [says(Verdict.INVALID, TOO_OLD)],
        [says(Verdict.INVALID, A_NEIGHBOURS)],
        [says(Verdict.INVALID, REFUSED), says(Verdict.COMMITTED)],
    ],
)
async def test_less_than_two_peers_and_a_lasting_reason_end_nothing(
    desk, sql, clock, ledger, second
):
    row = await unseen(desk, clock, ledger, Verdict.INVALID, *second)
    assert row["state"] == "signed"
    assert (await holding(sql, DARA))[1] == 5_000


async def test_with_one_member_that_can_never_be_the_whole_batch_ends(desk, sql, clock, ledger):
    """It is atomic: the others would be sent alone for a day, and dropped by every peer."""
    row = await unseen(desk, clock, ledger, Verdict.UNKNOWN)
    row.pop("lines")
    await execute(sql, update(SUBMISSION).values(state="committed"))
    both = [row | {"tx_hash": f"{n:02}", "batch": "b", "position": n} for n in range(2)]
    await execute(sql, insert(SUBMISSION).values(both))
    ledger.invalid["01"] = refused = REFUSED.format("01")
    ledger.second["01"] = [TxStatus("01", Verdict.INVALID, text=refused)]
    calls = len(ledger.calls)
    await clock.advance(80)
    await desk.outbox.round()
    assert [(await submission(desk, f"{n:02}"))["state"] for n in range(2)] == ["rejected"] * 2
    assert len(ledger.calls) == calls


@pytest.mark.parametrize("ends", list(permutations((Verdict.COMMITTED, Verdict.REJECTED))))
async def test_peers_that_disagree_about_the_end_raise_an_alarm_and_release_nothing(
    desk, sql, clock, ledger, ends
):
    row = await unseen(desk, clock, ledger, ends[0], says(ends[1]))
    assert "peers disagree about a final state: one of them lies" in row["lines"]
    assert desk.meters.registry.get_sample_value("gateway_ledger_disagreements_total") == 1
    assert row["state"] == "signed"
    assert (await holding(sql, DARA))[1] == 5_000


async def test_what_nothing_came_of_is_given_to_another_peer(desk, clock, ledger):
    await unseen(desk, clock, ledger, Verdict.UNKNOWN)
    assert ledger.again == [False, True]


async def test_a_refusal_that_time_heals_is_sent_again(desk, clock, ledger):
    row = await signed(desk)
    ledger.invalid[row["tx_hash"]] = "bad timestamp: sent from future, timestamp: 9, now: 1"
    await desk.outbox.round()
    await clock.advance(10)
    ledger.invalid.clear()
    await desk.outbox.round()
    assert ledger.verdicts[row["tx_hash"]] is Verdict.COMMITTED


async def test_a_call_that_failed_is_repeated_as_soon_as_a_peer_answers(desk, sql, clock, ledger):
    row = await signed(desk)
    await desk.outbox.round()
    ledger.verdicts.clear()  # the peer lost its last block, and then its network
    ledger.blocks_made.clear()
    ledger.away = True
    await clock.advance(6)
    await desk.outbox.round()
    ledger.away = False
    await clock.advance(0.5)
    await desk.outbox.round()
    assert ledger.calls == [[row["tx_hash"]]] * 2


async def test_members_of_a_batch_leave_together_in_order_or_not_at_all(desk, sql, clock, ledger):
    template = await signed(desk)
    await execute(sql, update(SUBMISSION).values(state="committed"))
    members = [
        template | {"tx_hash": f"{n:02}", "batch": "b", "position": 2 - n, "state": "signed"}
        for n in range(3)
    ]
    await execute(sql, insert(SUBMISSION).values(members))
    now = template["created_time"]
    (leased,) = await sql.run(lease, [Lease(now, 0.0, most=2)])
    assert leased == []
    (leased,) = await sql.run(lease, [Lease(now, 0.0)])
    assert [(one.tx_hash, one.position) for one in leased] == [("02", 0), ("01", 1), ("00", 2)]
    (leased,) = await sql.run(lease, [Lease(now, 0.0)])
    assert leased == []


async def test_two_processes_never_lease_the_same(sql, database_url, clock, ledger):
    await person(sql, DARA, ledger, riel=400_000)
    await person(sql, THIDA, ledger)
    desk = Desk(sql, ledger, clock, any_pin=True)
    for n in range(12):
        await signed(desk, 500 + n)
    other = open_sql(database_url)
    now = (await fetch(sql, SUBMISSION))[0]["created_time"]
    asked = [Lease(now, 0.0, most=5)]
    rounds = await asyncio.gather(*(one.run(lease, asked) for one in (sql, other) * 4))
    await other.close()
    leased = [row.tx_hash for (rows,) in rounds for row in rows]
    assert len(leased) == len(set(leased)) == 12


async def test_a_poke_sends_at_once_and_stop_ends_the_run(sqlite_sql, clock, ledger):
    await person(sqlite_sql, DARA, ledger, riel=400_000)
    await person(sqlite_sql, THIDA, ledger)
    desk = Desk(sqlite_sql, ledger, clock, any_pin=True)
    running = asyncio.ensure_future(desk.outbox.run())
    following = asyncio.ensure_future(desk.follower.run())
    outcome = await desk.pay(DARA, THIDA, khr(5_000))  # no time passes: only the poke can do it
    assert isinstance(outcome, Committed)
    desk.outbox.stop()
    await asyncio.wait_for(running, 5)
    following.cancel()


async def test_a_ledger_that_stays_away_is_asked_once_a_second(sqlite_sql, clock, ledger):
    await person(sqlite_sql, DARA, ledger, riel=400_000)
    await person(sqlite_sql, THIDA, ledger)
    desk = Desk(sqlite_sql, ledger, clock, any_pin=True)
    await signed(desk)
    ledger.away = True
    asked = []
    healthy = ledger.healthy

    async def counted():
        asked.append(clock.monotonic())
        return await healthy()

    ledger.healthy = counted
    running = asyncio.ensure_future(desk.outbox.run())
    for _ in range(5):
        sleeping = await eventually(lambda: sleepers(clock))
        assert sleeping == 1
        desk.outbox.poke()
        await clock.advance(1)
    running.cancel()
    assert len(asked) <= 6


async def sleepers(clock: FakeClock) -> int:
    return clock.sleepers


async def finished(sql, count: int) -> bool:
    return sum(row["state"] != "signed" for row in await fetch(sql, TRANSFER)) >= count
