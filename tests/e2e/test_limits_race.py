"""Limits hold whatever runs in parallel, and what was reserved in vain can be used again."""

import asyncio

from callers import Phone, Town
from people import TIGHT_DAY, TIGHT_HELD, TIGHT_MOST

TURNS_MOST = 6


async def insist(phone: Phone, page: str) -> str:
    """Answer whatever is asked until the session ends, as one who wants to pay."""
    for _ in range(TURNS_MOST):
        if page.startswith("END "):
            return page
        page = await phone.type(phone.person.pin if "PIN" in page else "1")
    return page


async def pay_deep(town: Town, payer: Phone, payee: Phone, amount: int) -> str:
    """In a session of its own: dial up to the PIN page at once, and pay."""
    phone = town.phone(payer.person)
    page = await phone.dial(f"1*{payee.person.national}*{amount}")
    return await insist(phone, page)


async def test_a_session_and_an_sms_together_cannot_exceed_the_day(town: Town):
    """Each alone is allowed; both at once are more than the day's limit.

    An SMS takes a few steps more to its payment than a turn does: eight people try, each a little
    more apart, so that some meet between the first look at the limit and the reservation.
    """
    payers, payees = town.phones(8, "tight"), town.phones(2)

    async def both(payer: Phone, apart_s: float) -> None:
        assert (await payer.pay(payees[0].person, TIGHT_MOST)).startswith("END Sent")
        yes = await _agreement(payer, payees[1], 3000)
        await payer.ask_to_pay(payees[1].person, 4000)
        texting = asyncio.create_task(payer.sms(yes))
        await asyncio.sleep(apart_s)  # how the two meet, nothing waits for it
        await asyncio.gather(texting, payer.type(payer.person.pin))

    await asyncio.gather(*(both(payer, at * 0.003) for at, payer in enumerate(payers)))
    await town.agree(*(phone.person for phone in (*payers, *payees)))
    for payer in payers:
        amounts = sorted(payment["amount"] for payment in town.payments(payer.person))
        assert amounts in ([3000, TIGHT_MOST], [4000, TIGHT_MOST])


async def _agreement(payer: Phone, payee: Phone, amount: int) -> str:
    """The SMS that would pay by `SEND`, not sent yet."""
    await payer.sms(f"SEND {amount} {payee.person.national}")
    words = (await payer.hears("YES")).split()
    return f"YES {words[words.index('YES') + 1]} {payer.person.pin}"


async def test_eight_parallel_sessions_of_one_sender_cannot_exceed_the_day(town: Town):
    (payer,) = town.phones(1, "tight")
    payee, other = town.phones(2)
    amounts = [1500 + 100 * at for at in range(8)]
    await asyncio.gather(*(pay_deep(town, payer, payee, amount) for amount in amounts))
    await town.agree(payer.person, payee.person)
    paid = sum(payment["amount"] for payment in town.payments(payer.person))
    assert 0 < paid <= TIGHT_DAY

    # Nothing leaked: exactly the rest of the day can still be sent, and not one riel more.
    for _ in range(4):
        left = TIGHT_DAY - paid
        if left < 100:
            break
        step = min(left, TIGHT_MOST)
        page = await payer.dial(f"1*{other.person.national}*{left + 1}")
        assert "PIN" not in page, page
        assert (await pay_deep(town, payer, other, step)).startswith("END Sent")
        await town.settled(payer.person)
        paid += step
    assert paid > TIGHT_DAY - 100
    page = await payer.dial(f"1*{other.person.national}*100")
    assert "PIN" not in page, page
    await town.agree(payer.person, payee.person, other.person)


async def test_many_senders_at_once_cannot_fill_a_wallet_beyond_what_it_may_hold(town: Town):
    payee, *_ = town.phones(1, "tight")
    payers = town.phones(6)
    assert payee.person.riel is not None
    room = TIGHT_HELD - payee.person.riel
    each = room * 2 // 5  # two fit, three do not
    await asyncio.gather(*(payer.ask_to_pay(payee.person, each) for payer in payers))
    pages = await asyncio.gather(*(payer.type(payer.person.pin) for payer in payers))
    await town.agree(payee.person, *(payer.person for payer in payers))
    assert await town.riel(payee.person) == payee.person.riel + 2 * each
    assert sum("cannot hold that much" in page for page in pages) == len(payers) - 2


async def test_two_sessions_cannot_spend_one_balance_twice(town: Town):
    """Nearly all of it by USSD and by SMS at the same moment."""
    payer, payee = town.phones(2)
    assert payer.person.riel is not None
    # Leave less than what either of the two will ask for.
    assert (await payer.pay(payee.person, payer.person.riel - 15_000)).startswith("END Sent")
    await payer.hears("15,000 KHR")
    yes = await _agreement(payer, payee, 10_000)
    await payer.ask_to_pay(payee.person, 12_000)
    await asyncio.gather(payer.type(payer.person.pin), payer.sms(yes))
    await town.agree(payer.person, payee.person)
    assert await town.riel(payer.person) in (3000, 5000)
    assert len(town.payments(payer.person)) == 2
