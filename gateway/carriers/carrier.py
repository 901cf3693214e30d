"""What every carrier becomes: MO from the phone, MT to it, and the edge it must offer.

Words: a *process-unstructured-SS-request* (PSSR) is what a phone sends when it dials; the network
asks back with an *unstructured-SS-request* (USSR), each answer is one turn, and the *PSSR result*
ends the session; an *unstructured-SS-notify* (USSN) would push a text unasked, which this gateway
never does. Aggregators hide all of it behind an HTTP callback: `end` false is a USSR, true a PSSR
result. Nothing here knows a wire format.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol

from gateway.http import Route
from menus.kinds import Msisdn


class UssdMo(NamedTuple):
    """One USSD turn from a phone.

    `text` is the history of the session as the carrier accumulates it, joined by `*` and empty
    at its start: what is new in it only the accepted prefix tells (turn.py). It may hold a PIN,
    so it never shows in a repr.
    """

    carrier: str
    session: str
    msisdn: Msisdn
    network: str  # MCC+MNC as the carrier writes it; data, never checked against a list
    service_code: str
    text: str

    def __repr__(self) -> str:
        return f"UssdMo({self.carrier}/{self.session}, {len(self.text)} characters)"


class UssdMt(NamedTuple):
    """The page shown in answer; `end` closes the session."""

    text: str
    end: bool


@dataclass(frozen=True, slots=True)
class SmsMo:
    """One SMS from a phone; `text` may hold a PIN, so it never shows in a repr."""

    carrier: str
    message_id: str
    msisdn: Msisdn
    shortcode: str
    text: str

    def __repr__(self) -> str:
        return f"SmsMo({self.carrier}/{self.message_id}, {len(self.text)} characters)"


class Unheard(Enum):
    """Why an SMS that a carrier brought is not acted upon."""

    NO_NUMBER = "no number"  # from a name or a short code: there is nobody to answer
    TOO_LONG = "too long"  # longer than a phone makes one


class Delivery(Enum):
    """What a delivery report says of an SMS of ours."""

    ON_ITS_WAY = "on its way"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """The carrier's word on one SMS of ours, by the carrier's own id."""

    carrier_id: str
    delivery: Delivery
    failure: str | None = None


class SendRefused(Exception):
    """The carrier said no, finally (a bad number, a blacklist): sending again cannot help."""


class SendFailed(Exception):
    """Surely not sent: it may be tried again, as often as it takes."""


class SendUncertain(Exception):
    """Perhaps sent: no answer came, or none that can be read. It is repeated once at most."""


@dataclass(frozen=True, slots=True)
class Lines:
    """The service's side of a carrier edge: what a callback is handed to.

    `sms` returns once the message's effect is committed, so that only then the carrier is told
    to forget it. `unheard` is told of one that the carrier may forget at once.
    """

    ussd: Callable[[UssdMo], Awaitable[UssdMt]]
    sms: Callable[[SmsMo], Awaitable[None]]
    delivery: Callable[[DeliveryReport], Awaitable[None]]
    unheard: Callable[[Unheard], None]


class Carrier(Protocol):
    """One carrier: its callbacks in, its SMS out."""

    name: str

    def routes(self, lines: Lines) -> Sequence[Route]:
        """The HTTP routes this carrier calls."""

    async def send(self, to: Msisdn, text: str) -> str | None:
        """Send one SMS; returns the carrier's id.

        Raises `SendRefused` or `SendFailed` only where it was surely not sent; whatever else is
        raised counts as `SendUncertain`.
        """

    async def close(self) -> None:
        """Let go of threads and connections."""
