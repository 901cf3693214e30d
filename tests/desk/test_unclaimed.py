"""Money for a number without a wallet: who may send it, and who is told; claimed by a PIN."""

import asyncio

import pytest
from clocks import FakeClock
from custody_parts import OTHER, WALLET, rows
from money_parts import (
    BORA,
    DARA,
    SUBMISSION,
    THIDA,
    TRANSFER,
    account,
    counters,
    fetch,
    holding,
    khr,
    person,
)
from replacement_parts import FIRST, NEW
from unclaimed_parts import BOPHA, SREY, UNCLAIMED, Town, TownLedger, two_processes

from gateway.desk.openings import Profile
from gateway.desk.recovery import RecoveryError
from gateway.desk.unclaimed import Terms
from ledger_client.ledger import SetAccountDetail
from menus.effects import (
    Committed,
    InProgress,
    JustOpening,
    KeyRenewing,
    LimitKind,
    NoOwnerYet,
    NoWallet,
    OverLimit,
    PayeeFound,
    PayeeFull,
    TooManyMade,
    WalletExists,
    WrongPin,
)
from menus.kinds import Msisdn, Pin


@pytest.fixture
async def town(sqlite_sql, clock: FakeClock) -> Town:
    town = Town(sqlite_sql, TownLedger(), clock)
    await town.begin(DARA, THIDA)
    return town


# ---- made and claimed


async def test_money_waits_for_a_stranger_who_claims_it_with_a_pin_and_can_spend_it(sql, clock):
    town = Town(sql, TownLedger(), clock)
    await town.begin(DARA)
    assert await town.look_up(DARA, BOPHA) == NoOwnerYet(BOPHA)
    assert isinstance(await town.send(DARA, BOPHA, 5_000), InProgress)
    await town.through()
    assert await holding(town.sql, BOPHA) == (5_000, 0, 0)
    assert await holding(town.sql, DARA) == (395_000, 0, 0)
    wallet = await town.wallet(BOPHA)
    assert (wallet["state"], wallet["claim"], wallet["tier"]) == ("open", "waiting", "unclaimed")
    (invitation,) = await town.inbox(BOPHA)
    assert "S*** D*** ..601 sent you 5,000 KHR. Dial *855#, choose a PIN before" in invitation
    assert "before 10:00 22/12" in invitation
    (receipt,) = await town.inbox(DARA)
    assert "Sent 5,000 KHR to ..605. It comes back if not claimed before 10:00 22/12." in receipt

    assert await town.claim(BOPHA) == KeyRenewing()
    await town.through()
    wallet = await town.wallet(BOPHA)
    assert (wallet["claim"], wallet["tier"]) == ("", "basic")
    assert await town.states() == ["claimed"]
    assert "wallet is open" in (await town.inbox(BOPHA))[-1]
    assert await town.look_up(DARA, BOPHA) == PayeeFound(BOPHA, account(BOPHA), "")
    await town.desk.pay(BOPHA, DARA, khr(2_000), pin=NEW, wait_s=0.001)
    await town.through()
    assert await holding(town.sql, BOPHA) == (3_000, 0, 0)


async def test_account_grants_and_payment_are_stored_and_sent_as_one_batch(town: Town):
    await town.send(DARA, BOPHA, 5_000)
    sent = sorted(await fetch(town.sql, SUBMISSION), key=lambda row: row["position"])
    assert [row["purpose"] for row in sent] == ["opening", "grant", "transfer"]
    assert {row["batch"] for row in sent} == {sent[0]["tx_hash"]}
    await town.desk.outbox.round()
    assert town.ledger.calls == [[row["tx_hash"] for row in sent]]


async def test_the_same_turn_asked_again_makes_one_wallet_and_pays_once(town: Town):
    where = town.desk.origin(DARA, wait_s=0.001)
    for _ in range(2):
        said = await town.send(DARA, BOPHA, 5_000, intent="once", origin=where)
        assert isinstance(said, InProgress)
    await town.through()
    said = await town.send(DARA, BOPHA, 5_000, intent="once", origin=where)
    assert said == Committed(said.ref, BOPHA, "", khr(5_000), khr(395_000))
    assert len(await fetch(town.sql, TRANSFER)) == 1


async def test_a_wrong_pin_makes_nothing(town: Town):
    assert await town.send(DARA, BOPHA, 5_000, pin=Pin("111222")) == WrongPin(2)
    assert len(await rows(town.sql, WALLET)) == 2


