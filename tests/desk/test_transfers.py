"""A payment is refused before it costs anything, or stored whole and answered truthfully."""

import asyncio
import dataclasses
from collections import Counter
from datetime import UTC, datetime

import pytest
from clocks import FakeClock, seeded
from custody_parts import ATTEMPT, OTHER
from money_parts import (
    BORA,
    DARA,
    MESSAGE,
    SUBMISSION,
    THIDA,
    TRANSFER,
    Desk,
    MemoryLedger,
    counters,
    eventually,
    fetch,
    holding,
    khr,
    person,
)

from gateway.desk import placing
from gateway.desk.books import TURN_MS, Payment
from gateway.desk.limits import load_limits
from gateway.desk.listings import Banks
from gateway.desk.placing import Seen, look, place
from gateway.desk.signing import fresh_ref
from gateway.desk.transfers import outcome_of
from gateway.stores.runners import open_sql
from gateway.stores.sql import StoreUnavailable
from menus.effects import (
    AskAgain,
    Committed,
    InProgress,
    LimitKind,
    NoWallet,
    OverLimit,
    PayeeFull,
    Rejected,
    Unavailable,
    Unconfirmed,
    WalletHeld,
    WrongPin,
)
from menus.kinds import Currency, Msisdn


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
async def desk(sql, clock, ledger) -> Desk:
    await person(sql, DARA, ledger, riel=400_000)
    await person(sql, THIDA, ledger, riel=50_000, name="Chan Thida")
    return Desk(sql, ledger, clock)


async def test_a_payment_is_committed_and_both_sides_have_their_receipts(desk, sql):
    async with desk.running():
        outcome = await desk.pay(DARA, THIDA, khr(5_000), again=False)
    (row,) = await fetch(sql, TRANSFER)
    assert outcome == Committed(row["ref"], THIDA, "C*** T***", khr(5_000), khr(395_000))
    assert row["state"] == "committed"
    assert await holding(sql, DARA) == (395_000, 0, 0)
    assert await holding(sql, THIDA) == (55_000, 0, 0)
    assert await counters(sql, DARA) == {
        ("KHR", "2026-11-22"): (5_000, 1),
        ("KHR", "2026-11"): (5_000, 1),
    }
    told = {message["msisdn"]: message["text"] for message in await fetch(sql, MESSAGE)}
    assert set(told) == {DARA.e164, THIDA.e164}
    assert all("5,000 KHR" in text and row["ref"] in text for text in told.values())
    assert "395,000" in told[DARA.e164]
    assert "55,000" in told[THIDA.e164]


# ---- refused before it costs anything


@pytest.mark.parametrize(
    ("amount", "to", "refusal"),
    [
        (99, THIDA, OverLimit(LimitKind.LEAST, khr(100))),
        (1_000_001, THIDA, OverLimit(LimitKind.BALANCE, khr(400_000))),
        (400_001, THIDA, OverLimit(LimitKind.BALANCE, khr(400_000))),
        (5_000, BORA, NoWallet(BORA)),
        (5_000, DARA, NoWallet(DARA)),
    ],
)
async def test_what_can_be_refused_without_the_pin_costs_no_attempt(
    sqlite_sql, clock, *, ledger, amount, to, refusal
):
    await person(sqlite_sql, DARA, riel=400_000)
    await person(sqlite_sql, THIDA)
    desk = Desk(sqlite_sql, ledger, clock)
    assert await desk.pay(DARA, to, khr(amount), pin=OTHER) == refusal
    assert await fetch(sqlite_sql, ATTEMPT) == []
    assert await fetch(sqlite_sql, TRANSFER) == []


@pytest.mark.parametrize("amount", [60, 5_000])
async def test_who_has_less_than_the_least_is_told_both(sqlite_sql, clock, ledger, amount):
    await person(sqlite_sql, DARA, riel=60)
    await person(sqlite_sql, THIDA)
    over = await Desk(sqlite_sql, ledger, clock).pay(DARA, THIDA, khr(amount))
    assert over == OverLimit(LimitKind.BALANCE, khr(60), least=khr(100))


