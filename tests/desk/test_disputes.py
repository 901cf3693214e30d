"""Money paid to the wrong person: held, given back once, or kept; never by a stranger's word."""

import asyncio
import dataclasses
import json
import re
from contextlib import suppress

import pytest
from custody_parts import ATTEMPT, OTHER, PIN, WALLET, DyingSql
from dispute_parts import CHALLENGE, DISPUTE, TERMS, DisputeDesk, the_dispute
from money_parts import (
    BORA,
    DARA,
    MESSAGE,
    SUBMISSION,
    THIDA,
    TRANSFER,
    MemoryLedger,
    account,
    counters,
    eventually,
    execute,
    fetch,
    holding,
    khr,
    person,
)
from sqlalchemy import update

from gateway.codes import is_code
from gateway.desk import dispute_commits, disputes
from gateway.desk.dispute_commits import Wish
from gateway.desk.times import from_ms, to_ms
from gateway.stores.sql import StoreUnavailable
from menus.disputes import AskedBack, PaidOut
from menus.effects import (
    Balance,
    Committed,
    Disputed,
    DisputeOver,
    LastPayment,
    LimitKind,
    MoneyKept,
    NotDisputable,
    NoWallet,
    OverLimit,
    PaymentState,
    PinLocked,
    ReadBalance,
    ReadLastPayment,
    Rejected,
    TooManyDisputes,
    Unavailable,
    WalletHeld,
    WrongPin,
)

DAY_S = 24 * 60 * 60


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
async def desk(sql, clock, ledger) -> DisputeDesk:
    await person(sql, DARA, ledger, riel=400_000)
    await person(sql, THIDA, ledger, riel=50_000, name="Chan Thida")
    return DisputeDesk(sql, ledger, clock)


@pytest.fixture
async def lite(sqlite_sql, clock, ledger) -> DisputeDesk:
    """The same, where one database is enough."""
    await person(sqlite_sql, DARA, ledger, riel=400_000)
    await person(sqlite_sql, THIDA, ledger, riel=50_000, name="Chan Thida")
    return DisputeDesk(sqlite_sql, ledger, clock)


async def paid(desk, src=DARA, to=THIDA, amount=5_000) -> str:
    outcome = await desk.pay(src, to, khr(amount))
    assert isinstance(outcome, Committed)
    return outcome.ref


async def texts(sql, number) -> list[str]:
    rows = await fetch(sql, MESSAGE, msisdn=number.e164)
    return [row["text"] for row in sorted(rows, key=lambda row: row["id"])]


# ---- asked, held and given back


async def test_money_for_the_wrong_person_is_asked_back_held_and_given_back(desk, sql, clock):
    async with desk.running():
        ref = await paid(desk)
        seen = await desk.last(DARA)
        paid_at = from_ms(desk.ledger.now_ms)
        assert seen.payment == PaidOut(ref, khr(5_000), "C*** T***", THIDA, paid_at)
        assert await desk.ask(DARA, ref) == Disputed()
        assert await holding(sql, THIDA) == (55_000, 5_000, 0)
        told = await desk.reads.read_balance(ReadBalance(), desk.origin(THIDA))
        assert told == Balance((khr(50_000),), None, held=(khr(5_000),))
        asked = await desk.asked(THIDA)
        assert asked == AskedBack(
            f"dispute of {ref}", ref, khr(5_000), "S*** D***", DARA, account(DARA)
        )
        used = await counters(sql, THIDA)
        outcome = await desk.agree(THIDA, asked)
    assert isinstance(outcome, Committed)
    assert outcome.amount == khr(5_000)
    assert await holding(sql, THIDA) == (50_000, 0, 0)
    assert await holding(sql, DARA) == (400_000, 0, 0)
    assert await counters(sql, THIDA) == used, "money given back uses no limit"
    row = await the_dispute(sql)
    assert (row["state"], row["held"], row["amount"]) == ("returned", 0, 5_000)
    back = (await fetch(sql, TRANSFER, intent_id=row["id"]))[0]
    assert back["ref"] != ref == row["ref"]
    assert f"C*** T*** ..602 has given 5,000 KHR back to you. Ref {back['ref']}." in "".join(
        await texts(sql, DARA)
    )
    assert await desk.asked(THIDA) is None


