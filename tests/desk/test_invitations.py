"""What a day's budget of SMS has held back is told later, once, and only if it still waits."""

import asyncio

import pytest
from money_parts import DARA, MESSAGE, THIDA, fetch
from unclaimed_parts import BOPHA, SREY, Town, TownLedger

from gateway.desk.invitations import Invitations

BUDGET = 3  # of a day


@pytest.fixture
async def town(sql, clock) -> Town:
    town = Town(sql, TownLedger(), clock)
    await town.begin(DARA, THIDA)
    return town


@pytest.fixture
def invitations(town, clock) -> Invitations:
    return Invitations(town.sql, town.desk.receipts, queued=lambda: None, clock=clock)


async def send_too_often(town: Town, to) -> None:
    for amount in (100, 200):
        for sender in (DARA, THIDA):
            await town.send(sender, to, amount)
            await town.through()
    assert len(await town.inbox(to)) == BUDGET


async def test_what_a_days_budget_held_back_is_told_the_next_day_in_one_sms(town, invitations):
    await send_too_often(town, BOPHA)
    assert await invitations.tell() == 0
    await town.later(days=1.1)
    assert sum(await asyncio.gather(invitations.tell(), invitations.tell())) == 1
    (told,) = (await town.inbox(BOPHA))[BUDGET:]
    assert told.startswith("600 KHR waits for you. Dial *855# and choose a PIN before 10:00 22/12")
    await town.later(days=1)
    assert await invitations.tell() == 0, "it is told once"


async def test_it_counts_in_the_budget_of_its_own_day(town, invitations):
    await send_too_often(town, BOPHA)
    await town.later(days=1.1)
    await invitations.tell()
    await town.send(DARA, BOPHA, 300)
    await town.send(THIDA, BOPHA, 300)
    await town.through()
    await town.send(DARA, BOPHA, 400)
    await town.through()
    assert len(await town.inbox(BOPHA)) == 2 * BUDGET
    assert await invitations.tell() == 0
    await town.later(days=1.1)
    assert await invitations.tell() == 1
    assert (await town.inbox(BOPHA))[-1].startswith("1,600 KHR waits for you.")


async def test_nothing_is_told_of_money_that_is_being_claimed_or_was(town, invitations):
    await send_too_often(town, BOPHA)
    await town.later(days=1.1)
    await town.claim(BOPHA)
    assert await invitations.tell() == 0
    await town.through()
    await town.later(days=1.1)
    assert await invitations.tell() == 0
    assert not [text for text in await town.inbox(BOPHA) if "waits for you" in text]


async def test_nothing_is_told_of_money_that_goes_back_or_has(town, invitations):
    await send_too_often(town, SREY)
    await town.later(days=30.1)
    assert await invitations.tell() == 0, "it is due"
    await town.go_back()
    assert await invitations.tell() == 0


async def test_an_invitation_that_waits_for_the_carrier_is_not_sent_once_the_money_is_claimed(town):
    await town.send(DARA, BOPHA, 5_000)
    await town.through()
    await town.claim(BOPHA)
    await town.through()
    rows = await fetch(town.sql, MESSAGE, msisdn=BOPHA.e164)
    assert sorted((row["kind"], row["state"], bool(row["text"])) for row in rows) == [
        ("invitation", "dropped", False),
        ("notice", "queued", True),
    ]


async def test_an_invitation_that_waits_for_the_carrier_is_told_anew_of_what_stays(
    town, invitations
):
    await town.send(DARA, BOPHA, 5_000)
    await town.through()
    await town.later(days=29)
    await town.send(THIDA, BOPHA, 700)
    await town.through()
    await town.later(days=1.1)
    await town.go_back()
    assert await invitations.tell() == 1
    waiting = [row for row in await fetch(town.sql, MESSAGE, msisdn=BOPHA.e164) if row["text"]]
    told = [row["text"] for row in waiting if row["kind"] == "invitation"]
    assert [text[:7] for text in told] == ["700 KHR"]
