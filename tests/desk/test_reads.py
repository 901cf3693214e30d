"""Looking tells what is true now, in few statements, and changes nothing."""

import asyncio
import time

import pytest
from custody_parts import SUBSCRIBER
from money_parts import (
    BORA,
    DARA,
    THIDA,
    Desk,
    MemoryLedger,
    account,
    eventually,
    execute,
    holding,
    khr,
    person,
    usd,
)
from sqlalchemy import event, insert

from gateway.stores.tables import Replacement, table_of
from menus.effects import (
    Balance,
    InProgress,
    LastPayment,
    NoPayment,
    PaymentState,
    ReadBalance,
    ReadLastPayment,
    Unavailable,
)
from menus.kinds import Currency, Msisdn


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
async def desk(sql, clock, ledger) -> Desk:
    await person(sql, DARA, ledger, riel=400_000, cents=10_000, dollars=True)
    await person(sql, THIDA, ledger, riel=50_000, name="Chan Thida")
    return Desk(sql, ledger, clock, any_pin=True)


async def balance(desk: Desk, number: Msisdn):
    return await desk.reads.read_balance(ReadBalance(), desk.origin(number))


async def last(desk: Desk, number: Msisdn):
    return await desk.reads.read_last_payment(ReadLastPayment(), desk.origin(number))


async def test_a_balance_is_what_is_not_reserved(desk):
    assert await balance(desk, DARA) == Balance((khr(400_000), usd(10_000)), None)
    assert await balance(desk, THIDA) == Balance((khr(50_000),), None)
    await desk.pay(DARA, THIDA, khr(5_000), wait_s=0.01)
    assert await balance(desk, DARA) == Balance((khr(395_000), usd(10_000)), None)
    assert await balance(desk, THIDA) == Balance((khr(50_000),), None)
    assert await balance(desk, BORA) == Unavailable()


async def test_a_balance_says_its_age_when_the_ledger_is_away(desk, clock, ledger):
    async with desk.running():
        await clock.advance(3)
        heard = clock.now()
        ledger.away = True
        await clock.advance(12)
        assert (await balance(desk, THIDA)).as_of == heard


async def test_the_last_payment_is_the_newest_of_both_directions(desk, sql, clock, ledger):
    assert await last(desk, DARA) == NoPayment()
    assert await last(desk, BORA) == NoPayment()
    at = clock.now()
    outcome = await desk.pay(DARA, THIDA, khr(5_000), wait_s=0.01)
    assert isinstance(outcome, InProgress)
    on_its_way = await last(desk, DARA)
    assert on_its_way == LastPayment(
        PaymentState.IN_PROGRESS, outcome.ref, khr(5_000), f"C*** T*** {THIDA.tail}", at
    )
    assert await last(desk, THIDA) == NoPayment()
    ledger.now_ms = round(at.timestamp() * 1000) + 900
    async with desk.running():
        await eventually(lambda: paid(sql))
        assert (await last(desk, DARA)).state is PaymentState.PAID
        received = await last(desk, THIDA)
        assert (received.state, received.ref) == (PaymentState.RECEIVED, outcome.ref)
        assert received.other == f"S*** D*** {DARA.tail}"
        ledger.now_ms += 1000
        ledger.pay_in(account(DARA), "7", src="somebody@otherbank")
        await eventually(lambda: amount_is(sql, 395_007))
    outside = await last(desk, DARA)
    assert (outside.state, outside.amount, outside.other) == (
        PaymentState.RECEIVED,
        khr(7),
        "otherbank",
    )


async def test_what_came_from_our_own_bank_is_told_to_be_from_it(desk, sql, ledger):
    async with desk.running():
        ledger.pay_in(account(DARA), "7")
        await eventually(lambda: amount_is(sql, 400_007))
    came = await last(desk, DARA)
    assert (came.state, came.other) == (PaymentState.RECEIVED, "Bakong")


