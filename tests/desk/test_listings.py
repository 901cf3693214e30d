"""Wallets at other banks: published on the ledger, found, paid, and paid from."""

import pytest
from money_parts import (
    DARA,
    MESSAGE,
    THIDA,
    Desk,
    MemoryLedger,
    account,
    counters,
    eventually,
    fetch,
    holding,
    khr,
    person,
)

from gateway.desk.blocks import start_cursor
from gateway.desk.directory import Directory
from gateway.desk.listings import Banks, published
from gateway.stores.tables import Listing, table_of
from ledger_client.ledger import CreateAccount, Reached, SetAccountDetail, TransferAsset
from menus.effects import (
    Committed,
    FindPayee,
    LastPayment,
    NoWallet,
    PayeeFound,
    PayeesFound,
    ReadLastPayment,
)
from menus.kinds import Msisdn

LISTING = table_of(Listing)
BANKS = Banks("bank", "Mekong", {"aba": "ABA Bank"})
SREY = Msisdn("+85512345677")  # a customer of other banks only
AT_ABA = "srey@aba"


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
async def desk(sql, clock, ledger) -> Desk:
    await person(sql, DARA, ledger, riel=400_000)
    await person(sql, THIDA, ledger, riel=50_000)
    await sql.run(start_cursor, [Reached(0)])
    return Desk(sql, ledger, clock, any_pin=True, banks=BANKS)


def lists(bank: str, number: Msisdn, value: str, opener: str = "opener"):
    """What another bank writes on the ledger."""
    return f"{opener}@{bank}", [SetAccountDetail(f"opener@{bank}", number.e164[1:], value)]


async def told(desk: Desk, ledger: MemoryLedger, *transactions) -> None:
    """A block with these is settled."""
    ledger.block(*transactions)
    assert await desk.follower._settle(ledger.blocks_made[-1])


async def find(desk: Desk, number: Msisdn, asker: Msisdn = DARA):
    directory = Directory(desk.sql, desk.clock, banks=BANKS)
    return await directory.find_payee(FindPayee(number), desk.origin(asker))


async def test_a_number_listed_by_another_bank_is_found_there(desk, ledger):
    assert await find(desk, SREY) == NoWallet(SREY)
    await told(desk, ledger, lists("aba", SREY, AT_ABA))
    assert await find(desk, SREY) == PayeeFound(SREY, AT_ABA, "", "ABA Bank")


async def test_a_bank_without_a_name_is_shown_by_its_domain(desk, ledger):
    await told(desk, ledger, lists("wing.example", SREY, "srey@wing.example"))
    assert (await find(desk, SREY)).bank == "wing.example"


async def test_a_number_with_wallets_at_several_banks_is_found_at_each_ours_first(desk, ledger):
    await told(desk, ledger, lists("aba", THIDA, "thida@aba"), lists("wing", THIDA, "t@wing"))
    found = await find(desk, THIDA)
    assert isinstance(found, PayeesFound)
    assert [(one.account_id, one.bank) for one in found.wallets] == [
        (account(THIDA), "Mekong"),
        ("thida@aba", "ABA Bank"),
        ("t@wing", "wing"),
    ]
    assert found.wallets[0].name


async def test_a_listing_is_replaced_and_withdrawn(desk, ledger):
    await told(desk, ledger, lists("aba", SREY, AT_ABA))
    await told(desk, ledger, lists("aba", SREY, "srey_2@aba"))
    assert (await find(desk, SREY)).account_id == "srey_2@aba"
    await told(desk, ledger, lists("aba", SREY, "-"), lists("wing", SREY, "-"))
    assert await find(desk, SREY) == NoWallet(SREY)


@pytest.mark.parametrize(
    "transaction",
    [
        lists("aba", SREY, "srey@wing"),  # not its own account to list
        lists("aba", SREY, "srey@fakeaba"),
        lists("aba", SREY, AT_ABA, opener="treasury"),  # not the opener's word
        lists("aba", SREY, "Srey Mom"),
        lists("aba", SREY, ""),
        lists("bank", SREY, "x@bank"),  # our own bank's are rows of ours
        ("opener@aba", [SetAccountDetail("opener@aba", "hours", "srey@aba")]),
        ("opener@aba", [SetAccountDetail("opener@aba", "012345677", "srey@aba")]),
        ("opener@aba", [SetAccountDetail("srey@aba", SREY.e164[1:], AT_ABA)]),
        ("opener@aba", [CreateAccount("srey", "aba", "ab" * 32)]),
    ],
)
async def test_whatever_else_is_written_on_the_ledger_lists_nothing(desk, ledger, transaction):
    await told(desk, ledger, transaction)
    assert await fetch(desk.sql, LISTING) == []


