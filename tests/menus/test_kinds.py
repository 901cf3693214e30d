# ruff: noqa: RUF001 - digits that look alike are what this is about
"""Every reader is total, exact or refusing, and fast; what is shown can be read again."""

import re
import time
from dataclasses import replace
from datetime import UTC, datetime

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType
from talk import CHAN, DOLLARS, SOK, STRANGER

from menus import kinds
from menus.effects import (
    Compare,
    Different,
    FindPayee,
    Keep,
    Kept,
    KeptExpired,
    NoWallet,
    PayeeFound,
    Same,
    TooManyLookups,
    Unavailable,
)
from menus.flows.paying import Again
from menus.kind import Context, Lookup, Refusal
from menus.kinds import Currency, Language, Money, Msisdn, Pin, masked_name, shown_other, shown_time
from menus.lookups import NewPin, Payee, SamePin
from menus.reading import plain
from menus.weak_pins import weak

LANGUAGES = ("en", "km")
CONTEXT = Context(SOK, "field", {}, LANGUAGES)
UNCLEAR = Refusal("money.unclear", {"like": "5000"})
READERS = (Currency, Money, Msisdn, Pin, Language, Payee, NewPin, Again)
KHMER = str.maketrans("0123456789", "០១២៣៤៥៦៧៨៩")
FULL_WIDTH = str.maketrans("0123456789", "０１２３４５６７８９")


def with_dollars(**answers):
    facts = SOK.__class__(SOK.msisdn, SOK.now, "", "en", DOLLARS, SOK.service)
    return Context(facts, "amount", answers, LANGUAGES)


# --- all of them ----------------------------------------------------------------------------------


@given(st.text(), st.sampled_from(READERS))
def test_any_text_gives_a_value_a_look_up_or_a_refusal(text, kind):
    assert isinstance(kind.parse(text, CONTEXT), kind | Lookup | Refusal)


@given(st.text(alphabet="0123456789០៥+-(). ,*$៛KHRUSDe\u200b\u202e٣²", max_size=40))
def test_texts_that_are_almost_right_are_exact_or_refused(text):
    for kind in READERS:
        assert isinstance(kind.parse(text, with_dollars()), kind | Lookup | Refusal)


@pytest.mark.parametrize("kind", [*READERS, SamePin])
@pytest.mark.parametrize(
    "text", ["5" * 10_000, "៥" * 10_000, " " * 10_000, "$" * 10_000, "0-" * 5_000]
)
def test_ten_kilobytes_are_refused_at_once(kind, text):
    context = Context(SOK, "again", {"pin": NewPin("pin", "t")}, LANGUAGES)
    started = time.perf_counter()
    assert isinstance(kind.parse(text, context), Refusal)
    assert time.perf_counter() - started < 0.05


@pytest.mark.parametrize(
    "value",
    [
        *Money.worst(),
        *Msisdn.worst(),
        *Currency.worst(),
        *Language.worst(),
        *Payee.worst(),
        *NewPin.worst(),
        *SamePin.worst(),
        *Again.worst(),
        Again(yes=False),
    ],
)
def test_what_is_dumped_can_be_loaded(value):
    assert type(value).load(value.dump()) == value


@pytest.mark.parametrize("kind", [Money, Msisdn, Currency, Payee, NewPin, SamePin])
@pytest.mark.parametrize("dumped", [None, 7, "x", [], ["x"], ["KHR", 5, 7], {"a": 1}])
def test_what_nobody_dumped_is_refused_by_load(kind, dumped):
    with pytest.raises(ValueError):  # noqa: PT011 - each says its own
        kind.load(dumped)


# --- plain text -----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["\u202e123", "12\u200e3", "١٢٣", "5²", "①", "½", "1\x0023", "१२"])
def test_what_could_mislead_is_no_text(text):
    assert plain(text) is None


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("៥០០០", "5000"),
        ("５０００", "5000"),
        ("5\u200b000", "5000"),
        ("\u00a05\u202f000\u3000", "5 000"),
        ("012\u2013345", "012-345"),
        ("៥០០០៛", "5000៛"),
    ],
)
def test_ways_people_really_write_are_understood(text, meant):
    assert plain(text) == meant


# --- money ----------------------------------------------------------------------------------------

amounts = st.one_of(
    st.builds(Money, st.just(Currency.KHR), st.integers(1, 999_999_999)),
    st.builds(Money, st.just(Currency.USD), st.integers(1, 999_999_99)),
)