async def test_a_payment_by_sms_has_its_own_cap(sqlite_sql, clock, ledger):
    await person(sqlite_sql, DARA, riel=400_000)
    await person(sqlite_sql, THIDA)
    desk = Desk(sqlite_sql, ledger, clock)
    by_sms = desk.origin(DARA, channel="sms")
    outcome = await desk.pay(DARA, THIDA, khr(200_001), origin=by_sms)
    assert outcome == OverLimit(LimitKind.SMS, khr(200_000))


async def test_a_payee_whose_number_changed_hands_since_it_was_shown_is_not_paid(
    sqlite_sql, clock, ledger
):
    await person(sqlite_sql, DARA, riel=400_000)
    await person(sqlite_sql, THIDA)
    desk = Desk(sqlite_sql, ledger, clock)
    outcome = await desk.pay(DARA, THIDA, khr(5_000), dest="85512345602_0@bank")
    assert outcome == NoWallet(THIDA)


@pytest.mark.parametrize(("state", "outcome"), [("opening", Unavailable()), ("held", WalletHeld())])
async def test_a_wallet_that_is_not_open_does_not_send(sqlite_sql, clock, ledger, state, outcome):
    await person(sqlite_sql, DARA, riel=400_000, state=state)
    await person(sqlite_sql, THIDA)
    assert await Desk(sqlite_sql, ledger, clock).pay(DARA, THIDA, khr(5_000)) == outcome


async def test_a_held_wallet_receives(sqlite_sql, clock, ledger):
    await person(sqlite_sql, DARA, ledger, riel=400_000)
    await person(sqlite_sql, THIDA, state="held")
    async with Desk(sqlite_sql, ledger, clock).running() as desk:
        assert isinstance(await desk.pay(DARA, THIDA, khr(5_000)), Committed)


async def test_a_full_payee_is_told_of_only_after_the_right_pin_and_without_an_amount(desk, sql):
    await person(sql, BORA, riel=3_999_000)
    assert isinstance(await desk.pay(DARA, BORA, khr(1_001), pin=OTHER), WrongPin)
    assert await desk.pay(DARA, BORA, khr(1_001)) == PayeeFull()
    assert await fetch(sql, TRANSFER) == []
    assert await counters(sql, DARA) == {}
    assert isinstance(await desk.pay(DARA, BORA, khr(1_000), wait_s=0.01), InProgress)


# ---- once


async def test_one_turn_asked_five_times_at_once_pays_once_and_answers_alike(desk, sql):
    origin = desk.origin(DARA)
    async with desk.running():
        outcomes = await asyncio.gather(
            *(desk.pay(DARA, THIDA, khr(5_000), intent="one", origin=origin) for _ in range(5))
        )
    assert len(set(outcomes)) == 1
    assert isinstance(outcomes[0], Committed)
    assert await holding(sql, DARA) == (395_000, 0, 0)


async def test_one_intent_from_five_turns_and_two_processes_pays_once(sql, clock, ledger):
    await person(sql, DARA, ledger, riel=400_000)
    await person(sql, THIDA, ledger)
    one = Desk(sql, ledger, clock, seed="one", any_pin=True)
    two = Desk(sql, ledger, clock, seed="two", any_pin=True)
    async with one.running(), two.running():
        outcomes = await asyncio.gather(
            *(
                desk.pay(DARA, THIDA, khr(5_000), intent="one", again=False)
                for desk in (one, two, one, two, one)
            )
        )
    assert len(set(outcomes)) == 1
    assert isinstance(outcomes[0], Committed)
    assert await holding(sql, DARA) == (395_000, 0, 0)
    assert len(await fetch(sql, TRANSFER)) == 1


async def test_a_known_intent_is_answered_by_its_state_without_trying_the_pin(desk, sql):
    async with desk.running():
        first = await desk.pay(DARA, THIDA, khr(5_000), intent="one")
        assert await desk.pay(DARA, THIDA, khr(5_000), intent="one", pin=OTHER) == first
    assert len(await fetch(sql, ATTEMPT)) == 1


async def test_nobody_elses_intent_is_told(desk):
    async with desk.running():
        await desk.pay(DARA, THIDA, khr(5_000), intent="one")
        assert await desk.pay(THIDA, DARA, khr(5_000), intent="one") == Unavailable()


