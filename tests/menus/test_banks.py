"""A number with wallets at other banks: the bank is said, and asked for when there are several."""

from dataclasses import replace

import pytest
from talk import CHAN, PIN, SOK, Phone, World, answering, texts, transfers

from menus.effects import FindPayee, PayeeFound, PayeesFound
from menus.lookups import Payee, PayeeBank
from menus.sms import Asks, Challenge, SmsEngine

OURS = PayeeFound(CHAN, "85512345602@bank", "C*** T***", "Bank")
THEIRS = PayeeFound(CHAN, "chan@aba", "", "ABA Bank")
THIRD = PayeeFound(CHAN, "85512345602@wing", "", "Wing")


def dialling(*outcomes, facts=SOK) -> Phone:
    return Phone(facts, answering(*((FindPayee, outcome) for outcome in outcomes))).dial()


def elsewhere(outcome) -> PayeesFound:
    return PayeesFound(CHAN, outcome)


def test_somebody_at_another_bank_is_shown_with_the_bank_and_paid_there():
    world = World()
    phone = Phone(world=lambda effect: THEIRS if isinstance(effect, FindPayee) else world(effect))
    phone.dial().type("1", "012345602", "5000")
    assert phone.screen.startswith("Send 5,000 KHR to 012 345 602, ABA Bank\nPIN")
    assert phone.type(PIN).ended
    assert [(each.account_id, each.to) for each in transfers(Phone(world=world))] == [
        ("chan@aba", CHAN)
    ]


def test_with_wallets_at_several_banks_the_sender_is_asked_which():
    phone = dialling(elsewhere((OURS, THEIRS, THIRD))).type("1", "012345602")
    assert phone.screen == "At which bank?\n1 Bank\n2 ABA Bank\n3 Wing\n0 Back"
    phone.type("2")
    assert phone.screen == "How much, in KHR?\n0 Back"
    assert phone.type("5000").screen.startswith("Send 5,000 KHR to 012 345 602, ABA Bank\nPIN")


def test_of_our_own_banks_wallet_the_masked_name_is_agreed_to():
    phone = dialling(elsewhere((OURS, THEIRS))).type("1", "012345602", "1", "5000")
    assert phone.screen.startswith("Send 5,000 KHR to 012 345 602, C*** T***\nPIN")


def test_going_back_leads_to_the_bank_and_another_choice_is_another_intent():
    phone = dialling(elsewhere((OURS, THEIRS))).type("1", "012345602", "1", "5000")
    first = phone.intent
    phone.type("0", "0")
    assert phone.screen.startswith("At which bank?")
    assert phone.type("2", "5000").intent != first


@pytest.mark.parametrize("typed", ["4", "x", "Bankk"])
def test_a_bank_that_was_not_offered_is_not_taken(typed):
    phone = dialling(elsewhere((OURS, THEIRS, THIRD))).type("1", "012345602", typed)
    assert "At which bank?" in phone.screen


def test_a_deep_dial_stops_at_the_bank():
    phone = dialling(elsewhere((OURS, THEIRS)))
    phone.dial("1", "012345602", "5000")
    assert phone.screen.startswith("At which bank?")


def test_a_number_whose_banks_are_none_of_ours_to_name_has_no_wallet():
    phone = dialling(elsewhere(())).type("1", "012345602")
    assert phone.screen.startswith("012 345 602 has no wallet yet.")


def test_an_sms_cannot_choose_and_says_where_one_can():
    sms = SmsEngine(texts())
    facts = replace(SOK, fresh_id="id")
    asked = sms.hear("SEND 5000 012345602", facts)
    assert isinstance(asked, Asks)
    said = sms.heard(asked, elsewhere((THEIRS, THIRD)), facts)
    assert said.text == "012 345 602 has wallets at several banks. Dial *855# to choose one."


def test_an_sms_goes_to_our_own_banks_wallet_and_says_so_whatever_others_list():
    """Else any bank could stop SMS to a number of ours by listing it."""
    sms = SmsEngine(texts())
    facts = replace(SOK, fresh_id="id")
    said = sms.heard(sms.hear("SEND 5000 012345602", facts), elsewhere((OURS, THEIRS)), facts)
    assert isinstance(said, Challenge)
    assert said.reply("4821").text.startswith(
        "Send 5,000 KHR to 012 345 602, C*** T***, Bank? Within"
    )


def test_an_sms_to_somebody_at_one_other_bank_names_it():
    sms = SmsEngine(texts())
    facts = replace(SOK, fresh_id="id")
    said = sms.heard(sms.hear("SEND 5000 012345602", facts), THEIRS, facts)
    assert isinstance(said, Challenge)
    assert said.reply("4821").text.startswith("Send 5,000 KHR to 012 345 602, ABA Bank? Within")


@pytest.mark.parametrize(
    "payee",
    [
        Payee(CHAN, "a@bank", "C*** T***"),
        Payee(CHAN, "chan@aba", "", "ABA Bank"),
        Payee(CHAN, "", "", "", (PayeeBank("a@bank", "Bakong", "C***"), PayeeBank("b@c", "C|,D"))),
    ],
)
def test_a_payee_survives_being_saved(payee):
    assert Payee.load(payee.dump()) == payee


@pytest.mark.parametrize("dumped", ["", "x", "[]", '["a"]', "{}", None, 5])
def test_what_no_release_saved_is_no_bank(dumped):
    with pytest.raises(ValueError, match=r"."):
        PayeeBank.load(dumped)
