"""A number without a wallet opens one: it takes a PIN, chosen twice."""

from typing import assert_never

from menus.effects import (
    KeptExpired,
    OpenWallet,
    OpenWalletOutcome,
    Unavailable,
    Unconfirmed,
    WalletExists,
    WalletOpened,
    WalletOpening,
)
from menus.forms import Page, asks, ends, form
from menus.lookups import NewPin, SamePin


@form("open", dial=6)
class OpenWalletForm:
    """Open a wallet for this phone number."""

    pin: NewPin
    repeat: SamePin

    def effect(self) -> OpenWallet:
        return OpenWallet(self.pin.token)

    def reply(self, outcome: OpenWalletOutcome) -> Page:
        match outcome:
            case WalletOpened():
                return ends("open.done")
            case WalletOpening():
                return ends("open.opening")
            case WalletExists():
                return ends("open.exists")
            case KeptExpired():
                return asks("pin", "pin.expired")
            case Unconfirmed() | Unavailable():
                return ends("open.unconfirmed")
            case _:
                assert_never(outcome)