async def test_the_receiver_is_asked_by_sms_with_a_code_that_agrees(desk, sql):
    async with desk.running():
        ref = await paid(desk)
    await desk.ask(DARA, ref)
    (sms,) = [text for text in await texts(sql, THIDA) if "mistake" in text]
    assert sms.startswith(
        f"S*** D*** ..601 says 5,000 KHR was a mistake, ref {ref}. Give back: YES"
    )
    assert sms.endswith("Held to 10:00 23/11.")
    (row,) = await fetch(sql, CHALLENGE, msisdn=THIDA.e164)
    code = re.search(r"YES (\d{4})", sms)[1]
    assert is_code(desk.vault, THIDA, row["intent_id"], code, row["code_mac"])
    asked = AskedBack.load(json.loads(row["answers"])["asked"])
    assert asked == await desk.asked(THIDA)
    assert row["expires_at"] == (await the_dispute(sql))["answer_by"]


async def test_agreeing_twice_gives_back_once(desk, sql):
    async with desk.running():
        await desk.ask(DARA, await paid(desk))
        asked = await desk.asked(THIDA)
        both = await asyncio.gather(desk.agree(THIDA, asked), desk.agree(THIDA, asked))
        both.append(await desk.agree(THIDA, asked))
    assert len({outcome.ref for outcome in both}) == 1
    assert await holding(sql, THIDA) == (50_000, 0, 0)
    assert len(await fetch(sql, TRANSFER)) == 2


async def test_a_refusal_gives_the_hold_back_and_tells_the_payer(desk, sql):
    async with desk.running():
        ref = await paid(desk)
    await desk.ask(DARA, ref)
    asked = await desk.asked(THIDA)
    assert await desk.keep(BORA, asked.dispute) == DisputeOver(), "somebody else's"
    assert await desk.keep(THIDA, asked.dispute) == MoneyKept()
    assert await desk.keep(THIDA, asked.dispute) == MoneyKept(), "told again, done once"
    assert await holding(sql, THIDA) == (55_000, 0, 0)
    told = [text for text in await texts(sql, DARA) if "not given back" in text]
    (said,) = told
    assert said.startswith(f"C*** T*** ..602 has not given back 5,000 KHR, ref {ref}. Perhaps")
    assert await desk.agree(THIDA, asked) == DisputeOver()
    assert await desk.asked(THIDA) is None


async def test_nothing_of_them_ends_before_all_blocks_are_settled(desk, sql, clock):
    """One of those blocks may hold the answer, where a backup was restored."""
    walked = False

    async def may_sign(_patience_s: float) -> bool:
        return walked

    async def ended() -> bool:
        return await holding(sql, THIDA) == (55_000, 0, 0)  # the hold is the first to end

    async with desk.running():
        await desk.ask(DARA, await paid(desk))
    clock.skipping = True
    await clock.sleep(4 * DAY_S)
    clock.skipping = False
    desk.disputes._may_sign = may_sign
    running = asyncio.ensure_future(desk.disputes.run())
    try:
        for _ in range(3):
            await clock.advance(disputes.EVERY_S)
            await asyncio.sleep(0.01)
        assert not await ended()
        walked = True
        await clock.advance(disputes.EVERY_S)
        await eventually(ended)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_when_their_time_is_over_first_the_hold_ends_then_the_dispute(desk, sql, clock):
    async with desk.running():
        await desk.ask(DARA, await paid(desk))
    clock.skipping = True
    await clock.sleep(DAY_S - 1)
    assert await desk.disputes.end_due() == 0
    await clock.sleep(1)
    assert await desk.disputes.end_due() == 1
    assert await holding(sql, THIDA) == (55_000, 0, 0)
    asked = await the_dispute(sql)
    assert (asked["state"], asked["closed_at"]) == ("asked", None)
    assert await desk.asked(THIDA), "they may still give it back"
    assert await desk.disputes.end_due() == 0
    await clock.sleep(2 * DAY_S)
    assert await desk.disputes.end_due() == 1
    ended = await the_dispute(sql)
    assert (ended["state"], ended["closed_at"]) == ("ended", to_ms(clock.now()))
    assert [text for text in await texts(sql, DARA) if "not given back" in text]
    assert await desk.disputes.end_due() == 0
    assert await desk.asked(THIDA) is None