@given(amounts, st.sampled_from([{}, KHMER, FULL_WIDTH]))
def test_shown_money_is_read_as_the_same_money(money, digits):
    assert Money.parse(money.show.translate(digits), with_dollars()) == money


@pytest.mark.parametrize(
    ("text", "minor"),
    [
        ("5000", 5000),
        ("5,000", 5000),
        ("5 000", 5000),
        ("1,234,567", 1_234_567),
        ("៥,០០០", 5000),
        ("5000៛", 5000),
        ("5000 riel", 5000),
        ("5000R", 5000),
        ("KHR 5000", 5000),
    ],
)
def test_riel_as_people_write_them(text, minor):
    assert Money.parse(text, CONTEXT) == Money(Currency.KHR, minor)


@pytest.mark.parametrize(
    ("text", "minor"),
    [
        ("12.50", 1250),
        ("12*50", 1250),
        ("12", 1200),
        ("0.05", 5),
        ("1,000.5", 100_050),
        ("$3", 300),
    ],
)
def test_dollars_as_people_write_them(text, minor):
    context = with_dollars(currency=Currency.USD)
    assert Money.parse(text, context) == Money(Currency.USD, minor)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "-5",
            "+5",
            "1e3",
            "0x10",
            "5.000",
            "12,50",
            "1,00",
            "5,0000",
            "12.505",
            "05,000",
        ),
        *("1,000 000", "5000 5000", "$5 KHR", "five", "012345601", "0961234567", "NaN"),
        *("5.", ".5", "1_000", "5 5", "12**50", "1*", "٥"),
    ],
)
def test_what_could_be_another_amount_is_no_amount(text):
    assert Money.parse(text, CONTEXT) == UNCLEAR
    in_dollars = Money.parse(text, with_dollars(currency=Currency.USD))
    assert in_dollars == Refusal("money.unclear", {"like": "5.50"})


@pytest.mark.parametrize(
    ("currency", "most", "more"),
    [(Currency.KHR, "999,999,999", "1,000,000,000"), (Currency.USD, "999,999.99", "1,000,000")],
)
def test_an_amount_has_at_most_nine_digits_or_six_and_cents(currency, most, more):
    context = with_dollars(currency=currency)
    assert isinstance(Money.parse(most, context), Money)
    assert isinstance(Money.parse(more, context), Refusal)


@pytest.mark.parametrize("text", ["1000000000", "99999999999999999999", "999,999,999,999 KHR"])
def test_a_figure_beyond_all_limits_is_told_how_much_may_be_sent_at_once(text):
    told = Refusal("limit.most", {"amount": "2,000,000 KHR"})
    assert Money.parse(text, with_dollars()) == told
    unknown = replace(CONTEXT, facts=replace(SOK, wallet=None))
    assert Money.parse(text, unknown) == Refusal("limit.most", {"amount": "999,999,999 KHR"})
    by_sms = replace(CONTEXT, facts=replace(SOK, channel="sms"))
    assert Money.parse(text, by_sms) == UNCLEAR


@pytest.mark.parametrize("text", ["05000", "0005000", "០០៥០០០", "005000 KHR"])
def test_zeros_before_an_amount_mean_nothing_but_in_an_sms_which_names_a_number_too(text):
    assert Money.parse(text, CONTEXT) == Money(Currency.KHR, 5000)
    by_sms = replace(CONTEXT, facts=replace(SOK, channel="sms"))
    assert Money.parse(text, by_sms) == UNCLEAR


@pytest.mark.parametrize(
    ("text", "like"),
    [("0", "5000"), ("0 KHR", "5000"), ("0.00 USD", "5.50"), ("$0", "5.50"), ("៛0", "5000")],
)
def test_nothing_is_no_amount_and_is_told_so(text, like):
    assert Money.parse(text, with_dollars()) == Refusal("money.zero", {"like": like})


def test_riel_have_no_decimals():
    assert Money.parse("12.50", CONTEXT) == Refusal("money.whole_riel")


def test_a_written_currency_must_be_the_chosen_one_and_one_the_wallet_has():
    assert Money.parse("$5", CONTEXT) == Refusal("money.no_dollars")
    assert Money.parse("$5", with_dollars()) == Money(Currency.USD, 500)
    refused = Money.parse("$5", with_dollars(currency=Currency.KHR))
    assert refused == Refusal("money.other_currency", {"currency": "KHR"})


