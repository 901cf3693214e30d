"""What the gateway knows about a person at the moment of a turn: one frozen value, `Facts`.

The core never asks for time, chance or a store; whatever a page or a check needs stands here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from menus.disputes import AskedBack
from menus.kinds import Currency, Money, Msisdn, PaidTo
from menus.limits import Sendable


@dataclass(frozen=True, slots=True)
class Recent:
    """A payment this person made in the last ten minutes, or one that is not settled yet."""

    to: PaidTo
    amount: Money
    at: datetime
    settled: bool
    ref: str


@dataclass(frozen=True, slots=True)
class WalletFacts:
    """The person's wallet. `sendable` is what limits and balance leave now, per currency."""

    state: Literal["opening", "open", "held"]
    role: str = "subscriber"
    dollars: bool = False
    has_pin: bool = True  # not one made by receiving, or given back by the bank
    renewing: bool = False  # its key is being replaced: until that is done it signs nothing
    waits: bool = False  # money that somebody sent before there was an owner waits in it
    sendable: Mapping[Currency, Sendable] = field(default_factory=dict)
    recent: tuple[Recent, ...] = ()
    asked_back: AskedBack | None = None  # the oldest payment that waits for an answer


@dataclass(frozen=True, slots=True)
class Service:
    """Who runs the service and how it is reached."""

    bank: str
    service_code: str  # "*855#"
    shortcode: str  # "855"
    language: str = "en"  # for people who never chose one
    pin_length: int = 6
    unclaimed_days: int = 30  # after which money that nobody claims goes back
    banks: tuple[tuple[str, str], ...] = ()  # domain and name of those that take money for accounts


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything one turn may know."""

    msisdn: Msisdn
    now: datetime  # aware UTC
    fresh_id: str  # random; becomes an intent when this turn shows a PIN page
    language: str | None  # None: never chosen
    wallet: WalletFacts | None  # None: no wallet
    service: Service
    channel: Literal["ussd", "sms"] = "ussd"
