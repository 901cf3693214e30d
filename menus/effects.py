"""What a conversation asks of the world, and what the world may answer.

Two closed unions: an `Effect` leaves the core, its `Outcome` comes back. Every effect says
which outcomes answer it, so that a form's `reply` can match them exhaustively and the type
checker names what was forgotten. Nothing here does anything; handlers live in the gateway.
Money is `Money` (integer minor units), times are aware datetimes, and a `Pin` never shows
itself in a repr.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from menus.bank_accounts import BankAccount
from menus.disputes import PaidOut
from menus.kinds import Money, Msisdn, PaidTo, Pin

# --- a PIN needed in a later turn -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Keep:
    """Keep a newly chosen PIN for three minutes without keeping the PIN (DESIGN §3)."""

    field: str
    pin: Pin


@dataclass(frozen=True, slots=True)
class Kept:
    """`token` is opaque, sealed, bound to session and field; safe to store in the session."""

    token: str


@dataclass(frozen=True, slots=True)
class Compare:
    """Is `pin` the one kept under `token` by the field `field`?"""

    field: str
    token: str
    pin: Pin


@dataclass(frozen=True, slots=True)
class Same:
    """The repeated PIN is the chosen one."""


@dataclass(frozen=True, slots=True)
class Different:
    """The repeated PIN is another one."""


@dataclass(frozen=True, slots=True)
class KeptExpired:
    """The kept PIN is older than three minutes, or not of this session: choose again."""


# --- looking a payee up ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FindPayee:
    """Who has the wallet of this number?"""

    to: Msisdn


@dataclass(frozen=True, slots=True)
class PayeeFound:
    """`account_id` is the ledger's, `name` is already masked for the asker ("S*** D***").

    `bank` is the name of another bank that keeps the wallet; empty for one of our own.
    """

    to: Msisdn
    account_id: str
    name: str
    bank: str = ""


@dataclass(frozen=True, slots=True)
class PayeesFound:
    """The number has wallets at several banks, all of them named: which one is meant is asked."""

    to: Msisdn
    wallets: tuple[PayeeFound, ...]


@dataclass(frozen=True, slots=True)
class NoWallet:
    """The number has no wallet that can receive."""

    to: Msisdn


@dataclass(frozen=True, slots=True)
class NoOwnerYet:
    """Nobody has chosen a PIN for a wallet of this number: money sent to it waits to be claimed.

    The wallet may be there, made by an earlier sender, or be made by this one: that is not told.
    """

    to: Msisdn


@dataclass(frozen=True, slots=True)
class JustOpening:
    """The number is getting a wallet at this moment: whose it is must be looked up once more."""

    to: Msisdn


@dataclass(frozen=True, slots=True)
class TooManyLookups:
    """This subscriber's look-ups of other people are used up for today (enumeration guard)."""


# --- subscriber -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SetLanguage:
    """Remember the language of this number."""

    language: str


@dataclass(frozen=True, slots=True)
class LanguageSet:
    """It is remembered."""

    language: str


@dataclass(frozen=True, slots=True)
class OpenWallet:
    """Open a wallet whose PIN was kept under `token` by the field `pin`."""

    token: str


@dataclass(frozen=True, slots=True)
class WalletOpened:
    """The ledger has committed the account."""


@dataclass(frozen=True, slots=True)
class WalletOpening:
    """Stored and on its way; an SMS will tell."""


@dataclass(frozen=True, slots=True)
class WalletExists:
    """The number already has one."""


@dataclass(frozen=True, slots=True)
class ChangePin:
    """Seal the wallet's key under the PIN kept under `token` by `pin`, opened with `old`."""

    token: str
    old: Pin


@dataclass(frozen=True, slots=True)
class PinChanged:
    """The new PIN opens the wallet from now on; the old one does not."""


@dataclass(frozen=True, slots=True)
class PinNotNew:
    """The old PIN was right, and the new one is the same: nothing is changed."""


@dataclass(frozen=True, slots=True)
class ChoosePin:
    """Give a wallet without a PIN its first, kept under `token` by `pin`; its key is replaced."""

    token: str


@dataclass(frozen=True, slots=True)
class RenewKey:
    """Replace key and PIN of the wallet, which `old` still opens, after a suspected theft."""

    token: str
    old: Pin


@dataclass(frozen=True, slots=True)
class KeyRenewed:
    """The ledger has the new key; the chosen PIN opens it, and the old key signs nothing more."""


@dataclass(frozen=True, slots=True)
class KeyRenewing:
    """Signed and stored, an SMS will tell. Until then the wallet receives and does not send."""


