"""The rules of engine.py, one by one; every conversation here survives a restart at every turn."""

import json
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import get_args

import pytest
from talk import (
    CHAN,
    DOLLARS,
    ENGINE,
    NOW,
    OPEN,
    PIN,
    SOK,
    Phone,
    World,
    answering,
    texts,
    transfers,
)

from menus.catalogue import CATALOGUE, FORMS
from menus.effects import FindPayee, NoWallet, PayeeFound, PayeesFound, Transfer
from menus.engine import Apology, Engine, Recent, State
from menus.flows.balance import BalanceForm
from menus.flows.language import ChooseLanguage
from menus.flows.send_money import SendMoney
from menus.forms import HOME, Catalogue, Menu, Opening, about
from menus.kinds import Currency, Money, Pin
from menus.lookups import Payee

PAYEE = Payee(CHAN, "a@bank", "C*** T***")


# --- going through --------------------------------------------------------------------------------


def test_a_payment_from_dialling_to_the_last_page():
    phone = Phone().dial()
    assert phone.screen.splitlines()[0] == "1 Send money"
    assert phone.type("1").screen == "Send to which number?\n0 Back"
    assert phone.type("012345602").screen == "How much, in KHR?\n0 Back"
    assert phone.type("5000").screen.startswith("Send 5,000 KHR to C*** T*** 012 345 602")
    assert phone.turn.secret
    assert phone.type(PIN).ended
    assert transfers(phone) == [
        Transfer("id-5", CHAN, "a@bank", Money(Currency.KHR, 5000), again=False, pin=Pin(PIN))
    ]


def test_a_question_is_asked_again_with_the_reason():
    phone = Phone().dial().type("1", "12")
    assert phone.screen == "That is not a phone number from here.\nSend to which number?\n0 Back"


def test_who_has_made_all_payments_of_the_day_is_not_asked_for_another_amount():
    none_left = replace(OPEN.sendable[Currency.KHR], count=0)
    phone = Phone(replace(SOK, wallet=replace(OPEN, sendable={Currency.KHR: none_left})))
    assert phone.dial().type("1", "012345602", "5000").ended
    assert phone.screen == "No more payments today. Please try tomorrow."


def test_dollars_are_asked_about_only_when_they_are_on():
    phone = Phone(replace(SOK, wallet=DOLLARS)).dial().type("1", "012345602")
    assert phone.screen == "Send what?\n1 Riel (KHR)\n2 Dollars (USD)\n0 Back"
    assert phone.type("2", "12*50").screen.startswith("Send 12.50 USD")


def test_an_empty_input_is_asked_again():
    for inputs in ((), ("1",), ("1", "012345602"), ("1", "012345602", "5000")):
        phone = Phone().dial().type(*inputs)
        before = phone.state
        assert phone.type("").state == before
        assert phone.screen


def test_hearing_without_a_state_shows_the_menu():
    assert Phone(said=["null"]).type("5000").screen.endswith("5 Language")


# --- going back -----------------------------------------------------------------------------------


def test_zero_goes_to_the_question_before_and_from_the_first_one_home():
    phone = Phone().dial().type("1", "012345602", "5000", "0")
    assert phone.screen.startswith("How much")
    assert phone.type("0").screen.startswith("Send to which")
    assert phone.type("0").screen.startswith("1 Send money")


def test_zero_passes_over_a_question_that_was_skipped():
    phone = Phone().dial().type("1", "012345602", "0")
    assert phone.screen.startswith("Send to which")


def test_double_zero_goes_home_from_anywhere_and_forgets():
    phone = Phone().dial().type("1", "012345602", "5000", "00")
    assert phone.screen.startswith("1 Send money")
    assert "012345602" not in phone.said[-1]


def test_khmer_digits_are_commands_too():
    assert Phone().dial().type("១", "០").screen.startswith("1 Send money")


def test_commands_count_only_as_the_whole_input():
    phone = Phone().dial().type("1", "0 0")
    assert phone.screen.startswith("That is not a phone number")


def test_nine_is_an_answer_where_there_is_no_list():
    phone = Phone().dial().type("1", "012345602", "9")
    assert phone.screen.startswith("Send at least 100 KHR.")


def test_answers_after_the_one_that_is_asked_again_are_forgotten():
    phone = Phone().dial().type("1", "012345602", "5000", "0", "0")
    assert phone.state
    assert phone.state.answers == {}


