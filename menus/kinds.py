"""The kinds of value a conversation is made of: how each is read, shown, stored and sized.

A field of a form names its kind as its type (kind.py says what a kind is). Pure: text in, frozen
values out; no clock, no store, no I/O. A kind that must look something up asks for an effect
(lookups.py); it never does it itself.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from enum import StrEnum
from typing import ClassVar, Final

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberType

from menus.bank_accounts import BankAccount
from menus.kind import Context, Json, Kind, Option, Refusal
from menus.reading import plain

PHNOM_PENH = timezone(timedelta(hours=7))  # no daylight saving, so no time-zone database


# --- money ------------------------------------------------------------------------------------


class Currency(Kind, StrEnum):
    """ISO 4217 code. Riel has 0 decimals (CLDR says 2 and is wrong for Bakong), dollars 2."""

    KHR = "KHR"
    USD = "USD"

    @property
    def decimals(self) -> int:
        return 0 if self is Currency.KHR else 2

    @property
    def like(self) -> str:
        """An amount of it, as people type one."""
        return "5.50" if self.decimals else "5000"

    @classmethod
    def options(cls, context: Context) -> tuple[Option, ...]:  # noqa: ARG003 - always the same
        return _CURRENCIES

    @classmethod
    def parse(cls, text: str, context: Context) -> "Currency | Refusal":  # noqa: ARG003
        return _CURRENCY_WORDS.get((plain(text) or "").lower()) or Refusal("engine.choose")

    @classmethod
    def implied(cls, answers: Mapping[str, Kind]) -> "Currency | None":
        return next((a.currency for a in answers.values() if isinstance(a, Money)), None)

    @property
    def show(self) -> str:
        return self.value

    def dump(self) -> Json:
        return self.value

    @classmethod
    def load(cls, dumped: Json) -> "Currency":
        return cls(str(dumped))

    @classmethod
    def worst(cls) -> Sequence["Currency"]:
        return tuple(cls)


_CURRENCIES: Final = tuple(Option(one.value, f"currency.{one.value}") for one in Currency)
_CURRENCY_WORDS: Final = {
    **dict.fromkeys(("khr", "riel", "riels", "r", "៛", "រៀល"), Currency.KHR),
    **dict.fromkeys(("usd", "us$", "$", "dollar", "dollars", "ដុល្លារ"), Currency.USD),
}
CURRENCY_WORD: Final = "|".join(
    re.escape(word) for word in sorted(_CURRENCY_WORDS, key=len, reverse=True)
)
# The one expression that reads an amount. Thousands stand in groups of three with one kind of
# separator; `.` or a typed `*` begins at most two decimals. "5.000" and "12,50" mean different
# things to different people, so they mean nothing here. What has zeros before it and is longer
# than seven digits is a phone number.
_AMOUNT: Final = re.compile(
    rf"(?P<before>{CURRENCY_WORD})?\ ?"
    r"(?P<whole>0|0*[1-9]\d{0,6}|[1-9]\d{7,}|[1-9]\d{0,2}(?:,\d{3})+|[1-9]\d{0,2}(?:\ \d{3}){1,2})"
    r"(?:[.*](?P<part>\d{1,2}))?"
    rf"\ ?(?P<after>{CURRENCY_WORD})?",
    re.VERBOSE | re.ASCII,
)
_PADDED: Final = re.compile(r"0[0-9]").match
_MOST: Final = {Currency.KHR: 999_999_999, Currency.USD: 999_999_99}


@dataclass(frozen=True, slots=True, order=True)
class Money(Kind):
    """`minor` integer minor units (riel; US cents) of `currency`. Never a float."""

    currency: Currency
    minor: int

    @classmethod
    def parse(cls, text: str, context: Context) -> "Money | Refusal":
        chosen, wallet = context.answer(Currency), context.facts.wallet
        alone = context.facts.channel != "sms"
        money = cls.read(text, chosen or Currency.KHR, alone=alone)
        if isinstance(money, Refusal):
            return money
        if money.currency is Currency.USD and not (wallet and wallet.dollars):
            return Refusal("money.no_dollars")
        if chosen and money.currency is not chosen:
            return Refusal("money.other_currency", {"currency": chosen.show})
        if money.minor > _MOST[money.currency]:
            left = wallet.sendable.get(money.currency) if wallet else None
            most = min(_MOST[money.currency], left.per_transfer if left else money.minor)
            return Refusal("limit.most", {"amount": cls(money.currency, most).show})
        return money

    @classmethod
    def read(cls, text: str, unless_written: Currency, *, alone: bool) -> "Money | Refusal":
        """Read an amount; a currency written with it counts, else `unless_written`.

        Unless it stands `alone`, what begins with zeros or is too long may be of a phone number.
        """
        found = _AMOUNT.fullmatch((plain(text) or "").lower())
        unclear = Refusal("money.unclear", {"like": unless_written.like})
        if not found:
            return unclear
        written = {_CURRENCY_WORDS[word] for word in found.group(1, "after") if word}
        if len(written) > 1:
            return unclear
        currency = written.pop() if written else unless_written
        part = found["part"] or ""
        if part and not currency.decimals:
            return Refusal("money.whole_riel")
        minor = int(re.sub(r"\D", "", found["whole"]) + part.ljust(currency.decimals, "0"))
        if not alone and (_PADDED(found["whole"]) or minor > _MOST[currency]):
            return unclear
        return cls(currency, minor) if minor else Refusal("money.zero", {"like": currency.like})

    @property
    def show(self) -> str:
        if not self.currency.decimals:
            return f"{self.minor:,} {self.currency.value}"
        whole, part = divmod(self.minor, 100)
        return f"{whole:,}.{part:02} {self.currency.value}"

    def dump(self) -> Json:
        return [self.currency.value, self.minor]

    @classmethod
    def load(cls, dumped: Json) -> "Money":
        match dumped:
            case [str(currency), int(minor)]:
                return cls(Currency(currency), minor)
            case _:
                raise ValueError("not money")

    @classmethod
    def worst(cls) -> Sequence["Money"]:
        return tuple(cls(currency, most) for currency, most in _MOST.items())


# --- numbers ------------------------------------------------------------------------------------

REGION: Final = "KH"
COUNTRY_CODE: Final = 855
# The library's own pattern, asked first: its whole analysis takes as long as the rest of a turn.
_MOBILE: Final = re.compile(
    str(phonenumbers.PhoneMetadata.metadata_for_region(REGION).mobile.national_number_pattern)  # type: ignore[union-attr]  # there is such a region
)
_PREFIX: Final = re.compile(rf"0|{COUNTRY_CODE}").match
_E164: Final = re.compile(r"\+[0-9]{8,15}").fullmatch
_NUMBER: Final = re.compile(r"\+?[ (]*\d[\d ().\-/]{5,30}").fullmatch


@dataclass(frozen=True, slots=True, order=True)
class Msisdn(Kind):
    """A mobile number in E.164 with its plus sign: "+85512345601"."""

    e164: str

    def __str__(self) -> str:
        return self.e164

    @classmethod
    def parse(cls, text: str, context: Context) -> "Msisdn | Refusal":  # noqa: ARG003
        return cls.read(text)

    @classmethod
    def read(cls, text: str) -> "Msisdn | Refusal":
        """Read a Cambodian mobile number in any of the ways people write one."""
        written = plain(text) or ""
        if not _NUMBER(written):
            return Refusal("number.unclear")
        digits = re.sub(r"\D", "", written)
        if digits.startswith("00855"):
            digits = digits[2:]  # 00 is no exit code here: 0085512… would be Brazil's +55 12…
        prefix = _PREFIX(digits)
        if prefix and _MOBILE.fullmatch(digits, prefix.end()):
            return cls(f"+{COUNTRY_CODE}{digits[prefix.end() :]}")  # as nearly everybody writes it
        sign = "+" if written.startswith("+") or digits.startswith("855") else ""
        try:
            number = phonenumbers.parse(sign + digits, REGION)
        except NumberParseException:
            return Refusal("number.unclear")
        of_type = phonenumbers.number_type(number)  # UNKNOWN: there is no such number
        if number.country_code != COUNTRY_CODE or of_type == PhoneNumberType.UNKNOWN:
            return Refusal("number.unclear")
        if of_type != PhoneNumberType.MOBILE:
            return Refusal("number.not_mobile")
        return cls(f"+{COUNTRY_CODE}{number.national_number}")  # no Italian zero here

    @property
    def is_payable(self) -> bool:
        """Can it be typed as somebody's to pay? No number of another country, nor a fixed line."""
        return self.read(self.e164) == self

    @property
    def show(self) -> str:
        """As people here write it: "012 345 601"."""
        national = "0" + self.e164.removeprefix(f"+{COUNTRY_CODE}")
        return f"{national[:3]} {national[3:6]} {national[6:]}"

    @property
    def tail(self) -> str:
        """The end that tells numbers apart, for receipts; two dots, for "…" is not in GSM-7."""
        return f"..{self.e164[-3:]}"

    def dump(self) -> Json:
        return self.e164

    @classmethod
    def load(cls, dumped: Json) -> "Msisdn":
        if not isinstance(dumped, str) or not _E164(dumped):
            raise ValueError("not a number")
        return cls(dumped)

    @classmethod
    def worst(cls) -> Sequence["Msisdn"]:
        return (cls("+855961234567"),)


