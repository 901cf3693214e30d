"""One callback, posted again: in parallel, later, shorter, or as if other things were typed."""

import asyncio

import pytest
from callers import Phone, Town, ref_in

TIMES = 5


async def five(phone: Phone, text: str) -> str:
    """Post one callback five times at once; the one page they all got."""
    answers = await asyncio.gather(*(phone.post(text) for _ in range(TIMES)))
    pages = {answer.page for answer in answers}
    assert len(pages) == 1, pages
    return pages.pop()


async def test_every_callback_posted_five_times_at_once_gives_five_equal_answers(town: Town):
    payer, payee = town.phones(2)
    payer.redial()
    pages = []
    for typed in ("", "1", payee.person.national, "4000", payer.person.pin):
        payer.text = payer.typed(typed) if typed else ""
        pages.append(await five(payer, payer.text))
    assert len(set(pages)) == len(pages)
    assert [page[:4] for page in pages] == ["CON "] * 4 + ["END "]

    ref = ref_in(pages[-1])
    await payer.hears("4,000 KHR", ref)
    await payee.hears("4,000 KHR", ref)
    assert await five(payer, payer.text) == pages[-1]  # and once more, when all is over
    await town.agree(payer.person, payee.person)
    assert len(town.payments(payer.person)) == 1
    assert len(payer.inbox) == len(payee.inbox) == 1
    attempts = town.stack.rows(
        "SELECT state FROM attempt WHERE account_id = :account", account=payer.person.account_id
    )
    assert [attempt["state"] for attempt in attempts] == ["right"]


async def test_a_wrong_pin_posted_five_times_at_once_is_one_wrong_pin(town: Town):
    payer, payee = town.phones(2)
    await payer.ask_to_pay(payee.person, 1000)
    town.stack.secrets.add("904618")
    payer.text = payer.typed("904618")
    page = await five(payer, payer.text)
    assert "Tries left: 2" in page
    assert await five(payer, payer.text) == page
    page = await payer.type(payer.person.pin)
    assert page.startswith("END Sent")
    await town.agree(payer.person, payee.person)


async def test_opening_a_wallet_by_five_equal_callbacks_opens_one(town: Town):
    phone = town.phone(town.stack.person("nobody"))
    phone.redial()
    pages = []
    for typed in ("", "1", "1", phone.person.pin, phone.person.pin):
        phone.text = phone.typed(typed) if typed else ""
        pages.append(await five(phone, phone.text))
    assert pages[-1].startswith("END ")
    await phone.hears("is open")
    wallets = town.stack.rows(
        "SELECT account_id, state FROM wallet WHERE msisdn = :phone", phone=phone.number
    )
    assert wallets == [{"account_id": phone.person.account_id, "state": "open"}]


@pytest.mark.parametrize("when", ["in the middle", "after the end"])
async def test_shorter_and_diverging_texts_repeat_the_last_page_and_change_nothing(
    town: Town, when: str
):
    ended = when == "after the end"
    payer, payee = town.phones(2)
    to = payee.person.national
    page = await payer.ask_to_pay(payee.person, 2500)
    if ended:
        page = await payer.type(payer.person.pin)
    others = ["", "1", f"1*{to}", f"1*{to}*25", f"1*{to}*9999", f"2*{to}*2500", "0*0*0*0*0*0", "7"]
    if ended:
        others += [f"1*{to}*2500", f"1*{to}*2500*000000", f"1*{to}*2500*000000*1", payer.typed("1")]
    for text in [*others, payer.text, *others]:
        assert (await payer.post(text)).page == page, text
    assert len(town.payments(payer.person)) == int(ended)
    if not ended:  # and it goes on where it was
        assert (await payer.type(payer.person.pin)).startswith("END Sent")
    await town.agree(payer.person, payee.person)
    assert len(town.payments(payer.person)) == 1


async def test_a_captured_callback_replayed_under_another_session_pays_nothing(town: Town):
    """It is a deep dial, which never takes a PIN: what was captured is worth no payment."""
    payer, payee = town.phones(2)
    await payer.pay(payee.person, 1200)
    captured = payer.text
    payer.redial(captured)
    for text in (captured, captured, f"{captured}*1"):
        page = (await payer.post(text)).page
        assert "Sent" not in page
        assert payer.person.pin not in page
    await town.agree(payer.person, payee.person)
    assert len(town.payments(payer.person)) == 1
    attempts = town.stack.rows(
        "SELECT state FROM attempt WHERE account_id = :account", account=payer.person.account_id
    )
    assert len(attempts) == 1


async def test_a_dropped_conversation_is_offered_again_and_pays_once(town: Town):
    payer, payee = town.phones(2)
    await payer.ask_to_pay(payee.person, 3300)
    page = await payer.dial()
    assert "3,300 KHR" in page
    assert page.startswith("CON 1 Continue")
    page = await payer.type("1")
    assert "PIN" in page
    assert (await payer.type(payer.person.pin)).startswith("END Sent")
    await town.agree(payer.person, payee.person)
    assert len(town.payments(payer.person)) == 1


async def test_paying_the_same_again_at_once_is_asked_about_first(town: Town):
    payer, payee = town.phones(2)
    await payer.pay(payee.person, 600)
    await payer.dial()
    page = await payer.type("1", payee.person.national, "600")
    assert "600 KHR" in page
    assert "PIN" not in page
    assert (await payer.type("1", payer.person.pin)).startswith("END Sent")
    await town.agree(payer.person, payee.person)
    assert len(town.payments(payer.person)) == 2
