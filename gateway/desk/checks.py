"""May this payment be made? Asked before the PIN and, authoritatively, under the commit's locks.

Pure: it reads `Books` and answers an outcome or None. The order of the questions is the order in
which a person hears of them.
"""

from dataclasses import dataclass
from typing import Literal

from gateway.desk.books import Books, Payment, WalletRow
from gateway.desk.listings import Banks
from gateway.desk.times import from_ms
from gateway.desk.unclaimed import TIER, Terms
from menus.bank_accounts import BankAccount
from menus.effects import (
    AskAgain,
    DisputeOver,
    JustOpening,
    LimitKind,
    NoWallet,
    OverLimit,
    PayeeFull,
    TooManyMade,
    Unavailable,
    WalletHeld,
)
from menus.kinds import Currency, Money, Msisdn, PaidTo
from menus.limits import refusal, sendable

Refusal = (
    Unavailable
    | WalletHeld
    | NoWallet
    | JustOpening
    | TooManyMade
    | OverLimit
    | PayeeFull
    | AskAgain
    | DisputeOver
)


@dataclass(frozen=True, slots=True)
class Want:
    """A payment as asked for; it holds no PIN."""

    intent: str
    turn_key: str  # Origin.turn_key; empty: no turn asks for it
    sender: Msisdn
    to: PaidTo | None  # None: what goes back to an account whose number we do not know
    dest_account: str  # of the wallet shown to the sender, or of the bank that takes it
    amount: Money
    again: bool
    channel: Literal["ussd", "sms", "return"]
    unclaimed: bool = False  # shown to have no owner; `dest_account` is empty until it is known
    returns: bool = False  # what was asked back; the intent is the dispute's id

    @property
    def dest_msisdn(self) -> str:
        """The number that is paid; empty for a bank account."""
        return self.to.e164 if isinstance(self.to, Msisdn) else ""

    @property
    def beneficiary(self) -> str | None:
        """The number of the bank account that is paid; None for a wallet."""
        return self.to.number if isinstance(self.to, BankAccount) else None


def refused(books: Books, banks: Banks, want: Want, terms: Terms) -> Refusal | None:
    """Why not, as far as the sender may learn without a PIN."""
    sender = books.wallets.get(want.sender.e164)
    if sender is None or sender.state != "open" or not sender.signs:
        return WalletHeld() if sender and sender.state == "held" else Unavailable()
    if want.returns:
        return _not_returned(books, sender, want)
    if isinstance(want.to, BankAccount):
        if not banks.takes(want.to):
            return Unavailable()
    elif isinstance(want.to, Msisdn) and (no := _no_payee(books, sender, want, want.to, terms)):
        return no
    # What was paid a moment ago may have used the limit: who pays it again unknowingly, since his
    # session was lost on the way, must hear of that payment and not that so much cannot be sent.
    return _asked_before(books, banks, sender, want) or _over_limit(books, sender, want)


def _no_payee(
    books: Books, sender: WalletRow, want: Want, to: Msisdn, terms: Terms
) -> NoWallet | JustOpening | TooManyMade | None:
    if not want.unclaimed:
        own = want.dest_account == sender.account_id
        # None also when the number has changed hands since it was shown.
        return NoWallet(to) if own or not _receives(books, want) else None
    if not terms.days or to == want.sender:
        return NoWallet(to)
    payee = books.wallets.get(to.e164)
    if any(number == to.e164 for number, _ in books.elsewhere):
        return JustOpening(to)  # has opened, at another bank
    if payee is None:
        full = books.made(sender.account_id) >= terms.wallets_per_day
        return TooManyMade() if full else None
    waits = payee.claim and payee.receives
    return None if waits and want.dest_account in ("", payee.account_id) else JustOpening(to)


def _not_returned(
    books: Books, sender: WalletRow, want: Want
) -> DisputeOver | NoWallet | OverLimit | None:
    """Money goes back whole, to whom it came from, as long as that is asked; no limit applies."""
    dispute = books.disputes.get(want.intent)
    if dispute is None or not dispute.is_open:
        return DisputeOver()
    asked = Money(Currency(dispute.currency), dispute.amount)
    there_and_back = (dispute.dest_account, dispute.src_account, asked)
    if there_and_back != (sender.account_id, want.dest_account, want.amount):
        return DisputeOver()
    if isinstance(want.to, Msisdn) and not _receives(books, want):
        return NoWallet(want.to)
    held = books.held(sender.account_id, asked.currency)
    available = max(0, held.settled - held.outgoing + dispute.held)
    if asked.minor > available:
        return OverLimit(LimitKind.BALANCE, Money(asked.currency, available))
    return None


def _receives(books: Books, want: Want) -> bool:
    """Does this wallet, ours or another bank's, belong to the number that was named?"""
    payee = books.wallets.get(want.dest_msisdn)
    if payee is not None and payee.account_id == want.dest_account:
        return payee.receives
    return (want.dest_msisdn, want.dest_account) in books.elsewhere


def no_room(books: Books, want: Want) -> PayeeFull | None:
    """Would the payee hold too much? Only after the PIN, so that probing a balance costs tries.

    What may be held at another bank is for that bank to say.
    """
    payee = books.accounts.get(want.dest_account)
    if want.returns or (payee is None and not want.unclaimed):
        return None
    currency = want.amount.currency
    held = books.held(want.dest_account, currency)
    total = held.settled + held.incoming + want.amount.minor
    tier = payee.tier if payee else TIER  # of a wallet that this payment makes
    return PayeeFull() if total > books.limits.caps(tier, currency).held else None


def _over_limit(books: Books, sender: WalletRow, want: Want) -> OverLimit | None:
    currency = want.amount.currency
    left = sendable(
        books.caps(sender, currency),
        books.used(sender, currency),
        books.held(sender.account_id, currency).available,
    )
    over = refusal(want.amount, left, sms=want.channel == "sms")
    most = books.limits.caps(TIER, currency).most
    if over is None and want.unclaimed and want.amount.minor > most:
        return OverLimit(LimitKind.MOST, Money(currency, most))
    return over


def _asked_before(books: Books, banks: Banks, sender: WalletRow, want: Want) -> AskAgain | None:
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
            banks.paid(payment),
            from_ms(payment.created_at),
            payment.state != "signed",
        )
    return None


def _is_equal(payment: Payment, want: Want) -> bool:
    """To the same number, whichever of its wallets, or to the same account at the same bank."""
    to = (want.dest_msisdn or want.dest_account, want.beneficiary)
    paid = (payment.dest_msisdn or payment.dest_account, payment.beneficiary)
    amount = Money(Currency(payment.currency), payment.amount)
    return (paid, amount) == (to, want.amount)
