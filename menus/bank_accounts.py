"""Where money goes that leaves for a bank account: a member bank, and an account's number there.

A number is checked for its shape only; whether there is such an account is for its bank to say.
Its payer is shown the whole of it before the PIN, nobody else anything. Nothing here knows forms.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

from menus.kind import Context, Json, Kind, Option, Refusal
from menus.reading import plain

LONGEST_BANK: Final = "Bank of Cambodia"  # bank names on a page are no longer than this
_TOLD_MOST: Final = 22  # characters: "Bank of Cambodia ..567", as of a wallet there
_NUMBER = re.compile(r"[0-9](?:[ -]*[0-9]){5,19}").fullmatch
_DIGITS = re.compile(r"[0-9]{6,20}").fullmatch


@dataclass(frozen=True, slots=True)
class MemberBank(Kind):
    """A bank that takes money for its customers' accounts: saved by its domain on the ledger."""

    domain: str
    name: str = field(compare=False)  # what people call it may change

    dialable: ClassVar[bool] = False  # a string kept in a phone does not know how banks are listed

    @classmethod
    def options(cls, context: Context) -> tuple[Option, ...]:
        return tuple(
            Option(cls(domain, name).dump(), "payee.at", holes={"bank_name": name})
            for domain, name in context.facts.service.banks
        )

    @classmethod
    def parse(cls, text: str, context: Context) -> "MemberBank | Refusal":
        named = (plain(text) or "").lower()
        banks = (cls(*bank) for bank in context.facts.service.banks)
        chosen = (bank for bank in banks if bank.name.lower() == named)
        return next(chosen, None) or Refusal("engine.choose")

    def holes(self, name: str) -> dict[str, str]:
        return {f"{name}_name": self.name}

    def dump(self) -> str:
        return f"{self.domain}={self.name}"  # no domain has an equals sign

    @classmethod
    def load(cls, dumped: Json) -> "MemberBank":
        domain, _, name = str(dumped).partition("=")
        if not domain or not name:
            raise ValueError("not a member bank")
        return cls(domain, name)

    @classmethod
    def worst(cls) -> Sequence["MemberBank"]:
        return (cls("bank", LONGEST_BANK),)


@dataclass(frozen=True, slots=True)
class BankAccount(Kind):
    """An account: its bank, chosen before, and its number in digits, however it was written."""

    bank: MemberBank
    number: str

    @classmethod
    def parse(cls, text: str, context: Context) -> "BankAccount | Refusal":
        bank = context.answer(MemberBank)
        if bank is None:
            raise TypeError("a form asks BankAccount only after MemberBank")
        written = plain(text) or ""
        if not _NUMBER(written):
            return Refusal("account.unclear")
        return cls(bank, re.sub(r"[ -]", "", written))

    @property
    def show(self) -> str:
        """In threes, to be compared with what is written down: "000 123 456"."""
        return " ".join(re.findall(r"\d{1,3}", self.number))

    @property
    def told(self) -> str:
        """As its payer reads of it afterwards: "ABA Bank 000123456", or its end if that is long."""
        whole = f"{self.bank.name} {self.number}"
        if len(whole) <= _TOLD_MOST:
            return whole
        start = f"{self.bank.name} .."
        return start + self.number[len(start) - _TOLD_MOST :]

    def holes(self, name: str) -> dict[str, str]:
        """`{number_told}` is shorter than `{number}` and names the bank."""
        return {name: self.show, f"{name}_told": self.told}

    def dump(self) -> Json:
        return [self.bank.dump(), self.number]

    @classmethod
    def load(cls, dumped: Json) -> "BankAccount":
        match dumped:
            case [str(bank), str(number)] if _DIGITS(number):
                return cls(MemberBank.load(bank), number)
            case _:
                raise ValueError("not a bank account")

    @classmethod
    def worst(cls) -> Sequence["BankAccount"]:
        return (cls(MemberBank.worst()[0], "8" * 20),)
