"""What the wallet holds. It needs no PIN: it goes to whoever holds the phone, as credit does."""

from typing import assert_never

from menus.effects import Balance, BalanceOutcome, ReadBalance, Unavailable
from menus.forms import Page, ends, form
from menus.kinds import shown_time


@form("balance", dial=2, sms="BAL|BALANCE|សមតុល្យ")
class BalanceForm:
    """Tell the balance."""

    def effect(self) -> ReadBalance:
        return ReadBalance()

    def reply(self, outcome: BalanceOutcome) -> Page:
        match outcome:
            case Balance(amounts, as_of):
                shown = ", ".join(money.show for money in amounts)
                if as_of is None:
                    return ends("balance.now", amounts=shown)
                return ends("balance.as_of", amounts=shown, time=shown_time(as_of))
            case Unavailable():
                return ends("engine.unavailable")
            case _:
                assert_never(outcome)
