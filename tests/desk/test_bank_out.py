"""Payments to accounts at member banks: the same life as any, by the bank's settlement account."""

import asyncio

import pytest
from money_parts import (
    DARA,
    MESSAGE,
    SUBMISSION,
    THIDA,
    TRANSFER,
    Desk,
    MemoryLedger,
    account,
    counters,
    eventually,
    fetch,
    holding,
    khr,
    person,
    usd,
)

from gateway.desk.blocks import start_cursor
from gateway.desk.listings import Banks
from ledger_client.ledger import Reached, TransferAsset
from ledger_client.proto.transaction_pb2 import Transaction
from ledger_client.transaction import commands_of
from menus.bank_accounts import BankAccount, MemberBank
from menus.effects import (
    AskAgain,
    Committed,
    InProgress,
    LastPayment,
    LimitKind,
    OverLimit,
    PayBank,
    PaymentState,
    ReadLastPayment,
    Unavailable,
)
from menus.kinds import Pin

PIN = Pin("730264")
BANKS = Banks("bank", "Mekong", {"aba": "ABA Bank", "wing": "Wing"})
SAVINGS = BankAccount(MemberBank("aba", "ABA Bank"), "000123456")
AT_WING = BankAccount(MemberBank("wing", "Wing"), "000123456")
SETTLEMENT = "settlement@aba"


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
async def desk(sql, clock, ledger) -> Desk:
    await person(sql, DARA, ledger, riel=400_000, cents=100_00, dollars=True)
    await person(sql, THIDA, ledger, riel=50_000)
    await sql.run(start_cursor, [Reached(0)])
    return Desk(sql, ledger, clock, any_pin=True, banks=BANKS)


async def pay(desk: Desk, to=SAVINGS, amount=khr(5_000), *, intent="", again=True, **origin):  # noqa: B008 - frozen
    at = desk.origin(DARA, **origin)
    return await desk.transfers.transfer(PayBank(intent or at.session, to, amount, again, PIN), at)


async def described(desk: Desk) -> list[TransferAsset]:
    """What the bytes that were signed say."""
    rows = await fetch(desk.sql, SUBMISSION)
    return [command for row in rows for command in commands_of(Transaction.FromString(row["data"]))]


async def test_a_payment_reaches_the_banks_settlement_account_and_its_payer_reads_of_it(
    desk, ledger
):
    async with desk.running():
        paid = await pay(desk)
    (row,) = await fetch(desk.sql, TRANSFER)
    assert paid == Committed(row["ref"], SAVINGS, "ABA Bank", khr(5_000), khr(395_000))
    assert paid.to.bank.name == "ABA Bank"
    assert ledger.held[SETTLEMENT, "khr#nbc"] == 5_000
    assert (row["dest_account"], row["dest_msisdn"], row["beneficiary"]) == (
        SETTLEMENT,
        "",
        "000123456",
    )
    assert await holding(desk.sql, DARA) == (395_000, 0, 0)
    assert (await counters(desk.sql, DARA))["KHR", "2026-11-22"] == (5_000, 1)
    (sms,) = await fetch(desk.sql, MESSAGE)
    assert sms["msisdn"] == DARA.e164
    assert f"Sent 5,000 KHR to ABA Bank 000123456. Ref {row['ref']}." in sms["text"]


async def test_the_description_on_the_ledger_is_ref_and_account(desk):
    async with desk.running():
        paid = await pay(desk, BankAccount(SAVINGS.bank, "8" * 20), usd(12_50))
    (command,) = await described(desk)
    assert command == TransferAsset(
        account(DARA), SETTLEMENT, "usd#nbc", "12.50", f"{paid.ref} ACC {'8' * 20}"
    )
    assert len(command.description.encode()) <= 64


async def test_a_payment_to_a_wallet_is_described_by_its_ref_alone(desk):
    async with desk.running():
        paid = await desk.pay(DARA, THIDA, khr(5_000))
    (command,) = await described(desk)
    assert command.description == paid.ref


async def test_a_payment_that_the_ledger_refuses_gives_all_back_and_says_to_whom_it_was(
    desk, ledger
):
    ledger.refuse_all = True
    async with desk.running():
        await pay(desk)

        async def told() -> list:
            return await fetch(desk.sql, MESSAGE)

        (sms,) = await eventually(told)
    assert sms["text"].startswith("Not sent: 5,000 KHR to ABA Bank 000123456.")
    assert await holding(desk.sql, DARA) == (400_000, 0, 0)
    assert (await counters(desk.sql, DARA))["KHR", "2026-11-22"] == (0, 0)
    last = await desk.reads.read_last_payment(ReadLastPayment(), desk.origin(DARA))
    assert isinstance(last, LastPayment)
    assert (last.state, last.other) == (PaymentState.NOT_PAID, "ABA Bank 000123456")


