"""Every flow, with every outcome its effect may have."""

from dataclasses import replace
from datetime import timedelta

import pytest
from talk import CHAN, DOLLARS, KHR_CAPS, NOW, OPEN, PIN, SOK, STRANGER, Phone, World, answering

from menus.effects import (
    AskAgain,
    Balance,
    ChangePin,
    ChoosePin,
    Committed,
    FindPayee,
    InProgress,
    JustOpening,
    KeptExpired,
    KeyRenewing,
    LastPayment,
    LimitKind,
    NoOwnerYet,
    NoPayment,
    NoWallet,
    OpenWallet,
    OverLimit,
    PayeeFull,
    PaymentState,
    PinLocked,
    PinNotNew,
    ReadBalance,
    ReadLastPayment,
    Rejected,
    RenewKey,
    SetLanguage,
    TooManyLookups,
    TooManyMade,
    Transfer,
    Unavailable,
    Unconfirmed,
    WalletExists,
    WalletHeld,
    WalletOpened,
    WrongPin,
)
from menus.engine import Recent, WalletFacts
from menus.flows.send_money import SendMoney
from menus.forms import about
from menus.kinds import Currency, Money, Msisdn, Pin
from menus.limits import Used, sendable

RIEL = Money(Currency.KHR, 5000)
TO_PIN = ("1", "012345602", "5000")
NEWCOMER = replace(SOK, wallet=None, language=None)


# --- send money -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "ends", "says"),
    [
        (
            Committed("R7", CHAN, "C*** T***", RIEL, Money(Currency.KHR, 395_000)),
            True,
            "Sent 5,000 KHR to C*** T*** ..602. Ref R7. Balance 395,000 KHR",
        ),
        (InProgress("R7"), True, "In progress, ref R7. An SMS will tell. Do not pay again."),
        (Rejected("R7"), True, "Not sent, ref R7. No money left your wallet."),
        (
            OverLimit(LimitKind.DAY, Money(Currency.KHR, 2000)),
            False,
            "Today you can still send 2,000 KHR.\nHow much, in KHR?",
        ),
        (OverLimit(LimitKind.COUNT, Money(Currency.KHR, 0)), True, "No more payments today."),
        (
            OverLimit(LimitKind.MONTH, Money(Currency.KHR, 60), Money(Currency.KHR, 100)),
            True,
            "This month you can still send 60 KHR. The least is 100 KHR.",
        ),
        (PayeeFull(), False, "They cannot hold that much now. Send less, or later.\nHow much"),
        (NoWallet(CHAN), False, "012 345 602 has no wallet yet."),
        (JustOpening(CHAN), False, "012 345 602 is getting a wallet. Wait a minute"),
        (TooManyMade(), False, "Today you cannot send to more numbers without a wallet."),
        (
            AskAgain("R6", RIEL, CHAN, NOW, settled=True),
            False,
            "You sent 5,000 KHR to ..602 at 14:00 22/11.\nSend it again?\n1 Send anyway\n0 Back",
        ),
        (AskAgain("R6", RIEL, CHAN, NOW, settled=False), False, "5,000 KHR to ..602 is still on"),
        (WrongPin(2), False, "Wrong PIN. Tries left: 2.\nSend 5,000 KHR to C*** T***"),
        (PinLocked(NOW + timedelta(minutes=30)), True, "Too many wrong PINs. Try after 14:30"),
        (WalletHeld(), True, "Your wallet cannot send now."),
        (Unconfirmed(), True, "Not confirmed. Look at Last payment before you pay again."),
        (Unavailable(), True, "Not confirmed. Look at Last payment before you pay again."),
    ],
)
def test_every_outcome_of_a_transfer_is_told(outcome, ends, says):
    phone = Phone(world=answering((Transfer, outcome))).dial().type(*TO_PIN, PIN)
    assert phone.screen.startswith(says)
    assert phone.ended is ends


