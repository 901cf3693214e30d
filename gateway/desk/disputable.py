"""Which payments may be asked back: the terms, and the one question that `reads` and a commit ask.

Committed, young, to somebody else's wallet of ours, and asked back but once. Money that waits
unclaimed has nobody to ask: it goes back by itself, or is asked back once it is claimed. What has
gone back, also by an ordinary payment (`came_back`), or is money given back itself, stays where it
is. Reads only.
"""

from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    String,
    bindparam,
    exists,
    func,
    select,
)

from gateway.desk.books import IS_ALIVE
from gateway.stores.tables import Dispute, Transfer, Unclaimed, Wallet, table_of

HOUR_MS: Final = 60 * 60 * 1000
ANSWER_H: Final = 72  # as long as the SMS that asks is worth sending

_DISPUTE, _TRANSFER = table_of(Dispute), table_of(Transfer)
_WALLET, _UNCLAIMED = table_of(Wallet), table_of(Unclaimed)


@dataclass(frozen=True, slots=True)
class DisputeTerms:
    """What may be asked back, and how long what is held."""

    hours: int = 24  # after the payment; 0: never
    hold_hours: int = 24  # 0: nothing is held
    per_day: int = 3  # of one payer

    def since(self, now_ms: int) -> int:
        """After which moment a payment was made that may still be asked back."""
        return now_ms - self.hours * HOUR_MS

    def held_until(self, now_ms: int) -> int:
        """When what is held from this moment is let go."""
        return now_ms + self.hold_hours * HOUR_MS

    def answer_by(self, now_ms: int) -> int:
        """When what is asked at this moment is asked no longer."""
        return now_ms + max(self.hold_hours, ANSWER_H) * HOUR_MS


NO_DISPUTES: Final = DisputeTerms(hours=0, per_day=0)

_other = _DISPUTE.alias("other")
_paid, _back = _TRANSFER.alias("paid"), _TRANSFER.alias("back")


def came_back(
    ref: ColumnElement[str], *states: Literal["signed", "committed"]
) -> ColumnElement[bool]:
    """Has its receiver paid the payer of `ref` as much since, by an ordinary payment?

    One payment of it or more closes the matter: an honest receiver must never be asked to pay
    twice. Whoever paid the same twice by mistake and was paid back once goes to the bank.
    """
    return (
        exists()
        .where(
            _paid.c.ref == ref,
            _back.c.src_account == _paid.c.dest_account,
            _back.c.dest_account == _paid.c.src_account,
            _back.c.currency == _paid.c.currency,
            _back.c.amount >= _paid.c.amount,
            _back.c.created_at >= _paid.c.created_at,
            _back.c.state.in_(states),
            _back.c.bucket != "",  # what answers a dispute answers that one only
        )
        .correlate_except(_paid, _back)
    )


_its_wallet = (
    _WALLET.c.account_id == _TRANSFER.c.dest_account,
    IS_ALIVE,
    _WALLET.c.claim == "",
)
_gone_back = (
    _UNCLAIMED.c.tx_hash == _TRANSFER.c.tx_hash,
    _UNCLAIMED.c.state.in_(("returning", "returned")),
)
DISPUTABLE: Final[tuple[ColumnElement[bool], ...]] = (
    _TRANSFER.c.state == "committed",
    _TRANSFER.c.beneficiary.is_(None),
    _TRANSFER.c.bucket != "",  # itself money that went back
    _TRANSFER.c.created_at > bindparam("b_since", type_=BigInteger),
    exists().where(*_its_wallet).correlate(_TRANSFER),
    ~exists().where(*_gone_back).correlate(_TRANSFER),
    ~exists().where(_other.c.ref == _TRANSFER.c.ref).correlate(_TRANSFER),
    ~came_back(_TRANSFER.c.ref, "signed", "committed"),
)
MINE: Final[tuple[ColumnElement[bool], ...]] = (
    _TRANSFER.c.ref == bindparam("b_ref", type_=String),
    _TRANSFER.c.src_account == bindparam("b_src", type_=String),
)
_IS_DISPUTABLE = select(_TRANSFER.c.ref).where(*MINE, *DISPUTABLE)
_LATEST_DISPUTABLE = (
    select(_TRANSFER.c.ref)
    .where(_TRANSFER.c.src_account == bindparam("b_src"), *DISPUTABLE)
    .order_by(_TRANSFER.c.created_at.desc(), _TRANSFER.c.ref)
    .limit(1)
)
TODAY: Final = (
    select(func.count())
    .where(_other.c.src_account == bindparam("b_src"), _other.c.business_day == bindparam("b_day"))
    .scalar_subquery()
)
_ASKED_TODAY = select(TODAY)


def disputable(
    connection: Connection, terms: DisputeTerms, ref: str, src_account: str, now_ms: int
) -> bool:
    """May `src_account` ask for the money of this payment back?"""
    asked = {"b_ref": ref, "b_src": src_account, "b_since": terms.since(now_ms)}
    return connection.execute(_IS_DISPUTABLE, asked).first() is not None


def latest_disputable(
    connection: Connection, terms: DisputeTerms, src_account: str, now_ms: int
) -> str | None:
    """Which payment of `src_account` is the last that may be asked back, whatever came after it."""
    asked = {"b_src": src_account, "b_since": terms.since(now_ms)}
    ref: str | None = connection.execute(_LATEST_DISPUTABLE, asked).scalar()
    return ref


def asked_today(connection: Connection, src_account: str, day: str) -> int:
    """How often this payer has asked for money back on a day."""
    asked = {"b_src": src_account, "b_day": day}
    return int(connection.execute(_ASKED_TODAY, asked).scalar_one())