async def test_a_payment_is_found_by_its_ref_by_those_it_is_of(desk, sql, ledger):
    first = await desk.pay(DARA, THIDA, khr(5_000), wait_s=0.01)
    second = await desk.pay(DARA, THIDA, khr(6_000), wait_s=0.01, again=True)

    async def named(number, ref):
        asked = ReadLastPayment(ref)
        return await desk.reads.read_last_payment(asked, desk.origin(number))

    found = await named(DARA, first.ref)
    assert (found.ref, found.amount, found.state) == (
        first.ref,
        khr(5_000),
        PaymentState.IN_PROGRESS,
    )
    assert (await named(DARA, second.ref)).amount == khr(6_000)
    assert await named(THIDA, first.ref) == NoPayment()  # which has not reached her yet
    assert await named(DARA, "00000000") == NoPayment()
    async with desk.running():
        await eventually(lambda: amount_is(sql, 389_000))
    assert (await named(DARA, first.ref)).state is PaymentState.PAID
    received = await named(THIDA, first.ref)
    assert (received.state, received.amount) == (PaymentState.RECEIVED, khr(5_000))
    assert await named(BORA, first.ref) == NoPayment()


async def test_of_a_payment_that_one_made_no_receipt_is_asked(desk, sql):
    made = await desk.pay(DARA, THIDA, khr(5_000), wait_s=0.01)
    said: list[str] = []
    event.listen(sql._engine, "before_cursor_execute", lambda *asked: said.append(asked[2]))
    found = await desk.reads.read_last_payment(ReadLastPayment(made.ref), desk.origin(DARA))
    assert found.ref == made.ref
    assert any("FROM transfer" in one for one in said)
    assert not any("FROM receipt" in one for one in said)


async def test_a_payment_that_was_refused_is_not_paid(desk, sql, ledger):
    ledger.refuse_all = True
    async with desk.running():
        await desk.pay(DARA, THIDA, khr(5_000))
    assert (await last(desk, DARA)).state is PaymentState.NOT_PAID


async def paid(sql) -> bool:
    return (await holding(sql, DARA))[0] == 395_000


async def amount_is(sql, amount: int) -> bool:
    return (await holding(sql, DARA))[0] == amount


async def test_facts_tell_language_wallet_limits_and_what_was_just_paid(desk, sql):
    await execute(
        sql, insert(SUBSCRIBER).values(msisdn=DARA.e164, language="km", lookup_day="", lookups=0)
    )
    outcome = await desk.pay(DARA, THIDA, khr(5_000), wait_s=0.01)
    language, wallet = await desk.reads.facts(DARA)
    assert (language, wallet.state, wallet.dollars) == ("km", "open", True)
    left = wallet.sendable[Currency.KHR]
    assert (left.balance, left.day, left.count) == (395_000, 1_995_000, 19)
    assert wallet.sendable[Currency.USD].day == 50_000
    (recent,) = wallet.recent
    assert (recent.ref, recent.to, recent.amount) == (outcome.ref, THIDA, khr(5_000))
    assert not recent.settled
    assert await desk.reads.facts(BORA) == (None, None)


@pytest.mark.parametrize(("state", "renewing"), [("pending", True), ("done", False)])
async def test_facts_tell_whether_a_key_is_being_replaced(desk, sql, state, renewing):
    sealed = {"kek_version": 1, "salt": b"", "sealed_key": b"", "created_at": 0}
    named = {"tx_hash": "ab", "account_id": account(DARA), "reason": "theft", "key_version": 2}
    row = {**named, **sealed, "public_key": "cd", "state": state}
    await execute(sql, insert(table_of(Replacement)).values(row))
    facts = [(await desk.reads.facts(number)).wallet for number in (DARA, THIDA)]
    assert [one and one.renewing for one in facts] == [renewing, False]


async def test_facts_of_one_tick_are_read_together(desk, sqlite_sql):
    batches = []

    class Counting:
        async def run(self, operation, items, **how):
            batches.append(len(items))
            return await sqlite_sql.run(operation, items, **how)

    desk = Desk(Counting(), None, desk.clock, any_pin=True)
    await asyncio.gather(*(desk.reads.facts(DARA) for _ in range(64)))
    assert batches == [64]


async def test_facts_cost_little(sqlite_sql, clock, ledger):
    """A bound that only a change of shape (one trip each) can break, on any machine."""
    numbers = [Msisdn(f"+855123457{n:02}") for n in range(64)]
    for number in numbers:
        await person(sqlite_sql, number, riel=1_000)
    desk = Desk(sqlite_sql, ledger, clock)
    await asyncio.gather(*(desk.reads.facts(number) for number in numbers))
    began = time.process_time()
    for _ in range(10):
        await asyncio.gather(*(desk.reads.facts(number) for number in numbers))
    assert (time.process_time() - began) / 640 < 0.001
