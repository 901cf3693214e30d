"""A wallet that has no PIN yet gets its first: one made by receiving, or given back by the bank."""

from typing import assert_never

from menus.effects import (
    ChoosePin,
    ChoosePinOutcome,
    KeptExpired,
    KeyRenewed,
    KeyRenewing,
    Unavailable,
    Unconfirmed,
)
from menus.forms import Page, asks, ends, form
from menus.lookups import NewPin, SamePin


@form("choose_pin", dial=8)
class ChoosePinForm:
    """Choose the first PIN of the wallet."""

    pin: NewPin
    repeat: SamePin

    def effect(self) -> ChoosePin:
        return ChoosePin(self.pin.token)

    def reply(self, outcome: ChoosePinOutcome) -> Page:
        match outcome:
            case KeyRenewed():
                return ends("choose_pin.done")
            case KeyRenewing():
                return ends("choose_pin.on_its_way")
            case KeptExpired():
                return asks("pin", "pin.expired")
            case Unconfirmed() | Unavailable():
                return ends("choose_pin.unconfirmed")
            case _:
                assert_never(outcome)