@pytest.mark.parametrize(
    ("used", "available", "says"),
    [
        (Used(), 60, "You have 60 KHR to send. The least is 100 KHR."),
        (Used(day=2_000_000), 400_000, "Today you can still send 0 KHR. The least is 100 KHR."),
    ],
)
@pytest.mark.parametrize("amount", ["5000", "60"])
def test_who_can_send_nothing_is_told_so_at_the_first_amount(used, available, says, amount):
    left = {Currency.KHR: sendable(KHR_CAPS, used, available)}
    phone = Phone(replace(SOK, wallet=replace(OPEN, sendable=left)))
    assert phone.dial().type("1", "012345602", amount).screen == says
    assert phone.ended


def test_every_outcome_has_been_tried_above():
    tried = {type(p[0]) for p in test_every_outcome_of_a_transfer_is_told.pytestmark[0].args[1]}
    assert tried == set(about(SendMoney).outcomes)


def test_after_being_asked_by_the_desk_a_yes_pays_again_with_another_intent():
    asked = AskAgain("R6", RIEL, CHAN, NOW, settled=True)
    world = answering((Transfer, asked))
    phone = Phone(world=world).dial().type(*TO_PIN)
    first = phone.intent
    assert phone.type(PIN, "1").turn.secret
    assert phone.intent != first
    assert phone.type(PIN).ended


def test_a_single_day_to_claim_money_is_told_as_well_as_thirty():
    facts = replace(SOK, service=replace(SOK.service, unclaimed_days=1))
    unclaimed = Committed("R7", STRANGER, "", RIEL, Money(Currency.KHR, 395_000))
    world = answering((FindPayee, NoOwnerYet(STRANGER)), (Transfer, unclaimed))
    phone = Phone(facts, world=world).dial().type("1", "012345605", "5000")
    assert "Days to claim it: 1." in phone.screen
    assert "Days to claim it: 1." in phone.type(PIN).screen


def test_a_number_that_nobody_has_claimed_is_paid_after_being_told_so():
    world = answering((FindPayee, NoOwnerYet(STRANGER)))
    phone = Phone(world=world).dial().type("1", "012345605", "5000")
    assert phone.screen == (
        "012 345 605 has no wallet yet. Send 5,000 KHR? It comes back if not claimed. "
        "Days to claim it: 30.\nPIN to confirm\n0 Back"
    )
    assert phone.turn.secret
    phone.type(PIN)
    assert phone.ended


def test_a_number_that_is_just_getting_a_wallet_is_asked_for_again():
    world = answering((FindPayee, JustOpening(STRANGER)))
    phone = Phone(world=world).dial().type("1", "012345605")
    assert phone.screen.startswith("012 345 605 is getting a wallet.")


def test_whoever_was_sent_money_is_asked_for_a_pin_to_have_it():
    waits = WalletFacts("open", has_pin=False, waits=True)
    phone = Phone(replace(SOK, wallet=waits)).dial()
    assert phone.screen.startswith("You were sent money. Choose a PIN to have it.\n1 Choose a PIN")


def test_a_number_without_a_wallet_is_refused_with_an_invitation():
    phone = Phone().dial().type("1", "012345605")
    assert phone.screen.startswith(
        "012 345 605 has no wallet yet. Ask them to dial *855#.\nSend to"
    )


def test_other_people_cannot_be_looked_up_without_end():
    phone = Phone(world=answering((FindPayee, TooManyLookups()))).dial().type("1", "012345602")
    assert phone.screen.startswith("Too many numbers looked up today.\nSend to which")


@pytest.mark.parametrize(
    ("amount", "says"),
    [
        ("50", "Send at least 100 KHR."),
        ("3000000", "You have 400,000 KHR to send."),
        ("400001", "You have 400,000 KHR to send."),
        ("50.5", "Riel has no decimals."),
        ("1e3", "Type the amount in digits"),
        ("-5", "Type the amount in digits"),
    ],
)
def test_an_amount_over_a_limit_is_refused_before_the_pin(amount, says):
    phone = Phone().dial().type("1", "012345602", amount)
    assert phone.screen.startswith(says)
    assert phone.screen.endswith("How much, in KHR?\n0 Back")


