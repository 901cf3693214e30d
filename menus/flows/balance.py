"""What the wallet holds. It needs no PIN: it goes to whoever holds the phone, as credit does."""

from collections.abc import Sequence
from typing import assert_never

from menus.effects import Balance, BalanceOutcome, ReadBalance, Unavailable
from menus.forms import Page, ends, form
from menus.kinds import Money, shown_time


@form("balance", dial=2, sms="BAL|BALANCE|សមតុល្យ")
class BalanceForm:
    """Tell the balance."""

    def effect(self) -> ReadBalance:
        return ReadBalance()

    def reply(self, outcome: BalanceOutcome) -> Page:
        match outcome:
            case Balance(amounts, as_of, held):
                shown = _listed(amounts)
                if as_of:  # the page has no room for what is held
                    return ends("balance.as_of", amounts=shown, time=shown_time(as_of))
                if held:
                    return ends("balance.held", amounts=shown, held=_listed(held))
                return ends("balance.now", amounts=shown)
            case Unavailable():
                return ends("engine.unavailable")
            case _:
                assert_never(outcome)


def _listed(amounts: Sequence[Money]) -> str:
    return ", ".join(money.show for money in amounts)
