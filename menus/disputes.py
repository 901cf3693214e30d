"""A payment that went to the wrong person: what each side is shown of it, and what they may say.

The kinds of payment here are given to a form and never typed. No ledger and no rows: whether money
may still be asked back, and from whom, is the desk's to say.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Final, Self

from menus.kind import Context, Json, Kind, Option, Refusal
from menus.kinds import Money, Msisdn, masked_name, shown_other, shown_time
from menus.reading import plain

# A Khmer initial makes its whole page UCS-2; a wallet opened by dialling has no name yet.
_NAMES: Final = tuple(map(masked_name, ("Wwww Wwww", "សុខ ដារ៉ា", "")))


@dataclass(frozen=True, slots=True)
class PaidOut(Kind):
    """A payment of one's own that may be asked back; `name` is the receiver's, masked."""

    ref: str
    amount: Money
    name: str
    to: Msisdn
    at: datetime

    dialable: ClassVar[bool] = False

    @classmethod
    def parse(cls, text: str, context: Context) -> Refusal:  # noqa: ARG003 - nobody types one
        return Refusal("engine.choose")

    @property
    def other(self) -> str:
        return shown_other(self.name, self.to)

    def holes(self, name: str) -> dict[str, str]:  # noqa: ARG002 - a form has but one
        return {
            "ref": self.ref,
            "amount": self.amount.show,
            "other": self.other,
            "time": shown_time(self.at),
        }

    def dump(self) -> Json:
        return [self.ref, self.amount.dump(), self.name, self.to.dump(), self.at.isoformat()]

    @classmethod
    def load(cls, dumped: Json) -> "PaidOut":
        match dumped:
            case [str(ref), amount, str(name), to, str(at)]:
                moment = datetime.fromisoformat(at)
                return cls(ref, Money.load(amount), name, Msisdn.load(to), moment)
            case _:
                raise ValueError("not a payment")

    @classmethod
    def worst(cls) -> Sequence["PaidOut"]:
        amount, to = Money.worst()[0], Msisdn.worst()[0]
        at = datetime(2026, 12, 31, 16, 59, tzinfo=UTC)
        return tuple(cls("W" * 8, amount, name, to, at) for name in _NAMES)


@dataclass(frozen=True, slots=True)
class Later(Kind):
    """The last payment, where an earlier one is what may be asked back: told above that choice."""

    state: str  # which of the texts `later.…` says it
    ref: str
    amount: Money
    other: str  # ready to show
    at: datetime

    dialable: ClassVar[bool] = False

    @classmethod
    def parse(cls, text: str, context: Context) -> Refusal:  # noqa: ARG003 - nobody types one
        return Refusal("engine.choose")

    @property
    def told(self) -> dict[str, str]:
        amount, time = self.amount.show, shown_time(self.at)
        return {"ref": self.ref, "amount": amount, "other": self.other, "time": time}

    def holes(self, name: str) -> dict[str, str]:  # noqa: ARG002 - further on it is told no more
        return {}

    def dump(self) -> Json:
        return [self.state, self.ref, self.amount.dump(), self.other, self.at.isoformat()]

    @classmethod
    def load(cls, dumped: Json) -> "Later":
        match dumped:
            case [str(state), str(ref), amount, str(other), str(at)]:
                return cls(state, ref, Money.load(amount), other, datetime.fromisoformat(at))
            case _:
                raise ValueError("not a later payment")

    @classmethod
    def worst(cls) -> Sequence["Later"]:
        return tuple(
            cls("received", paid.ref, paid.amount, paid.other, paid.at) for paid in PaidOut.worst()
        )


@dataclass(frozen=True, slots=True)
class AskedBack(Kind):
    """A payment that one has received and is asked to give back; `name` is the payer's, masked."""

    dispute: str  # its id, which is the intent of giving back
    ref: str
    amount: Money
    name: str
    payer: Msisdn
    account_id: str  # the payer's

    dialable: ClassVar[bool] = False

    @classmethod
    def parse(cls, text: str, context: Context) -> Refusal:  # noqa: ARG003 - nobody types one
        return Refusal("engine.choose")

    def holes(self, name: str) -> dict[str, str]:  # noqa: ARG002 - a form has but one
        other = shown_other(self.name, self.payer)
        return {"ref": self.ref, "amount": self.amount.show, "other": other}

    def dump(self) -> Json:
        amount, payer = self.amount.dump(), self.payer.dump()
        return [self.dispute, self.ref, amount, self.name, payer, self.account_id]

    @classmethod
    def load(cls, dumped: Json) -> "AskedBack":
        match dumped:
            case [str(dispute), str(ref), amount, str(name), payer, str(account_id)]:
                money, number = Money.load(amount), Msisdn.load(payer)
                return cls(dispute, ref, money, name, number, account_id)
            case _:
                raise ValueError("not a payment asked back")

    @classmethod
    def worst(cls) -> Sequence["AskedBack"]:
        amount, payer = Money.worst()[0], Msisdn.worst()[0]
        account = "85512345678_2@bank"
        return tuple(cls("w" * 22, "W" * 8, amount, name, payer, account) for name in _NAMES)


@dataclass(frozen=True, slots=True)
class _Chosen(Kind):
    """One of a few answers, chosen from a list."""

    id: str

    dialable: ClassVar[bool] = False  # a string kept in a phone must not agree to anything
    choices: ClassVar[tuple[Option, ...]] = ()

    @classmethod
    def options(cls, context: Context) -> tuple[Option, ...]:  # noqa: ARG003 - always the same
        return cls.choices

    @classmethod
    def parse(cls, text: str, context: Context) -> "Self | Refusal":  # noqa: ARG003
        typed = (plain(text) or "").lower()
        known = any(typed == option.id for option in cls.choices)
        return cls(typed) if known else Refusal("engine.choose")

    def holes(self, name: str) -> dict[str, str]:  # noqa: ARG002 - it fills none
        return {}

    def dump(self) -> Json:
        return self.id

    @classmethod
    def load(cls, dumped: Json) -> "Self":
        if not any(dumped == option.id for option in cls.choices):
            raise ValueError("not one of the answers")
        return cls(str(dumped))

    @classmethod
    def worst(cls) -> Sequence["Self"]:
        return tuple(cls(option.id) for option in cls.choices)


class WrongPerson(_Chosen):
    """The payer says that it was a mistake."""

    __slots__ = ()
    choices = (Option("wrong", "dispute.wrong_person"),)


class Earlier(_Chosen):
    """The payer means the payment before what is told, which is shown next."""

    __slots__ = ()
    choices = (Option("earlier", "later.earlier"),)

    @classmethod
    def ask(cls, key: str, context: Context) -> tuple[str, dict[str, str]]:
        """Tell the last payment."""
        later = context.answer(Later)
        return (f"later.{later.state}", later.told) if later else (key, {})


class GivesBack(_Chosen):
    """The receiver says whether the money goes back."""

    __slots__ = ()
    choices = (Option("yes", "give_back.yes"), Option("no", "give_back.no"))

    @property
    def yes(self) -> bool:
        return self.id == "yes"

    @classmethod
    def agreed(cls) -> "GivesBack":
        return cls("yes")


class Keeps(_Chosen):
    """The receiver says again that it does not: that is final."""

    __slots__ = ()
    choices = (Option("keep", "give_back.sure_yes"),)