async def test_agreement_refusal_and_expiry_at_once_end_in_exactly_one(desk, sql, clock):
    async with desk.running():
        await desk.ask(DARA, await paid(desk))
        asked = await desk.asked(THIDA)
    await clock.advance(3 * DAY_S)
    async with desk.running():
        agreed, kept, _ = await asyncio.gather(
            desk.agree(THIDA, asked), desk.keep(THIDA, asked.dispute), desk.disputes.end_due()
        )
    state = (await the_dispute(sql))["state"]
    assert (state == "returned") == isinstance(agreed, Committed)
    assert (state == "refused") == (kept == MoneyKept())
    assert await holding(sql, THIDA) == ((50_000 if state == "returned" else 55_000), 0, 0)
    told = sum("not given back" in text for text in await texts(sql, DARA))
    assert told == (state != "returned")


# ---- paid back by an ordinary payment


async def test_an_ordinary_payment_of_it_closes_the_dispute_and_nobody_is_asked_again(
    desk, sql, clock
):
    async with desk.running():
        await desk.ask(DARA, await paid(desk))
        asked = await desk.asked(THIDA)
        await clock.advance(60)
        assert isinstance(await desk.pay(THIDA, DARA, khr(5_000)), Committed)
        assert await desk.asked(THIDA) is None
        assert await desk.agree(THIDA, asked) == DisputeOver()
    assert (await the_dispute(sql))["state"] == "ended"
    assert await holding(sql, THIDA) == (50_000, 0, 0)
    assert await holding(sql, DARA) == (400_000, 0, 0)
    (told,) = [text for text in await texts(sql, DARA) if "given back" in text or "asked" in text]
    assert told.startswith("C*** T*** ..602 has paid you as much since, so 5,000 KHR")
    assert await desk.disputes.end_due() == 0


async def test_the_latest_payment_that_may_be_asked_back_is_found_below_what_came_after(
    desk, clock, ledger
):
    async with desk.running():
        await paid(desk, amount=7_000)
        await clock.advance(60)
        ref = await paid(desk)
        at = from_ms(ledger.now_ms)
        await clock.advance(60)
        ledger.now_ms = to_ms(clock.now())
        since = await paid(desk, THIDA, DARA, 100)
        told = await desk.last(DARA)
        assert (told.last.state, told.last.ref) == (PaymentState.RECEIVED, since)
        assert told.earlier == PaidOut(ref, khr(5_000), "C*** T***", THIDA, at)
        assert (await desk.last(THIDA)).payment.ref == since
        await desk.ask(DARA, ref)
        assert (await desk.last(DARA)).earlier.amount == khr(7_000), "this one is asked back now"
        named = ReadLastPayment(since)
        told = await desk.reads.read_last_payment(named, desk.origin(DARA))
        assert isinstance(told, LastPayment), "whoever names a payment means that one"


async def test_what_was_paid_back_already_cannot_be_asked_back(desk, sql, clock):
    async with desk.running():
        ref = await paid(desk)
        await clock.advance(60)
        await paid(desk, THIDA, DARA, 6_000)
        assert isinstance(await desk.last(DARA), LastPayment)
        assert await desk.ask(DARA, ref) == NotDisputable(ref)
    assert await fetch(sql, DISPUTE) == []


