"""The ledger is frozen or gone: people hear the truth in time, and all of it settles later."""

import asyncio
import signal
import time

import pytest
from callers import Answer, Phone, Town, ref_in
from stack import LEDGER_WAIT_S

PAGE_S = 1.5  # a page that moves no money
PAYMENT_S = LEDGER_WAIT_S + 1.5
BACK_S = 30.0


@pytest.mark.parametrize("how", ["frozen", "killed"])
async def test_a_payment_is_in_progress_until_the_ledger_is_back(frail_town: Town, how: str):
    town, ledger = frail_town, frail_town.stack.ledger
    payer, payee, texter, browser = town.phones(4)
    await payer.ask_to_pay(payee.person, 2000)
    await texter.sms(f"SEND 800 {payee.person.national}")
    words = (await texter.hears("YES")).split()
    yes = f"YES {words[words.index('YES') + 1]} {texter.person.pin}"

    if how == "frozen":
        ledger.signal(signal.SIGSTOP)
    else:
        ledger.kill()
    payer.text = payer.typed(payer.person.pin)
    paying = asyncio.create_task(payer.post(payer.text))
    texting = asyncio.create_task(texter.sms(yes))
    await _menus_answer_in_time(browser, payee)
    answer = await paying
    assert answer.seconds < PAYMENT_S
    assert "In progress" in answer.page
    ref = ref_in(answer.page)
    assert (await texting).status == 200
    assert (await texting).seconds < PAYMENT_S
    by_sms = ref_in(await texter.hears("In progress"))

    # Told so again while it lasts, and warned of paying twice.
    assert "In progress" in (await payer.post(payer.text)).page
    page = await _last_payment(payer)
    assert "In progress" in page
    assert ref in page
    await payer.dial()
    page = await payer.type("1", payee.person.national, "2000")
    assert "2,000 KHR" in page
    assert "PIN" not in page
    await _menus_answer_in_time(browser, payee)
    assert [payment["state"] for payment in town.payments(payer.person)] == ["signed"]

    if how == "frozen":
        ledger.signal(signal.SIGCONT)
    else:
        town.stack.start_ledger()
    for phone, its in ((payer, ref), (texter, by_sms)):
        await phone.hears("Sent", its, within_s=BACK_S)
        await payee.hears("received", its, within_s=BACK_S)
    await town.agree(payer.person, payee.person, texter.person)
    assert len(town.payments(payer.person)) == 1
    assert (await browser.pay(payee.person, 300)).startswith("END Sent")
    assert not town.faults()


async def _menus_answer_in_time(phone: Phone, payee: Phone) -> None:
    """Pages that move no money: home, balance, a look-up, an amount, last payment."""
    answers: list[Answer] = []
    for typed in ([""], ["", "2"], ["", "1", payee.person.national, "900"], ["", "3"]):
        phone.redial()
        for each in typed:
            phone.text = phone.typed(each) if each else ""
            answers.append(await phone.post(phone.text))
    assert all(answer.page for answer in answers)
    assert max(answer.seconds for answer in answers) < PAGE_S, answers


async def _last_payment(phone: Phone) -> str:
    other = Phone(phone._town, phone.person)
    await other.dial()
    begun = time.monotonic()
    page = await other.type("3")
    assert time.monotonic() - begun < PAGE_S
    return page


async def test_a_gateway_started_while_the_ledger_is_away_serves_and_pays_when_it_is_back(
    frail_town: Town,
):
    town = frail_town
    payer, payee = town.phones(2)
    gateway = town.stack.gateways[0]
    town.stack.ledger.kill()
    await payer.ask_to_pay(payee.person, 1100)
    page = await payer.type(payer.person.pin)
    assert "In progress" in page
    ref = ref_in(page)
    gateway.kill()
    town.stack.start_gateway()
    assert ref in await _last_payment(payer)
    town.stack.start_ledger()
    await payer.hears(ref, within_s=BACK_S)
    await payee.hears(ref, within_s=BACK_S)
    await town.agree(payer.person, payee.person)
