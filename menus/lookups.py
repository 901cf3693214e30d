"""Kinds that ask the world something after reading: who a payee is, and PINs chosen twice.

`parse` gives a `Lookup`; its outcome comes to `found` and is saved as the answer, so that nothing
is looked up twice. What is saved of a PIN is an opaque token (effect `Keep`), never the PIN.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, assert_never

from menus.bank_accounts import LONGEST_BANK
from menus.effects import (
    Compare,
    CompareOutcome,
    Different,
    FindPayee,
    FindPayeeOutcome,
    JustOpening,
    Keep,
    KeepOutcome,
    Kept,
    KeptExpired,
    NoOwnerYet,
    NoWallet,
    PayeeFound,
    PayeesFound,
    Same,
    TooManyLookups,
    Unavailable,
)
from menus.kind import Context, Json, Kind, Lookup, Option, Refusal
from menus.kinds import Msisdn, Pin, masked_name
from menus.reading import plain
from menus.weak_pins import weak


@dataclass(frozen=True, slots=True)
class Payee(Kind):
    """Somebody to pay: typed as a number, saved with the account and the name that were found.

    With wallets at several banks there is no account yet, but `choices` between them. With neither,
    nobody has claimed a wallet of the number.
    """

    to: Msisdn
    account_id: str
    name: str  # masked
    bank: str = ""  # another bank that keeps the wallet
    choices: tuple["PayeeBank", ...] = ()

    @classmethod
    def parse(cls, text: str, context: Context) -> "Lookup | Refusal":
        number = Msisdn.read(text)
        if isinstance(number, Refusal):
            return number
        if number == context.facts.msisdn:
            return Refusal("payee.own")
        return Lookup(FindPayee(number))

    @classmethod
    def found(  # noqa: PLR0911 - one case per outcome
        cls, outcome: FindPayeeOutcome, context: Context
    ) -> "Payee | Refusal":
        match outcome:
            case PayeeFound(to, account_id, name, bank):
                return cls(to, account_id, name, bank)
            case PayeesFound(to, wallets) if wallets:
                return cls._one_of(to, wallets, context)
            case NoOwnerYet(to):
                return cls(to, "", "")
            case JustOpening(to):
                return Refusal("payee.just_opening", {"to": to.show})
            case NoWallet(to) | PayeesFound(to):
                return Refusal("payee.no_wallet", {"to": to.show})
            case TooManyLookups():
                return Refusal("payee.too_many")
            case Unavailable():
                return Refusal("engine.unreachable")
            case _:
                assert_never(outcome)

    @classmethod
    def _one_of(
        cls, to: Msisdn, wallets: Sequence[PayeeFound], context: Context
    ) -> "Payee | Refusal":
        """Ask which; by SMS, where nobody can be asked, it is the one we keep ourselves.

        Else any bank could stop what is sent to our people by listing their numbers.
        """
        if context.facts.channel == "sms":
            wallets = [it for it in wallets if it.bank == context.facts.service.bank]
        choices = tuple(PayeeBank(it.account_id, it.bank, it.name) for it in wallets)
        if not choices:
            return Refusal("payee.several", {"to": to.show})
        return cls(to, "", "", choices=choices)

    @property
    def show(self) -> str:
        return self.to.show

    def holes(self, name: str) -> dict[str, str]:
        """`{to_name}` is the masked name, or the number if it has none.

        `{to_whole}` is both, or the number and the other bank that keeps its wallet.
        """
        number = self.to.show
        whole = f"{self.name} {number}" if self.name else number
        if self.bank:
            whole = f"{number}, {self.bank}"
        return {f"{name}_name": self.name or number, f"{name}_whole": whole}

    @property
    def wording(self) -> str:
        return "" if self.account_id or self.choices else "unclaimed"

    def dump(self) -> Json:
        found: list[Json] = [self.to.e164, self.account_id, self.name]
        if not self.bank and not self.choices:
            return found
        return [*found, self.bank, *(choice.dump() for choice in self.choices)]

    @classmethod
    def load(cls, dumped: Json) -> "Payee":
        match dumped:
            case [str(to), str(account_id), str(name)]:
                return cls(Msisdn.load(to), account_id, name)
            case [str(to), str(account_id), str(name), str(bank), *several]:
                choices = tuple(PayeeBank.load(each) for each in several)
                return cls(Msisdn.load(to), account_id, name, bank, choices)
            case _:
                raise ValueError("not a payee")

    @classmethod
    def worst(cls) -> Sequence["Payee"]:
        number = Msisdn.worst()[0]
        names = ("Wwww Wwww", "សុខ ដារ៉ា", "")
        elsewhere = cls(number, "w@bank", "", LONGEST_BANK)
        ours = (cls(number, "w@bank", masked_name(name)) for name in names)
        return (*ours, elsewhere, cls(number, "", ""))


@dataclass(frozen=True, slots=True)
class PayeeBank(Kind):
    """Which of a payee's wallets: chosen by bank, saved with its account; or there is but one."""

    account_id: str
    bank: str
    name: str = ""  # masked; known of our own bank's people only

    dialable: ClassVar[bool] = False  # a string kept in a phone does not know who banks where

    @classmethod
    def options(cls, context: Context) -> tuple[Option, ...]:
        payee = context.answer(Payee)
        return tuple(
            Option(choice.dump(), "payee.at", holes={"bank_name": choice.bank})
            for choice in (payee.choices if payee else ())
        )

    @classmethod
    def parse(cls, text: str, context: Context) -> "PayeeBank | Refusal":
        named = (plain(text) or "").lower()
        payee = context.answer(Payee)
        chosen = (it for it in (payee.choices if payee else ()) if it.bank.lower() == named)
        return next(chosen, None) or Refusal("engine.choose")

    def holes(self, name: str) -> dict[str, str]:
        """What follows `{to_whole}`, empty without a choice.

        `{bank_at}` is who it is, or else where; `{bank_said}`, to whom nobody asked, is both.
        """
        told = [it for it in (self.name, self.bank) if it]
        return {
            f"{name}_at": "".join(f", {it}" for it in told[:1]),
            f"{name}_said": "".join(f", {it}" for it in told),
        }

    @classmethod
    def implied(cls, answers: Mapping[str, Kind]) -> "PayeeBank | None":
        """By SMS the only one left to choose."""
        payee = next((it for it in answers.values() if isinstance(it, Payee)), None)
        return payee.choices[0] if payee else None

    def dump(self) -> str:
        return json.dumps([self.account_id, self.bank, self.name], ensure_ascii=False)

    @classmethod
    def load(cls, dumped: Json) -> "PayeeBank":
        match json.loads(str(dumped)):
            case [str(account_id), str(bank), str(name)]:
                return cls(account_id, bank, name)
            case _:
                raise ValueError("not a payee's bank")

    @classmethod
    def worst(cls) -> Sequence["PayeeBank"]:
        return (cls("", LONGEST_BANK),)


