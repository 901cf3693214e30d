"""A new PIN for one's own wallet: the new one twice, then the old one, which allows it."""

from typing import assert_never

from menus.effects import (
    ChangePin,
    ChangePinOutcome,
    KeptExpired,
    PinChanged,
    PinLocked,
    PinNotNew,
    Unavailable,
    Unconfirmed,
    WalletHeld,
    WrongPin,
)
from menus.flows.said import pin_refused
from menus.forms import Page, asks, ends, form
from menus.kinds import Pin
from menus.lookups import NewPin, SamePin


@form("change_pin", dial=4)
class ChangePinForm:
    """Change the PIN of the wallet."""

    pin: NewPin
    repeat: SamePin
    old: Pin

    def effect(self) -> ChangePin:
        return ChangePin(self.pin.token, self.old)

    def reply(self, outcome: ChangePinOutcome) -> Page:
        match outcome:
            case PinChanged():
                return ends("change_pin.done")
            case WrongPin() | PinLocked() | WalletHeld():
                return pin_refused(outcome, "old")
            case KeptExpired():
                return asks("pin", "pin.expired")
            case PinNotNew():
                return asks("pin", "pin.not_new")
            case Unconfirmed() | Unavailable():
                return ends("change_pin.unconfirmed")
            case _:
                assert_never(outcome)
