"""People who pay whatever happens, and what they remember of it: all that a checker may know.

A payer reads the page and answers it. No two payments of one payer are of the same amount, so that
each is known again on the ledger.
"""

import asyncio
import itertools
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from callers import BROKEN, Answer, Phone, Town
from people import Person

P = TypeVar("P", bound="Payer")
TURNS_MOST = 9
CODE_S = 1.5
SENT, IN_PROGRESS = "Sent", "In progress"


@dataclass
class Intent:
    """One payment that somebody wanted to make, and every page it was answered with."""

    payer: Person
    payee: Person
    amount: int
    agreed: bool = False  # the PIN has left the phone
    told: list[str] = field(default_factory=list)

    @property
    def move(self) -> tuple[str, str, int]:
        """As the ledger writes it."""
        return self.payer.account_id, self.payee.account_id, self.amount


class Payer:
    """One person's phone; `answers` keeps how every callback was answered."""

    def __init__(self, town: Town, phone: Phone) -> None:
        self.phone = phone
        self.intents: list[Intent] = []
        self.answers: list[tuple[Answer, bool]] = []  # and whether it could move money
        self._town = town
        self._amounts = itertools.count(101)
        self._repeat: tuple[str, str, int] | None = None  # a callback whose answer was lost

    @property
    def person(self) -> Person:
        return self.phone.person

    async def pay(self, payee: Person, *, gateway: int = 0) -> bool:
        """By USSD, from `*855#` to the last page; False when the connection broke."""
        intent = self._intent(payee)
        deep = f"1*{payee.national}*{intent.amount}" if intent.amount % 2 else ""
        self.phone.redial(deep)
        for _ in range(TURNS_MOST):
            answer = await self._post(intent, gateway)
            if answer.status == BROKEN:
                return False
            typed = self._answer_to(answer.body, intent)
            if not typed:
                break
            intent.agreed |= typed == self.person.pin
            self.phone.text = self.phone.typed(typed)
        return True

    async def look(self, *typed: str, gateway: int = 0) -> bool:
        """Pages that move no money; False when the connection broke."""
        self.phone.redial()
        for each in ("", *typed):
            self.phone.text = self.phone.typed(each) if each else ""
            answer = await self.ask(gateway)
            self.answers.append((answer, False))
            if answer.status == BROKEN or not answer.body.startswith("CON"):
                break
        return answer.status != BROKEN

    async def text(self, payee: Person) -> bool:
        """By SMS; False when a connection broke."""
        intent, heard = self._intent(payee), len(self.phone.inbox)
        if not await self._send(f"SEND {intent.amount} {payee.national}"):
            return False
        code = await _within(CODE_S, lambda: self._code(heard))
        if not code:
            return True
        intent.agreed = True
        return await self._send(f"YES {code} {self.person.pin}")

    async def repeat(self, gateway: int = 0) -> None:
        """What a carrier does with a callback that was not answered."""
        if self._repeat:
            kind, text, at = self._repeat
            self._repeat = None
            if kind == "ussd":
                answer = await self.phone.post(text, gateway=gateway)
                self.answers.append((answer, True))
                self.intents[at].told.append(answer.body)
            else:
                await self._town.text(self.phone.number, text, message=kind, gateway=gateway)

    async def ask(self, gateway: int) -> Answer:
        """One callback with all that was typed."""
        return await self.phone.post(self.phone.text, gateway=gateway)

    def _intent(self, payee: Person) -> Intent:
        intent = Intent(self.person, payee, next(self._amounts))
        self.intents.append(intent)
        return intent

    async def _post(self, intent: Intent, gateway: int) -> Answer:
        answer = await self.ask(gateway)
        self.answers.append((answer, intent.agreed))
        if answer.status == BROKEN:
            self._repeat = "ussd", self.phone.text, len(self.intents) - 1
        else:
            intent.told.append(answer.body)
        return answer

    def _answer_to(self, page: str, intent: Intent) -> str:
        """What to type at a page; empty: nothing more."""
        if page.startswith("END"):
            return ""
        for words, typed in (
            ("PIN to confirm", self.person.pin),
            ("1 Continue", "2"),
            ("1 Send money", "1"),
            ("which number", intent.payee.national),
            ("How much", str(intent.amount)),
            ("on its way", "1"),
            ("again?", "1"),
        ):
            if words in page:
                return typed
        return ""

    async def _send(self, text: str) -> bool:
        message = secrets.token_hex(8)
        answer = await self._town.text(self.phone.number, text, message=message)
        if answer.status == BROKEN:
            self._repeat = message, text, len(self.intents) - 1
        return answer.status != BROKEN

    def _code(self, heard: int) -> str:
        for text in self.phone.inbox[heard:]:
            words = text.split()
            if "YES" in words[:-1]:
                return words[words.index("YES") + 1]
        return ""


async def _within(seconds: float, found: Callable[[], str]) -> str:
    """What `found` gives as soon as it gives anything."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not (value := found()) and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.02)
    return value


def payers(town: Town, count: int, kind: type[P] = Payer) -> list[P]:
    """Strangers with phones of this kind."""
    return [kind(town, phone) for phone in town.phones(count)]