# --- the PIN guard, common to everything that needs a PIN ----------------------------------------


@dataclass(frozen=True, slots=True)
class WrongPin:
    """The PIN did not open the key; `tries_left` before the next lock (at least 1)."""

    tries_left: int


@dataclass(frozen=True, slots=True)
class PinLocked:
    """Too many wrong PINs: nothing is tried before `until`."""

    until: datetime


@dataclass(frozen=True, slots=True)
class WalletHeld:
    """Ten wrong PINs, or an operator's hold: receives, does not send, an agent helps."""


# --- money ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Transfer:
    """Pay `amount` to the number `to`, whose wallet was shown as `account_id`.

    No `account_id`: it was shown that nobody has claimed a wallet of this number (`NoOwnerYet`).
    `intent` was minted when the PIN page was shown; the same intent never pays twice.
    `again` says that the person was told of an equal or unsettled payment and wants this one too.
    """

    intent: str
    to: Msisdn
    account_id: str
    amount: Money
    again: bool
    pin: Pin


@dataclass(frozen=True, slots=True)
class PayBank:
    """Pay `amount` to an account at a member bank; for the rest see `Transfer`."""

    intent: str
    to: BankAccount
    amount: Money
    again: bool
    pin: Pin


@dataclass(frozen=True, slots=True)
class Committed:
    """The ledger has committed it."""

    ref: str
    to: PaidTo
    name: str
    amount: Money
    balance: Money


@dataclass(frozen=True, slots=True)
class InProgress:
    """Signed and stored; the ledger has not answered yet. An SMS will tell."""

    ref: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The ledger refused it, finally: no money moved. It does not always say why."""

    ref: str


class LimitKind(StrEnum):
    """Which limit refused; of several the one that leaves least, of equal ones the first here."""

    LEAST = "least"  # per transfer, at least `amount`
    MOST = "most"  # per transfer, at most `amount`
    SMS = "sms"  # per transfer begun by SMS, at most `amount`
    BALANCE = "balance"  # the wallet holds only `amount` unreserved
    DAY = "day"  # this business day `amount` is left
    MONTH = "month"  # this month `amount` is left
    COUNT = "count"  # no transfer is left today; `amount` is zero


@dataclass(frozen=True, slots=True)
class OverLimit:
    """Refused by our own limit; `amount` is what `limit` allows now. Nothing was signed.

    With `least` nothing can be sent now: that is the least of a transfer, and more than `amount`.
    """

    limit: LimitKind
    amount: Money
    least: Money | None = None


@dataclass(frozen=True, slots=True)
class PayeeFull:
    """The receiver may not hold that much more. It names no amount (privacy)."""


@dataclass(frozen=True, slots=True)
class TooManyMade:
    """This sender has had as many wallets made today, by sending to numbers without, as may be."""


@dataclass(frozen=True, slots=True)
class AskAgain:
    """An equal payment within ten minutes, or one not yet settled: asked explicitly first."""

    ref: str
    amount: Money
    to: PaidTo
    at: datetime
    settled: bool


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """Not even the commit of our own store is known: look first, before doing it again."""


# --- a wrong number -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Dispute:
    """Ask for the money of the payment `ref` back; `intent` becomes the dispute's id."""

    intent: str
    ref: str
    pin: Pin


@dataclass(frozen=True, slots=True)
class Disputed:
    """The receiver is asked. What they answer, an SMS will tell."""


@dataclass(frozen=True, slots=True)
class NotDisputable:
    """Too old, asked before, or not for us to ask: the bank may still help."""

    ref: str


