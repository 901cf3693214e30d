"""A wallet whose opening was given up, and which the ledger has made all the same."""

import pytest
from clocks import FakeClock
from custody_parts import WALLET
from money_parts import DARA, SUBMISSION, account, fetch, holding
from structlog.testing import capture_logs
from unclaimed_parts import BOPHA, Town, TownLedger

from gateway.desk.openings import Profile
from menus.effects import KeyRenewing


@pytest.fixture
async def town(sqlite_sql, clock: FakeClock) -> Town:
    town = Town(sqlite_sql, TownLedger(), clock)
    await town.begin(DARA)
    return town


async def given_up(town: Town) -> list[bytes]:
    """What was never sent from here is cancelled; its bytes, as another life had sent them."""
    rows = [row for row in await fetch(town.sql, SUBMISSION) if row["state"] == "signed"]
    await town.later(days=0.1)
    await town.desk.outbox.round()
    return [row["data"] for row in sorted(rows, key=lambda row: row["position"])]


async def test_it_opens_and_what_came_with_it_can_be_claimed(sql, clock):
    town = Town(sql, TownLedger(), clock)
    await town.begin(DARA)
    await town.send(DARA, BOPHA, 5_000)
    batch = await given_up(town)
    assert (await town.wallet(BOPHA))["state"] == "closed"
    await town.ledger.submit(batch)
    await town.through()
    wallet = await town.wallet(BOPHA)
    assert (wallet["state"], wallet["claim"]) == ("open", "waiting")
    assert wallet["opened_at"]
    (invitation,) = await town.inbox(BOPHA)
    assert "sent you 5,000 KHR. Dial *855#" in invitation
    assert "It comes back if not claimed" in (await town.inbox(DARA))[-1]
    assert await town.claim(BOPHA) == KeyRenewing()
    await town.through()
    assert (await town.wallet(BOPHA))["claim"] == ""


async def test_what_came_with_it_goes_back_if_nobody_claims_it(town: Town):
    await town.send(DARA, BOPHA, 5_000)
    await town.ledger.submit(await given_up(town))
    await town.through()
    await town.later(days=31)
    await town.go_back()
    assert await holding(town.sql, DARA) == (400_000, 0, 0)


async def test_its_owner_who_was_told_that_it_did_not_open_is_told_that_it_is(town: Town):
    await town.wallets.open(BOPHA, await town.kept(), Profile(), town.at(BOPHA).deadline)
    batch = await given_up(town)
    await town.ledger.submit(batch)
    await town.through()
    assert (await town.wallet(BOPHA))["state"] == "open"
    failed, opened = await town.inbox(BOPHA)
    assert "not" in failed
    assert "wallet is open" in opened


async def test_where_its_number_has_another_by_now_it_stays_closed_and_a_fault_names_it(town: Town):
    await town.send(DARA, BOPHA, 5_000)
    first = await given_up(town)
    await town.send(DARA, BOPHA, 6_000)
    await town.ledger.submit(first)
    with capture_logs() as lines:
        await town.through()
    assert (await town.wallet(BOPHA))["state"] == "closed"
    (told,) = (line for line in lines if "its number has another" in line["event"])
    assert told["account"] == account(BOPHA)
    (second,) = await fetch(town.sql, WALLET, account_id=account(BOPHA).replace("@", "_2@"))
    assert second["state"] == "open"


async def test_of_two_of_one_number_one_opens(town: Town):
    await town.send(DARA, BOPHA, 5_000)
    first = await given_up(town)
    await town.send(DARA, BOPHA, 6_000)
    second = await given_up(town)
    await town.ledger.submit([*first, *second])
    with capture_logs() as lines:
        await town.through()
    assert (await town.wallet(BOPHA))["state"] == "open"
    (told,) = (line for line in lines if "its number has another" in line["event"])
    assert told["account"] == account(BOPHA).replace("@", "_2@")
