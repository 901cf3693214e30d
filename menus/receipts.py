"""What is told by SMS when something has become true, in the words of its receiver.

Each is a frozen value that says itself; the gateway queues it inside the commit that makes it
true. English takes one SMS and Khmer at most two (menus.lint proves it). Nothing here knows
tables, carriers or time: the moment is a field.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from menus.kinds import Money, Msisdn, PaidTo, shown_other, shown_time
from menus.text.load import Texts


@dataclass(frozen=True, slots=True)
class Sent:
    """To the sender: the ledger has committed it. `name` is masked, empty when unknown.

    `waits_until` is when it comes back if nobody claims it.
    """

    ref: str
    amount: Money
    to: PaidTo
    name: str
    at: datetime
    balance: Money
    left_today: Money
    waits_until: datetime | None = None

    def say(self, texts: Texts, language: str | None) -> str:
        holes = {
            "ref": self.ref,
            "amount": self.amount.show,
            "other": shown_other(self.name, self.to),
            "balance": self.balance.show,
        }
        if self.waits_until:
            until = shown_time(self.waits_until)
            return texts.say(language, "receipt.sent_waits", until=until, **holes)
        time, left = shown_time(self.at), self.left_today.show
        return texts.say(language, "receipt.sent", time=time, left=left, **holes)


@dataclass(frozen=True, slots=True)
class Received:
    """To the receiver. Money from outside may come with neither number nor name."""

    ref: str
    amount: Money
    sender: Msisdn | None
    name: str
    at: datetime
    balance: Money

    text: ClassVar[str] = "receipt.received"

    def say(self, texts: Texts, language: str | None) -> str:
        other = shown_other(self.name, self.sender)
        holes = {
            "ref": self.ref,
            "amount": self.amount.show,
            "time": shown_time(self.at),
            "balance": self.balance.show,
        }
        if not other:
            return texts.say(language, "receipt.received_unnamed", **holes)
        return texts.say(language, self.text, other=other, **holes)


@dataclass(frozen=True, slots=True)
class Invitation:
    """To a number whose wallet nobody has claimed: what waits there, and until when."""

    ref: str
    amount: Money
    sender: Msisdn | None
    name: str
    until: datetime
    service_code: str

    def say(self, texts: Texts, language: str | None) -> str:
        other = shown_other(self.name, self.sender)
        holes = {
            "ref": self.ref,
            "amount": self.amount.show,
            "until": shown_time(self.until),
            "service_code": self.service_code,
        }
        if not other:
            return texts.say(language, "receipt.invitation_unnamed", **holes)
        return texts.say(language, "receipt.invitation", other=other, **holes)


@dataclass(frozen=True, slots=True)
class StillWaits:
    """To the same, later and of all that waits: not every one could be told when it came."""

    amounts: tuple[Money, ...]
    until: datetime  # of the first of it
    service_code: str

    def say(self, texts: Texts, language: str | None) -> str:
        return texts.say(
            language,
            "receipt.still_waits",
            amounts=", ".join(money.show for money in self.amounts),
            until=shown_time(self.until),
            service_code=self.service_code,
        )


@dataclass(frozen=True, slots=True)
class CameBack:
    """To the sender: what he sent was not claimed, and is his again."""

    ref: str
    amount: Money
    to: Msisdn
    at: datetime
    balance: Money

    def say(self, texts: Texts, language: str | None) -> str:
        return texts.say(
            language,
            "receipt.came_back",
            ref=self.ref,
            amount=self.amount.show,
            other=shown_other("", self.to),
            time=shown_time(self.at),
            balance=self.balance.show,
        )


@dataclass(frozen=True, slots=True)
class WentBack:
    """To a number that did not claim it: the money is its sender's again."""

    ref: str
    amount: Money
    sender: Msisdn | None
    name: str

    def say(self, texts: Texts, language: str | None) -> str:
        other = shown_other(self.name, self.sender)
        holes = {"ref": self.ref, "amount": self.amount.show}
        if not other:
            return texts.say(language, "receipt.went_back_unnamed", **holes)
        return texts.say(language, "receipt.went_back", other=other, **holes)


