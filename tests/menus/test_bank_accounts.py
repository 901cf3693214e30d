"""Money for a bank account: which bank, which account, and the page that names both."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from talk import CHAN, DOLLARS, NOW, OPEN, PIN, SOK, Phone, World, answering

from menus.bank_accounts import LONGEST_BANK, BankAccount, MemberBank
from menus.effects import (
    AskAgain,
    InProgress,
    LimitKind,
    OverLimit,
    PayBank,
    Rejected,
    Unavailable,
    Unconfirmed,
    WrongPin,
)
from menus.engine import Recent
from menus.flows.send_to_bank import SendToBank
from menus.forms import about
from menus.kind import Context, Refusal
from menus.kinds import Currency, Money, Pin, shown_other

ABA, WING = MemberBank("aba", "ABA Bank"), MemberBank("wing", "Wing")
SAVINGS = BankAccount(ABA, "000123456")
RIEL = Money(Currency.KHR, 5000)
SERVICE = replace(SOK.service, banks=(("aba", "ABA Bank"), ("wing", "Wing")))
SOK = replace(SOK, service=SERVICE)
TO_PIN = ("2", "1", "000 123 456", "5000")
CONTEXT = Context(SOK, "number", {"bank": ABA}, ("en", "km"))
KHMER = str.maketrans("0123456789", "០១២៣៤៥៦៧៨៩")
NUMBERS = st.text("0123456789", min_size=6, max_size=20)


def dialling(*outcomes, facts=SOK) -> Phone:
    return Phone(facts, answering(*((PayBank, outcome) for outcome in outcomes))).dial()


def paying(*typed, facts=SOK) -> PayBank:
    world = World()
    Phone(facts, world).dial().type(*typed)
    (effect,) = (effect for effect in world.done if isinstance(effect, PayBank))
    return effect


def recently(to, *, settled):
    recent = Recent(to, RIEL, NOW, settled=settled, ref="R6")
    return replace(SOK, wallet=replace(OPEN, recent=(recent,)))


# --- the conversation -----------------------------------------------------------------------------


def test_without_member_banks_nobody_is_offered_it():
    alone = replace(SOK, service=replace(SERVICE, banks=()))
    assert "bank account" not in dialling(facts=alone).screen
    assert Phone(alone).dial("7").screen == Phone(alone).dial().screen


def test_from_the_menu_to_the_bank_page_by_page():
    phone = Phone(SOK).dial()
    assert phone.screen.startswith("1 Send money\n2 Send to a bank account\n3 Balance\n")
    assert phone.type("2").screen == "To which bank?\n1 ABA Bank\n2 Wing\n0 Back"
    assert phone.type("1").screen == "Account number at ABA Bank?\n0 Back"
    assert phone.type("000-123-456").screen == "How much, in KHR?\n0 Back"
    assert phone.type("5000").screen == (
        "Send 5,000 KHR to account 000 123 456, ABA Bank\nPIN to confirm\n0 Back"
    )
    assert (
        phone.type(PIN).screen
        == "Sent 5,000 KHR to ABA Bank 000123456. Ref R7. Balance 395,000 KHR"
    )
    assert phone.ended


def test_what_was_typed_is_what_is_paid():
    effect = paying("2", "2", "០០០ ១២៣ ៤៥៦", "5000", PIN)
    assert (effect.to, effect.amount, effect.again) == (
        BankAccount(WING, "000123456"),
        RIEL,
        False,
    )
    assert effect.to.bank.name == "Wing"


def test_dollars_are_asked_about_only_of_those_who_have_them():
    dollars = replace(SOK, wallet=DOLLARS)
    phone = Phone(dollars).dial().type("2", "1", "000123456")
    assert phone.screen.startswith("Send what?")
    assert paying("2", "1", "000123456", "2", "12*50", PIN, facts=dollars).amount == Money(
        Currency.USD, 1250
    )


@pytest.mark.parametrize("typed", ["12345", "1" * 21, "12 34-5a", "", "-123456", "+123456789", "x"])
def test_what_is_no_account_number_is_asked_again(typed):
    phone = dialling().type("2", "1", typed)
    assert phone.screen == (
        "Type the account number, 6 to 20 digits.\nAccount number at ABA Bank?\n0 Back"
    )


@pytest.mark.parametrize("typed", ["3", "x", "aba", "ABA"])
def test_a_bank_that_is_not_listed_is_not_taken(typed):
    assert "To which bank?" in dialling().type("2", typed).screen


def test_a_bank_may_be_named():
    assert dialling().type("2", "aba bank").screen.startswith("Account number at ABA Bank?")


def test_other_answers_are_another_intent_and_the_same_ones_the_same():
    phone = dialling().type(*TO_PIN)
    first = phone.intent
    assert phone.type("0", "5000").intent == first
    assert phone.type("0", "0", "000123457", "5000").intent != first
    assert phone.type("0", "0", "0", "2", "000123456", "5000").intent != first


def test_a_deep_dial_stops_at_the_bank_because_banks_come_and_go():
    phone = Phone(SOK).dial("7", "1", "000123456", "5000")
    assert phone.screen.startswith("To which bank?")
    assert phone.type("1").screen.startswith("Account number")


def test_a_dropped_conversation_is_offered_by_amount_and_account():
    dropped = dialling().type(*TO_PIN)
    again = Phone(SOK).dial(previous=dropped.state)
    assert again.screen == "1 Continue sending 5,000 KHR to ABA Bank 000123456\n2 Start again"
    again.type("1")
    assert (again.screen, again.intent) == (dropped.screen, dropped.intent)


@pytest.mark.parametrize(
    ("outcome", "ends", "says"),
    [
        (InProgress("R7"), True, "In progress, ref R7. An SMS will tell. Do not pay again."),
        (Rejected("R7"), True, "Not sent, ref R7. No money left your wallet."),
        (OverLimit(LimitKind.DAY, Money(Currency.KHR, 2000)), False, "Today you can still send"),
        (OverLimit(LimitKind.COUNT, Money(Currency.KHR, 0)), True, "No more payments today."),
        (
            AskAgain("R6", RIEL, SAVINGS, NOW, settled=True),
            False,
            "You sent 5,000 KHR to ABA Bank 000123456 at 14:00 22/11.\nSend it again?",
        ),
        (
            AskAgain("R6", RIEL, CHAN, NOW, settled=False),
            False,
            "5,000 KHR to ..602 is still on its way, ref R6.\nSend it again?",
        ),
        (WrongPin(2), False, "Wrong PIN. Tries left: 2.\nSend 5,000 KHR to account 000 123 456"),
        (Unconfirmed(), True, "Not confirmed. Look at Last payment"),
        (Unavailable(), True, "Not confirmed. Look at Last payment"),
    ],
)
def test_every_outcome_is_told(outcome, ends, says):
    phone = dialling(outcome).type(*TO_PIN, PIN)
    assert phone.ended is ends
    assert phone.screen.startswith(says)


def test_no_outcome_speaks_of_wallets_or_of_room_in_them():
    names = {outcome.__name__ for outcome in about(SendToBank).outcomes}
    assert not names & {"NoWallet", "PayeeFull"}


# --- paying twice ---------------------------------------------------------------------------------


def test_an_equal_payment_is_asked_about_before_the_pin():
    phone = dialling(facts=recently(SAVINGS, settled=True)).type(*TO_PIN)
    assert phone.screen == (
        "You sent 5,000 KHR to ABA Bank 000123456 at 14:00 22/11.\n1 Send anyway\n0 Back"
    )
    assert paying(*TO_PIN, "1", PIN, facts=recently(SAVINGS, settled=True)).again


@pytest.mark.parametrize(
    "to", [BankAccount(WING, "000123456"), BankAccount(ABA, "000123457"), CHAN]
)
def test_a_payment_to_another_account_is_not_an_equal_one(to):
    phone = dialling(facts=recently(to, settled=True)).type(*TO_PIN)
    assert phone.screen.startswith("Send 5,000 KHR to account")


def test_a_bank_that_was_given_another_name_is_still_the_same():
    renamed = BankAccount(MemberBank("aba", "ABA"), "000123456")
    assert "You sent" in dialling(facts=recently(renamed, settled=True)).type(*TO_PIN).screen


def test_one_that_is_on_its_way_to_a_bank_is_told_to_who_sends_to_a_number():
    facts = recently(SAVINGS, settled=False)
    phone = Phone(facts).dial().type("1", "012345602", "700")
    assert phone.screen.startswith("5,000 KHR to ABA Bank 000123456 is still on its way.")


# --- the kinds ------------------------------------------------------------------------------------


@given(NUMBERS, st.lists(st.sampled_from(["", " ", "-", "  ", " - "]), min_size=20, max_size=20))
def test_an_account_number_is_read_however_it_is_divided(number, between):
    written = "".join(f"{digit}{gap}" for digit, gap in zip(number, between, strict=False))
    for text in (written.rstrip(" -"), written.rstrip(" -").translate(KHMER)):
        assert BankAccount.parse(text, CONTEXT) == BankAccount(ABA, number)


@given(st.text() | st.text("0123456789០៥ -+.,*\u200b\u202e٣²", max_size=40))
def test_any_text_is_an_account_number_of_ascii_digits_or_refused(text):
    read = BankAccount.parse(text, CONTEXT)
    if isinstance(read, BankAccount):
        assert read.number.isascii()
        assert read.number.isdecimal()
        assert 6 <= len(read.number) <= 20
    else:
        assert isinstance(read, Refusal)


@given(NUMBERS)
def test_what_is_shown_can_be_read_again_and_what_is_saved_is_the_same(number):
    account = BankAccount(ABA, number)
    assert BankAccount.parse(account.show, CONTEXT) == account
    saved = BankAccount.load(account.dump())
    assert (saved, saved.bank.name) == (account, "ABA Bank")


@given(NUMBERS, st.sampled_from(["A", "ABA Bank", "Bank Sixteen Let", LONGEST_BANK]))
def test_afterwards_it_is_named_with_as_much_of_its_number_as_a_receipt_has_room_for(number, name):
    told = BankAccount(MemberBank("x", name), number).told
    assert len(told) <= 22
    assert told == f"{name} {number}" or len(told) == 22
    assert number.endswith(told.removeprefix(f"{name} ").removeprefix(".."))


@pytest.mark.parametrize(
    ("bank", "number", "told"),
    [
        ("ABA Bank", "000123456", "ABA Bank 000123456"),
        ("ACLEDA", "01230123012301", "ACLEDA 01230123012301"),
        ("ACLEDA Bank", "01230123012301", "ACLEDA Bank ..23012301"),
        (LONGEST_BANK, "000123456", "Bank of Cambodia ..456"),
    ],
)
def test_a_long_one_is_told_by_its_end(bank, number, told):
    assert shown_other("", BankAccount(MemberBank("x", bank), number)) == told


@pytest.mark.parametrize("dumped", ["", "aba", "=ABA", "aba=", None, 5])
def test_what_no_release_saved_is_no_bank(dumped):
    with pytest.raises(ValueError, match="not a member bank"):
        MemberBank.load(dumped)


@pytest.mark.parametrize(
    "dumped", [None, [], ["aba=ABA"], ["aba=ABA", "12345"], ["aba=ABA", "x" * 9], ["x", "123456"]]
)
def test_what_no_release_saved_is_no_account(dumped):
    with pytest.raises(ValueError, match="not a"):
        BankAccount.load(dumped)


def test_a_name_with_an_equals_sign_survives_being_saved():
    bank = MemberBank("aba", "A=B")
    assert MemberBank.load(bank.dump()).name == "A=B"


def test_a_form_that_asks_the_number_before_the_bank_is_wrong():
    with pytest.raises(TypeError, match="only after MemberBank"):
        BankAccount.parse("123456", replace(CONTEXT, answers={}))


def test_the_effect_shows_no_pin():
    effect = paying(*TO_PIN, PIN)
    assert effect.pin == Pin(PIN)
    assert PIN not in repr(effect)