def test_an_unsettled_payment_to_anybody_is_told_before_another():
    other = Recent(
        SOK.msisdn, Money(Currency.USD, 7), NOW - timedelta(hours=2), settled=False, ref="R5"
    )
    phone = Phone(replace(SOK, wallet=replace(DOLLARS, recent=(other,)))).dial()
    phone.type("1", "012345602", "1", "5000")
    assert phone.screen == ("0.07 USD to ..601 is still on its way.\n1 Send anyway\n0 Back")
    assert phone.type("0").screen.startswith("How much")


def test_an_old_or_another_payment_is_not_asked_about():
    for recent in (
        Recent(CHAN, RIEL, NOW - timedelta(minutes=11), settled=True, ref="R5"),
        Recent(CHAN, Money(Currency.KHR, 5001), NOW, settled=True, ref="R5"),
        Recent(SOK.msisdn, RIEL, NOW, settled=True, ref="R5"),
    ):
        phone = Phone(replace(SOK, wallet=replace(OPEN, recent=(recent,)))).dial()
        assert phone.type(*TO_PIN).turn.secret


def test_a_payment_settled_while_the_question_was_on_the_screen_can_still_be_agreed_to():
    recent = Recent(CHAN, RIEL, NOW, settled=False, ref="R5")
    phone = Phone(replace(SOK, wallet=replace(OPEN, recent=(recent,)))).dial().type(*TO_PIN)
    phone.facts = SOK
    assert phone.type("5").screen.startswith("Choose a number from the list.\nSend it again?")
    phone.type("1", PIN)
    assert isinstance(phone.world, World)
    assert [e.again for e in phone.world.done if isinstance(e, Transfer)] == [True]


# --- language, opening ----------------------------------------------------------------------------


def test_the_first_dial_asks_the_language_then_shows_the_menu_in_it():
    phone = Phone(NEWCOMER).dial()
    assert phone.screen == "Your language?\n1 English\n2 English"
    assert phone.type("0").screen.startswith("Your language?")
    assert phone.type("2").screen.startswith("Welcome to Bank\n1 Open a wallet")
    assert phone.state
    assert phone.state.language == "km"
    assert isinstance(phone.world, World)
    assert phone.world.done == [SetLanguage("km")]


def test_a_language_that_cannot_be_remembered_is_spoken_all_the_same():
    phone = Phone(NEWCOMER, world=answering((SetLanguage, Unavailable()))).dial().type("2")
    assert phone.screen.startswith("Welcome")


def test_a_wallet_is_opened_with_a_pin_chosen_twice():
    phone = Phone(NEWCOMER).dial().type("1", "1")
    assert phone.screen == "Choose a PIN of 6 digits\n0 Back"
    assert phone.type("123456").screen.startswith("Too easy to guess. Choose another PIN.")
    assert phone.type("730264").screen == "Type the PIN again\n0 Back"
    assert phone.turn.secret
    assert phone.type("730265").screen.startswith("The PINs differ. Choose again.\nChoose a PIN")
    assert phone.type("730264", "730264").screen.startswith("Your wallet is being opened.")
    assert isinstance(phone.world, World)
    assert phone.world.done[-1] == OpenWallet("token-1")


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        (WalletOpened(), "Your wallet is open."),
        (WalletExists(), "This number has a wallet already."),
        (KeptExpired(), "That took too long. Choose again.\nChoose a PIN"),
        (
            Unconfirmed(),
            "Not confirmed. Please dial *855# again to see whether your wallet is open.",
        ),
        (Unavailable(), "Not confirmed. Please dial *855# again to see whether"),
    ],
)
def test_every_other_outcome_of_opening_is_told(outcome, says):
    phone = Phone(NEWCOMER, world=answering((OpenWallet, outcome))).dial()
    assert phone.type("1", "1", "730264", "730264").screen.startswith(says)


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        (KeyRenewing(), "Your PIN is being set. An SMS will tell when you can send."),
        (KeptExpired(), "That took too long. Choose again.\nChoose a PIN"),
        (Unconfirmed(), "Not confirmed. Please dial *855# again to see whether your PIN is set."),
        (Unavailable(), "Not confirmed. Please dial *855# again to see whether your PIN is set."),
    ],
)
def test_every_other_outcome_of_a_first_pin_is_told(outcome, says):
    facts = replace(SOK, wallet=replace(OPEN, has_pin=False))
    phone = Phone(facts, world=answering((ChoosePin, outcome))).dial()
    assert phone.type("1", "730264", "730264").screen.startswith(says)