# --- numbers --------------------------------------------------------------------------------------

local_numbers = st.one_of(
    st.from_regex(
        r"(?:010|015|016|069|011|014|017|077|089|092|066|067|090)[2-9][0-9]{5}", fullmatch=True
    ),
    st.from_regex(r"(?:096|088|097|071|031|012)[2-9][0-9]{6}", fullmatch=True),
)


@given(local_numbers, st.sampled_from([{}, KHMER, FULL_WIDTH]))
def test_shown_numbers_are_read_as_the_same_number(written, digits):
    number = Msisdn.read(written)
    assert isinstance(number, Msisdn)
    assert number.e164 == "+855" + written[1:]
    for again in (number.show, number.e164, number.e164[1:], "00" + number.e164[1:]):
        assert Msisdn.read(again.translate(digits)) == number


@pytest.mark.parametrize(
    "text",
    [
        *("012345602", "012 345 602", "012-345-602", "012.345.602", "012/345/602", "12345602"),
        *("+85512345602", "85512345602", "0085512345602", "00185512345602", "(855) 12 345 602"),
        *(
            "+855012345602",
            "+855 (0)12 345 602",
            "០១២៣៤៥៦០២",
            "０１２３４５６０２",
            "012\u200b345602",
        ),
    ],
)
def test_one_number_in_all_its_spellings(text):
    assert Msisdn.read(text) == CHAN


@pytest.mark.parametrize(
    "text",
    [
        *("", "0", "12", "0123", "+84912345678", "+15551234567", "0012345678", "012-345-602x5"),
        *("\u202e206543210", "0812345", "+", "a012345602", "012345602;ext=5", "0" * 30, "+855"),
    ],
)
def test_what_is_no_number_from_here(text):
    assert Msisdn.read(text) == Refusal("number.unclear")


def test_a_landline_has_no_wallet():
    assert Msisdn.read("023 880 123") == Refusal("number.not_mobile")


def test_numbers_are_shown_as_people_here_write_them():
    assert CHAN.show == "012 345 602"
    assert Msisdn("+855961234567").show == "096 123 4567"
    assert CHAN.tail == "..602"


# --- payees ---------------------------------------------------------------------------------------


def test_a_payee_is_looked_up_and_remembered_as_found():
    assert Payee.parse("012345602", CONTEXT) == Lookup(FindPayee(CHAN))
    payee = Payee.found(PayeeFound(CHAN, "a@b", "C*** T***"), CONTEXT)
    assert payee == Payee(CHAN, "a@b", "C*** T***")
    assert payee.holes("to") == {"to_name": "C*** T***", "to_whole": "C*** T*** 012 345 602"}


def test_nobody_pays_themselves():
    assert Payee.parse("012345601", CONTEXT) == Refusal("payee.own")


def test_who_cannot_be_paid():
    no_wallet = Payee.found(NoWallet(STRANGER), CONTEXT)
    assert no_wallet == Refusal("payee.no_wallet", {"to": "012 345 605"})
    assert Payee.found(TooManyLookups(), CONTEXT) == Refusal("payee.too_many")
    assert Payee.found(Unavailable(), CONTEXT) == Refusal("engine.unreachable")


# --- PINs -----------------------------------------------------------------------------------------


def test_a_pin_is_its_digits_and_never_shows_them():
    pin = Pin.parse(" 730264 ", CONTEXT)
    assert pin == Pin("730264")
    assert "730264" not in repr(pin)
    with pytest.raises(TypeError, match="never saved"):
        pin.dump()


def test_a_pin_fills_no_hole_of_a_text():
    assert Pin("730264").holes("pin") == {}


@pytest.mark.parametrize("text", ["", "73026", "7302640", "73026a", "73 0264", "-30264"])
def test_what_is_no_pin(text):
    assert Pin.parse(text, CONTEXT) == Refusal("pin.length")


@pytest.mark.parametrize(
    "pin",
    [
        *("000000", "111111", "121212", "112112", "123123", "123456", "654321", "890123", "112233"),
        *("123321", "707070", "115555", "251290", "122590", "901225", "311299", "198704", "112004"),
        *("147258", "258369", "789456", "159357", "123654"),
        *("123459", "345601", "785512", "456012"),
    ],
)
def test_pins_that_are_guessed_first_are_refused_when_chosen(pin):
    assert weak(pin, "+85512345601")
    assert NewPin.parse(pin, CONTEXT) == Refusal("pin.weak")


