"""Limit arithmetic: used on the page, so that people hear early, and again at the desk.

All figures are minor units of one currency; the caller has chosen caps and counters of that
currency. Pure arithmetic: what was used is counted elsewhere, and only the desk reserves.
"""

from dataclasses import dataclass
from datetime import datetime

from menus.effects import LimitKind, OverLimit
from menus.kinds import PHNOM_PENH, Money


@dataclass(frozen=True, slots=True)
class Caps:
    """What a tier allows in one currency."""

    least: int  # per transfer
    most: int  # per transfer
    day: int  # per business day
    month: int
    count_per_day: int  # transfers
    held: int  # the most a wallet may hold
    sms_most: int  # per transfer begun by SMS


@dataclass(frozen=True, slots=True)
class Used:
    """What of it is reserved or spent."""

    day: int = 0
    month: int = 0
    count: int = 0


@dataclass(frozen=True, slots=True)
class Sendable:
    """What a wallet may send now, limit by limit; nothing is below zero."""

    least: int
    per_transfer: int
    sms: int
    balance: int
    day: int
    month: int
    count: int

    @property
    def most(self) -> int:
        """The largest transfer that no limit refuses; 0 when there is none."""
        most = min(self.rooms(sms=False).values())
        return most if most >= self.least else 0

    def rooms(self, *, sms: bool) -> dict[LimitKind, int]:
        """What each limit leaves, in order of precedence."""
        rooms = {LimitKind.MOST: self.per_transfer}
        if sms:
            rooms[LimitKind.SMS] = self.sms
        rooms[LimitKind.BALANCE] = self.balance
        rooms[LimitKind.DAY] = self.day
        rooms[LimitKind.MONTH] = self.month
        if self.count == 0:
            rooms[LimitKind.COUNT] = 0
        return rooms


def sendable(caps: Caps, used: Used, available: int) -> Sendable:
    """Say what is left of `caps` after `used`, in a wallet that has `available`."""
    return Sendable(
        least=caps.least,
        per_transfer=caps.most,
        sms=caps.sms_most,
        balance=max(0, available),
        day=max(0, caps.day - used.day),
        month=max(0, caps.month - used.month),
        count=max(0, caps.count_per_day - used.count),
    )


def refusal(money: Money, left: Sendable, *, sms: bool = False) -> OverLimit | None:
    """Name the limit that leaves least of those that refuse to send `money`; None if none does.

    So what is told may really be sent; when nothing can be, the answer names the least as well. Of
    equal ones it is the first in order of precedence.

    >>> from menus.kinds import Currency
    >>> left = sendable(Caps(100, 5000, 8000, 9000, 3, 20000, 1000), Used(day=6000), 50000)
    >>> over = refusal(Money(Currency.KHR, 2500), left)
    >>> over.limit.value, over.amount.show
    ('day', '2,000 KHR')
    >>> broke = sendable(Caps(100, 5000, 8000, 9000, 3, 20000, 1000), Used(), 60)
    >>> over = refusal(Money(Currency.KHR, 50), broke)
    >>> over.limit.value, over.amount.show, over.least.show
    ('balance', '60 KHR', '100 KHR')
    """
    least = Money(money.currency, left.least)
    rooms = left.rooms(sms=sms)
    tightest = min(rooms, key=rooms.__getitem__)
    room = Money(money.currency, rooms[tightest])
    if not left.most:
        return OverLimit(tightest, room, least)
    if money < least:
        return OverLimit(LimitKind.LEAST, least)
    return None if money <= room else OverLimit(tightest, room)


def business_day(at: datetime) -> str:
    """The day it is in Phnom Penh: "2026-11-22"."""
    return at.astimezone(PHNOM_PENH).date().isoformat()
