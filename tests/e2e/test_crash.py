"""`kill -9` of the gateway around a PIN: the payment ends once or never was, and receipts come."""

import asyncio
import signal
from typing import Any

from callers import BROKEN, Answer, Phone, Town, eventually, ref_in

AMOUNT = 1000
# How long before the kill each PIN of one cycle was posted, in milliseconds.
CYCLES_MS = ((0, 2, 4, 8), (6, 12, 25, 50), (20, 40, 80, 160), (100, 200, 250, 300))
# A message that was being handed over when its process died waits for its lease to end.
RECEIPT_S = 30.0


async def test_a_payment_cut_off_by_kill_9_ends_once_and_its_receipts_come(frail_town: Town):
    """Later kills also hit what earlier ones have left behind."""
    town = frail_town
    payees = town.phones(len(CYCLES_MS))
    cut_off: list[tuple[Phone, Phone, Answer]] = []
    for payee, moments_ms in zip(payees, CYCLES_MS, strict=True):
        payers = town.phones(len(moments_ms))
        await asyncio.gather(*(payer.ask_to_pay(payee.person, AMOUNT) for payer in payers))
        last_ms = max(moments_ms)
        posted = [
            asyncio.create_task(_pin_after(payer, (last_ms - moment) / 1000))
            for payer, moment in zip(payers, moments_ms, strict=True)
        ]
        await asyncio.sleep(last_ms / 1000)  # the fault's own moment, nothing waits for it
        town.stack.gateways[0].kill()
        answers = await asyncio.gather(*posted)
        town.stack.start_gateway()
        cut_off += [(payer, payee, answer) for payer, answer in zip(payers, answers, strict=True)]
    await asyncio.gather(*(_ends_once(town, *one) for one in cut_off))
    await town.agree(*(payer.person for payer, *_ in cut_off), *(one.person for one in payees))
    assert not town.faults()


async def _pin_after(payer: Phone, seconds: float) -> Answer:
    await asyncio.sleep(seconds)
    payer.text = payer.typed(payer.person.pin)
    return await payer.post(payer.text)


async def _ends_once(town: Town, payer: Phone, payee: Phone, answer: Answer) -> None:
    # The carrier brings the callback again; its session died with the process.
    for again in await asyncio.gather(*(payer.post(payer.text) for _ in range(2))):
        assert "Sent" not in again.page
    await town.settled(payer.person)
    payments = town.payments(payer.person)
    if answer.status != BROKEN and "Sent" in answer.page:
        assert payments, answer
    if not payments:  # it never was, so the same person can pay now, with a PIN that still counts
        page = await payer.pay(payee.person, AMOUNT)
        assert page.startswith("END Sent"), page
        payments = town.payments(payer.person)
    assert [payment["state"] for payment in payments] == ["committed"]
    for phone in (payer, payee):
        await phone.hears(payments[0]["ref"], within_s=RECEIPT_S)


async def test_a_wallet_being_opened_when_the_gateway_dies_is_open_after_it(frail_town: Town):
    town = frail_town
    phones = [town.phone(town.stack.person("nobody")) for _ in range(3)]
    for phone in phones:
        await phone.dial()
        await phone.type("1", "1", phone.person.pin)
    posted = []
    for at, phone in enumerate(phones):
        phone.text = phone.typed(phone.person.pin)
        posted.append(asyncio.create_task(_post_after(phone, at * 0.03)))
    await asyncio.sleep(0.09)
    town.stack.gateways[0].kill()
    await asyncio.gather(*posted)
    town.stack.start_gateway()
    for phone in phones:
        wallets = _wallets(town, phone)
        if not wallets:
            await phone.dial()
            await phone.type("1", "1", phone.person.pin, phone.person.pin)
        await phone.hears("is open", within_s=RECEIPT_S)
        assert [row["state"] for row in _wallets(town, phone)] == ["open"]
        assert await town.ledger.signatories(phone.person.account_id)


async def _post_after(phone: Phone, seconds: float) -> Answer:
    await asyncio.sleep(seconds)
    return await phone.post(phone.text)


def _wallets(town: Town, phone: Phone) -> list[dict[str, Any]]:
    return town.stack.rows("SELECT * FROM wallet WHERE msisdn = :phone", phone=phone.number)


async def test_sigterm_answers_what_was_begun_and_a_second_start_goes_on(frail_town: Town):
    town = frail_town
    payer, payee, other = town.phones(3)
    await payer.ask_to_pay(payee.person, AMOUNT)
    payer.text = payer.typed(payer.person.pin)
    posted = asyncio.create_task(payer.post(payer.text))
    await eventually(lambda: bool(town.payments(payer.person)), 5.0, lambda: "no payment")
    gateway = town.stack.gateways[0]
    gateway.signal(signal.SIGTERM)
    answer = await posted
    assert answer.page.startswith("END ")
    ref = ref_in(answer.page)
    assert await asyncio.to_thread(gateway.wait, 5.0) == 0
    assert "Traceback" not in gateway.tail()

    town.stack.start_gateway()
    await town.settled(payer.person)
    await payer.hears(ref, within_s=RECEIPT_S)
    await payee.hears(ref, within_s=RECEIPT_S)
    assert (await payee.pay(other.person, 500)).startswith("END Sent")
    await town.agree(payer.person, payee.person, other.person)


async def test_a_taken_port_is_one_clear_line_that_names_the_setting(town: Town):
    stack = town.stack
    second = stack.process("second", "serve", GATEWAY_PORT=str(stack.gateway_ports[0]))
    second.start()
    try:
        assert await asyncio.to_thread(second.wait) == 2
    finally:
        second.stop()
    last = second.tail().splitlines()[-1]
    assert str(stack.gateway_ports[0]) in last
    assert "GATEWAY_PORT" in last
    assert "Traceback" not in second.tail()
    assert stack.gateways[0].running
