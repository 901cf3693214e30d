"""What people of the simulated world have in mind: whom they pay how much, and how."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from beginnings import ELSEWHERE, PEOPLE, STRANGERS
from histories import Sum
from simulated_phone import Phone

Errand = Callable[[], Awaitable[object]]
NEWS_S = 20.0  # until a stranger dials
IN_DOLLARS = 0.5  # of payments of who has some
DECIDES = 0.6  # of people, when somebody asks for money back


def errands_of(town, phone: Phone) -> list[Errand]:
    """What this person will do."""
    chance, habits = town.chances.stream("errands", phone.person.number), town.habits
    if phone.person in STRANGERS:
        wait_s = NEWS_S * chance.random()
        return [partial(get_wallet, phone, wait_s)] if chance.random() < habits.newcomer else []
    errands: list[Errand] = []
    for _ in range(chance.choice((0, 1, 1, 2, 2))):
        errands.append(_payment(town, phone, chance))
        if chance.random() < habits.same_again:
            errands.append(errands[-1])
        if chance.random() < habits.look:
            errands.append(partial(phone.look, "Last payment"))
        if chance.random() < habits.regret:
            errands.append(phone.ask_back)
    if chance.random() < habits.new_pin:
        errands.insert(chance.randrange(len(errands) + 1), phone.change_pin)
    if chance.random() < DECIDES:
        errands.append(partial(phone.decide, chance.choice(("ussd", "sms", "both"))))
    if chance.random() < habits.thief:
        errands.append(partial(phone.guess, ELSEWHERE.local, Sum(300, "KHR")))
    return errands


async def get_wallet(phone: Phone, wait_s: float) -> None:
    """Somebody without a wallet dials some day."""
    await asyncio.sleep(wait_s)
    await phone.get_wallet()


def _payment(town, phone: Phone, chance) -> Errand:
    habits = town.habits
    others = [one for one in PEOPLE if one is not phone.person]
    to = chance.choice([*others, *others, ELSEWHERE, *4 * town.strangers]).local
    dollars = phone.person.cents and chance.random() < IN_DOLLARS
    currency = "USD" if dollars else "KHR"

    def some(least: int, most: int) -> Sum:
        """No two alike, so that what is on the ledger tells which of them it is."""
        return Sum(100 * chance.randint(least, most) + town.count(), currency)

    amount = some(3, 39)
    if chance.random() >= habits.by_sms:
        stepwise = chance.random() < habits.stepwise
        return partial(phone.pay, to, amount, stepwise=stepwise)
    if chance.random() < habits.at_once:
        return partial(phone.pay_at_once, to, some(28, 39), some(10, 19))
    return partial(phone.pay_by_sms, to, amount)
