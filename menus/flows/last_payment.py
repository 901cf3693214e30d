"""What became of the last payment: the place to look before paying again."""

from typing import assert_never

from menus.effects import (
    LastPayment,
    LastPaymentOutcome,
    NoPayment,
    PaymentState,
    ReadLastPayment,
    Unavailable,
)
from menus.forms import Page, ends, form
from menus.kinds import shown_time


@form("last", dial=3, sms="LAST|STATUS")
class LastPaymentForm:
    """Tell the state of the last payment, out or in."""

    def effect(self) -> ReadLastPayment:
        return ReadLastPayment()

    def reply(self, outcome: LastPaymentOutcome) -> Page:
        match outcome:
            case LastPayment(state, ref, amount, other, at):
                return ends(
                    _text(state), ref=ref, amount=amount.show, other=other, time=shown_time(at)
                )
            case NoPayment():
                return ends("last.none")
            case Unavailable():
                return ends("engine.unavailable")
            case _:
                assert_never(outcome)


def _text(state: PaymentState) -> str:
    match state:
        case PaymentState.PAID:
            return "last.paid"
        case PaymentState.IN_PROGRESS:
            return "last.in_progress"
        case PaymentState.NOT_PAID:
            return "last.not_paid"
        case PaymentState.RECEIVED:
            return "last.received"
        case _:
            assert_never(state)