ONLY_WALLET: Final = PayeeBank("", "")


def several_banks(context: Context) -> bool:
    """Has the payee wallets at more than one bank? As it was when the number was typed."""
    payee = context.answer(Payee)
    return bool(payee and payee.choices)


@dataclass(frozen=True, slots=True)
class NewPin(Kind):
    """A PIN being chosen: weak ones refused, and what is saved is a token that dies in minutes."""

    field: str
    token: str

    secret: ClassVar[bool] = True
    dialable: ClassVar[bool] = False
    kept: ClassVar[bool] = True

    @classmethod
    def parse(cls, text: str, context: Context) -> "Lookup | Refusal":
        pin = Pin.parse(text, context)
        if isinstance(pin, Refusal):
            return pin
        if weak(pin.digits, context.facts.msisdn.e164):
            return Refusal("pin.weak")
        return Lookup(Keep(context.field, pin))

    @classmethod
    def found(cls, outcome: KeepOutcome, context: Context) -> "NewPin | Refusal":
        match outcome:
            case Kept(token):
                return cls(context.field, token)
            case Unavailable():
                return Refusal("engine.unreachable")
            case _:
                assert_never(outcome)

    def holes(self, name: str) -> dict[str, str]:  # noqa: ARG002 - it fills none
        return {}

    def dump(self) -> Json:
        return [self.field, self.token]

    @classmethod
    def load(cls, dumped: Json) -> "NewPin":
        match dumped:
            case [str(name), str(token)]:
                return cls(name, token)
            case _:
                raise ValueError("not a kept PIN")

    @classmethod
    def worst(cls) -> Sequence["NewPin"]:
        return (cls("pin", ""),)


@dataclass(frozen=True, slots=True)
class SamePin(Kind):
    """The chosen PIN typed once more. Another one sends the person back to choosing."""

    secret: ClassVar[bool] = True
    dialable: ClassVar[bool] = False
    kept: ClassVar[bool] = True

    @classmethod
    def parse(cls, text: str, context: Context) -> "Lookup | Refusal":
        pin = Pin.parse(text, context)
        if isinstance(pin, Refusal):
            return pin
        chosen = context.answer(NewPin)
        if chosen is None:
            raise TypeError("a form asks SamePin only after NewPin")
        return Lookup(Compare(chosen.field, chosen.token, pin))

    @classmethod
    def found(cls, outcome: CompareOutcome, context: Context) -> "SamePin | Refusal":
        chosen = context.answer(NewPin)
        anew = chosen.field if chosen else None
        match outcome:
            case Same():
                return cls()
            case Different():
                return Refusal("pin.different", anew=anew)
            case KeptExpired():
                return Refusal("pin.expired", anew=anew)
            case Unavailable():
                return Refusal("engine.unreachable")
            case _:
                assert_never(outcome)

    def holes(self, name: str) -> dict[str, str]:  # noqa: ARG002 - it fills none
        return {}

    def dump(self) -> Json:
        return True

    @classmethod
    def load(cls, dumped: Json) -> "SamePin":
        if dumped is not True:
            raise ValueError("not a repeated PIN")
        return cls()

    @classmethod
    def worst(cls) -> Sequence["SamePin"]:
        return (cls(),)