async def test_a_turn_that_has_paid_pays_no_more_under_another_intent(desk, ledger, sql):
    """As when its session was lost, and the carrier repeats all of its callbacks."""
    async with desk.running():
        turn = desk.origin(DARA)
        first = await desk.pay(DARA, THIDA, khr(5_000), intent="one", origin=turn)
        assert isinstance(first, Committed)
        assert await desk.pay(DARA, THIDA, khr(5_000), intent="two", origin=turn) == first
        another = await desk.pay(DARA, BORA, khr(7_000), intent="other", origin=turn)
        assert (another.ref, another.to, another.amount) == (first.ref, THIDA, khr(5_000))
        assert another.name in (first.name, ""), "and not the name of who gets nothing"
        ledger.refuse_all = True
        turn = desk.origin(DARA)
        refused = await desk.pay(DARA, THIDA, khr(700), intent="three", origin=turn)
        assert isinstance(refused, Rejected)
        ledger.refuse_all = False
        assert await desk.pay(DARA, THIDA, khr(700), intent="four", origin=turn) == refused
    assert len(await fetch(sql, TRANSFER)) == 2


async def test_one_turn_repeated_at_two_processes_under_two_intents_pays_once(sql, clock, ledger):
    await person(sql, DARA, ledger, riel=400_000)
    await person(sql, THIDA, ledger)
    one, two = (Desk(sql, ledger, clock, seed=seed, any_pin=True) for seed in ("one", "two"))
    turn = one.origin(DARA)
    async with one.running(), two.running():
        told = await asyncio.gather(
            one.pay(DARA, THIDA, khr(5_000), intent="one", origin=turn),
            two.pay(DARA, THIDA, khr(5_000), intent="two", origin=turn),
        )
    assert len(await fetch(sql, TRANSFER)) == 1
    assert len({answer.ref for answer in told}) == 1


async def test_the_table_itself_takes_one_payment_of_a_turn_in_a_day(desk, sql, monkeypatch):
    monkeypatch.setattr(placing, "read_paid", lambda *_: {})  # as if it had been read before
    async with desk.running():
        turn = desk.origin(DARA)
        await desk.pay(DARA, THIDA, khr(5_000), intent="one", origin=turn)
        await desk.pay(DARA, THIDA, khr(5_000), intent="two", origin=turn)
    assert len(await fetch(sql, TRANSFER)) == 1


async def test_days_later_the_same_turn_is_another(desk, clock, sql):
    """Some carriers count their sessions from zero again."""
    turn = desk.origin(DARA, wait_s=2 * TURN_MS)
    async with desk.running():
        await desk.pay(DARA, THIDA, khr(5_000), intent="one", origin=turn)
    await clock.advance(TURN_MS / 1000)  # nothing runs: days of looks for nothing are dear
    async with desk.running():
        await desk.pay(DARA, THIDA, khr(5_000), intent="two", origin=turn)
    assert len(await fetch(sql, TRANSFER)) == 2


async def test_an_equal_payment_within_ten_minutes_is_asked_about(desk, clock):
    async with desk.running():
        first = await desk.pay(DARA, THIDA, khr(5_000))
        at = clock.now()
        await clock.advance(9 * 60)
        asked = await desk.pay(DARA, THIDA, khr(5_000), again=False)
        assert asked == AskAgain(first.ref, khr(5_000), THIDA, at, settled=True)
        assert isinstance(await desk.pay(DARA, THIDA, khr(5_001), again=False), Committed)
        assert isinstance(await desk.pay(DARA, THIDA, khr(5_000), again=True), Committed)
        await clock.advance(10 * 60)
        assert isinstance(await desk.pay(DARA, THIDA, khr(5_000), again=False), Committed)


async def test_while_a_payment_is_under_way_any_other_is_asked_about(desk, clock):
    first = await desk.pay(DARA, THIDA, khr(5_000), wait_s=0.01)
    await clock.advance(3_600)
    asked = await desk.pay(DARA, THIDA, khr(700), again=False)
    assert isinstance(asked, AskAgain)
    assert (asked.ref, asked.settled) == (first.ref, False)


