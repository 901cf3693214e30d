"""The wire log: what passed between the network and the application, with PINs masked.

A ring buffer, for eyes only. People type a PIN where it does not belong, too: so not only what a
page asks for as a PIN is masked, but whatever is as long as one. An amount of six digits loses
out; it can be read on the phone.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["ussd", "sms", "delivery", "event", "rest"]

MASK = "••••"
PIN_LEAST = 4
LENGTH = 400
SHOWN_MAX = 600

# A page asks for a PIN when a line that is no menu item names one.
_ASKS = re.compile(
    r"\bPIN\b|\bpass(?:word|code)\b|secret (?:code|number)|លេខសម្ងាត់|លេខកូដសម្ងាត់|លេខកូដ PIN",
    re.IGNORECASE,
)
_ITEM = re.compile("\\s*[0-9\u17e0-\u17e9]{1,2}[ .:)\u17d4-]")
# An SMS that says yes to something, and whatever digits it brings: a code, a PIN or both.
_CONSENT = re.compile(r"\W*(?:yes|y|ok|oui|ndiyo|បាទ|ចាស|យល់ព្រម)(?![^\W\d_])", re.IGNORECASE)
_DIGITS = re.compile(r"\d+")
_LONG_AS_A_PIN = re.compile(r"(?<!\d)\d{6}(?!\d)")
_PIN_ALONE = re.compile(r"[^\w]*\d{4,8}[^\w]*")


def asks_secret(page: str) -> bool:
    """Does this page ask for a PIN, so that what is typed next must not be shown?"""
    return any(_ASKS.search(line) and not _ITEM.match(line) for line in page.split("\n"))


def mask_sms(text: str) -> str:
    """An SMS from a phone as it may be shown: `YES code PIN` and a PIN sent by mistake lose it."""
    if _CONSENT.match(text) or _ASKS.search(text) or _PIN_ALONE.fullmatch(text):
        return _DIGITS.sub(MASK, text)
    return _LONG_AS_A_PIN.sub(MASK, text)


def secrets_in(text: str, *, asked: bool) -> set[str]:
    """The digits of an answer that nobody must see; `asked`: its page asked for a PIN."""
    found = (_DIGITS if asked else _LONG_AS_A_PIN).findall(text)
    return {digits for digits in found if len(digits) >= PIN_LEAST}


def without(secrets: Iterable[str], text: str) -> str:
    """A text in which none of these digits stand, not even divided like an amount."""
    for digits in secrets:
        echoed = "[ ,.]?".join(digits)
        text = re.sub(rf"(?<!\d){echoed}(?!\d)", MASK, text)
    return text


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer. `sent` is masked before it gets here; `problem` is ours."""

    number: int
    at: float  # seconds since 1970
    kind: Kind
    phone: str
    sent: str
    status: int  # 0: no answer
    reply: str
    ms: float
    problem: str = ""


class Wire:
    """The last few hundred exchanges."""

    def __init__(self, length: int = LENGTH) -> None:
        self._kept: deque[Exchange] = deque(maxlen=length)
        self._count = 0

    def add(
        self,
        kind: Kind,
        phone: str,
        sent: str,
        *,
        at: float,
        status: int,
        reply: str,
        ms: float,
        problem: str = "",
    ) -> Exchange:
        self._count += 1
        exchange = Exchange(
            self._count, at, kind, phone, sent[:SHOWN_MAX], status, reply[:SHOWN_MAX], ms, problem
        )
        self._kept.append(exchange)
        return exchange

    def resume(self, exchanges: Iterable[Exchange]) -> None:
        """Go on after these, which an earlier run had."""
        self._kept.extend(exchanges)
        self._count = max((exchange.number for exchange in self._kept), default=0)

    def __iter__(self) -> Iterator[Exchange]:
        return iter(self._kept)