async def test_what_is_being_paid_back_cannot_be_asked_back_until_the_ledger_has_refused_that(
    desk, sql, clock, ledger
):
    await person(sql, BORA)
    async with desk.running():
        ref = await paid(desk)
        await clock.advance(60)
    await desk.pay(THIDA, DARA, khr(5_000), wait_s=0.001)  # nothing sends it yet
    assert await desk.ask(DARA, ref) == NotDisputable(ref)
    ledger.refuse_all = True
    async with desk.running():
        assert isinstance(await desk.pay(THIDA, BORA, khr(100)), Rejected), "and so was the other"
        ledger.refuse_all = False
        assert await desk.ask(DARA, ref) == Disputed()


async def test_less_or_earlier_or_to_somebody_else_pays_nothing_back(lite, sqlite_sql, clock):
    await person(sqlite_sql, BORA)
    async with lite.running():
        await paid(lite, THIDA, DARA, 9_000)
        await clock.advance(60)
        ref = await paid(lite)
        await clock.advance(60)
        await paid(lite, THIDA, DARA, 4_900)
        await paid(lite, THIDA, BORA, 5_000)
        assert await lite.ask(DARA, ref) == Disputed()
        assert (await lite.asked(THIDA)).ref == ref


async def test_a_payment_back_on_its_way_asks_nothing_until_the_ledger_has_refused_it(
    desk, sql, clock, ledger
):
    await person(sql, BORA)
    async with desk.running():
        await desk.ask(DARA, await paid(desk))
        asked = await desk.asked(THIDA)
        await clock.advance(60)
    await desk.pay(THIDA, DARA, khr(5_000), wait_s=0.001)  # nothing sends it yet
    assert await desk.asked(THIDA) is None
    assert await desk.agree(THIDA, asked) == DisputeOver()
    assert (await the_dispute(sql))["state"] == "held"
    ledger.refuse_all = True
    async with desk.running():
        assert isinstance(await desk.pay(THIDA, BORA, khr(100)), Rejected), "and so was the other"
        ledger.refuse_all = False
        assert await desk.asked(THIDA) == asked
        assert isinstance(await desk.agree(THIDA, asked), Committed)
    assert await holding(sql, DARA) == (400_000, 0, 0)


async def test_paying_and_giving_back_at_once_pays_once(desk, sql, clock):
    async with desk.running():
        await desk.ask(DARA, await paid(desk))
        asked = await desk.asked(THIDA)
        await clock.advance(60)
        given, sent = await asyncio.gather(
            desk.agree(THIDA, asked), desk.pay(THIDA, DARA, khr(5_000))
        )
    # Who gives back first and then sends has said both: then the second is a present.
    assert isinstance(sent, Committed)
    if given == DisputeOver():
        assert await holding(sql, DARA) == (400_000, 0, 0)
    else:
        assert (await the_dispute(sql))["state"] == "returned"


# ---- what can be held


async def test_held_is_at_most_what_is_left_and_what_is_held_is_not_spent(desk, sql):
    await person(sql, BORA)
    async with desk.running():
        ref = await paid(desk, amount=60_000)
        await paid(desk, THIDA, BORA, 80_000)
        await desk.ask(DARA, ref)
        assert await holding(sql, THIDA) == (30_000, 30_000, 0)
        none_left = OverLimit(LimitKind.BALANCE, khr(0), least=khr(100))
        assert await desk.pay(THIDA, BORA, khr(100)) == none_left
        asked = await desk.asked(THIDA)
        assert await desk.agree(THIDA, asked) == OverLimit(LimitKind.BALANCE, khr(30_000))
        assert (await the_dispute(sql))["state"] == "held", "asked on: they may get money yet"
        await paid(desk, DARA, THIDA, 30_000)
        assert isinstance(await desk.agree(THIDA, asked), Committed)
    assert await holding(sql, THIDA) == (0, 0, 0)


