"""What several flows say in the same words: refusals of the PIN guard and of limits."""

from typing import Final, assert_never

from menus.effects import LimitKind, OverLimit, PinLocked, PinOutcome, WalletHeld, WrongPin
from menus.facts import Facts
from menus.forms import Page, asks, ends
from menus.kind import Refusal
from menus.kinds import Money, shown_time
from menus.limits import refusal

# The others leave no less than the least, or nothing at all.
_LEAVES_LITTLE: Final = (LimitKind.BALANCE, LimitKind.DAY, LimitKind.MONTH)


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
    return _over(over) if over else None


def over_limit(outcome: OverLimit, name: str = "amount") -> Page:
    """Say which limit refused and what may still be sent."""
    no = _over(outcome)
    return ends(no.key, **no.holes) if no.ends else asks(name, no.key, **no.holes)


def _over(over: OverLimit) -> Refusal:
    """Say what a limit leaves; it is the end when no other amount helps."""
    holes = {"amount": over.amount.show}
    if over.least and over.limit in _LEAVES_LITTLE:
        return Refusal(f"limit.{over.limit}_least", {**holes, "least": over.least.show}, ends=True)
    return Refusal(f"limit.{over.limit}", holes, ends=over.limit is LimitKind.COUNT)
