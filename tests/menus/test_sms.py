"""One SMS fills the same forms as a conversation does, and pays only after its code came back."""

import json
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from talk import (
    CHAN,
    DOLLARS,
    KHR_CAPS,
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

from menus.effects import (
    AskAgain,
    Committed,
    InProgress,
    LastPayment,
    LimitKind,
    OverLimit,
    PaymentState,
    ReadBalance,
    ReadLastPayment,
    Transfer,
    Unavailable,
    WrongPin,
)
from menus.engine import Recent
from menus.kinds import Currency, Money, Msisdn, Pin
from menus.limits import Used, sendable
from menus.sms import Asks, Challenge, Confirmation, Reply, SmsEngine

SMS = SmsEngine(texts())
RICH = replace(SOK, wallet=DOLLARS, fresh_id="intent-1")
RIEL = Money(Currency.KHR, 5000)
NEVER_PIN = "Never send your PIN by SMS, except after YES and a code. Nothing was done. "
NOT_SENT = "This one was not sent: write it again if you want it."


def send(text, facts=SOK, world=None):
    """What the service says in the end, and what it would store."""
    world, said = world or World(), SMS.hear(text, facts)
    while isinstance(said, Asks):
        said = SMS.heard(said, world(said.effect), facts)
    return said


def answer(text, facts=SOK, world=None):
    said = send(text, facts, world)
    assert isinstance(said, Reply), said
    return said.text


def pay(challenge, pin, facts=SOK, world=None):
    stored = json.loads(json.dumps(dict(challenge.answers)))
    world, said = (
        world or World(),
        SMS.confirmed(challenge.form, stored, challenge.intent, Pin(pin), facts),
    )
    while isinstance(said, Asks):
        said = SMS.heard(said, world(said.effect), facts)
    return said.text


# --- sending --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        *("SEND 5000 012345602", "send 5,000 012 345 602", "Send: 5000, 012-345-602."),
        *("SEND-5000-012345602", "SEND - 5000 - 012345602"),
        *("SEND5000 012345602", "  send   5 000   +855 12 345 602", "SEND ៥០០០ ០១២៣៤៥៦០២"),
        *("send 5000 riel to 012345602", "SEND 012345602 5000", "ផ្ញើ ៥,០០០ ០១២ ៣៤៥ ៦០២"),
        *("ផ្ញើ ៥០០០ រៀល ទៅ ០១២៣៤៥៦០២", "SEND 5000 ទៅ 012345602"),
        *("SEND 5000៛ 0085512345602", "Send\u200b 5000\n012345602", "SEND 5000#012345602"),
    ],
)
def test_a_payment_in_all_its_spellings_ends_in_a_challenge(text):
    said = send(text, replace(SOK, fresh_id="intent-1"))
    assert isinstance(said, Challenge)
    assert said.form == "send"
    assert said.answers == {
        "to": ["+85512345602", "a@bank", "C*** T***"],
        "amount": ["KHR", 5000],
    }
    assert said.intent == "intent-1"
    assert said.reply("4821").text == (
        "Send 5,000 KHR to C*** T*** 012 345 602? Within 5 minutes answer YES 4821 and your PIN. "
        "Not you? Do nothing."
    )


@pytest.mark.parametrize("text", ["SEND $12.50 012345602", "send 12.5 usd 012345602"])
def test_dollars_are_written(text):
    said = send(text, RICH)
    assert isinstance(said, Challenge)
    assert said.answers["amount"] == ["USD", 1250]
    assert answer(text).startswith("Your wallet has no dollars.")