async def test_one_intent_is_paid_once_however_often_it_is_asked_for(desk, ledger):
    async with desk.running():
        outcomes = await asyncio.gather(*(pay(desk, intent="same") for _ in range(5)))
        outcomes.append(await pay(desk, intent="same"))
    assert len({outcome.ref for outcome in outcomes}) == 1
    assert ledger.held[SETTLEMENT, "khr#nbc"] == 5_000
    assert len(await fetch(desk.sql, TRANSFER)) == 1


async def test_an_equal_payment_is_asked_about_and_one_to_another_account_is_not(desk, clock):
    async with desk.running():
        first = await pay(desk, again=False)
        asked = await pay(desk, again=False)
        others = [
            await pay(desk, AT_WING, again=False),
            await pay(desk, BankAccount(SAVINGS.bank, "000123457"), again=False),
            await pay(desk, amount=khr(5_001), again=False),
            await desk.pay(DARA, THIDA, khr(5_000), again=False),
            await pay(desk, again=True),
        ]
    (row,) = await fetch(desk.sql, TRANSFER, ref=first.ref)
    assert isinstance(asked, AskAgain)
    assert (asked.ref, asked.to, asked.settled) == (first.ref, SAVINGS, True)
    assert asked.at.timestamp() * 1000 == row["created_at"]
    assert all(isinstance(outcome, Committed) for outcome in others)


async def test_while_one_is_on_its_way_whoever_pays_anybody_is_told_of_it(desk, ledger):
    ledger.away = True
    stored = await pay(desk, wait_s=0.1)
    assert isinstance(stored, InProgress)
    asked = await desk.pay(DARA, THIDA, khr(700), again=False)
    assert isinstance(asked, AskAgain)
    assert (asked.to, asked.to.bank.name, asked.settled) == (SAVINGS, "ABA Bank", False)
    known = await desk.reads.facts(DARA)
    assert [(one.to, one.ref) for one in known.wallet.recent] == [(SAVINGS, stored.ref)]
    last = await desk.reads.read_last_payment(ReadLastPayment(), desk.origin(DARA))
    assert (last.state, last.other) == (PaymentState.IN_PROGRESS, "ABA Bank 000123456")
    assert await holding(desk.sql, DARA) == (400_000, 5_000, 0)


@pytest.mark.parametrize("bank", ["other", "bank", "", "aba.example"])
async def test_nothing_is_signed_for_a_bank_that_is_not_configured(desk, bank):
    strange = BankAccount(MemberBank(bank, "ABA Bank"), "000123456")
    assert await pay(desk, strange) == Unavailable()
    assert await fetch(desk.sql, TRANSFER) == []
    assert await fetch(desk.sql, SUBMISSION) == []
    assert await counters(desk.sql, DARA) == {}


async def test_what_was_paid_is_still_told_when_the_bank_is_configured_no_longer(
    desk, sql, clock, ledger
):
    async with desk.running():
        paid = await pay(desk, intent="once")
    later = Desk(sql, ledger, clock, any_pin=True, seed="later")
    told = await pay(later, intent="once")
    assert (told.ref, told.to) == (paid.ref, SAVINGS)
    assert await pay(later) == Unavailable()


async def test_limits_are_those_of_any_payment(desk):
    over = await pay(desk, amount=khr(400_001))
    assert over == OverLimit(LimitKind.BALANCE, khr(400_000))
    too_little = await pay(desk, amount=khr(1))
    assert isinstance(too_little, OverLimit)
    assert too_little.limit is LimitKind.LEAST
    assert await fetch(desk.sql, TRANSFER) == []


async def test_two_that_together_are_too_much_are_not_both_paid(desk, ledger):
    async with desk.running():
        outcomes = await asyncio.gather(
            pay(desk, amount=khr(300_000)),
            desk.pay(DARA, THIDA, khr(300_000)),
            pay(desk, AT_WING, khr(300_000)),
        )
    kinds = sorted(type(outcome).__name__ for outcome in outcomes)
    assert kinds == ["Committed", "OverLimit", "OverLimit"]
    assert (await holding(desk.sql, DARA))[0] == 100_000