@dataclass(frozen=True, slots=True)
class NotSent:
    """To the sender: the ledger refused it finally, or it was cancelled. No money moved."""

    ref: str
    amount: Money
    name: str
    balance: Money
    to: PaidTo | None = None

    def say(self, texts: Texts, language: str | None) -> str:
        other = shown_other(self.name, self.to)
        holes = {"ref": self.ref, "amount": self.amount.show, "balance": self.balance.show}
        if not other:
            return texts.say(language, "receipt.not_sent_unnamed", **holes)
        return texts.say(language, "receipt.not_sent", other=other, **holes)


@dataclass(frozen=True, slots=True)
class AskedBackNotice:
    """To the receiver of a payment: its payer says that it was a mistake. `name` is masked.

    `held_until`: so long the money, or what is left of it, can only go back.
    """

    ref: str
    amount: Money
    payer: Msisdn
    name: str
    code: str
    service_code: str
    held_until: datetime | None

    def say(self, texts: Texts, language: str | None) -> str:
        holes = {
            "ref": self.ref,
            "amount": self.amount.show,
            "other": shown_other(self.name, self.payer),
            "code": self.code,
            "service_code": self.service_code,
        }
        if self.held_until is None:
            return texts.say(language, "receipt.asked_back", **holes)
        until = shown_time(self.held_until)
        return texts.say(language, "receipt.asked_back_held", until=until, **holes)


@dataclass(frozen=True, slots=True)
class GivenBack(Received):
    """To who paid by mistake, instead of a receipt: the receiver has given it back."""

    text: ClassVar[str] = "receipt.given_back"


@dataclass(frozen=True, slots=True)
class NotGivenBack:
    """To who paid by mistake: refused, or not answered in time. `ref` is the payment's."""

    text: ClassVar[str] = "receipt.not_given_back"

    ref: str
    amount: Money
    keeper: Msisdn
    name: str

    def say(self, texts: Texts, language: str | None) -> str:
        other = shown_other(self.name, self.keeper)
        holes = {"ref": self.ref, "amount": self.amount.show, "other": other}
        return texts.say(language, self.text, **holes)


@dataclass(frozen=True, slots=True)
class PaidBack(NotGivenBack):
    """To who paid by mistake: an ordinary payment of as much has come since."""

    text: ClassVar[str] = "receipt.paid_back"


@dataclass(frozen=True, slots=True)
class Opened:
    """The wallet is on the ledger."""

    bank: str
    service_code: str

    def say(self, texts: Texts, language: str | None) -> str:
        return texts.say(language, "receipt.opened", bank=self.bank, service_code=self.service_code)


@dataclass(frozen=True, slots=True)
class OpeningFailed:
    """The ledger refused the new wallet; it may be opened again."""

    def say(self, texts: Texts, language: str | None) -> str:
        return texts.say(language, "receipt.opening_failed")


@dataclass(frozen=True, slots=True)
class PinLockedNotice:
    """Wrong PINs have locked sending, told by SMS in case somebody else typed them."""

    until: datetime

    def say(self, texts: Texts, language: str | None) -> str:
        return texts.say(language, "receipt.pin_locked", until=shown_time(self.until))


@dataclass(frozen=True, slots=True)
class HeldNotice:
    """The wallet is held: it receives and does not send."""

    def say(self, texts: Texts, language: str | None) -> str:
        return texts.say(language, "receipt.held")


@dataclass(frozen=True, slots=True)
class PinChangedNotice:
    """A wallet has another PIN, told by SMS in case somebody else chose it."""

    at: datetime

    def say(self, texts: Texts, language: str | None) -> str:
        return texts.say(language, "receipt.pin_changed", time=shown_time(self.at))


@dataclass(frozen=True, slots=True)
class PinReset:
    """The bank has given the wallet a new key, and its owner has yet to choose a PIN."""

    service_code: str

    def say(self, texts: Texts, language: str | None) -> str:
        return texts.say(language, "receipt.pin_reset", service_code=self.service_code)


@dataclass(frozen=True, slots=True)
class PinKept:
    """The ledger refused the wallet's new key: key and PIN are what they were."""

    service_code: str

    def say(self, texts: Texts, language: str | None) -> str:
        return texts.say(language, "receipt.pin_kept", service_code=self.service_code)


Notice = (
    Sent
    | Received
    | Invitation
    | StillWaits
    | CameBack
    | WentBack
    | NotSent
    | AskedBackNotice
    | GivenBack
    | NotGivenBack
    | PaidBack
    | Opened
    | OpeningFailed
    | PinLockedNotice
    | HeldNotice
    | PinChangedNotice
    | PinReset
    | PinKept
)