def test_sms_and_ussd_end_in_the_same_effect():
    for text, typed, facts in (
        ("SEND 5000 012345602", ("1", "012345602", "5000"), SOK),
        ("SEND $5 012345602", ("1", "012345602", "2", "5"), RICH),
        ("SEND 500 riel 012345602", ("1", "012345602", "1", "500"), RICH),
    ):
        by_ussd = transfers(Phone(facts).dial().type(*typed, PIN))[0]
        world = World()
        challenge = send(text, replace(facts, fresh_id=by_ussd.intent))
        pay(challenge, PIN, facts, world)
        assert world.done == [by_ussd]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("SEND", "To send write: SEND amount number."),
        ("SEND 5000", "To send write: SEND amount number."),
        ("SEND -5000 012345602", "To send write: SEND amount number."),
        ("SEND 012345602 -5000", "To send write: SEND amount number."),
        ("SEND lunch Dara", "To send write: SEND amount number."),
        ("SEND 12345678 10000000", "To send write: SEND amount number."),
        ("SEND 5000 012345602 730264", NEVER_PIN),
        ("SEND 5000 012345601", "That is your own number."),
        ("SEND 5000 012345605", "012 345 605 has no wallet yet. Ask them to dial *855#."),
        ("SEND 0 012345602", "0 is no amount. Type it like 5000."),
        ("SEND 9000000 012345602", "By SMS at most 200,000 KHR at once."),
        ("SEND 100000 012", "To send write: SEND amount number."),
        ("SEND 50 012345602", "Send at least 100 KHR."),
        ("SEND 300000 012345602", "By SMS at most 200,000 KHR at once. For more dial *855#."),
        ("SEND 50.5 012345602", "Riel has no decimals."),
        ("SEND 5000 023880123", "That is not a mobile number."),
    ],
)
def test_what_cannot_be_sent_is_answered_with_the_reason(text, says):
    assert answer(text).startswith(says)


@pytest.mark.parametrize("amount", ["5000", "60"])
def test_who_can_send_nothing_is_told_so_whatever_the_amount(amount):
    left = {Currency.KHR: sendable(KHR_CAPS, Used(), 60)}
    facts = replace(SOK, wallet=replace(OPEN, sendable=left))
    says = "You have 60 KHR to send. The least is 100 KHR."
    assert answer(f"SEND {amount} 012345602", facts) == says


def test_paying_the_same_again_is_said_before_the_code_and_agreed_to_with_it():
    paid = Recent(CHAN, RIEL, NOW, settled=True, ref="R6")
    facts = replace(SOK, wallet=replace(OPEN, recent=(paid,)))
    said = send("SEND 5000 012345602", facts)
    assert isinstance(said, Challenge)
    assert said.reply("4821").text.startswith("You sent 5,000 KHR to C*** T*** ..602 at 14:00")
    world = World()
    pay(said, PIN, facts, world)
    assert [effect.again for effect in world.done] == [True]


# --- YES ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        *("YES 4821 730264", "yes: 4821, 730264.", "Yes៤៨២១ ៧៣០២៦៤", "YES code 4821 pin 730264"),
        *(
            "YES 4821 730264\nSent from my Nokia",
            "YES 4821 730264 noted, thanks",
            "បាទ ៤៨២១ ៧៣០២៦៤",
        ),
        *("YES 4821 730264 from Tep ទេព", "yes 4821 pin:730264 now"),
    ],
)
def test_a_code_and_a_pin_are_taken_apart(text):
    assert SMS.hear(text, SOK) == Confirmation("4821", Pin("730264"))
    assert "730264" not in repr(SMS.hear(text, SOK))


@pytest.mark.parametrize(
    "text",
    [
        *(
            "YES 4821 730264 no",
            "yes pin 4821 730264 - don't",
            "YES 4821 730264 dont",
            "Y no 4821 730264",
        ),
        *(
            "YES 4821 730264 DON\u2019T!",
            "YES stop 4821 730264",
            "yes 4821 730264, cancel it",
            "Y 4821 not 730264",
        ),
        *(
            "yes 4821 730264 never",
            "YES 4821 730264 ទេ",
            "បាទ 4821 730264 អត់ទេ",
            "YES 4821 730264 កុំផ្ញើ",
        ),
        *("YES 4821 730264 បោះបង់", "YES 4821 730264 មិនផ្ញើទេ", "YES 4821 730264 No."),
    ],
)
def test_a_yes_that_also_says_no_pays_nothing_and_keeps_no_pin(text):
    said = SMS.hear(text, SOK)
    assert said == Reply("To pay answer: YES, the code, and your PIN. Nothing was paid.")