async def test_who_pays_again_unknowingly_hears_of_the_payment_and_not_of_the_limit_it_used(
    sql, clock, ledger
):
    await person(sql, DARA, ledger, riel=7_000)
    await person(sql, THIDA, ledger)
    async with Desk(sql, ledger, clock, any_pin=True).running() as desk:
        first = await desk.pay(DARA, THIDA, khr(5_000))
        asked = await desk.pay(DARA, THIDA, khr(5_000), again=False)
        assert isinstance(asked, AskAgain)
        assert (asked.ref, asked.settled) == (first.ref, True)
        assert isinstance(await desk.pay(DARA, THIDA, khr(5_000), again=True), OverLimit)


async def test_two_equal_payments_typed_at_once_are_not_both_made_unasked(sql, clock, ledger):
    await person(sql, DARA, ledger, riel=400_000)
    await person(sql, THIDA, ledger)
    async with Desk(sql, ledger, clock, any_pin=True).running() as desk:
        outcomes = await asyncio.gather(
            *(desk.pay(DARA, THIDA, khr(5_000), again=False) for _ in range(2))
        )
    assert {type(outcome) for outcome in outcomes} == {Committed, AskAgain}


# ---- limits between sessions


async def test_sessions_of_two_processes_use_a_limit_fully_and_never_exceed_it(
    sql, database_url, clock, ledger
):
    """Cap of 2,000,000 a day, 64 payments of 50,000 at once: exactly 40 would fit, 20 may."""
    await person(sql, DARA, ledger, riel=4_000_000, tier="partial")
    await person(sql, THIDA, ledger)
    limits = load_limits()
    caps = dataclasses.replace(limits.tiers["partial"][Currency.KHR], day=2_000_000)
    tier = {**limits.tiers["partial"], Currency.KHR: caps}
    limits = dataclasses.replace(limits, tiers={**limits.tiers, "partial": tier})
    other_sql = open_sql(database_url)
    one = Desk(sql, ledger, clock, limits=limits, seed="one", any_pin=True)
    two = Desk(other_sql, ledger, clock, limits=limits, seed="two", any_pin=True)
    async with one.running(), two.running():
        outcomes = await asyncio.gather(
            *(
                desk.pay(DARA, THIDA, khr(50_000), intent=f"{seat}/{n}", wait_s=20)
                for n in range(32)
                for seat, desk in enumerate((one, two))
            )
        )
    await other_sql.close()
    assert Counter(type(one) for one in outcomes) == {Committed: 40, OverLimit: 24}
    assert {one for one in outcomes if isinstance(one, OverLimit)} == {
        OverLimit(LimitKind.DAY, khr(0), least=khr(100))
    }
    assert await holding(sql, DARA) == (2_000_000, 0, 0)
    assert await holding(sql, THIDA) == (2_000_000, 0, 0)
    assert (await counters(sql, DARA))["KHR", "2026-11-22"] == (2_000_000, 40)


async def test_many_senders_cannot_fill_a_receiver_beyond_its_cap(sql, clock, ledger):
    senders = [Msisdn(f"+855123457{n:02}") for n in range(30)]
    for sender in senders:
        await person(sql, sender, ledger, riel=200_000)
    await person(sql, THIDA, ledger, riel=1_000_000)  # a basic wallet holds 4,000,000
    async with Desk(sql, ledger, clock, any_pin=True).running() as desk:
        outcomes = await asyncio.gather(
            *(desk.pay(sender, THIDA, khr(150_000), wait_s=20) for sender in senders)
        )
    assert Counter(type(one) for one in outcomes) == {Committed: 20, PayeeFull: 10}
    assert await holding(sql, THIDA) == (4_000_000, 0, 0)


async def test_money_spent_twice_at_once_is_spent_once(sql, clock, ledger):
    await person(sql, DARA, ledger, riel=10_000)
    await person(sql, THIDA, ledger)
    async with Desk(sql, ledger, clock, any_pin=True).running() as desk:
        outcomes = await asyncio.gather(
            *(desk.pay(DARA, THIDA, khr(4_000), wait_s=20) for _ in range(16))
        )
    assert Counter(type(one) for one in outcomes) == {Committed: 2, OverLimit: 14}
    assert {one.amount for one in outcomes if isinstance(one, OverLimit)} == {khr(2_000)}


