"""Two processes on one PostgreSQL and one Redis are one gateway, also when one of them dies."""

import asyncio

from callers import Town, eventually, ref_in
from evidence import no_secret_in, redis_values, sessions_expire
from people import TIGHT_DAY
from pins import no_carrier_text_in_logs, talk_with_pins


async def test_they_serve_the_turns_of_one_session_alternately(pair_town: Town):
    town = pair_town
    payer, payee = town.phones(2)
    await payer.dial(gateway=0)
    await payer.type("1", gateway=1)
    await payer.type(payee.person.national, gateway=0)
    page = await payer.type("2200", gateway=1)
    assert "2,200 KHR" in page
    page = await payer.type(payer.person.pin, gateway=0)
    assert page.startswith("END Sent")
    ref = ref_in(page)
    await payer.hears(ref)
    await payee.hears(ref)
    repeated = await asyncio.gather(*(payer.post(payer.text, gateway=at) for at in (0, 1)))
    assert {answer.page for answer in repeated} == {page}
    await town.agree(payer.person, payee.person)


async def test_repeats_that_meet_on_both_all_get_the_page_at_once(pair_town: Town):
    """A repeat takes the session for a moment, and changes nothing: nobody waits for it in vain."""
    town = pair_town
    (phone,) = town.phones(1)
    await phone.dial()
    page = await phone.type("2")
    assert page.startswith("END ")
    for _ in range(10):
        answers = await asyncio.gather(*(phone.post(phone.text, gateway=at % 2) for at in range(8)))
        assert {answer.page for answer in answers} == {page}
        assert max(answer.seconds for answer in answers) < 1.5


async def test_each_callback_posted_to_both_at_once_gives_one_page_and_one_payment(
    pair_town: Town,
):
    town = pair_town
    payer, payee = town.phones(2)
    payer.redial()
    page = ""
    for typed in ("", "1", payee.person.national, "3100", payer.person.pin):
        payer.text = payer.typed(typed) if typed else ""
        answers = await asyncio.gather(
            *(payer.post(payer.text, gateway=at) for at in (0, 1, 0, 1, 1))
        )
        pages = {answer.page for answer in answers}
        assert len(pages) == 1, pages
        page = pages.pop()
    assert page.startswith("END Sent")
    await payee.hears(ref_in(page))
    await payer.hears(ref_in(page))
    await town.agree(payer.person, payee.person)
    assert len(town.payments(payer.person)) == 1
    assert len(payer.inbox) == len(payee.inbox) == 1


async def test_one_sms_brought_to_both_at_once_pays_once(pair_town: Town):
    town = pair_town
    payer, payee = town.phones(2)

    async def both(text: str, message: str) -> None:
        answers = await asyncio.gather(
            *(town.text(payer.number, text, message=message, gateway=at) for at in (0, 1, 0, 1))
        )
        assert {answer.status for answer in answers} == {200}

    await both(f"SEND 1700 {payee.person.national}", "pair-send")
    words = (await payer.hears("1,700 KHR")).split()
    await both(f"YES {words[words.index('YES') + 1]} {payer.person.pin}", "pair-yes")
    await payee.hears("1,700 KHR")
    await town.agree(payer.person, payee.person)
    assert len(town.payments(payer.person)) == 1


async def test_sessions_on_both_cannot_exceed_the_day_between_them(pair_town: Town):
    town = pair_town
    payer, *payees = town.phones(3, "tight")

    async def insist(at: int) -> None:
        phone = town.phone(payer.person)
        amount = 2000 + 100 * at
        page = await phone.dial(f"1*{payees[at % 2].person.national}*{amount}", gateway=at % 2)
        for turn in range(5):
            if page.startswith("END "):
                return
            answer = payer.person.pin if "PIN" in page else "1"
            page = await phone.type(answer, gateway=(at + turn) % 2)

    await asyncio.gather(*(insist(at) for at in range(8)))
    await town.agree(payer.person, *(payee.person for payee in payees))
    paid = [payment["amount"] for payment in town.payments(payer.person)]
    assert 0 < sum(paid) <= TIGHT_DAY


async def test_no_pin_is_in_redis_or_postgresql(pair_town: Town):
    codes = await talk_with_pins(pair_town)
    url = pair_town.stack.redis_url
    assert url is not None
    assert redis_values(url), "sessions are in Redis"
    assert sessions_expire(url)
    no_secret_in(pair_town.stack)
    no_carrier_text_in_logs(pair_town, codes)


async def test_when_one_is_killed_the_other_goes_on_with_its_sessions_and_payments(
    pair_town: Town,
):
    town = pair_town
    payer, payee, early, other = town.phones(4)
    await payer.ask_to_pay(payee.person, 1300)  # served by the one that dies
    await early.ask_to_pay(other.person, 1400)
    early.text = early.typed(early.person.pin)
    posted = asyncio.create_task(early.post(early.text))
    await eventually(lambda: bool(town.payments(early.person)), 5.0, lambda: "no payment")
    town.stack.gateways[0].kill()
    await posted

    page = await payer.type(payer.person.pin, gateway=1)
    assert page.startswith("END Sent"), page
    for phone in (payer, payee):
        await phone.hears(ref_in(page))
    # What the dead one had begun is ended by the living one; the carrier asks it what became of it.
    ref = str(town.payments(early.person)[0]["ref"])
    answer = await early.post(early.text, gateway=1)
    assert answer.page.startswith("END ")
    for phone in (early, other):
        await phone.hears(ref, within_s=30.0)
    await town.agree(payer.person, payee.person, early.person, other.person)
    assert len(town.payments(early.person)) == 1