async def test_of_spent_money_nothing_is_held_and_it_is_asked_all_the_same(lite, sqlite_sql):
    await person(sqlite_sql, BORA)
    async with lite.running():
        ref = await paid(lite)
        await paid(lite, THIDA, BORA, 55_000)
    assert await lite.ask(DARA, ref) == Disputed()
    row = await the_dispute(sqlite_sql)
    assert (row["state"], row["held"]) == ("asked", 0)
    (sms,) = [text for text in await texts(sqlite_sql, THIDA) if "mistake" in text]
    assert sms.endswith("You decide.")


async def test_nothing_is_held_where_holding_is_switched_off(sqlite_sql, clock, lite, ledger):
    desk = DisputeDesk(sqlite_sql, ledger, clock, dataclasses.replace(TERMS, hold_hours=0))
    async with desk.running():
        await desk.ask(DARA, await paid(desk))
        assert await holding(sqlite_sql, THIDA) == (55_000, 0, 0)
        assert isinstance(await desk.agree(THIDA, await desk.asked(THIDA)), Committed)


async def test_two_disputes_hold_their_own_and_are_asked_one_after_the_other(desk, sql):
    async with desk.running():
        first, second = await paid(desk), await paid(desk, amount=7_000)
        await desk.ask(DARA, first)
        await desk.clock.advance(1)
        await desk.ask(DARA, second)
        assert await holding(sql, THIDA) == (62_000, 12_000, 0)
        asked = await desk.asked(THIDA)
        assert asked.ref == first
        await desk.agree(THIDA, asked)
        assert await holding(sql, THIDA) == (57_000, 7_000, 0)
        assert (await desk.asked(THIDA)).ref == second


async def test_disputing_one_payment_twice_at_once_holds_once(desk, sql):
    async with desk.running():
        ref = await paid(desk)
    asked = await asyncio.gather(*(desk.ask(DARA, ref, intent=f"i{n}") for n in range(3)))
    assert sorted(map(str, asked)) == sorted(map(str, [Disputed(), *[NotDisputable(ref)] * 2]))
    assert await holding(sql, THIDA) == (55_000, 5_000, 0)
    assert await desk.ask(DARA, ref, intent="i0") in (Disputed(), NotDisputable(ref))


# ---- what may be disputed, and how often


async def test_only_a_young_committed_payment_of_ones_own_to_a_wallet_may_be_disputed(
    lite, sqlite_sql, clock
):
    async with lite.running():
        ref = await paid(lite)
    assert await lite.ask(THIDA, ref) == NotDisputable(ref), "of somebody else"
    assert await lite.ask(DARA, "NONE") == NotDisputable("NONE")
    for column, value in (("state", "rejected"), ("state", "signed"), ("beneficiary", "0001")):
        before = (await fetch(sqlite_sql, TRANSFER))[0][column]
        await execute(sqlite_sql, update(TRANSFER).values({column: value}))
        assert await lite.ask(DARA, ref) == NotDisputable(ref), value
        assert isinstance(await lite.last(DARA), LastPayment)
        await execute(sqlite_sql, update(TRANSFER).values({column: before}))
    clock.skipping = True
    await clock.sleep(DAY_S - 1)
    assert not isinstance(await lite.last(DARA), LastPayment)
    await clock.sleep(1)
    assert isinstance(await lite.last(DARA), LastPayment)
    assert await lite.ask(DARA, ref) == NotDisputable(ref)
    assert len(await fetch(sqlite_sql, ATTEMPT)) == 1, "what is refused costs no PIN attempt"


async def test_what_was_given_back_cannot_be_asked_back_again(lite):
    async with lite.running():
        await lite.ask(DARA, await paid(lite))
        back = await lite.agree(THIDA, await lite.asked(THIDA))
        assert isinstance(await lite.last(THIDA), LastPayment)
        assert await lite.ask(THIDA, back.ref) == NotDisputable(back.ref)