# ---- what the ledger says


async def test_a_rejected_payment_gives_everything_back_and_says_so(desk, sql, ledger):
    ledger.refuse_all = True
    async with desk.running():
        outcome = await desk.pay(DARA, THIDA, khr(5_000))
    (row,) = await fetch(sql, TRANSFER)
    assert outcome == Rejected(row["ref"])
    assert await holding(sql, DARA) == (400_000, 0, 0)
    assert await holding(sql, THIDA) == (50_000, 0, 0)
    assert await counters(sql, DARA) == {("KHR", "2026-11-22"): (0, 0), ("KHR", "2026-11"): (0, 0)}
    (message,) = await fetch(sql, MESSAGE)
    assert message["msisdn"] == DARA.e164
    assert "400,000" in message["text"]


async def test_what_is_rejected_after_midnight_goes_back_to_the_day_it_came_from(sql, ledger):
    clock = FakeClock(datetime(2026, 11, 30, 16, 59, 59, 999_000, tzinfo=UTC))
    await person(sql, DARA, ledger, riel=400_000)
    await person(sql, THIDA, ledger)
    ledger.auto = False
    async with Desk(sql, ledger, clock).running() as desk:
        assert isinstance(await desk.pay(DARA, THIDA, khr(5_000), wait_s=0.01), InProgress)
        await clock.advance(0.001)
        assert isinstance(await desk.pay(DARA, THIDA, khr(700), wait_s=0.01), InProgress)
        assert await counters(sql, DARA) == {
            ("KHR", "2026-11-30"): (5_000, 1),
            ("KHR", "2026-11"): (5_000, 1),
            ("KHR", "2026-12-01"): (700, 1),
            ("KHR", "2026-12"): (700, 1),
        }
        await eventually(lambda: queued(ledger, 2))
        ledger.refuse_all = True
        ledger.block()
        await eventually(lambda: settled(sql, 2))
    assert set((await counters(sql, DARA)).values()) == {(0, 0)}


class Busy:
    """A store in which payments are looked at, and placed only when `free` is set."""

    def __init__(self, sql) -> None:
        self.sql, self.free = sql, asyncio.Event()
        self.looked, self.places = 0, 0

    async def run(self, operation, items, **how):
        if getattr(operation, "func", None) is place:
            self.places += 1
            await self.free.wait()
        result = await self.sql.run(operation, items, **how)
        self.looked += len(items)
        return result

    async def has_looked(self, count: int) -> bool:
        return self.looked >= count


async def test_payments_of_one_commit_count_each_on_the_day_it_was_signed(sql, ledger):
    clock = FakeClock(datetime(2026, 11, 30, 16, 59, 59, 999_000, tzinfo=UTC))
    for one in (DARA, BORA, THIDA):
        await person(sql, one, ledger, riel=400_000)
    ledger.auto = False
    busy = Busy(sql)
    desk = Desk(busy, ledger, clock, any_pin=True)
    first = asyncio.ensure_future(desk.pay(THIDA, DARA, khr(100), wait_s=0.1))
    await eventually(lambda: busy.has_looked(1))
    await clock.advance(0)
    before = asyncio.ensure_future(desk.pay(DARA, THIDA, khr(5_000), wait_s=0.1))
    await eventually(lambda: busy.has_looked(2))
    await clock.advance(0.001)
    after = asyncio.ensure_future(desk.pay(BORA, THIDA, khr(700), wait_s=0.1))
    await eventually(lambda: busy.has_looked(3))
    await clock.advance(0)
    busy.free.set()
    for paid in await asyncio.gather(first, before, after):
        assert isinstance(paid, InProgress)
    assert busy.places == 2
    assert await counters(sql, DARA) == {
        ("KHR", "2026-11-30"): (5_000, 1),
        ("KHR", "2026-11"): (5_000, 1),
    }
    assert await counters(sql, BORA) == {
        ("KHR", "2026-12-01"): (700, 1),
        ("KHR", "2026-12"): (700, 1),
    }