# --- PINs -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pin(Kind):
    """Digits of a PIN. Never shown, logged or stored: its repr is always the same.

    A form receives it for its effect only; by the time of its reply it is `FORGOTTEN`.
    """

    digits: str = field(repr=False)

    secret: ClassVar[bool] = True
    dialable: ClassVar[bool] = False

    @classmethod
    def parse(cls, text: str, context: Context) -> "Pin | Refusal":
        length = context.facts.service.pin_length
        digits = plain(text) or ""
        if len(digits) == length and digits.isdigit():  # plain leaves no digits but 0-9
            return cls(digits)
        return Refusal("pin.length")

    @classmethod
    def ask(cls, key: str, context: Context) -> tuple[str, dict[str, str]]:
        """Ask in the words of what is agreed to."""
        return context.worded(key), {}

    def holes(self, name: str) -> dict[str, str]:  # noqa: ARG002 - it fills none
        return {}

    def dump(self) -> Json:
        raise TypeError("a PIN is never saved")


FORGOTTEN: Final = Pin("")


# --- choices --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Language(Kind):
    """A language the service speaks, by its code."""

    code: str

    @classmethod
    def options(cls, context: Context) -> tuple[Option, ...]:
        return tuple(Option(code, "language.name", code) for code in context.languages)

    @classmethod
    def parse(cls, text: str, context: Context) -> "Language | Refusal":
        code = (plain(text) or "").lower()
        return cls(code) if code in context.languages else Refusal("engine.choose")

    @property
    def show(self) -> str:
        return self.code

    def dump(self) -> Json:
        return self.code

    @classmethod
    def load(cls, dumped: Json) -> "Language":
        return cls(str(dumped))

    @classmethod
    def worst(cls) -> Sequence["Language"]:
        return (cls("km"),)


# --- how other people are shown -------------------------------------------------------------------

PaidTo = Msisdn | BankAccount


def masked_name(name: str) -> str:
    """Enough to recognise somebody one knows: first letters of the first and the last word.

    >>> masked_name("Sok Dara")
    'S*** D***'
    """
    initials = [word[0].upper()[0] for word in name.split() if word[0].isalpha()]
    shown = initials if len(initials) < 2 else (initials[0], initials[-1])  # noqa: PLR2004 - two
    return " ".join(f"{initial}***" for initial in shown)


def shown_other(name: str, to: PaidTo | None) -> str:
    """Say who the other party is: "S*** D*** ..601"; `name` is masked already."""
    if isinstance(to, BankAccount):
        return to.told
    return " ".join(part for part in (name, to.tail if to else "") if part)


def shown_time(at: datetime) -> str:
    """Say when, in Phnom Penh: "14:02 22/11"."""
    return at.astimezone(PHNOM_PENH).strftime("%H:%M %d/%m")