async def test_a_payer_may_dispute_a_few_payments_a_day(desk, sql, clock):
    await person(sql, BORA)
    async with desk.running():
        refs = [await paid(desk, to=to, amount=100) for to in (THIDA, BORA, THIDA, BORA)]
        # Two at a time: of more PINs that are being tried, some are refused.
        told = [
            outcome
            for pair in (refs[:2], refs[2:])
            for outcome in await asyncio.gather(*(desk.ask(DARA, ref) for ref in pair))
        ]
        assert sorted(map(str, told)) == sorted(map(str, [*[Disputed()] * 3, TooManyDisputes()]))
        clock.skipping = True
        await clock.sleep(15 * 60 * 60)
        left = refs[told.index(TooManyDisputes())]
        assert await desk.ask(DARA, left) == Disputed(), "another day"


async def test_the_statement_itself_stores_no_more_disputes_than_a_day_may_have(
    desk, sql, monkeypatch
):
    monkeypatch.setattr(dispute_commits, "_refused", lambda *_: None)  # as if it had read before
    async with desk.running():
        refs = [await paid(desk, amount=100) for _ in range(4)]
        told = [await desk.ask(DARA, ref) for ref in refs]
    assert told == [Disputed()] * 3 + [TooManyDisputes()]
    assert len(await fetch(sql, DISPUTE)) == 3


async def test_one_payer_asks_one_receiver_for_few_payments_at_a_time(desk, sql, clock):
    async with desk.running():
        refs = [await paid(desk, amount=100) for _ in range(3)]
        assert [await desk.ask(DARA, ref) for ref in refs] == [Disputed()] * 3
        clock.skipping = True
        await clock.sleep(15 * 60 * 60)
        fourth = await paid(desk, amount=100)
    tried = len(await fetch(sql, ATTEMPT))
    assert await desk.ask(DARA, fourth) == TooManyDisputes(), "on another day, too"
    assert len(await fetch(sql, ATTEMPT)) == tried
    await desk.keep(THIDA, f"dispute of {refs[0]}")
    assert await desk.ask(DARA, fourth) == Disputed()


async def test_no_disputes_of_a_friend_protect_a_wallet_from_those_it_cheated(desk, sql, ledger):
    await person(sql, BORA, ledger, riel=10_000)
    async with desk.running():
        refs = [await paid(desk, amount=100) for _ in range(3)]
        fourth = await paid(desk, BORA, THIDA, 7_000)
        for ref in refs:
            await desk.ask(DARA, ref)
        assert await desk.ask(BORA, fourth) == Disputed()
        assert await holding(sql, THIDA) == (57_300, 7_300, 0)
        asking = [text for text in await texts(sql, THIDA) if "mistake" in text]
        assert len(asking) == 3, "of more than that only dialling asks"
        for ref in refs:
            await desk.keep(THIDA, f"dispute of {ref}")
        asked = await desk.asked(THIDA)
        assert asked.ref == fourth
        assert isinstance(await desk.agree(THIDA, asked), Committed)


async def test_the_code_of_each_dispute_stays_good_when_another_person_asks(desk, sql, ledger):
    await person(sql, BORA, ledger, riel=10_000)
    async with desk.running():
        first, second = await paid(desk), await paid(desk, BORA, THIDA, 700)
    await desk.ask(DARA, first)
    await desk.ask(BORA, second)
    rows = {row["intent_id"]: row for row in await fetch(sql, CHALLENGE, msisdn=THIDA.e164)}
    for ref in (first, second):
        (sms,) = [text for text in await texts(sql, THIDA) if f"mistake, ref {ref}" in text]
        row, code = rows[f"dispute of {ref}"], re.search(r"YES (\d{4})", sms)[1]
        assert is_code(desk.vault, THIDA, row["intent_id"], code, row["code_mac"])


# ---- PINs, locked, held and closed wallets