async def test_further_senders_add_to_it_under_its_own_lower_limits(town: Town):
    await town.send(DARA, BOPHA, 300_000)
    await town.through()
    assert await town.look_up(THIDA, BOPHA) == NoOwnerYet(BOPHA)
    await town.send(THIDA, BOPHA, 400_000)
    await town.through()
    assert await holding(town.sql, BOPHA) == (700_000, 0, 0)
    assert isinstance(await town.send(DARA, BOPHA, 100_000), InProgress)
    await person(town.sql, BORA, town.ledger, riel=900_000)
    assert await town.send(BORA, BOPHA, 1) == OverLimit(LimitKind.LEAST, khr(100))
    assert await town.send(BORA, BOPHA, 400_001) == OverLimit(LimitKind.MOST, khr(400_000))
    assert await town.send(BORA, SREY, 400_001) == OverLimit(LimitKind.MOST, khr(400_000))
    assert await town.send(BORA, BOPHA, 100) == PayeeFull()
    await town.through()
    assert len(await town.inbox(BOPHA)) == 3


async def test_one_sender_has_only_so_many_wallets_made_in_a_day(sqlite_sql, clock):
    town = Town(sqlite_sql, TownLedger(), clock, terms=Terms(wallets_per_day=2))
    await town.begin(DARA, THIDA)
    numbers = [Msisdn(f"+8551234570{n}") for n in range(4)]
    for number in numbers[:2]:
        assert isinstance(await town.send(DARA, number, 100), InProgress)
        await town.through()
    assert await town.send(DARA, numbers[2], 100) == TooManyMade()
    assert isinstance(await town.send(DARA, numbers[0], 100), InProgress)  # is made already
    assert isinstance(await town.send(THIDA, numbers[2], 100), InProgress)
    await town.later(days=1)
    assert isinstance(await town.send(DARA, numbers[3], 100), InProgress)


async def test_many_at_once_on_two_processes_make_no_more_than_a_days_wallets(database_url, clock):
    async with two_processes(database_url, clock, Terms(wallets_per_day=3)) as (one, other):
        await one.begin(DARA)
        numbers = [Msisdn(f"+8551234570{n}") for n in range(8)]
        said = await asyncio.gather(
            *((one, other)[n % 2].send(DARA, to, 100) for n, to in enumerate(numbers))
        )
        made = [each for each in said if isinstance(each, InProgress)]
        assert 1 <= len(made) <= 3  # the PIN guard may stop some of so many at once
        assert len(await rows(one.sql, WALLET, claim="waiting")) == len(made)
        assert (await counters(one.sql, DARA))["made", "2026-11-22"] == (0, len(made))


async def test_of_two_senders_at_once_one_makes_the_wallet_and_the_other_asks_again(
    database_url, clock
):
    async with two_processes(database_url, clock) as (one, other):
        await one.begin(DARA, THIDA)
        said = await asyncio.gather(
            one.send(DARA, BOPHA, 5_000), other.send(THIDA, BOPHA, 700), one.send(THIDA, SREY, 100)
        )
        assert JustOpening(BOPHA) in said[:2]
        assert len(await fetch(one.sql, WALLET, msisdn=BOPHA.e164)) == 1
        await one.through()
        assert (await holding(one.sql, BOPHA))[0] in (700, 5_000)
        for number in (DARA, THIDA):
            assert (await holding(one.sql, number))[1] == 0


async def test_two_senders_of_one_commit_do_not_both_make_it(town: Town):
    said = await asyncio.gather(town.send(DARA, BOPHA, 5_000), town.send(THIDA, BOPHA, 700))
    assert JustOpening(BOPHA) in said
    assert await town.look_up(DARA, BOPHA) == JustOpening(BOPHA)


# ---- not made


async def test_a_batch_that_the_ledger_refuses_leaves_no_wallet_and_tells_the_sender(sql, clock):
    town = Town(sql, TownLedger(), clock)
    await town.begin(DARA, THIDA)
    town.ledger.held[account(DARA), "khr#nbc"] -= 399_000  # it was spent past us
    ref = (await town.send(DARA, BOPHA, 5_000)).ref
    await town.through()
    assert account(BOPHA) not in town.ledger.keys
    assert (await town.wallet(BOPHA))["state"] == "closed"
    assert {row["state"] for row in await fetch(town.sql, SUBMISSION)} == {"rejected"}
    assert await holding(town.sql, DARA) == (400_000, 0, 0)
    assert (await counters(town.sql, DARA))["KHR", "2026-11-22"] == (0, 0)
    assert await town.inbox(BOPHA) == []
    (told,) = await town.inbox(DARA)
    assert told.startswith("Not sent: 5,000 KHR to ..605.")
    assert ref in told
    # The next payment makes another account for the number.
    await town.send(THIDA, BOPHA, 700)
    await town.through()
    (wallet,) = await fetch(town.sql, WALLET, msisdn=BOPHA.e164, state="open")
    assert wallet["account_id"] == "85512345605_2@bank"


async def test_a_batch_that_never_left_is_cancelled_whole(town: Town):
    town.ledger.away = True
    await town.send(DARA, BOPHA, 5_000)
    for _ in range(2):
        await town.desk.outbox.round()
        await town.clock.advance(601)
    assert {row["state"] for row in await fetch(town.sql, SUBMISSION)} == {"cancelled"}
    assert (await town.wallet(BOPHA))["state"] == "closed"
    assert await holding(town.sql, DARA) == (400_000, 0, 0)
    assert await holding(town.sql, BOPHA) == (0, 0, 0)
    town.ledger.away = False
    assert await town.look_up(DARA, BOPHA) == NoOwnerYet(BOPHA)


