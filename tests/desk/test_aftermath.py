"""A payment looked up reads as what it is now, for both sides, also after its money came back."""

from datetime import timedelta

from clocks import FakeClock
from dispute_parts import DisputeDesk
from money_parts import DARA, THIDA, TRANSFER, MemoryLedger, eventually, fetch, khr, person
from unclaimed_parts import BOPHA, Town, TownLedger

from gateway.desk.unclaimed import Terms
from menus.effects import Disputed, LastPaidOut, LastPayment, PaymentState, ReadLastPayment
from menus.kinds import Msisdn


async def status(town: Town, number: Msisdn, ref: str = "") -> LastPayment:
    found = await town.desk.reads.read_last_payment(ReadLastPayment(ref), town.at(number))
    assert isinstance(found, LastPayment)
    return found


async def test_money_for_nobody_waits_and_then_has_come_back(sql, clock: FakeClock):
    town = Town(sql, TownLedger(), clock, terms=Terms(days=2))
    await town.begin(DARA)
    ref = (await town.send(DARA, BOPHA, 5_000)).ref
    assert (await status(town, DARA, ref)).state is PaymentState.IN_PROGRESS
    paid_at = clock.now()
    await town.through()
    waits = await status(town, DARA)
    assert (waits.state, waits.ref, waits.amount) == (PaymentState.WAITS, ref, khr(5_000))
    assert abs(waits.at - (paid_at + timedelta(days=2))) < timedelta(seconds=5)
    await town.later(days=2.1)
    await town.returns.sweep()
    assert (await status(town, DARA, ref)).state is PaymentState.COMING_BACK
    assert (await status(town, BOPHA, ref)).state is PaymentState.RECEIVED, "it has not left yet"
    await town.through()
    back = await status(town, DARA, ref)
    assert back.state is PaymentState.CAME_BACK
    assert back.at > paid_at + timedelta(days=2), "when it came back"
    assert (await status(town, DARA)).state is PaymentState.CAME_BACK, "and so does the return"
    assert (await status(town, BOPHA, ref)).state is PaymentState.WENT_BACK
    assert (await status(town, BOPHA)).state is PaymentState.WENT_BACK


async def test_money_that_has_been_claimed_is_sent_and_received(sqlite_sql, clock: FakeClock):
    town = Town(sqlite_sql, TownLedger(), clock)
    await town.begin(DARA)
    ref = (await town.send(DARA, BOPHA, 5_000)).ref
    await town.through()
    await town.claim(BOPHA)
    assert (await status(town, DARA, ref)).state is PaymentState.WAITS, "the claim may yet fail"
    await town.through()
    assert (await status(town, DARA, ref)).state is PaymentState.PAID
    assert (await status(town, BOPHA, ref)).state is PaymentState.RECEIVED


async def seen(desk: DisputeDesk, number: Msisdn, ref: str) -> PaymentState:
    asked = ReadLastPayment(ref)
    found = await desk.reads.read_last_payment(asked, desk.origin(number))
    assert isinstance(found, LastPayment)
    return found.state


async def begun(sql, clock: FakeClock) -> DisputeDesk:
    ledger = MemoryLedger()
    await person(sql, DARA, ledger, riel=400_000)
    await person(sql, THIDA, ledger, riel=50_000, name="Chan Thida")
    return DisputeDesk(sql, ledger, clock)


async def test_money_asked_back_reads_so_and_given_back_only_once_it_is(sql, clock: FakeClock):
    desk = await begun(sql, clock)
    async with desk.running():
        ref = (await desk.pay(DARA, THIDA, khr(5_000))).ref
        assert isinstance(await desk.last(DARA), LastPaidOut)
        assert await desk.ask(DARA, ref) == Disputed()
    assert await seen(desk, DARA, ref) is PaymentState.ASKED_BACK
    assert await seen(desk, THIDA, ref) is PaymentState.ASKED_OF_YOU
    asked = await desk.asked(THIDA)
    on_its_way = await desk.agree(THIDA, asked, wait_s=0.01)
    assert await seen(desk, DARA, ref) is PaymentState.ASKED_BACK, "it is not there yet"
    async with desk.running():
        assert await eventually(lambda: fetch(sql, TRANSFER, ref=on_its_way.ref, state="committed"))
    assert await seen(desk, DARA, ref) is PaymentState.GIVEN_BACK
    assert await seen(desk, DARA, on_its_way.ref) is PaymentState.GIVEN_BACK
    assert await seen(desk, THIDA, ref) is PaymentState.GAVE_BACK
    assert await seen(desk, THIDA, on_its_way.ref) is PaymentState.GAVE_BACK


async def test_money_that_is_kept_reads_as_before(sqlite_sql, clock: FakeClock):
    desk = await begun(sqlite_sql, clock)
    async with desk.running():
        ref = (await desk.pay(DARA, THIDA, khr(5_000))).ref
        await desk.ask(DARA, ref)
    await desk.keep(THIDA, f"dispute of {ref}")
    assert await seen(desk, DARA, ref) is PaymentState.PAID
    assert await seen(desk, THIDA, ref) is PaymentState.RECEIVED
