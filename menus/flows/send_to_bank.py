"""Send money to a bank account: which bank, which account, how much, then the PIN."""

from typing import Annotated

from menus.bank_accounts import BankAccount, MemberBank
from menus.effects import PayBank, PayBankOutcome
from menus.flows.paying import NOT_AGAIN, Again, answered, asked_again, dollars_on
from menus.flows.said import within_limits
from menus.forms import Intent, OnlyIf, Page, form
from menus.kinds import Currency, Money, Pin


@form("bank_out", dial=7, resume=("number", "amount"))
class SendToBank:
    """Send money to an account at a member bank."""

    bank: MemberBank
    number: BankAccount
    currency: Annotated[Currency, OnlyIf(dollars_on)] = Currency.KHR
    amount: Annotated[Money, within_limits]
    again: Annotated[Again, OnlyIf(asked_again)] = NOT_AGAIN
    intent: Intent
    pin: Pin

    def effect(self) -> PayBank:
        return PayBank(
            intent=self.intent.id,
            to=self.number,
            amount=self.amount,
            again=self.again.yes,
            pin=self.pin,
        )

    def reply(self, outcome: PayBankOutcome) -> Page:
        return answered(outcome)
