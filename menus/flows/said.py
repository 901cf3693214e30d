"""What several flows say in the same words: refusals of the PIN guard and of limits."""

from typing import assert_never

from menus.effects import LimitKind, OverLimit, PinLocked, PinOutcome, WalletHeld, WrongPin
from menus.facts import Facts
from menus.forms import Page, asks, ends
from menus.kind import Refusal
from menus.kinds import Money, shown_time
from menus.limits import refusal


def pin_refused(outcome: PinOutcome, name: str = "pin") -> Page:
    """Say why the PIN in the field `name` opened nothing; a wrong one may be typed again."""
    match outcome:
        case WrongPin(tries_left):
            return asks(name, "pin.wrong", tries=str(tries_left))
        case PinLocked(until):
            return ends("pin.locked", until=shown_time(until))
        case WalletHeld():
            return ends("pin.held")
        case _:
            assert_never(outcome)


def within_limits(amount: Money, facts: Facts) -> Refusal | None:
    """Check an amount before anybody is asked for a PIN; the desk checks again, and reserves."""
    left = facts.wallet.sendable.get(amount.currency) if facts.wallet else None
    over = refusal(amount, left, sms=facts.channel == "sms") if left else None
    if over is None:
        return None
    helpless = over.limit is LimitKind.COUNT  # no other amount helps
    return Refusal(f"limit.{over.limit}", {"amount": over.amount.show}, ends=helpless)


def over_limit(outcome: OverLimit, name: str = "amount") -> Page:
    """Say which limit refused and what may still be sent."""
    if outcome.limit is LimitKind.COUNT:  # no other amount helps
        return ends("limit.count")
    return asks(name, f"limit.{outcome.limit}", amount=outcome.amount.show)
