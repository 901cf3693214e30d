"""What every way of paying asks and says alike: dollars, paying twice, and what became of it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Self, assert_never

from menus.bank_accounts import BankAccount
from menus.effects import (
    AskAgain,
    Committed,
    InProgress,
    OverLimit,
    PayBankOutcome,
    PinLocked,
    Rejected,
    Unavailable,
    Unconfirmed,
    WalletHeld,
    WrongPin,
)
from menus.facts import Recent
from menus.flows.said import over_limit, pin_refused
from menus.forms import Page, asks, ends
from menus.kind import Context, Json, Kind, Option, Refusal
from menus.kinds import Money, shown_other, shown_time
from menus.lookups import Payee
from menus.reading import plain

SAME_PAYMENT = timedelta(minutes=10)


def dollars_on(context: Context) -> bool:
    """Has the owner switched dollars on?"""
    return bool(context.facts.wallet and context.facts.wallet.dollars)


def paid_lately(context: Context) -> Recent | None:
    """Find an equal payment of the last ten minutes, else one that is not settled yet."""
    payee, amount = context.answer(Payee), context.answer(Money)
    to = payee.to if payee else context.answer(BankAccount)
    recent = context.facts.wallet.recent if context.facts.wallet else ()
    since = context.facts.now - SAME_PAYMENT
    for payment in recent:
        equal = to and payment.to == to and payment.amount == amount
        if equal and (not payment.settled or payment.at >= since):
            return payment
    return next((payment for payment in recent if not payment.settled), None)


def asked_again(context: Context) -> bool:
    """Must the person say that they mean to pay twice?"""
    return paid_lately(context) is not None


@dataclass(frozen=True, slots=True)
class Again(Kind):
    """The person was told of an equal or an unsettled payment, and wants this one as well."""

    yes: bool

    dialable = False  # a string kept in a phone must not agree to paying twice

    @classmethod
    def options(cls, context: Context) -> tuple[Option, ...]:  # noqa: ARG003 - `0` is no
        return (Option("yes", "send.again_yes"),)

    @classmethod
    def parse(cls, text: str, context: Context) -> "Self | Refusal":  # noqa: ARG003
        return cls(yes=True) if (plain(text) or "").lower() == "yes" else Refusal("engine.choose")

    @classmethod
    def ask(cls, key: str, context: Context) -> tuple[str, dict[str, str]]:  # noqa: ARG003
        """Ask in the same words whatever is being paid."""
        paid = paid_lately(context)
        if paid is None:  # settled or grown old while the question was on the screen
            return "send.again", {}
        payee = context.answer(Payee)
        name = payee.name if payee and payee.to == paid.to else ""
        holes = {
            "paid": paid.amount.show,
            "paid_to": shown_other(name, paid.to),
            "time": shown_time(paid.at),
            "ref": paid.ref,
        }
        return "send.again_paid" if paid.settled else "send.again_unsettled", holes

    @classmethod
    def agreed(cls) -> "Self":
        return cls(yes=True)

    def holes(self, name: str) -> dict[str, str]:  # noqa: ARG002 - it fills none
        return {}

    def dump(self) -> Json:
        return self.yes

    @classmethod
    def load(cls, dumped: Json) -> "Self":
        return cls(yes=dumped in (True, "yes"))

    @classmethod
    def worst(cls) -> tuple["Self", ...]:
        return (cls(yes=True),)


NOT_AGAIN = Again(yes=False)


def answered(outcome: PayBankOutcome) -> Page:  # noqa: PLR0911 - one case per outcome
    """Say what became of a payment, or what it still lacks."""
    match outcome:
        case Committed(ref, to, name, amount, balance):
            return ends(
                "send.done",
                amount=amount.show,
                other=shown_other(name, to),
                ref=ref,
                balance=balance.show,
            )
        case InProgress(ref):
            return ends("send.in_progress", ref=ref)
        case Rejected(ref):
            return ends("send.rejected", ref=ref)
        case OverLimit():
            return over_limit(outcome)
        case AskAgain(ref, amount, to, at, settled):
            return asks(
                "again",
                "send.told_paid" if settled else "send.told_unsettled",
                paid=amount.show,
                paid_to=shown_other("", to),
                time=shown_time(at),
                ref=ref,
            )
        case WrongPin() | PinLocked() | WalletHeld():
            return pin_refused(outcome)
        case Unconfirmed() | Unavailable():
            return ends("send.unconfirmed")
        case _:
            assert_never(outcome)
