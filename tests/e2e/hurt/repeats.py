"""Sessions of which every callback comes one to five times at once, over all gateways of a stack.

All of one callback's answers must be equal to the byte, and each payment agreed to is paid once.
On a busy machine one gateway may send a dial away that the other has answered: nothing was done.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

from afterwards import Found, judged
from callers import Answer, Phone, Town
from payers import Payer, payers

PHONES = 24
TIMES_MOST = 5
PAYING = 0.4  # of sessions; the others look
CROWDED = "END Many people are dialling now. Nothing was done."
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Repeated:
    """What came of all sessions."""

    sessions: int
    callbacks: int
    found: Found
    wrong: tuple[str, ...]


class Repeater(Payer):
    """A phone whose carrier repeats each of its callbacks at once."""

    def __init__(self, town: Town, phone: Phone) -> None:
        super().__init__(town, phone)
        self.callbacks = 0
        self.unequal: list[str] = []
        self._chance = random.Random(phone.number)

    async def ask(self, gateway: int) -> Answer:
        gateways, times = len(self._town.stack.gateways), self._chance.randint(1, TIMES_MOST)
        answers = await asyncio.gather(
            *(
                self.phone.post(self.phone.text, gateway=(gateway + at) % gateways)
                for at in range(times)
            )
        )
        self.callbacks += times
        if not self.phone.text:
            answers = [one for one in answers if not _is_sent_away(one)] or answers
        heard = {(answer.status, answer.body) for answer in answers}
        if len(heard) > 1:
            self.unequal.append(f"{self.phone.number}: {sorted(heard)}")
        return answers[0]


def _is_sent_away(answer: Answer) -> bool:
    return answer.body.startswith(CROWDED)


async def repeat(town: Town, sessions: int, *, say: Say = lambda _: None) -> Repeated:
    """So many sessions, some at the same time; what was wrong with them."""
    people, left = payers(town, PHONES, Repeater), iter(range(sessions))

    async def live(person: Repeater) -> None:
        chance = random.Random(person.phone.number)
        for number in left:
            other = chance.choice([one for one in people if one is not person]).person
            if chance.random() < PAYING:
                await person.pay(other, gateway=number)
            else:
                await person.look(*chance.choice([("2",), ("3",), ("1", other.national)]))
            if number % 100 == 0:
                say(f"{number} of {sessions} sessions, each callback 1-{TIMES_MOST} times at once")

    await asyncio.gather(*(live(person) for person in people))
    found = await judged(town, people)
    wrong = [*found.wrong, *(one for person in people for one in person.unequal)]
    if found.agreed != found.paid:
        wrong.append(f"{found.agreed} payments were agreed to, {found.paid} made")
    if found.doubled_sms:  # nobody died
        wrong.append(f"{found.doubled_sms} receipts came twice")
    return Repeated(sessions, sum(one.callbacks for one in people), found, tuple(wrong))