@dataclass(frozen=True, slots=True)
class TooManyDisputes:
    """This subscriber has asked for money back as often as one may in a day."""


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Pay what was asked back: `dispute` is its id, and the intent of the payment."""

    dispute: str
    to: Msisdn
    account_id: str
    amount: Money
    pin: Pin


@dataclass(frozen=True, slots=True)
class KeepMoney:
    """Do not give back what was asked back."""

    dispute: str


@dataclass(frozen=True, slots=True)
class MoneyKept:
    """Whoever asked is told that it does not come back."""


@dataclass(frozen=True, slots=True)
class DisputeOver:
    """It was answered already, or nobody waits for the answer any more."""


# --- looking --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReadBalance:
    """What does my wallet hold?"""


@dataclass(frozen=True, slots=True)
class Balance:
    """Unreserved amounts, one per currency; `as_of` is set when the ledger is away.

    `held` is beside them: what was asked back and waits for this person's answer.
    """

    amounts: tuple[Money, ...]
    as_of: datetime | None
    held: tuple[Money, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadLastPayment:
    """What became of my last payment, out or in; of the one with this `ref`, when it is given?"""

    ref: str = ""


class PaymentState(StrEnum):
    """Where a payment is, as a person would say it."""

    PAID = "paid"
    IN_PROGRESS = "in_progress"
    NOT_PAID = "not_paid"
    RECEIVED = "received"
    WAITS = "waits"  # of one paid: nobody has claimed it yet
    COMING_BACK = "coming_back"  # of one paid: nobody has claimed it in time
    CAME_BACK = "came_back"
    WENT_BACK = "went_back"  # the same, to whom it was sent
    ASKED_BACK = "asked_back"  # of one paid, to the wrong person
    GIVEN_BACK = "given_back"
    ASKED_OF_YOU = "asked_of_you"  # the same, to whom it was sent
    GAVE_BACK = "gave_back"


@dataclass(frozen=True, slots=True)
class LastPayment:
    """The most recent one, true at this moment."""

    state: PaymentState
    ref: str
    amount: Money
    other: str  # masked name and number, or a bank account: ready to show
    at: datetime  # when it came to this state; of one that waits: until when


@dataclass(frozen=True, slots=True)
class LastPaidOut:
    """The same, of a payment out that may still be asked back."""

    payment: PaidOut


@dataclass(frozen=True, slots=True)
class LastAndEarlier:
    """The same, and the latest payment out that may still be asked back, which came before it."""

    last: LastPayment
    earlier: PaidOut


@dataclass(frozen=True, slots=True)
class NoPayment:
    """There is none yet, or none of one's own with that ref."""


# --- what any effect may answer ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A part that this effect needs does not answer; nothing happened.

    It may yet, when the carrier repeats the callback: where that would pay, or change something, a
    page says no more of it than of `Unconfirmed`.
    """


PinOutcome = WrongPin | PinLocked | WalletHeld
KeepOutcome = Kept | Unavailable
CompareOutcome = Same | Different | KeptExpired | Unavailable
FindPayeeOutcome = (
    PayeeFound | PayeesFound | NoOwnerYet | JustOpening | NoWallet | TooManyLookups | Unavailable
)
SetLanguageOutcome = LanguageSet | Unavailable
OpenWalletOutcome = (
    WalletOpened | WalletOpening | WalletExists | KeptExpired | Unconfirmed | Unavailable
)
ChangePinOutcome = PinChanged | PinNotNew | PinOutcome | KeptExpired | Unconfirmed | Unavailable
ChoosePinOutcome = KeyRenewed | KeyRenewing | KeptExpired | Unconfirmed | Unavailable
RenewKeyOutcome = ChoosePinOutcome | PinNotNew | PinOutcome
PayBankOutcome = (
    Committed
    | InProgress
    | Rejected
    | OverLimit
    | AskAgain
    | PinOutcome
    | Unconfirmed
    | Unavailable
)
TransferOutcome = PayBankOutcome | PayeeFull | NoWallet | JustOpening | TooManyMade
DisputeOutcome = Disputed | NotDisputable | TooManyDisputes | PinOutcome | Unconfirmed | Unavailable
GiveBackOutcome = (
    Committed
    | InProgress
    | Rejected
    | OverLimit
    | NoWallet
    | DisputeOver
    | PinOutcome
    | Unconfirmed
    | Unavailable
)
KeepMoneyOutcome = MoneyKept | DisputeOver | Unconfirmed | Unavailable
BalanceOutcome = Balance | Unavailable
LastPaymentOutcome = LastPayment | LastPaidOut | LastAndEarlier | NoPayment | Unavailable

Effect = (
    Keep
    | Compare
    | FindPayee
    | SetLanguage
    | OpenWallet
    | ChangePin
    | ChoosePin
    | RenewKey
    | Transfer
    | PayBank
    | Dispute
    | GiveBack
    | KeepMoney
    | ReadBalance
    | ReadLastPayment
)
Outcome = (
    KeepOutcome
    | CompareOutcome
    | FindPayeeOutcome
    | SetLanguageOutcome
    | OpenWalletOutcome
    | ChangePinOutcome
    | ChoosePinOutcome
    | RenewKeyOutcome
    | TransferOutcome
    | DisputeOutcome
    | GiveBackOutcome
    | KeepMoneyOutcome
    | BalanceOutcome
    | LastPaymentOutcome
)
