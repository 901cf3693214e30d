"""May this payment be made? Asked before the PIN and, authoritatively, under the commit's locks.

Pure: it reads `Books` and answers an outcome or None. The order of the questions is the order in
which a person hears of them.
"""

from dataclasses import dataclass
from typing import Literal

from gateway.desk.books import Books, Payment, WalletRow
from gateway.desk.times import from_ms
from menus.effects import AskAgain, NoWallet, OverLimit, PayeeFull, Unavailable, WalletHeld
from menus.kinds import Currency, Money, Msisdn
from menus.limits import refusal, sendable

Refusal = Unavailable | WalletHeld | NoWallet | OverLimit | PayeeFull | AskAgain


@dataclass(frozen=True, slots=True)
class Want:
    """A payment as asked for; it holds no PIN."""

    intent: str
    sender: Msisdn
    to: Msisdn
    dest_account: str  # as shown to the sender
    amount: Money
    again: bool
    channel: Literal["ussd", "sms"]


def refused(books: Books, want: Want) -> Refusal | None:
    """Why not, as far as the sender may learn without a PIN."""
    sender = books.wallets.get(want.sender.e164)
    if sender is None or sender.state == "opening":
        return Unavailable()
    if sender.state != "open":
        return WalletHeld()
    payee = books.wallets.get(want.to.e164)
    if payee is None or not payee.receives or payee.account_id != want.dest_account:
        return NoWallet(want.to)  # also when the number has changed hands since it was shown
    if payee.account_id == sender.account_id:
        return NoWallet(want.to)
    return _over_limit(books, sender, want) or _asked_before(books, sender, want)


def no_room(books: Books, want: Want) -> PayeeFull | None:
    """Would the payee hold too much? Only after the PIN, so that probing a balance costs tries."""
    payee = books.wallets[want.to.e164]
    currency = want.amount.currency
    held = books.held(payee.account_id, currency)
    total = held.settled + held.incoming + want.amount.minor
    return PayeeFull() if total > books.caps(payee, currency).held else None


def _over_limit(books: Books, sender: WalletRow, want: Want) -> OverLimit | None:
    currency = want.amount.currency
    left = sendable(
        books.caps(sender, currency),
        books.used(sender, currency),
        books.held(sender.account_id, currency).available,
    )
    return refusal(want.amount, left, sms=want.channel == "sms")


def _asked_before(books: Books, sender: WalletRow, want: Want) -> AskAgain | None:
    """The equal payment of the last ten minutes, or else one that is still under way."""
    if want.again:
        return None
    recent = books.recent.get(sender.account_id, [])
    equal = [payment for payment in recent if _is_equal(payment, want)]
    pending = [payment for payment in recent if payment.state == "signed"]
    for payment in [*equal, *pending]:
        return AskAgain(
            payment.ref,
            Money(Currency(payment.currency), payment.amount),
            Msisdn(payment.dest_msisdn),
            from_ms(payment.created_at),
            payment.state != "signed",
        )
    return None


def _is_equal(payment: Payment, want: Want) -> bool:
    return (payment.dest_msisdn, payment.currency, payment.amount) == (
        want.to.e164,
        want.amount.currency.value,
        want.amount.minor,
    )