def test_what_we_publish_is_what_we_read():
    assert published("opener@aba", SREY.e164, AT_ABA) == SetAccountDetail(
        "opener@aba", "85512345677", AT_ABA
    )


async def test_a_customer_of_another_bank_is_paid_and_the_sender_reads_where(desk, ledger, clock):
    await told(desk, ledger, lists("aba", SREY, AT_ABA))
    async with desk.running():
        paid = await desk.pay(DARA, SREY, khr(5_000), dest=AT_ABA)
        assert isinstance(paid, Committed)
        assert (paid.to, paid.name) == (SREY, "ABA Bank")
    assert ledger.held[AT_ABA, "khr#nbc"] == 5_000
    assert await holding(desk.sql, DARA) == (395_000, 0, 0)
    assert (await counters(desk.sql, DARA))["KHR", "2026-11-22"] == (5_000, 1)
    (sms,) = await fetch(desk.sql, MESSAGE)
    assert sms["msisdn"] == DARA.e164
    assert "ABA Bank ..677" in sms["text"]
    last = await desk.reads.read_last_payment(ReadLastPayment(), desk.origin(DARA))
    assert isinstance(last, LastPayment)
    assert last.other == "ABA Bank ..677"


async def test_a_payment_there_that_the_ledger_refuses_gives_all_back(desk, ledger):
    await told(desk, ledger, lists("aba", SREY, AT_ABA))
    ledger.refuse_all = True
    async with desk.running():
        await desk.pay(DARA, SREY, khr(5_000), dest=AT_ABA)

        async def given_back() -> bool:
            return await holding(desk.sql, DARA) == (400_000, 0, 0)

        await eventually(given_back)
    assert (await counters(desk.sql, DARA))["KHR", "2026-11-22"] == (0, 0)


@pytest.mark.parametrize("dest", [AT_ABA, "srey@wing", "treasury@bank", account(THIDA)])
async def test_an_account_that_is_not_listed_for_the_number_is_not_paid(desk, ledger, dest):
    await told(desk, ledger, lists("aba", THIDA, AT_ABA))  # somebody else's number
    assert await desk.pay(DARA, SREY, khr(5_000), dest=dest) == NoWallet(SREY)


async def test_with_wallets_here_and_there_the_one_that_was_chosen_is_paid(desk, ledger):
    await told(desk, ledger, lists("aba", THIDA, "thida@aba"))
    async with desk.running():
        await desk.pay(DARA, THIDA, khr(1_000), dest="thida@aba")
        await desk.pay(DARA, THIDA, khr(2_000))
    assert ledger.held["thida@aba", "khr#nbc"] == 1_000
    assert (await holding(desk.sql, THIDA))[0] == 52_000


async def test_money_from_another_banks_customer_comes_with_an_sms_that_says_from_whom(
    desk, ledger
):
    ledger.held[AT_ABA, "khr#nbc"] += 9_000
    await told(desk, ledger, lists("aba", SREY, AT_ABA))
    sent = TransferAsset(AT_ABA, account(DARA), "khr#nbc", "7000", "theirs")
    await told(desk, ledger, (AT_ABA, [sent]))
    assert (await holding(desk.sql, DARA))[0] == 407_000
    (sms,) = await fetch(desk.sql, MESSAGE)
    assert sms["msisdn"] == DARA.e164
    assert "7,000 KHR" in sms["text"]
    assert "ABA Bank ..677" in sms["text"]
    assert "theirs" not in sms["text"]


async def test_money_from_a_number_that_is_ours_too_comes_from_the_bank_that_says_so(desk, ledger):
    ledger.held["thida@aba", "khr#nbc"] += 9_000
    await told(desk, ledger, lists("aba", THIDA, "thida@aba"))
    sent = TransferAsset("thida@aba", account(DARA), "khr#nbc", "7000", "")
    await told(desk, ledger, ("thida@aba", [sent]))
    (sms,) = await fetch(desk.sql, MESSAGE)
    assert "from ABA Bank ..602" in sms["text"]


async def test_both_banks_call_a_payment_by_the_ref_of_who_sends_it(desk, ledger):
    ledger.held[AT_ABA, "khr#nbc"] += 9_000
    sent = TransferAsset(AT_ABA, account(DARA), "khr#nbc", "7000", "K7Q2M9XA")
    await told(desk, ledger, (AT_ABA, [sent]))
    (sms,) = await fetch(desk.sql, MESSAGE)
    assert "Ref K7Q2M9XA." in sms["text"]