async def test_asking_and_giving_back_take_the_pin(lite, sqlite_sql, clock):
    async with lite.running():
        ref = await paid(lite)
        assert await lite.ask(DARA, ref, pin=OTHER) == WrongPin(2)
        assert await fetch(sqlite_sql, DISPUTE) == []
        assert await lite.ask(DARA, ref) == Disputed()
        asked = await lite.asked(THIDA)
        for tries in (2, 1):
            assert await lite.agree(THIDA, asked, pin=OTHER) == WrongPin(tries)
        assert isinstance(await lite.agree(THIDA, asked, pin=OTHER), PinLocked)
        assert isinstance(await lite.agree(THIDA, asked, pin=PIN), PinLocked)
        assert (await the_dispute(sqlite_sql))["state"] == "held"
        assert await lite.keep(THIDA, asked.dispute) == MoneyKept(), "that takes no PIN"


async def test_a_held_wallet_neither_asks_nor_gives_back(lite, sqlite_sql):
    async with lite.running():
        ref = await paid(lite)
        await execute(sqlite_sql, update(WALLET).values(state="held"))
        assert await lite.ask(DARA, ref) == WalletHeld()
        await execute(
            sqlite_sql, update(WALLET).where(WALLET.c.msisdn == DARA.e164).values(state="open")
        )
        assert await lite.ask(DARA, ref) == Disputed(), "its receiver may be held: it receives"
        assert await lite.agree(THIDA, await lite.asked(THIDA)) == WalletHeld()


async def test_a_closed_wallet_is_not_asked_and_gets_nothing_back(lite, sqlite_sql, clock):
    async with lite.running():
        ref, other = await paid(lite), await paid(lite, amount=700)
        await lite.ask(DARA, ref)
        asked = await lite.asked(THIDA)
        closed = update(WALLET).values(state="closed")
        await execute(sqlite_sql, closed.where(WALLET.c.msisdn == DARA.e164))
        assert await lite.asked(THIDA) is None
        assert await lite.agree(THIDA, asked) == NoWallet(DARA)
        await execute(sqlite_sql, update(WALLET).values(state="open"))
        await execute(sqlite_sql, closed.where(WALLET.c.msisdn == THIDA.e164))
        assert await lite.ask(DARA, other) == NotDisputable(other)
        assert await lite.agree(THIDA, asked) == Unavailable()
        assert await lite.keep(THIDA, asked.dispute) == DisputeOver()
        clock.skipping = True
        await clock.sleep(3 * DAY_S)
        assert await lite.disputes.end_due() == 1, "its hold ends all the same"
    assert await holding(sqlite_sql, THIDA) == (55_700, 0, 0)


async def test_giving_back_goes_to_who_paid_and_nowhere_else(lite, sqlite_sql):
    await person(sqlite_sql, BORA)
    async with lite.running():
        await lite.ask(DARA, await paid(lite))
        asked = await lite.asked(THIDA)
        forged = (
            dataclasses.replace(asked, payer=BORA, account_id=account(BORA)),
            dataclasses.replace(asked, amount=khr(50_000)),
            dataclasses.replace(asked, dispute="another"),
        )
        for one in forged:
            assert await lite.agree(THIDA, one) == DisputeOver()
        assert await lite.agree(BORA, asked) == DisputeOver()
    assert len(await fetch(sqlite_sql, TRANSFER)) == 1


# ---- crashes, and a ledger that does not take it


@pytest.mark.parametrize("after_commit", [False, True])
@pytest.mark.parametrize("at", [1, 2, 3, 4])
async def test_a_process_that_dies_while_asking_has_asked_whole_or_not_at_all(
    lite, sqlite_sql, clock, *, at, after_commit
):
    async with lite.running():
        ref = await paid(lite)
    dying = DisputeDesk(
        DyingSql(sqlite_sql, at, after_commit=after_commit), lite.ledger, clock, seed="dying"
    )
    with suppress(StoreUnavailable):
        assert isinstance(await dying.ask(DARA, ref), Disputed | Unavailable)
    stored = await fetch(sqlite_sql, DISPUTE)
    asked = [text for text in await texts(sqlite_sql, THIDA) if "mistake" in text]
    held = (await holding(sqlite_sql, THIDA))[1]
    assert (len(stored), len(asked), held) in ((0, 0, 0), (1, 1, 5_000))
    assert await lite.ask(DARA, ref) == Disputed()
    assert (await holding(sqlite_sql, THIDA))[1] == 5_000