async def test_without_the_ledger_a_payment_is_in_progress_and_settles_when_it_is_back(
    desk, sql, clock, ledger
):
    ledger.away = True
    async with desk.running():
        outcome = await desk.pay(DARA, THIDA, khr(5_000), wait_s=0.05)
        (row,) = await fetch(sql, TRANSFER)
        assert outcome == InProgress(row["ref"])
        assert await holding(sql, DARA) == (400_000, 5_000, 0)
        assert await holding(sql, THIDA) == (50_000, 0, 5_000)
        for _ in range(5):
            await clock.advance(60)
        assert await fetch(sql, MESSAGE) == []
        ledger.away = False
        await eventually(lambda: woken(clock, sql, 1))
    assert await holding(sql, DARA) == (395_000, 0, 0)
    assert len(await fetch(sql, MESSAGE)) == 2


# ---- a store that does not answer


class LosesReplies:
    """A store whose commits happen and whose answers are lost, `times` times."""

    def __init__(self, sql, times: int) -> None:
        self.sql, self.times = sql, times

    async def run(self, operation, items, **how):
        result = await self.sql.run(operation, items, **how)
        if getattr(operation, "func", None) is place and self.times > 0:
            self.times -= 1
            raise StoreUnavailable("the reply was lost", maybe_committed=True)
        return result


async def test_a_payment_whose_commit_was_unknown_is_found_and_not_made_again(sql, ledger):
    clock = FakeClock(skipping=True)
    await person(sql, DARA, ledger, riel=400_000)
    await person(sql, THIDA, ledger)
    desk = Desk(LosesReplies(sql, 2), ledger, clock, any_pin=True)
    outcome = await desk.pay(DARA, THIDA, khr(5_000), wait_s=1.0)
    (row,) = await fetch(sql, TRANSFER)
    assert outcome == InProgress(row["ref"])


async def test_what_stays_unknown_is_unconfirmed_and_never_called_failed(sql, ledger):
    clock = FakeClock(skipping=True)
    await person(sql, DARA, ledger, riel=400_000)
    await person(sql, THIDA, ledger)
    desk = Desk(LosesReplies(sql, 10**9), ledger, clock, any_pin=True)
    assert await desk.pay(DARA, THIDA, khr(5_000), wait_s=1.0) == Unconfirmed()
    assert len(await fetch(sql, TRANSFER)) == 1


async def test_a_turn_past_its_deadline_does_not_pay_any_more(desk, sql):
    assert await desk.pay(DARA, THIDA, khr(5_000), wait_s=0) == Unavailable()
    assert await fetch(sql, TRANSFER) == []


class Blind:
    """A store in which payments can be looked at once, or not at all."""

    def __init__(self, sql, looks: int = 1) -> None:
        self.sql, self.looks = sql, looks

    async def run(self, operation, items, **how):
        if getattr(operation, "func", None) is look:
            if not self.looks:
                raise StoreUnavailable("away")
            self.looks -= 1
        return await self.sql.run(operation, items, **how)


async def test_who_cannot_look_does_not_say_that_nothing_was_done(sqlite_sql, clock, ledger):
    """A process that had the turn before may have paid, and died."""
    await person(sqlite_sql, DARA, ledger, riel=400_000)
    await person(sqlite_sql, THIDA, ledger)
    desk = Desk(Blind(sqlite_sql, looks=0), ledger, clock)
    assert await desk.pay(DARA, THIDA, khr(5_000)) == Unconfirmed()
    assert await fetch(sqlite_sql, TRANSFER) == await fetch(sqlite_sql, ATTEMPT) == []


async def test_a_payment_that_can_no_longer_be_read_is_in_progress_and_not_failed(
    sqlite_sql, clock, ledger
):
    await person(sqlite_sql, DARA, ledger, riel=400_000)
    await person(sqlite_sql, THIDA, ledger)
    desk = Desk(Blind(sqlite_sql), ledger, clock)
    async with desk.running():
        outcome = await desk.pay(DARA, THIDA, khr(5_000))
    (row,) = await fetch(sqlite_sql, TRANSFER)
    assert (outcome, row["state"]) == (InProgress(row["ref"]), "committed")


