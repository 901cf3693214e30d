"""Money for a number without a wallet: made by receiving, claimed by a PIN, or sent back."""

import pytest
from clocks import FakeClock
from money_parts import DARA, THIDA, account, holding, khr
from replacement_parts import NEW
from unclaimed_parts import BOPHA, Town, TownLedger

from menus.effects import FindPayee, InProgress, KeyRenewing, NoOwnerYet, PayeeFound


@pytest.fixture
async def town(sql, clock: FakeClock) -> Town:
    town = Town(sql, TownLedger(), clock)
    await town.begin(DARA, THIDA)
    town.ledger.now_ms = town.ledger.now_ms
    await town.later(days=0)
    return town


async def test_money_waits_for_a_stranger_who_claims_it_with_a_pin_and_can_spend_it(town: Town):
    looked = await town.directory.find_payee(FindPayee(BOPHA), town.at(DARA))
    assert looked == NoOwnerYet(BOPHA)
    assert isinstance(await town.send(DARA, BOPHA, 5_000), InProgress)
    await town.through()
    assert await holding(town.sql, BOPHA) == (5_000, 0, 0)
    assert await holding(town.sql, DARA) == (395_000, 0, 0)
    wallet = await town.wallet(BOPHA)
    assert (wallet["state"], wallet["claim"], wallet["tier"]) == ("open", "waiting", "unclaimed")
    (invitation,) = await town.inbox(BOPHA)
    assert "S*** D*** ..601 sent you 5,000 KHR. Dial *855# and choose a PIN before" in invitation

    assert isinstance(await town.claim(BOPHA), KeyRenewing)
    await town.through()
    wallet = await town.wallet(BOPHA)
    assert (wallet["claim"], wallet["tier"]) == ("", "basic")
    assert await town.states() == ["claimed"]
    assert "wallet is open" in (await town.inbox(BOPHA))[-1]
    looked = await town.directory.find_payee(FindPayee(BOPHA), town.at(DARA))
    assert looked == PayeeFound(BOPHA, account(BOPHA), "")
    await town.desk.pay(BOPHA, DARA, khr(2_000), pin=NEW, wait_s=0.001)
    await town.through()
    assert await holding(town.sql, BOPHA) == (3_000, 0, 0)


async def test_what_nobody_claims_goes_back_to_each_sender_and_all_are_told(town: Town):
    await town.send(DARA, BOPHA, 5_000)
    await town.through()
    await town.later(days=1)
    await town.send(THIDA, BOPHA, 700)
    await town.through()
    await town.later(days=29)
    await town.returns.sweep()
    await town.through()
    assert await holding(town.sql, DARA) == (400_000, 0, 0)
    assert await holding(town.sql, BOPHA) == (700, 0, 0)
    assert "5,000 KHR came back: ..605 did not claim it." in (await town.inbox(DARA))[-1]
    assert "5,000 KHR from S*** D*** ..601 went back" in (await town.inbox(BOPHA))[-1]
    await town.later(days=1)
    await town.returns.sweep()
    await town.through()
    assert await holding(town.sql, THIDA) == (400_000, 0, 0)
    assert await holding(town.sql, BOPHA) == (0, 0, 0)
    assert await town.states() == ["returned", "returned"]
    assert (await town.wallet(BOPHA))["claim"] == "waiting"
