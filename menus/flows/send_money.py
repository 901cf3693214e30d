"""Send money to a phone number: who, how much, then the PIN on the page that names both."""

from typing import Annotated

from menus.effects import (
    Committed,
    JustOpening,
    NoWallet,
    PayeeFull,
    TooManyMade,
    Transfer,
    TransferOutcome,
)
from menus.flows.paying import NOT_AGAIN, Again, answered, asked_again, dollars_on
from menus.flows.said import within_limits
from menus.forms import Intent, OnlyIf, Page, asks, ends, form
from menus.kinds import Currency, Money, Pin, shown_other
from menus.lookups import ONLY_WALLET, Payee, PayeeBank, several_banks


@form("send", dial=1, sms="SEND|ផ្ញើ amount to", resume=("to", "amount"))
class SendMoney:
    """Send money to a phone number."""

    to: Payee
    bank: Annotated[PayeeBank, OnlyIf(several_banks)] = ONLY_WALLET
    currency: Annotated[Currency, OnlyIf(dollars_on)] = Currency.KHR
    amount: Annotated[Money, within_limits]
    again: Annotated[Again, OnlyIf(asked_again)] = NOT_AGAIN
    intent: Intent
    pin: Pin

    def effect(self) -> Transfer:
        return Transfer(
            intent=self.intent.id,
            to=self.to.to,
            account_id=self.bank.account_id or self.to.account_id,
            amount=self.amount,
            again=self.again.yes,
            pin=self.pin,
        )

    def reply(self, outcome: TransferOutcome) -> Page:
        match outcome:
            case Committed(ref, to, "", amount) if self.to.wording:  # nobody has claimed it yet
                key = f"send.done_{self.to.wording}"
                return ends(key, amount=amount.show, other=shown_other("", to), ref=ref)
            case PayeeFull():
                return asks("amount", "send.payee_full")
            case NoWallet(to):
                return asks("to", "payee.no_wallet", to=to.show)
            case JustOpening(to):
                return asks("to", "payee.just_opening", to=to.show)
            case TooManyMade():
                return asks("to", "payee.too_many_made")
            case _:
                return answered(outcome)
