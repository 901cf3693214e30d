"""Somebody says that they paid this person by mistake: the money goes back, or it does not.

Asked before the menu of the next dial, and by SMS, where `YES <code> <PIN>` agrees.
"""

from typing import Annotated, Final, assert_never

from menus.disputes import AskedBack, GivesBack, Keeps
from menus.effects import (
    Committed,
    DisputeOver,
    GiveBack,
    GiveBackOutcome,
    InProgress,
    KeepMoney,
    KeepMoneyOutcome,
    MoneyKept,
    NoWallet,
    OverLimit,
    PinLocked,
    Rejected,
    Unavailable,
    Unconfirmed,
    WalletHeld,
    WrongPin,
)
from menus.facts import Facts
from menus.flows.paying import answered
from menus.forms import Intent, OnlyIf, Opening, Page, ends, form
from menus.kind import Context
from menus.kinds import FORGOTTEN, Pin

SURE: Final = Keeps("keep")  # of who gives it back, and so was not asked


def agreed(context: Context) -> bool:
    """Is the money to go back? Keeping it takes no PIN."""
    answer = context.answer(GivesBack)
    return answer is not None and answer.yes


def kept(context: Context) -> bool:
    """Is it to stay? Said twice: a slip of the finger must not end the matter."""
    return not agreed(context)


@form("give_back")
class GiveBackForm:
    """Give the money of a payment back, or keep it."""

    asked: AskedBack
    answer: GivesBack
    sure: Annotated[Keeps, OnlyIf(kept)] = SURE
    intent: Intent
    pin: Annotated[Pin, OnlyIf(agreed)] = FORGOTTEN

    def effect(self) -> GiveBack | KeepMoney:
        asked = self.asked
        if not self.answer.yes:
            return KeepMoney(asked.dispute)
        return GiveBack(asked.dispute, asked.payer, asked.account_id, asked.amount, self.pin)

    def reply(self, outcome: GiveBackOutcome | KeepMoneyOutcome) -> Page:
        match outcome:
            case MoneyKept():
                return ends("give_back.kept")
            case DisputeOver() | NoWallet():
                return ends("give_back.over")
            case OverLimit():
                return ends("give_back.spent", amount=outcome.amount.show)
            case Unconfirmed() | Unavailable():
                return ends("give_back.unconfirmed")
            case Committed() | InProgress() | Rejected() | WrongPin() | PinLocked() | WalletHeld():
                return answered(outcome)
            case _:
                assert_never(outcome)


def waiting(facts: Facts) -> Opening | None:
    """Whom does this person owe an answer?"""
    asked = facts.wallet.asked_back if facts.wallet else None
    return Opening(GiveBackForm, {"asked": asked}, asked.dispute) if asked else None
