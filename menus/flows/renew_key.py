"""Somebody may know the PIN, or have copied the key: both are replaced, and the old ones are void.

Changing the PIN seals the same key anew; this makes another key, which the ledger must first take.
"""

from typing import assert_never

from menus.effects import (
    KeptExpired,
    KeyRenewed,
    KeyRenewing,
    PinLocked,
    PinNotNew,
    RenewKey,
    RenewKeyOutcome,
    Unavailable,
    Unconfirmed,
    WalletHeld,
    WrongPin,
)
from menus.flows.said import pin_refused
from menus.forms import Page, asks, ends, form
from menus.kinds import Pin
from menus.lookups import NewPin, SamePin


@form("renew_key")
class RenewKeyForm:
    """Replace PIN and key after a suspected theft."""

    pin: NewPin
    repeat: SamePin
    old: Pin

    def effect(self) -> RenewKey:
        return RenewKey(self.pin.token, self.old)

    def reply(self, outcome: RenewKeyOutcome) -> Page:
        match outcome:
            case KeyRenewed():
                return ends("renew_key.done")
            case KeyRenewing():
                return ends("renew_key.on_its_way")
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
