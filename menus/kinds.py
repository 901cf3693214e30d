"""The kinds of value a conversation is made of: how each is read, shown, stored and sized.

Pure: text in, frozen values out. No clock, no store, no I/O; `phonenumbers` is the only
dependency. A kind that must look something up asks for an effect; it never does it itself.
"""

from dataclasses import dataclass, field
from enum import StrEnum


class Currency(StrEnum):
    """ISO 4217 code. Riel has 0 decimals (CLDR says 2 and is wrong for Bakong), dollars 2."""

    KHR = "KHR"
    USD = "USD"

    @property
    def decimals(self) -> int:
        return 0 if self is Currency.KHR else 2


@dataclass(frozen=True, slots=True, order=True)
class Money:
    """`minor` integer minor units (riel; US cents) of `currency`. Never a float."""

    currency: Currency
    minor: int


@dataclass(frozen=True, slots=True, order=True)
class Msisdn:
    """A mobile number in E.164 with its plus sign: "+85512345601"."""

    e164: str

    def __str__(self) -> str:
        return self.e164


@dataclass(frozen=True, slots=True)
class Pin:
    """Digits of a PIN. Never shown, logged or stored: its repr is always the same."""

    digits: str = field(repr=False)