@pytest.mark.parametrize("text", ["YES", "YES 730264", "YES 4821 73026", "yes please 1 2 3 4"])
def test_a_yes_that_lacks_something_pays_nothing(text):
    assert answer(text) == "To pay answer: YES, the code, and your PIN. Nothing was paid."


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        (
            Committed("R7", CHAN, "C*** T***", RIEL, Money(Currency.KHR, 395_000)),
            "Sent 5,000 KHR to C*** T*** ..602. Ref R7. Balance 395,000 KHR",
        ),
        (InProgress("R7"), "In progress, ref R7. An SMS will tell. Do not pay again."),
        (WrongPin(2), "Wrong PIN. Tries left: 2. Answer YES, the code and your PIN again."),
        (
            OverLimit(LimitKind.DAY, Money(Currency.KHR, 2000)),
            "Today you can still send 2,000 KHR. " + NOT_SENT,
        ),
        (
            AskAgain("R6", RIEL, CHAN, NOW, settled=True),
            "You sent 5,000 KHR to ..602 at 14:00 22/11. " + NOT_SENT,
        ),
        (Unavailable(), "Not confirmed. Look at Last payment before you pay again."),
    ],
)
def test_what_came_of_a_payment_is_told(outcome, says):
    challenge = send("SEND 5000 012345602")
    assert pay(challenge, PIN, world=answering((Transfer, outcome))) == says


def test_a_challenge_of_another_release_pays_nothing():
    world = World()
    for form, answers in (("send", {"to": 7}), ("send", {}), ("send", {"x": 1})):
        said = SMS.confirmed(form, answers, "i", Pin(PIN), SOK)
        assert said == SMS.no_challenge(SOK)
    assert isinstance(SMS.confirmed("gone", {}, "i", Pin(PIN), SOK), Reply)
    assert world.done == []


def test_a_wallet_held_since_the_challenge_pays_nothing():
    challenge = send("SEND 5000 012345602")
    held = replace(SOK, wallet=replace(OPEN, state="held"))
    assert pay(challenge, PIN, held) == "Your wallet cannot do this now. Dial *855# to see why."


# --- the others -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("BAL", "Balance: 400,000 KHR"),
        ("balance?", "Balance: 400,000 KHR"),
        ("សមតុល្យ", "Balance: 400,000 KHR"),
        ("Last payment", "There is no payment yet."),
        ("status", "There is no payment yet."),
        ("HELP", "SEND amount number, BAL, LAST, STATUS ref."),
        ("?", "SEND amount number, BAL, LAST, STATUS ref."),
        ("hello", "Not understood."),
        ("SENDER 5000 012345602", "Not understood."),
        ("", "Not understood."),
        ("\u202eSEND 5000 012345602", "Not understood."),
        ("5" * 10_000, "Not understood."),
    ],
)
def test_every_sms_gets_a_short_answer(text, says):
    assert answer(text).startswith(says)


@pytest.mark.parametrize(
    "text",
    [
        *("730264", "៧៣០២៦៤", " 730264.", "pin 730264", "my PIN is 730264!", "PIN:730264"),
        *("SEND 5000 012345602 730264", "SEND 730264 5000 012345602", "BAL 730264"),
        *("LAST 730264", "status 730264", "SENDER 730264", "HELP 730264", "? my pin 730264"),
        *("HELP my pin is 730264", "LAST my pin 730264", "STATUS 0A1B2C3D pin 730264"),
        *("SEND 5000 012345602 PIN 730264", "SEND 5000 Chan Thida PIN 730264", "BAL pin 730264"),
        *("SEND 012345602 pin 730264", "SEND 730264 riel Chan Thida 582913", "SEND PIN:730264"),
        *("SEND 5000 012 345 602 ០១២៣៤៥", "SEND 5000 023 880123 730264", "hello! " * 40 + "730264"),
        *("\u2066730264\u2069", "BAL \u2066730264\u2069", "my pin \u202e730264", "๗๓๐๒๖๔"),
    ],
)
def test_a_pin_that_is_not_asked_for_is_answered_with_a_warning_and_does_nothing(text):
    world = World()
    assert answer(text, world=world).startswith(NEVER_PIN)
    assert world.done == []
    assert "730264" not in repr(SMS.hear(text, SOK))