def test_back_onto_a_kept_pin_asks_it_anew():
    phone = Phone(NEWCOMER).dial().type("1", "1", "730264", "0")
    assert phone.screen.startswith("Choose a PIN")
    assert phone.state
    assert phone.state.answers == {}


def test_a_kept_pin_is_not_resumed():
    phone = Phone(NEWCOMER).dial().type("1", "1", "730264")
    phone.facts = replace(NEWCOMER, language="en")
    assert phone.dial(previous=phone.state).screen.startswith("Welcome")


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("opening", "Your wallet is being opened. An SMS will tell.\n1 Language"),
        ("held", "You cannot send now. Please see an agent with your ID.\n1 Balance\n2 Last"),
    ],
)
def test_menus_of_wallets_that_cannot_send(state, says):
    assert Phone(replace(SOK, wallet=replace(OPEN, state=state))).dial().screen.startswith(says)


@pytest.mark.parametrize("number", ["+14155550100", "+85523456789"])
def test_a_number_that_nobody_could_pay_is_offered_no_wallet(number):
    home = Phone(replace(SOK, wallet=None, msisdn=Msisdn(number))).dial()
    assert home.screen == "This service is for mobile numbers of Cambodia.\n1 Language"


@pytest.mark.parametrize("has_pin", [True, False])
def test_while_its_key_is_replaced_a_wallet_offers_nothing_that_it_cannot_do(has_pin):
    home = Phone(replace(SOK, wallet=replace(OPEN, renewing=True, has_pin=has_pin))).dial()
    said = "Your new PIN is being set. An SMS will tell.\n1 Balance\n2 Last payment\n3 Language"
    assert home.screen == said


def test_whoever_never_asked_for_the_wallet_is_told_that_one_is_being_made():
    made = replace(SOK, wallet=replace(OPEN, state="opening", has_pin=False))
    assert Phone(made).dial().screen.startswith("A wallet is being made for your number.")


# --- change PIN -----------------------------------------------------------------------------------


def test_a_pin_is_changed_new_repeated_then_old():
    phone = Phone().dial().type("4", "1", "905173", "905173")
    assert phone.screen == "Type your old PIN\n0 Back"
    assert phone.type("111222").screen.startswith("Wrong PIN. Tries left: 2.\nType your old PIN")
    assert phone.type(PIN).screen == "Your PIN is changed."
    assert isinstance(phone.world, World)
    assert phone.world.done[-1] == ChangePin("token-0", Pin(PIN))


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        (KeptExpired(), "That took too long. Choose again.\nChoose a new PIN"),
        (PinNotNew(), "That is your old PIN. Choose another.\nChoose a new PIN"),
        (PinLocked(NOW), "Too many wrong PINs."),
        (WalletHeld(), "Your wallet cannot send now."),
        (Unconfirmed(), "Not confirmed. Your PIN is either"),
        (Unavailable(), "Not confirmed. Your PIN is either"),
    ],
)
def test_every_other_outcome_of_changing_is_told(outcome, says):
    phone = Phone(world=answering((ChangePin, outcome))).dial()
    assert phone.type("4", "1", "905173", "905173", PIN).screen.startswith(says)