def test_only_what_the_ledger_refused_is_told_as_refused():
    row = dict.fromkeys(Payment._fields, "")
    payment = Payment(**row | {"ref": "R", "currency": "KHR", "amount": 500})
    seen = Seen(payment, None, "", "", 0)
    told = {
        state: type(outcome_of(payment._replace(state=state), Banks(), seen))
        for state in ("signed", "rejected", "cancelled", "expired")
    }
    assert told.pop("signed") is InProgress
    assert set(told.values()) == {Rejected}


async def test_a_process_that_stops_waits_for_the_payments_under_way(sqlite_sql, clock, ledger):
    await person(sqlite_sql, DARA, ledger, riel=400_000)
    await person(sqlite_sql, THIDA, ledger)
    desk = Desk(sqlite_sql, ledger, clock)
    paying = asyncio.ensure_future(desk.pay(DARA, THIDA, khr(500), wait_s=0.01))
    await asyncio.sleep(0)
    await desk.transfers.drain()
    assert len(await fetch(sqlite_sql, TRANSFER)) == 1
    assert isinstance(await paying, InProgress)


# ---- refs


async def test_a_ref_that_is_taken_is_made_anew(sql, clock, ledger):
    await person(sql, DARA, ledger, riel=400_000)
    await person(sql, THIDA, ledger)
    desk = Desk(sql, ledger, clock, any_pin=True)
    draws = iter([b"aaaaa", b"aaaaa", b"aaaaa", b"bbbbb"])
    desk.transfers._entropy = lambda _n: next(draws)
    for _ in range(2):
        assert isinstance(await desk.pay(DARA, THIDA, khr(500), wait_s=0.01), InProgress)
    refs = [row["ref"] for row in await fetch(sql, TRANSFER)]
    assert len(set(refs)) == 2
    data = [row["data"] for row in await fetch(sql, SUBMISSION)]
    assert all(any(ref.encode() in blob for blob in data) for ref in refs)


async def test_when_every_ref_is_taken_nothing_is_paid(sqlite_sql, clock, ledger):
    await person(sqlite_sql, DARA, ledger, riel=400_000)
    await person(sqlite_sql, THIDA, ledger)
    desk = Desk(sqlite_sql, ledger, clock, any_pin=True)
    desk.transfers._entropy = lambda _n: b"aaaaa"
    assert isinstance(await desk.pay(DARA, THIDA, khr(500), wait_s=0.01), InProgress)
    assert await desk.pay(DARA, THIDA, khr(700), wait_s=0.01) == Unavailable()
    assert len(await fetch(sqlite_sql, TRANSFER)) == 1
    assert await holding(sqlite_sql, DARA) == (400_000, 500, 0)


async def test_one_payment_that_cannot_be_stored_does_not_fail_those_beside_it(sql, clock, ledger):
    senders = (DARA, BORA, Msisdn("+85512345604"))
    for sender in senders:
        await person(sql, sender, ledger, riel=400_000)
    await person(sql, THIDA, ledger)
    desk = Desk(sql, ledger, clock, any_pin=True)
    draws = iter([b"aaaaa", b"aaaaa", b"bbbbb", b"ccccc"])  # two senders draw one ref at once
    desk.transfers._entropy = lambda _n: next(draws)
    outcomes = await asyncio.gather(
        *(desk.pay(sender, THIDA, khr(500), wait_s=0.05) for sender in senders)
    )
    assert all(isinstance(outcome, InProgress) for outcome in outcomes)
    assert len({outcome.ref for outcome in outcomes}) == 3
    assert await holding(sql, THIDA) == (0, 0, 1_500)


def test_a_ref_is_eight_characters_that_can_be_read_out():
    assert fresh_ref(lambda _: bytes(5)) == "00000000"
    assert fresh_ref(lambda _: b"\xff" * 5) == "ZZZZZZZZ"
    assert len({fresh_ref(seeded(str(n))) for n in range(100)}) == 100


async def settled(sql, count: int) -> bool:
    return sum(row["state"] != "signed" for row in await fetch(sql, TRANSFER)) >= count


async def woken(clock: FakeClock, sql, count: int) -> bool:
    await clock.advance(1)
    return await settled(sql, count)


async def queued(ledger: MemoryLedger, count: int) -> bool:
    return sum(len(call) for call in ledger.calls) >= count