# --- long lists -----------------------------------------------------------------------------------


def long_menu() -> Engine:
    below = Menu("below", (ChooseLanguage, SendMoney, BalanceForm) * 6, title="home.newcomer")
    top = Menu(HOME, (ChooseLanguage, below))
    english = texts()
    english._texts["en"]["menu.below"] = english._texts["en"]["menu.send"]
    return Engine(english, Catalogue(FORMS, lambda _: top, ChooseLanguage))


def test_a_long_list_is_paged_and_its_numbers_stay():
    phone = Phone(engine=long_menu()).dial().type("2")
    assert phone.screen.endswith("9 More\n0 Back")
    first = phone.screen
    phone.type("9")
    assert "\n8 Send money\n10 Balance\n11 Language" in first
    assert "\n18 Send money\n19 Balance" in phone.screen
    assert phone.type("0").screen == first
    assert phone.type("0").screen.startswith("1 Language")


def test_nine_past_the_last_page_stays_there():
    phone = Phone(engine=long_menu()).dial().type("2", "9", "9")
    last = phone.screen
    assert "9 More" not in last
    assert phone.type("9").screen.endswith(last)


def test_a_number_means_what_was_shown_even_if_the_menu_has_changed():
    phone = Phone().dial()
    phone.facts = replace(SOK, wallet=replace(OPEN, state="held"))
    assert phone.type("2").screen == "Balance: 400,000 KHR"


def test_unknown_numbers_of_a_menu_show_it_again():
    phone = Phone().dial().type("7")
    assert phone.screen.startswith("Choose a number from the list.\n1 Send money")


# --- intents --------------------------------------------------------------------------------------


def test_the_intent_is_minted_when_the_pin_page_is_shown():
    phone = Phone().dial().type("1", "012345602")
    assert phone.state
    assert phone.state.intent is None
    assert phone.type("5000").intent == f"id-{phone.ids}"


def test_the_same_answers_after_back_and_forth_are_the_same_intent():
    phone = Phone().dial().type("1", "012345602", "5000")
    first = phone.intent
    assert phone.type("0", "0", "012 345 602", "5,000").intent == first


def test_changed_answers_are_another_intent():
    phone = Phone().dial().type("1", "012345602", "5000")
    first = phone.intent
    assert phone.type("0", "6000").intent != first


def test_a_wrong_pin_may_be_typed_again_with_the_same_intent():
    phone = Phone().dial().type("1", "012345602", "5000", "999111", "12", PIN)
    assert phone.ended
    assert [paid.intent for paid in transfers(phone)] == ["id-5", "id-5"]


def test_a_prefilled_form_keeps_the_intent_it_came_with_and_what_it_was_given():
    phone = Phone()
    given = {"to": PAYEE, "amount": Money(Currency.KHR, 700)}
    phone._settle(ENGINE.open(SOK, Opening(SendMoney, given, "request-1")))
    assert phone.screen.startswith("Send 700 KHR to C*** T***")
    assert phone.intent == "request-1"
    assert phone.type("0").screen.startswith("1 Send money")


def test_paying_the_same_again_is_asked_and_is_another_intent():
    paid = Recent(
        CHAN, Money(Currency.KHR, 5000), NOW - timedelta(minutes=3), settled=True, ref="R6"
    )
    phone = Phone(replace(SOK, wallet=replace(OPEN, recent=(paid,))))
    phone.dial().type("1", "012345602", "5000")
    assert phone.screen.startswith("You sent 5,000 KHR to C*** T*** ..602 at 13:57 22/11.")
    phone.type("1", PIN)
    assert [transfer.again for transfer in transfers(phone)] == [True]


# --- deep dial ------------------------------------------------------------------------------------


def test_a_deep_dial_fills_the_form_up_to_the_pin_page():
    phone = Phone().dial("1", "012345602", "5000")
    assert phone.screen.startswith("Send 5,000 KHR to C*** T***")
    assert phone.turn.consumed == 3
    assert phone.type(PIN).ended


def test_a_dialled_pin_is_dropped_and_the_person_is_told_once():
    phone = Phone().dial("1", "012345602", "5000", PIN)
    assert phone.screen.startswith("Never dial your PIN")
    assert phone.turn.consumed == 3
    assert PIN not in "".join(phone.said)
    assert not phone.type("0", "5000").screen.startswith("Never")


