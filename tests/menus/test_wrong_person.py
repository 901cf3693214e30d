"""Money for the wrong person: asked back from the last payment, answered before the menu."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from talk import CHAN, NOW, OPEN, PIN, SOK, Phone, answering, texts

from menus.disputes import AskedBack, Earlier, GivesBack, Keeps, Later, PaidOut, WrongPerson
from menus.effects import (
    Committed,
    Dispute,
    Disputed,
    DisputeOver,
    GiveBack,
    InProgress,
    KeepMoney,
    LastAndEarlier,
    LastPaidOut,
    LastPayment,
    LimitKind,
    MoneyKept,
    NotDisputable,
    NoWallet,
    OverLimit,
    PaymentState,
    PinLocked,
    ReadLastPayment,
    Rejected,
    TooManyDisputes,
    Unavailable,
    Unconfirmed,
    WalletHeld,
    WrongPin,
)
from menus.engine import State
from menus.flows.dispute import DisputeForm
from menus.flows.give_back import GiveBackForm
from menus.forms import about
from menus.kinds import Currency, Money, Pin
from menus.sms import Asks, Reply, SmsEngine

RIEL = Money(Currency.KHR, 5000)
PAID = PaidOut("R7", RIEL, "C*** T***", CHAN, NOW)
ASKED = AskedBack("dispute-1", "R7", RIEL, "C*** T***", CHAN, "a@bank")
OWING = replace(SOK, wallet=replace(OPEN, asked_back=ASKED))
QUESTION = "C*** T*** ..602 says 5,000 KHR was a mistake\n1 Give back\n2 Keep it\n0 Back"


def looking(*outcomes):
    return answering((ReadLastPayment, LastPaidOut(PAID)), *outcomes)


# --- asking back


@pytest.mark.parametrize(
    ("outcome", "ends", "says"),
    [
        (Disputed(), True, "C*** T*** ..602 is asked for 5,000 KHR. They decide. An SMS will tell"),
        (NotDisputable("R7"), True, "This can no longer be asked back here. Please ask your bank"),
        (TooManyDisputes(), True, "You have asked for money back too often."),
        (WrongPin(2), False, "Wrong PIN. Tries left: 2.\nAsk C*** T*** ..602 to give 5,000 KHR"),
        (PinLocked(NOW + timedelta(minutes=30)), True, "Too many wrong PINs."),
        (WalletHeld(), True, "Your wallet cannot send now."),
        (Unconfirmed(), True, "Not confirmed. Look at Last payment again."),
        (Unavailable(), True, "Not confirmed. Look at Last payment again."),
    ],
)
def test_every_outcome_of_asking_back_is_told(outcome, ends, says):
    phone = Phone(world=looking((Dispute, outcome))).dial().type("3")
    assert phone.screen == "Sent 5,000 KHR: C*** T*** ..602 14:00 22/11 R7\n1 Wrong person\n0 Back"
    assert phone.type("1", PIN).screen.startswith(says)
    assert phone.ended is ends


def test_every_outcome_of_asking_back_has_been_tried_above():
    tried = {type(p[0]) for p in test_every_outcome_of_asking_back_is_told.pytestmark[0].args[1]}
    assert tried == set(about(DisputeForm).outcomes)


def test_it_may_be_dialled_at_once():
    phone = Phone(world=looking()).dial("3")
    assert phone.screen.startswith("Sent 5,000 KHR: C*** T***")
    assert phone.turn.consumed == 1, "what was dialled is no answer to what is asked now"


def test_who_only_wanted_to_look_goes_back_to_the_menu():
    phone = Phone(world=looking()).dial().type("3", "0")
    assert phone.screen.startswith("1 Send money")


def test_asking_back_mints_an_intent_and_keeps_it_over_a_wrong_pin():
    world = looking((Dispute, WrongPin(2)))
    phone = Phone(world=world).dial().type("3", "1")
    intent = phone.intent
    assert intent.startswith("id-")
    assert phone.type("111222").intent == intent


def test_by_sms_and_without_a_pin_the_last_payment_is_only_told():
    said = SmsEngine(texts()).hear("LAST", SOK)
    told = SmsEngine(texts()).heard(said, LastPaidOut(PAID), SOK)
    assert told == Reply("Sent: 5,000 KHR to C*** T*** ..602, 14:00 22/11. Ref R7")
    held = replace(SOK, wallet=replace(OPEN, state="held"))
    phone = Phone(held, world=looking()).dial().type("2")
    assert phone.ended
    assert phone.screen == "Sent: 5,000 KHR to C*** T*** ..602, 14:00 22/11. Ref R7"


# --- asking back what something else came after

SINCE = LastPayment(PaymentState.RECEIVED, "R9", replace(RIEL, minor=100), "C*** T*** ..602", NOW)


def receiving_since(*outcomes):
    return answering((ReadLastPayment, LastAndEarlier(SINCE, PAID)), *outcomes)


def test_what_came_after_a_payment_does_not_take_away_the_way_to_ask_it_back():
    done = []
    world = receiving_since()

    def spy(effect):
        done.append(effect)
        return Disputed() if isinstance(effect, Dispute) else world(effect)

    phone = Phone(world=spy).dial("3")
    assert phone.screen == "Received: 100 KHR from C*** T*** ..602 R9\n1 Sent before\n0 Back"
    assert phone.type("1").screen.startswith("Sent 5,000 KHR: C*** T*** ..602 14:00 22/11 R7\n1 Wr")
    assert phone.type("0").screen.startswith("Received: 100 KHR")
    assert phone.type("1", "1").screen.startswith("Ask C*** T*** ..602 to give 5,000 KHR back\n")
    assert phone.type(PIN).screen.startswith("C*** T*** ..602 is asked for 5,000 KHR.")
    assert [effect.ref for effect in done if isinstance(effect, Dispute)] == ["R7"]


@pytest.mark.parametrize("state", PaymentState)
def test_whatever_came_after_it_is_told_above_the_choice(state):
    world = answering((ReadLastPayment, LastAndEarlier(replace(SINCE, state=state), PAID)))
    told, *choice = Phone(world=world).dial("3").screen.splitlines()
    assert "100 KHR" in told
    assert "C*** T*** ..602" in told
    assert ("until 14:00 22/11" if state is PaymentState.WAITS else "R9") in told
    assert choice == ["1 Sent before", "0 Back"]


def test_by_sms_and_where_nothing_may_be_asked_back_the_last_payment_is_told_whole():
    whole = "Received: 100 KHR from C*** T*** ..602, 14:00 22/11. Ref R9"
    said = SmsEngine(texts()).hear("LAST", SOK)
    assert SmsEngine(texts()).heard(said, LastAndEarlier(SINCE, PAID), SOK) == Reply(whole)
    held = replace(SOK, wallet=replace(OPEN, state="held"))
    for phone in (
        Phone(held, world=receiving_since()).dial().type("2"),
        Phone(world=answering((ReadLastPayment, SINCE))).dial("3"),
    ):
        assert (phone.screen, phone.ended) == (whole, True)


# --- giving back


def test_the_question_comes_before_the_menu_and_once_a_dial():
    phone = Phone(OWING).dial()
    assert phone.screen == QUESTION
    assert phone.type("0").screen.startswith("1 Send money")
    assert phone.type("1", "00").screen.startswith("1 Send money")
    assert phone.dial().screen == QUESTION


def test_what_is_dialled_at_once_is_done_first():
    assert Phone(OWING).dial("1", "012345602", "700").screen.startswith("Send 700 KHR")
    assert Phone(OWING).dial("99").screen == QUESTION


def test_whoever_has_no_language_pin_or_open_wallet_is_not_asked():
    wallets = (replace(OWING.wallet, has_pin=False), replace(OWING.wallet, state="held"))
    for facts in (*(replace(OWING, wallet=wallet) for wallet in wallets), SOK):
        assert "a mistake" not in Phone(facts).dial().screen
    assert Phone(replace(OWING, language=None)).dial().screen.startswith("Your language?")


def test_a_dropped_payment_is_offered_first_and_a_dropped_answer_is_asked_again():
    dropped = Phone(OWING).dial("1", "012345602", "700").state
    offered = Phone(OWING).dial(previous=dropped)
    assert offered.screen.startswith("1 Continue sending 700 KHR")
    assert offered.type("2").screen == QUESTION
    answering_it = Phone(OWING).dial().type("1").state
    assert Phone(OWING).dial(previous=answering_it).screen == QUESTION


def test_agreeing_takes_the_pin_and_its_intent_is_the_dispute():
    world = answering((GiveBack, Committed("R8", CHAN, "C*** T***", RIEL, RIEL)))
    done = []

    def spy(effect):
        done.append(effect)
        return world(effect)

    phone = Phone(OWING, world=spy).dial().type("1")
    assert phone.screen == "Give 5,000 KHR back to C*** T*** ..602\nPIN to confirm\n0 Back"
    assert phone.turn.secret
    assert phone.intent == "dispute-1"
    assert phone.type(PIN).screen.startswith("Sent 5,000 KHR to C*** T*** ..602. Ref R8.")
    assert done == [GiveBack("dispute-1", CHAN, "a@bank", RIEL, Pin(PIN))]
    assert not any(PIN in said for said in phone.said)


def test_keeping_it_is_said_twice_and_takes_no_pin():
    done = []
    phone = Phone(OWING, world=lambda effect: done.append(effect) or MoneyKept()).dial().type("2")
    assert phone.screen == "Keep 5,000 KHR from C*** T*** ..602?\n1 Yes, keep it\n0 Back"
    assert phone.type("2").screen.startswith("Choose a number"), "2 was Balance, a dial before"
    assert done == []
    phone.type("1")
    assert (phone.screen, phone.ended) == ("You keep it. We will tell them.", True)
    assert done == [KeepMoney("dispute-1")]


@pytest.mark.parametrize(
    ("outcome", "ends", "says"),
    [
        (Committed("R8", CHAN, "C*** T***", RIEL, RIEL), True, "Sent 5,000 KHR to C*** T***"),
        (InProgress("R8"), True, "In progress, ref R8."),
        (Rejected("R8"), True, "Not sent, ref R8."),
        (OverLimit(LimitKind.BALANCE, RIEL), True, "You have only 5,000 KHR to send. Nothing was"),
        (NoWallet(CHAN), True, "This was answered before, or its time is over."),
        (DisputeOver(), True, "This was answered before, or its time is over."),
        (WrongPin(2), False, "Wrong PIN. Tries left: 2.\nGive 5,000 KHR back to C*** T***"),
        (PinLocked(NOW + timedelta(minutes=30)), True, "Too many wrong PINs."),
        (WalletHeld(), True, "Your wallet cannot send now."),
        (Unconfirmed(), True, "Not confirmed. Please dial *855# again to see."),
        (Unavailable(), True, "Not confirmed. Please dial *855# again to see."),
    ],
)
def test_every_outcome_of_giving_back_is_told(outcome, ends, says):
    phone = Phone(OWING, world=answering((GiveBack, outcome))).dial().type("1", PIN)
    assert phone.screen.startswith(says)
    assert phone.ended is ends


def test_every_outcome_of_giving_back_has_been_tried_above():
    tried = {type(p[0]) for p in test_every_outcome_of_giving_back_is_told.pytestmark[0].args[1]}
    assert tried | {MoneyKept} == set(about(GiveBackForm).outcomes)


def test_yes_to_the_sms_agrees_with_a_pin():
    engine = SmsEngine(texts())
    answers = {"asked": ASKED.dump(), "answer": GivesBack.agreed().dump()}
    said = engine.confirmed(
        "give_back", json.loads(json.dumps(answers)), "dispute-1", Pin(PIN), SOK
    )
    assert isinstance(said, Asks)
    assert said.effect == GiveBack("dispute-1", CHAN, "a@bank", RIEL, Pin(PIN))
    told = engine.heard(said, WrongPin(2), SOK)
    assert told == Reply("Wrong PIN. Tries left: 2. Answer YES, the code and your PIN again.")
    assert engine.heard(said, DisputeOver(), SOK).text.startswith("This was answered before")


def test_whoever_thinks_again_may_still_give_it_back():
    phone = Phone(OWING).dial().type("2", "0")
    assert phone.screen == QUESTION
    assert phone.type("1").screen.startswith("Give 5,000 KHR back to C*** T***")


def test_a_dead_code_of_who_owes_an_answer_advises_to_dial_and_no_payment():
    assert SmsEngine(texts()).no_challenge(OWING) == Reply(
        "This code is not right, or its time is over. Nothing was paid. Dial *855# to answer."
    )
    assert "SEND" in SmsEngine(texts()).no_challenge(SOK).text


def test_whoever_may_not_send_cannot_agree_by_sms_either():
    held = replace(SOK, wallet=replace(OPEN, state="held"))
    answers = {"asked": ASKED.dump(), "answer": "yes"}
    said = SmsEngine(texts()).confirmed("give_back", answers, "dispute-1", Pin(PIN), held)
    assert said == Reply("Your wallet cannot do this now. Dial *855# to see why.")


# --- the values


@given(
    st.one_of(
        st.none(),
        st.integers(),
        st.text(max_size=8),
        st.lists(st.one_of(st.text(max_size=4), st.none(), st.just(["KHR", 1])), max_size=7),
    )
)
def test_what_no_dump_gave_is_refused(dumped):
    for kind in (PaidOut, Later, Earlier, AskedBack, GivesBack, Keeps, WrongPerson):
        try:
            value = kind.load(dumped)
        except ValueError:
            continue
        assert value.dump() == dumped


def test_all_payments_survive_a_restart_and_are_never_typed():
    kinds = (PaidOut, Later, Earlier, AskedBack, GivesBack, Keeps, WrongPerson)
    for value in (value for kind in kinds for value in kind.worst()):
        assert type(value).load(json.loads(json.dumps(value.dump()))) == value
    changed = Phone(OWING).dial().state.dump() | {"answers": {"asked": ["of another release"]}}
    phone = Phone(OWING)
    phone.turn = phone.engine.hear(State.load(changed), "1", OWING)
    assert phone.screen.startswith("The menu has changed.")