@pytest.mark.parametrize("text", ["7302644", "73026", "BAL 5000", "hello 1234567"])
def test_a_number_of_another_length_is_no_pin(text):
    assert not answer(text).startswith(NEVER_PIN)


@pytest.mark.parametrize(
    "text",
    [
        *("HELP 012 345602", "call +855 12 345602", "pay 012345 602", "what of 023 880123?"),
        *("SEND 5000 Dara 012 345602", "SEND lunch 100000 012 345 602", "SEND 100000 Chan Thida"),
        *("hello 730264 riel", "please send $730264", "hello 730264.50", "SEND -730264 012345602"),
        *("A730264B", "STATUS please A730264B", "STATUS 730264AB 0A1B2C3D", "hello! " * 40),
        *("SEND 730264 012345601", "SEND 730264 023880123", "\u202eSEND 730264 riel 012 345602"),
    ],
)
def test_what_is_of_a_phone_number_an_amount_or_a_ref_is_no_pin(text):
    assert not answer(text).startswith(NEVER_PIN)


def test_a_pin_is_warned_of_when_nothing_may_be_sent_either():
    for facts in (replace(SOK, wallet=None), replace(SOK, wallet=replace(OPEN, state="held"))):
        assert answer("SEND 5000 012345602 730264", facts).startswith(NEVER_PIN)


@pytest.mark.parametrize(
    "text",
    ["STATUS 0A1B2C3D", "status oalb2c3d", "Last payment ref #0A1B 2C3D", "LAST: 0a1b-2c3d."],
)
def test_one_payment_is_asked_for_by_its_ref(text):
    paid = LastPayment(PaymentState.PAID, "0A1B2C3D", RIEL, "C*** T*** ..602", NOW)
    world = answering((ReadLastPayment, paid))
    assert answer(text, world=world) == (
        "Sent: 5,000 KHR to C*** T*** ..602, 14:00 22/11. Ref 0A1B2C3D"
    )
    assert SMS.hear(text, SOK).effect == ReadLastPayment("0A1B2C3D")


def test_a_ref_of_nobodys_and_what_is_no_ref_get_a_short_answer():
    unknown = "No payment of yours has this ref. For the last one write LAST."
    assert answer("STATUS 0A1B2C3D") == unknown
    usage = "To look a payment up write: STATUS ref. For the last one write LAST."
    for text in ("STATUS 0A1B", "LAST please", "STATUS 0A1B2C3D 0A1B2C3E"):
        assert answer(text) == usage


def test_people_without_a_wallet_are_told_how_to_get_one():
    facts = replace(SOK, wallet=None)
    for text in ("SEND 5000 012345602", "BAL"):
        assert answer(text, facts) == "You have no wallet yet. Dial *855# to open one."
    opening = replace(SOK, wallet=replace(OPEN, state="opening"))
    assert answer("BAL", opening).startswith("Your wallet cannot do this now.")


@pytest.mark.parametrize("number", ["+254711000111", "+85523721234"])
def test_a_number_that_can_have_no_wallet_is_offered_none(number):
    facts = replace(SOK, wallet=None, msisdn=Msisdn(number))
    for text in ("SEND 5000 012345602", "BAL", "LAST"):
        assert answer(text, facts) == "This service is for mobile numbers of Cambodia."


def test_an_sms_of_no_questions_asks_its_effect_at_once():
    said = SMS.hear("BAL", SOK)
    assert isinstance(said, Asks)
    assert said.effect == ReadBalance()


@given(
    st.text(alphabet=st.characters(), max_size=200), st.sampled_from(["", "SEND ", "YES ", "BAL"])
)
def test_whatever_is_written_is_answered(text, word):
    assert isinstance(send(word + text), Reply | Challenge | Confirmation)


@given(st.text(alphabet="0123456789 ,.-+/$៛rRto", max_size=180))
def test_almost_payments_are_read_in_one_way_or_not_at_all(text):
    said = send("SEND " + text, RICH)
    assert isinstance(said, Reply | Challenge)


def test_the_slowest_text_is_read_fast():
    started = time.perf_counter()
    send("SEND " + "1 " * 88)
    send("SEND " + "730264 " * 25)
    assert time.perf_counter() - started < 0.5