def test_what_a_later_question_was_answered_with_is_no_dialled_pin():
    banks = (("aba", "ABA Bank"), ("wing", "Wing"))
    at_banks = Phone(replace(SOK, service=replace(SOK.service, banks=banks)))
    assert at_banks.dial("7", "123456", "100000").screen.startswith("To which bank?")
    assert at_banks.dial("7", PIN).screen.startswith("Never dial your PIN")
    wallets = tuple(PayeeFound(CHAN, f"{bank}@{bank}", "", bank) for bank in ("ABA", "Wing"))
    several = Phone(world=answering((FindPayee, PayeesFound(CHAN, wallets))))
    assert several.dial("1", "012345602", "100000").screen.startswith("At which bank?")


def test_a_dialled_mistake_is_asked_again_and_the_rest_is_dropped():
    phone = Phone().dial("1", "0123", "5000")
    assert phone.screen.startswith("That is not a phone number")
    assert phone.turn.consumed == 1


def test_the_same_string_works_when_dollars_are_on():
    phone = Phone(replace(SOK, wallet=DOLLARS)).dial("1", "012345602", "5000")
    assert phone.screen.startswith("Send 5,000 KHR")
    chosen = Phone(replace(SOK, wallet=DOLLARS)).dial("1", "012345602", "2", "5")
    assert chosen.screen.startswith("Send 5.00 USD")
    named = Phone(replace(SOK, wallet=DOLLARS)).dial("1", "012345602", "$5")
    assert named.screen.startswith("Send 5.00 USD")
    assert named.type("0").screen.startswith("How much, in KHR?")


def test_a_deep_dial_never_agrees_to_paying_again():
    paid = Recent(CHAN, Money(Currency.KHR, 5000), NOW, settled=True, ref="R6")
    facts = replace(SOK, wallet=replace(OPEN, recent=(paid,)))
    phone = Phone(facts).dial("1", "012345602", "5000", "1")
    assert phone.screen.startswith("You sent 5,000 KHR")
    assert transfers(phone) == []


def test_a_newcomer_who_dials_deep_can_still_go_back():
    phone = Phone(replace(SOK, wallet=None, language=None)).dial("6")
    assert phone.screen.endswith("\n0 Back")
    assert phone.type("0").screen.startswith("Your language?")


def test_a_deep_dial_of_what_one_has_not_shows_the_menu():
    phone = Phone(replace(SOK, wallet=None)).dial("1", "012345602", "5000")
    assert phone.screen.startswith("Welcome to Bank\n1 Open a wallet")
    assert phone.turn.consumed == 0
    assert Phone().dial("77", "1").screen.startswith("1 Send money")


@pytest.mark.parametrize(
    ("parts", "could_be"),
    [
        ([], False),
        (["2"], True),
        (["2", "1"], False),
        (["1", "012345602", "5000"], True),
        (["1", "012345602", "1", "5000"], True),
        (["1", "012345602", "1", "5000", PIN], False),
        (["1", "012345602", "5000", PIN], False),
        (["1", "012345602", "5000", "12", "50"], False),
        (["77"], False),
        (["1", "5" * 10_000], False),
    ],
)
def test_what_could_have_been_dialled_at_once(parts, could_be):
    assert ENGINE.dialable(parts, replace(SOK, wallet=DOLLARS)) is could_be


def test_the_history_of_a_lost_session_is_no_deep_dial():
    assert ENGINE.dialable(["1", "012345602", "5000"], SOK)
    assert not ENGINE.dialable(["1", "012345602", "5000", PIN], SOK)


# --- resuming -------------------------------------------------------------------------------------


def dropped(*inputs: str) -> tuple[Phone, State]:
    phone = Phone().dial().type(*inputs)
    assert phone.state
    return phone, phone.state


def test_a_dropped_payment_is_offered_and_goes_on_with_its_intent():
    phone, state = dropped("1", "012345602", "5000")
    intent = phone.intent
    phone.dial(previous=state)
    assert phone.screen == "1 Continue sending 5,000 KHR to C*** T***\n2 Start again"
    assert phone.type("1").intent == intent
    assert phone.screen.startswith("Send 5,000 KHR to C*** T***")
    assert phone.type(PIN).ended


def test_the_offer_can_be_refused_and_misunderstood():
    phone, state = dropped("1", "012345602", "5000")
    assert phone.dial(previous=state).type("8").screen.startswith("Choose a number")
    assert phone.type("2").screen.startswith("1 Send money")


