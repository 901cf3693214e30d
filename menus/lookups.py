"""Kinds that ask the world something after reading: who a payee is, and PINs chosen twice.

`parse` gives a `Lookup`; its outcome comes to `found` and is saved as the answer, so that nothing
is looked up twice. What is saved of a PIN is an opaque token (effect `Keep`), never the PIN.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, assert_never

from menus.effects import (
    Compare,
    CompareOutcome,
    Different,
    FindPayee,
    FindPayeeOutcome,
    Keep,
    KeepOutcome,
    Kept,
    KeptExpired,
    NoWallet,
    PayeeFound,
    Same,
    TooManyLookups,
    Unavailable,
)
from menus.kind import Context, Json, Kind, Lookup, Refusal
from menus.kinds import Msisdn, Pin, masked_name
from menus.weak_pins import weak


@dataclass(frozen=True, slots=True)
class Payee(Kind):
    """Somebody to pay: typed as a number, saved with the account and the name that were found."""

    to: Msisdn
    account_id: str
    name: str  # masked

    @classmethod
    def parse(cls, text: str, context: Context) -> "Lookup | Refusal":
        number = Msisdn.read(text)
        if isinstance(number, Refusal):
            return number
        if number == context.facts.msisdn:
            return Refusal("payee.own")
        return Lookup(FindPayee(number))

    @classmethod
    def found(cls, outcome: FindPayeeOutcome, context: Context) -> "Payee | Refusal":  # noqa: ARG003
        match outcome:
            case PayeeFound(to, account_id, name):
                return cls(to, account_id, name)
            case NoWallet(to):
                return Refusal("payee.no_wallet", {"to": to.show})
            case TooManyLookups():
                return Refusal("payee.too_many")
            case Unavailable():
                return Refusal("engine.unreachable")
            case _:
                assert_never(outcome)

    @property
    def show(self) -> str:
        return self.to.show

    def holes(self, name: str) -> dict[str, str]:
        """`{to_name}` is the masked name, or the number if it has none; `{to_whole}` is both."""
        number = self.to.show
        whole = f"{self.name} {number}" if self.name else number
        return {f"{name}_name": self.name or number, f"{name}_whole": whole}

    def dump(self) -> Json:
        return [self.to.e164, self.account_id, self.name]

    @classmethod
    def load(cls, dumped: Json) -> "Payee":
        match dumped:
            case [str(to), str(account_id), str(name)]:
                return cls(Msisdn.load(to), account_id, name)
            case _:
                raise ValueError("not a payee")

    @classmethod
    def worst(cls) -> Sequence["Payee"]:
        number = Msisdn.worst()[0]
        names = ("Wwww Wwww", "សុខ ដារ៉ា", "")
        return tuple(cls(number, "", masked_name(name)) for name in names)


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
