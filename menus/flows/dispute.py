"""A payment went to the wrong person: its money is asked back. The receiver decides.

It is the last payment, or the latest that may still be asked back if something came after it: else
whoever received it could send a little and so take the way away.
"""

from datetime import UTC, datetime
from typing import Annotated, Final, assert_never

from menus.disputes import Earlier, Later, PaidOut, WrongPerson
from menus.effects import (
    Dispute,
    Disputed,
    DisputeOutcome,
    NotDisputable,
    PinLocked,
    TooManyDisputes,
    Unavailable,
    Unconfirmed,
    WalletHeld,
    WrongPin,
)
from menus.flows.said import pin_refused
from menus.forms import Intent, OnlyIf, Page, ends, form
from menus.kind import Context
from menus.kinds import Currency, Money, Pin

NOTHING_LATER: Final = Later("", "", Money(Currency.KHR, 0), "", datetime.min.replace(tzinfo=UTC))
THE_LAST: Final = Earlier("earlier")  # what nothing came after is shown at once


def never(context: Context) -> bool:  # noqa: ARG001 - it is given, or there is none
    """Nobody is asked for it."""
    return False


def came_later(context: Context) -> bool:
    """Is another payment the last?"""
    return context.answer(Later) is not None


@form("dispute")
class DisputeForm:
    """Ask for the money of a payment back; opened by the page of the last payment."""

    payment: PaidOut
    later: Annotated[Later, OnlyIf(never)] = NOTHING_LATER
    earlier: Annotated[Earlier, OnlyIf(came_later)] = THE_LAST
    wrong: WrongPerson
    intent: Intent
    pin: Pin

    def effect(self) -> Dispute:
        return Dispute(self.intent.id, self.payment.ref, self.pin)

    def reply(self, outcome: DisputeOutcome) -> Page:
        match outcome:
            case Disputed():
                return ends("dispute.done", **self.payment.holes("payment"))
            case NotDisputable():
                return ends("dispute.not_here", **self.payment.holes("payment"))
            case TooManyDisputes():
                return ends("dispute.too_many")
            case WrongPin() | PinLocked() | WalletHeld():
                return pin_refused(outcome)
            case Unconfirmed() | Unavailable():
                return ends("dispute.unconfirmed")
            case _:
                assert_never(outcome)
