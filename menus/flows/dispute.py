"""The last payment went to the wrong person: its money is asked back. The receiver decides."""

from typing import assert_never

from menus.disputes import PaidOut, WrongPerson
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
from menus.forms import Intent, Page, ends, form
from menus.kinds import Pin


@form("dispute")
class DisputeForm:
    """Ask for the money of a payment back; opened by the page of the last payment."""

    payment: PaidOut
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
            case Unconfirmed():
                return ends("dispute.unconfirmed")
            case Unavailable():
                return ends("engine.unavailable")
            case _:
                assert_never(outcome)
