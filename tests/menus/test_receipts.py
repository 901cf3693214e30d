"""Receipts say what became true, in one SMS in English and at most two in Khmer."""

from datetime import UTC, datetime

import pytest

from menus.encoding import Encoding, encoding_of, segments
from menus.kinds import Currency, Money, Msisdn, masked_name
from menus.receipts import (
    HeldNotice,
    NotSent,
    Opened,
    OpeningFailed,
    PinChangedNotice,
    PinKept,
    PinLockedNotice,
    PinReset,
    Received,
    Sent,
)
from menus.text.load import load_texts

TEXTS = load_texts()
SOK_DARA, CHAN_THIDA = Msisdn("+85512345601"), Msisdn("+85512345602")
LATE = datetime(2026, 12, 31, 16, 59, tzinfo=UTC)


def khr(minor):
    return Money(Currency.KHR, minor)


def usd(minor):
    return Money(Currency.USD, minor)


def test_the_sender_reads_what_left_and_what_may_still_be_sent():
    receipt = Sent(
        ref="K7Q2M9XA",
        amount=khr(5000),
        to=CHAN_THIDA,
        name=masked_name("Chan Thida"),
        at=LATE,
        balance=khr(395_000),
        left_today=khr(1_995_000),
    )
    assert receipt.say(TEXTS, "en") == (
        "Sent 5,000 KHR to C*** T*** ..602. Ref K7Q2M9XA. 23:59 31/12. Balance 395,000 KHR. "
        "Left to send today: 1,995,000 KHR."
    )


def test_of_unclaimed_money_the_sender_reads_until_when_it_waits():
    receipt = Sent("K7Q2M9XA", khr(5000), CHAN_THIDA, "", LATE, khr(395_000), khr(0), LATE)
    assert receipt.say(TEXTS, "en") == (
        "Sent 5,000 KHR to ..602. It comes back if not claimed before 23:59 31/12. Ref K7Q2M9XA. "
        "Balance 395,000 KHR."
    )


def received(sender, name):
    return Received("K7Q2M9XA", usd(1250), sender, name, LATE, usd(11_250)).say(TEXTS, "en")


def test_the_receiver_reads_from_whom_it_came():
    assert received(SOK_DARA, "S*** D***") == (
        "You received 12.50 USD from S*** D*** ..601. Ref K7Q2M9XA. 23:59 31/12. "
        "Balance 112.50 USD."
    )


@pytest.mark.parametrize(
    ("sender", "name", "start"),
    [
        (SOK_DARA, "", "You received 12.50 USD from ..601. Ref"),
        (None, "B***", "You received 12.50 USD from B***. Ref"),
        (None, "", "You received 12.50 USD. Ref"),
    ],
)
def test_money_from_a_nameless_sender_reads_well(sender, name, start):
    assert received(sender, name).startswith(start)


def test_a_refused_payment_says_that_no_money_moved():
    named = NotSent("K7Q2M9XA", khr(5000), "C*** T***", khr(400_000), CHAN_THIDA)
    assert named.say(TEXTS, "en") == (
        "Not sent: 5,000 KHR to C*** T*** ..602. No money left your wallet. Ref K7Q2M9XA. "
        "Balance 400,000 KHR."
    )
    nameless = NotSent("K7Q2M9XA", khr(5000), "", khr(400_000))
    assert nameless.say(TEXTS, "en").startswith("Not sent: 5,000 KHR. No money left your wallet.")


def test_times_are_local():
    assert "until 00:29 01/01" in PinLockedNotice(datetime(2026, 12, 31, 17, 29, tzinfo=UTC)).say(
        TEXTS, "en"
    )


NAMES = [masked_name("Warathida Wattanak"), masked_name("សុខ ដារ៉ា"), ""]
BIG = list(Money.worst())


@pytest.mark.parametrize("language", TEXTS.languages)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("money", BIG)
def test_receipts_keep_their_sms_budget(language, name, money):
    notices = [
        Sent("W" * 10, money, CHAN_THIDA, name, LATE, money, money),
        Sent("W" * 10, money, CHAN_THIDA, "", LATE, money, money, LATE),
        Received("W" * 10, money, SOK_DARA, name, LATE, money),
        NotSent("W" * 10, money, name, money, CHAN_THIDA),
        Opened("Bank of Cambodia", "*855#"),
        OpeningFailed(),
        PinLockedNotice(LATE),
        HeldNotice(),
        PinChangedNotice(LATE),
        PinReset("*855#"),
        PinKept("*855#"),
    ]
    for notice in notices:
        said = notice.say(TEXTS, language)
        single = encoding_of(said) is Encoding.GSM7
        assert len(segments(said)) <= (1 if single else 2), said