def test_at_least_a_tenth_of_all_pins_is_refused_and_most_are_not():
    sample = range(0, 1_000_000, 37)
    share = sum(weak(f"{pin:06}", "+85512345601") for pin in sample) / len(sample)
    assert 0.10 <= share <= 0.25
    assert not weak("730264", "+85512345601")


def test_pins_of_another_length_hold_no_dates():
    assert not weak("4829", "+85512345601")
    assert not weak("25129047", "+85512345601")
    assert weak("251290", "+85512345601")


def test_an_amount_that_names_its_currency_answers_the_question_for_it():
    assert Currency.implied({"amount": Money(Currency.USD, 500)}) is Currency.USD
    assert Currency.implied({"pin": Pin("730264")}) is None


@pytest.mark.parametrize("amount", ["{} 5", "5 {}", "{}5"])
@pytest.mark.parametrize(
    ("words", "currency"),
    [
        (("khr", "riel", "riels", "r", "៛", "រៀល"), Currency.KHR),
        (("usd", "us$", "$", "dollar", "dollars", "ដុល្លារ"), Currency.USD),
    ],
)
def test_every_word_for_a_currency_names_it_alone_and_beside_an_amount(words, currency, amount):
    for word in (*words, *map(str.upper, words)):
        assert Currency.parse(f" {word} ", CONTEXT) is currency
        assert Money.parse(amount.format(word), with_dollars()).currency is currency
    assert Currency.parse("yen", CONTEXT) == Refusal("engine.choose")


def test_a_language_is_shown_by_its_code_and_read_by_it():
    assert Language("km").show == "km"
    assert Language.parse(" KM", CONTEXT) == Language("km")
    assert Language.parse("th", CONTEXT) == Refusal("engine.choose")


def test_a_chosen_pin_is_kept_at_once():
    assert NewPin.parse("730264", CONTEXT) == Lookup(Keep("field", Pin("730264")))
    assert NewPin.found(Kept("token"), CONTEXT) == NewPin("field", "token")


def test_a_repeated_pin_is_compared_and_another_one_starts_over():
    context = Context(SOK, "repeat", {"pin": NewPin("pin", "token")}, LANGUAGES)
    assert SamePin.parse("730264", context) == Lookup(Compare("pin", "token", Pin("730264")))
    assert SamePin.found(Same(), context) == SamePin()
    assert SamePin.found(Different(), context) == Refusal("pin.different", anew="pin")
    assert SamePin.found(KeptExpired(), context) == Refusal("pin.expired", anew="pin")


# --- showing other people -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Sok Dara", "S*** D***"),
        ("sok", "S***"),
        ("Chan Thida Srey Neang", "C*** N***"),
        ("សុខ ដារ៉ា", "ស*** ដ***"),
        ("", ""),
        ("  *** 7 ", ""),
    ],
)
def test_names_are_masked_to_two_letters(name, shown):
    assert masked_name(name) == shown


@given(st.text())
def test_masking_never_fails_and_never_tells_much(name):
    assert sum(character != "*" for character in masked_name(name).replace(" ", "")) <= 6


def test_the_other_party_and_the_time():
    assert shown_other("S*** D***", CHAN) == "S*** D*** ..602"
    assert shown_other("", CHAN) == "..602"
    assert shown_other("", None) == ""
    assert shown_time(datetime(2026, 11, 22, 17, 30, tzinfo=UTC)) == "00:30 23/11"


@given(
    st.sampled_from(["0", "855", "+855", "00855", "+855 0", "", "0855"]),
    st.one_of(
        st.from_regex(re.compile(r"[1-9]\d{5,9}", re.ASCII), fullmatch=True),
        st.from_regex(re.compile(kinds._MOBILE.pattern, re.ASCII), fullmatch=True),
    ),
)
def test_a_number_is_read_as_the_whole_library_reads_it(prefix, national):
    """Most are read by its pattern alone."""
    read = Msisdn.read(prefix + national)
    sign = "+" if prefix.lstrip("+0").startswith("855") and prefix != "0855" else ""
    whole = phonenumbers.parse(sign + (prefix.lstrip("+0") if sign else prefix) + national, "KH")
    if whole.country_code == 855 and phonenumbers.number_type(whole) == PhoneNumberType.MOBILE:
        assert read == Msisdn(phonenumbers.format_number(whole, PhoneNumberFormat.E164))
    else:
        assert isinstance(read, Refusal)
