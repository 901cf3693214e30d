"""Money for a number without a wallet: whom to ask, while it waits and once it is claimed."""

from dataclasses import replace

import pytest
from clocks import FakeClock
from custody_parts import ATTEMPT
from dispute_parts import TERMS, DisputeDesk
from money_parts import DARA, TRANSFER, fetch, holding, khr
from replacement_parts import NEW
from unclaimed_parts import BOPHA, Town, TownLedger

from gateway.desk.unclaimed import Terms
from menus.disputes import PaidOut
from menus.effects import Disputed, InProgress, LastPayment, NotDisputable


class PatientDesk(DisputeDesk):
    """Where money may be asked back for longer than it waits unclaimed."""

    def __init__(self, *rooms, **more) -> None:
        super().__init__(*rooms, terms=replace(TERMS, hours=24 * 7), **more)


async def town_of(sql, clock: FakeClock) -> tuple[Town, str]:
    """Dara has paid Bopha, who has no wallet."""
    town = Town(sql, TownLedger(), clock, terms=Terms(days=2), desk=PatientDesk)
    await town.begin(DARA)
    paid = await town.send(DARA, BOPHA, 5_000)
    await town.through()
    return town, paid.ref


async def test_unclaimed_money_is_asked_back_only_once_it_has_an_owner(sql, clock):
    town, ref = await town_of(sql, clock)
    tried = len(await fetch(sql, ATTEMPT))
    assert isinstance(await town.desk.last(DARA), LastPayment), "it is not offered"
    assert await town.desk.ask(DARA, ref) == NotDisputable(ref)
    await town.claim(BOPHA)
    assert await town.desk.ask(DARA, ref) == NotDisputable(ref), "the claim may yet fail"
    assert len(await fetch(sql, ATTEMPT)) == tried, "what is refused costs no PIN attempt"
    await town.through()
    seen = await town.desk.last(DARA)
    assert isinstance(seen.payment, PaidOut)
    assert seen.payment.to == BOPHA
    assert await town.desk.ask(DARA, ref) == Disputed()
    assert await holding(sql, BOPHA) == (5_000, 5_000, 0)
    asked = await town.desk.asked(BOPHA)
    assert (asked.ref, asked.amount) == (ref, khr(5_000))
    assert isinstance(await town.desk.agree(BOPHA, asked, pin=NEW, wait_s=0.001), InProgress)
    await town.through()
    assert (await holding(sql, DARA), await holding(sql, BOPHA)) == ((400_000, 0, 0), (0, 0, 0))


async def test_money_that_has_gone_back_unclaimed_is_not_asked_back_from_who_claims_later(
    sqlite_sql, clock
):
    town, ref = await town_of(sqlite_sql, clock)
    await town.later(days=2.1)
    await town.go_back()
    await town.claim(BOPHA)
    await town.through()
    town.ledger.pay_in("85512345605@bank", "9000")
    await town.settle()
    assert await town.desk.ask(DARA, ref) == NotDisputable(ref)
    assert await holding(sqlite_sql, BOPHA) == (9_000, 0, 0)


async def test_what_went_back_by_itself_is_no_payment_of_the_later_owner(sqlite_sql, clock):
    town, _ = await town_of(sqlite_sql, clock)
    await town.later(days=2.1)
    await town.go_back()
    await town.claim(BOPHA)
    await town.through()
    (back,) = await fetch(sqlite_sql, TRANSFER, channel="return")
    assert isinstance(await town.desk.last(BOPHA), LastPayment)
    refused = await town.desk.ask(BOPHA, back["ref"], pin=NEW)
    assert refused == NotDisputable(back["ref"])


@pytest.mark.parametrize("claimed_first", [True, False])
async def test_a_payment_to_somebody_who_may_be_asked_is_asked_back_once(
    sqlite_sql, clock, *, claimed_first
):
    """Whether the number had its wallet from the first or from the second payment to it."""
    town, first = await town_of(sqlite_sql, clock)
    if claimed_first:
        await town.claim(BOPHA)
        await town.through()
        second = (await town.desk.pay(DARA, BOPHA, khr(700), wait_s=0.001)).ref
    else:
        second = (await town.send(DARA, BOPHA, 700)).ref
        await town.through()
        await town.claim(BOPHA)
    await town.through()
    for ref in (first, second):
        assert await town.desk.ask(DARA, ref) == Disputed()
        assert await town.desk.ask(DARA, ref, intent="again") == NotDisputable(ref)
    assert await holding(sqlite_sql, BOPHA) == (5_700, 5_700, 0)