async def test_a_return_that_the_ledger_refuses_ends_the_dispute_and_both_are_told(
    desk, sql, ledger
):
    async with desk.running():
        await desk.ask(DARA, await paid(desk))
        ledger.refuse_all = True
        outcome = await desk.agree(THIDA, await desk.asked(THIDA))
    assert isinstance(outcome, Rejected)
    assert (await the_dispute(sql))["state"] == "ended"
    assert await holding(sql, THIDA) == (55_000, 0, 0)
    assert (await counters(sql, THIDA)) == {}
    assert [text for text in await texts(sql, DARA) if "not given back" in text]
    assert [text for text in await texts(sql, THIDA) if text.startswith("Not sent")]


async def test_a_return_on_its_way_is_settled_by_whoever_comes_next(desk, sql, clock, ledger):
    async with desk.running():
        await desk.ask(DARA, await paid(desk))
        asked = await desk.asked(THIDA)
    await desk.agree(THIDA, asked)  # nothing sends: the process died
    assert (await the_dispute(sql))["state"] == "returned"
    assert await holding(sql, THIDA) == (55_000, 5_000, 0)
    async with DisputeDesk(sql, ledger, clock, seed="next").running() as following:
        assert isinstance(await following.agree(THIDA, asked), Committed)
    assert await holding(sql, DARA) == (400_000, 0, 0)
    assert len(await fetch(sql, SUBMISSION)) == 2


async def test_a_full_payer_gets_money_back_all_the_same(lite, sqlite_sql):
    async with lite.running():
        await lite.ask(DARA, await paid(lite))
        held = lite.limits.caps("basic", khr(1).currency).held
        lite.ledger.pay_in(account(DARA), str(held))
        assert isinstance(await lite.agree(THIDA, await lite.asked(THIDA)), Committed)


# ---- who it is, and when the database is away


async def test_who_has_no_wallet_asks_for_nothing_back(lite, sqlite_sql):
    async with lite.running():
        ref = await paid(lite)
    assert await lite.ask(BORA, ref) == Unavailable()
    assert await fetch(sqlite_sql, DISPUTE) == await fetch(sqlite_sql, ATTEMPT, account_id="") == []


async def test_a_wallet_that_closed_after_its_pin_asks_for_nothing_back(lite, sqlite_sql):
    async with lite.running():
        ref = await paid(lite)
    await execute(sqlite_sql, update(WALLET).values(state="closed"))
    wish = Wish("one", ref, DARA.e164, "1234", to_ms(lite.clock.now()), "2026-11-22")
    assert await sqlite_sql.run(lite.disputes._commits.place, [wish]) == [Unavailable()]
    assert await fetch(sqlite_sql, DISPUTE) == []


async def test_what_is_over_ends_in_time_also_after_the_database_was_away(
    lite, sqlite_sql, clock, monkeypatch
):
    monkeypatch.setattr(disputes, "DUE_MOST", 2)  # so that another round looks for more
    async with lite.running():
        await lite.ask(DARA, await paid(lite))
        await lite.ask(DARA, await paid(lite, amount=700))
    lite.disputes._sql = DyingSql(sqlite_sql, 1, after_commit=False)
    running = asyncio.ensure_future(lite.disputes.run())
    await clock.advance(DAY_S)
    assert (await holding(sqlite_sql, THIDA))[1] == 5_700
    lite.disputes._sql = sqlite_sql
    asleep = clock.sleepers
    await clock.advance(disputes.EVERY_S)
    await eventually(lambda: nothing_is_held(sqlite_sql))
    await eventually(lambda: is_asleep(clock, asleep))
    running.cancel()


async def is_asleep(clock, asleep: int) -> bool:
    return clock.sleepers == asleep


async def nothing_is_held(sql) -> bool:
    return (await holding(sql, THIDA))[1] == 0