# --- looking --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        (
            Balance((Money(Currency.KHR, 400_000), Money(Currency.USD, 100_00)), None),
            "Balance: 400,000 KHR, 100.00 USD",
        ),
        (Balance((Money(Currency.KHR, 0),), NOW), "Balance: 0 KHR at 14:00 22/11"),
        (
            Balance((Money(Currency.KHR, 45_000),), None, (Money(Currency.KHR, 5_000),)),
            "Balance: 45,000 KHR. Asked back and held: 5,000 KHR",
        ),
        (Unavailable(), "Not possible right now."),
    ],
)
def test_the_balance_is_told_with_its_age(outcome, says):
    phone = Phone(world=answering((ReadBalance, outcome))).dial().type("2")
    assert phone.screen.startswith(says)
    assert phone.ended


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        *(
            (LastPayment(state, "R7", RIEL, "C*** T*** ..602", NOW), says)
            for state, says in (
                (PaymentState.PAID, "Sent: 5,000 KHR to C*** T*** ..602, 14:00 22/11. Ref R7"),
                (PaymentState.IN_PROGRESS, "In progress: 5,000 KHR"),
                (PaymentState.NOT_PAID, "Not sent: 5,000 KHR"),
                (PaymentState.RECEIVED, "Received: 5,000 KHR from C*** T***"),
                (PaymentState.WAITS, "Waits for C*** T*** ..602: 5,000 KHR, until 14:00 22/11."),
                (PaymentState.COMING_BACK, "Coming back: 5,000 KHR from C*** T***"),
                (PaymentState.CAME_BACK, "Came back: 5,000 KHR from C*** T***"),
                (PaymentState.WENT_BACK, "Went back: 5,000 KHR to C*** T***"),
                (PaymentState.ASKED_BACK, "Asked back: 5,000 KHR from C*** T***"),
                (PaymentState.GIVEN_BACK, "Given back: 5,000 KHR by C*** T***"),
                (PaymentState.ASKED_OF_YOU, "C*** T*** ..602 asks back: 5,000 KHR"),
                (PaymentState.GAVE_BACK, "You gave back: 5,000 KHR to C*** T***"),
            )
        ),
        (NoPayment(), "There is no payment yet."),
        (Unavailable(), "Not possible right now."),
    ],
)
def test_the_last_payment_is_told_as_it_is(outcome, says):
    phone = Phone(world=answering((ReadLastPayment, outcome))).dial().type("3")
    assert phone.screen.startswith(says)
    assert phone.ended


# --- a first PIN, and a key that may be stolen ---


UNCLAIMED = replace(SOK, wallet=replace(OPEN, has_pin=False))


def test_who_has_no_pin_yet_is_asked_for_one_before_anything_is_sent():
    phone = Phone(UNCLAIMED).dial()
    assert phone.screen.startswith("Choose a PIN, then you can send.\n1 Choose a PIN\n2 Balance")
    assert phone.type("1").screen == "Choose a PIN of 6 digits\n0 Back"
    assert phone.type("905173", "905173").ended
    assert phone.screen.startswith("Your PIN is set.")


def test_without_a_pin_a_deep_dial_to_send_shows_the_menu():
    assert Phone(UNCLAIMED).dial("1", "012345602", "5000").screen.startswith("Choose a PIN, then")


def test_key_and_pin_are_replaced_together_and_the_old_pin_allows_it():
    phone = Phone().dial().type("4")
    assert phone.screen == "1 Change PIN\n2 Somebody knows my PIN\n0 Back"
    assert phone.type("2", "905173", "905173").screen == "Type your old PIN\n0 Back"
    assert phone.type("111222").screen.startswith("Wrong PIN. Tries left: 2.")
    assert phone.type(PIN).screen.startswith("Your wallet has a new PIN and a new key.")


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        (KeyRenewing(), "Your new PIN and a new key are being set. An SMS will tell"),
        (Unconfirmed(), "Not confirmed. Your PIN is either the new or the old one."),
        (Unavailable(), ""),
        (KeptExpired(), ""),
        (PinNotNew(), "That is your old PIN. Choose another.\nChoose a new PIN"),
    ],
)
def test_a_new_key_that_is_not_there_yet_is_never_said_to_be(outcome, says):
    phone = Phone(world=answering((RenewKey, outcome))).dial()
    screen = phone.type("4", "2", "905173", "905173", PIN).screen
    assert screen.startswith(says)
    assert "has a new PIN" not in screen