def test_an_offer_that_was_dropped_is_made_again():
    phone, state = dropped("1", "012345602", "5000")
    again = phone.dial(previous=state).state
    assert again
    assert "Continue sending 5,000 KHR" in phone.dial(previous=again).screen


def test_nothing_is_offered_when_nothing_was_answered_or_the_form_is_not_theirs():
    phone, state = dropped("1")
    assert phone.dial(previous=state).screen.startswith("1 Send money")
    phone, state = dropped("1", "012345602")
    phone.facts = replace(SOK, wallet=replace(OPEN, state="held"))
    assert phone.dial(previous=state).screen.startswith("You cannot send now.")


def test_a_deep_dial_is_not_interrupted_by_an_offer():
    phone, state = dropped("1", "012345602", "5000")
    assert phone.dial("2", previous=state).screen == "Balance: 400,000 KHR"


# --- releases -------------------------------------------------------------------------------------


def test_a_form_that_changed_shape_is_begun_again_politely():
    phone, state = dropped("1", "012345602", "5000")
    phone.said.append(json.dumps(state._replace(shape="another").dump()))
    assert phone.type(PIN).screen.startswith("The menu has changed. Please start again.\n1 Send")
    assert transfers(phone) == []


def test_a_form_that_is_gone_and_answers_that_cannot_be_read_begin_again_too():
    phone, state = dropped("1", "012345602", "5000")
    for broken in (
        state._replace(form="gone"),
        state._replace(answers={"to": 7}),
        state._replace(answers={"to": ["x", "", ""]}),
    ):
        phone.said.append(json.dumps(broken.dump()))
        assert phone.type(PIN).screen.startswith("The menu has changed.")
        assert phone.dial(previous=broken).screen.startswith("1 Send money")


@pytest.mark.parametrize("stored", [{"page": "x"}, {"answers": 7}, {"intent": [1]}, {"given": 7}])
def test_a_state_no_release_ever_stored_is_no_state(stored):
    assert State.load(stored) is None


# --- what is stored -------------------------------------------------------------------------------


def test_no_pin_and_nothing_typed_wrongly_is_ever_stored():
    phone = Phone().dial("1", "012345602", "5000", "648205").type("915372", "0", "915372", "0")
    phone.type(
        "00", "4", "1", "395817", "395817", "111", "648205", "4", "1", "012345602", "5000", PIN
    )
    stored = "".join(phone.said)
    for pin in ("648205", "915372", "395817", PIN):
        assert pin not in stored
    assert isinstance(phone.world, World)
    assert len(phone.world.kept) == 1


def test_states_do_not_show_what_was_dialled():
    turn = ENGINE.begin(SOK, dialled=("1", "012345602", "5000", PIN))
    assert turn.state
    assert PIN not in repr(turn)
    assert PIN not in json.dumps(turn.state.dump())


# --- wiring ---------------------------------------------------------------------------------------


def test_an_outcome_that_nobody_asked_for_is_a_mistake_in_the_wiring():
    phone = Phone().dial()
    with pytest.raises(TypeError, match="no effect is under way"):
        ENGINE.heard(phone.state, NoWallet(CHAN), SOK)
    turn = ENGINE.begin(SOK, dialled=("2",))
    with pytest.raises(TypeError, match="balance does not answer PayeeFound"):
        ENGINE.heard(turn.state, PayeeFound(CHAN, "", ""), SOK)


def test_apologies_end_and_need_no_facts():
    for kind in get_args(Apology):
        assert ENGINE.apology(kind, None).end
        assert ENGINE.apology(kind, SOK).text


def test_direct_dial_numbers_are_unique_and_fixed():
    numbers = {about(cls).name: about(cls).dial for cls in CATALOGUE.forms}
    assert numbers == {
        "language": 5,
        "open": 6,
        "send": 1,
        "balance": 2,
        "last": 3,
        "change_pin": 4,
        "bank_out": 7,
        "choose_pin": 8,
        "renew_key": None,
        "dispute": None,
        "give_back": None,
    }


@dataclass
class Spy:
    """What was asked of the world."""

    asked: int = 0

    def __call__(self, effect):
        self.asked += 1
        return World()(effect)


def test_a_look_up_is_made_once_and_its_outcome_saved():
    spy = Spy()
    Phone(world=spy).dial().type("1", "012345602", "5000", "0", "6000", "0")
    assert spy.asked == 1