async def test_a_number_that_is_opening_a_wallet_itself_is_not_paid_yet(town: Town):
    await person(town.sql, BOPHA, state="opening")
    assert await town.look_up(DARA, BOPHA) == JustOpening(BOPHA)
    assert await town.send(DARA, BOPHA, 5_000) == JustOpening(BOPHA)


async def test_whoever_opens_a_wallet_while_one_is_being_made_is_told_that_there_is_one(
    town: Town,
):
    await town.send(DARA, BOPHA, 5_000)
    said = await town.wallets.open(BOPHA, await town.kept(), Profile(), 0.0)
    assert said == WalletExists()


async def test_a_wallet_opened_since_the_number_was_shown_is_shown_first(town: Town):
    await person(town.sql, BOPHA)
    assert await town.send(DARA, BOPHA, 5_000) == JustOpening(BOPHA)
    listed = SetAccountDetail("opener@aba", SREY.e164[1:], "srey@aba")
    town.ledger.block(("opener@aba", [listed]))
    await town.settle()
    assert await town.send(DARA, SREY, 5_000) == JustOpening(SREY)


async def test_switched_off_strangers_are_refused_as_before(sqlite_sql, clock):
    town = Town(sqlite_sql, TownLedger(), clock, terms=Terms(days=0))
    await town.begin(DARA)
    assert await town.look_up(DARA, BOPHA) == NoWallet(BOPHA)
    assert await town.send(DARA, BOPHA, 5_000) == NoWallet(BOPHA)


async def test_nobody_is_a_stranger_to_himself(town: Town):
    assert await town.send(DARA, DARA, 5_000) == NoWallet(DARA)


# ---- published


def published(town: Town) -> list[tuple[str, str]]:
    transactions = (one for block in town.ledger.blocks_made for one in block.transactions)
    commands = (command for one in transactions for command in one.commands)
    return [(one.key, one.value) for one in commands if isinstance(one, SetAccountDetail)]


async def test_other_banks_learn_of_a_wallet_only_with_its_claim(sql, clock):
    town = Town(sql, TownLedger(), clock)
    await town.begin(DARA)
    await town.send(DARA, BOPHA, 5_000)
    await town.through()
    assert published(town) == []
    await town.claim(BOPHA)
    await town.through()
    assert published(town) == [(BOPHA.e164[1:], account(BOPHA))]
    assert (await town.wallet(BOPHA))["claim"] == ""
    await town.renewals.renew(await town.kept(OTHER), NEW, town.at(BOPHA))
    await town.through()
    assert len(published(town)) == 1, "another key is no news to them"


async def test_a_claim_that_the_ledger_refuses_is_not_published(town: Town):
    await town.send(DARA, BOPHA, 5_000)
    await town.through()
    await town.claim(BOPHA)
    town.ledger.refuse_all = True
    await town.through()
    assert published(town) == []
    assert (await town.wallet(BOPHA))["claim"] == "waiting"


# ---- told


async def test_a_stranger_is_texted_only_so_often_in_a_day_whoever_pays(town: Town):
    for amount in (100, 200):
        await town.send(DARA, BOPHA, amount)
        await town.through()
        await town.send(THIDA, BOPHA, amount)
        await town.through()
    assert len(await town.inbox(BOPHA)) == 3
    assert len(await town.inbox(DARA)) == 2
    assert sorted(row["told"] for row in await fetch(town.sql, UNCLAIMED)) == [False, *[True] * 3]
    await town.later(days=1.01)
    await town.send(DARA, BOPHA, 500)
    await town.through()
    assert len(await town.inbox(BOPHA)) == 4
    await town.claim(BOPHA)
    await town.through()
    for amount in (600, 700):  # an owner wants every receipt
        await town.desk.pay(DARA, BOPHA, khr(amount), wait_s=0.001)
        await town.through()
    assert len(await town.inbox(BOPHA)) == 4 + 1 + 2


async def test_money_from_another_bank_waits_like_any_other(town: Town):
    await town.send(DARA, BOPHA, 700_000 // 2)
    await town.through()
    town.ledger.pay_in(account(BOPHA), "900000", src="srey@aba")
    await town.settle()
    assert await holding(town.sql, BOPHA) == (1_250_000, 0, 0)  # it cannot be refused
    assert await town.states() == ["waiting", "waiting"]
    assert "sent you 900,000 KHR. Dial *855#" in (await town.inbox(BOPHA))[-1]


async def test_the_bank_recovers_no_wallet_that_nobody_has_claimed(town: Town):
    await town.send(DARA, BOPHA, 5_000)
    await town.through()
    with pytest.raises(RecoveryError, match="has no wallet here"):
        await town.recovery.begin(BOPHA, "forgotten", FIRST, town.ledger)
