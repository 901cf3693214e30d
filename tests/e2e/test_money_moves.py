"""What the issue asks to see: dial, confirm, sign, settle, receipt; a wallet; the same by SMS."""

import asyncio
import time

from callers import Town, ref_in
from people import DARA, THIDA

SETTLED_S = 3.0


async def test_five_thousand_riel_reach_the_other_phone_within_three_seconds(town: Town):
    dara = town.phone(town.stack.named(DARA))
    thida = town.phone(town.stack.named(THIDA))
    before = await town.riel(DARA), await town.riel(THIDA)

    pin_page = await dara.ask_to_pay(THIDA, 5000)
    assert "5,000 KHR" in pin_page
    assert "C*** T***" in pin_page
    begun = time.monotonic()
    page = await dara.type(DARA.pin)
    assert page.startswith("END ")
    ref = ref_in(page)
    sent = await dara.hears("5,000 KHR", ref)
    received = await thida.hears("5,000 KHR", ref)
    assert time.monotonic() - begun < SETTLED_S

    assert "395,000 KHR" in sent
    assert "55,000 KHR" in received
    assert "S*** D***" in received
    assert [await town.riel(DARA), await town.riel(THIDA)] == [before[0] - 5000, before[1] + 5000]
    await town.agree(DARA, THIDA)


async def test_a_phone_without_a_wallet_opens_one_and_is_paid(town: Town):
    person = town.stack.person("nobody")
    phone, payer = town.phone(person), town.phones(1)[0]
    for weak in ("123456", "111111", person.msisdn[-6:]):
        town.stack.secrets.add(weak)

    page = await phone.dial()
    page = await phone.type("1")  # English
    page = await phone.type("1")  # open a wallet
    assert "PIN" in page
    for weak in ("123456", "111111", person.msisdn[-6:]):
        refused = await phone.type(weak)
        assert refused.startswith("CON ")
        assert "easy to guess" in refused
    again = await phone.type(person.pin)
    assert "again" in again
    page = await phone.type("111112")
    assert "differ" in page
    page = await phone.type(person.pin, person.pin)
    assert page.startswith("END ")
    await phone.hears("is open")
    assert await town.ledger.signatories(person.account_id)

    page = await payer.pay(person, 700)
    assert page.startswith("END Sent")
    await phone.hears("700 KHR", ref_in(page))
    assert await town.riel(person) == 700


async def test_the_same_by_sms_costs_nothing_until_code_and_pin_are_right(town: Town):
    payer, payee = town.phones(2)
    person, other = payer.person, payee.person

    assert (await payer.sms(f"send 2,000 to {other.national}")).status == 200
    code = _code_in(await payer.hears("2,000 KHR", "YES"))
    assert await town.riel(person) == person.riel

    wrong = f"{(int(code) + 1) % 10_000:04}"
    assert (await payer.sms(f"YES {wrong} {person.pin}")).status == 200
    await payer.hears("Nothing was paid")
    assert not town.payments(person)
    assert not town.stack.rows(
        "SELECT * FROM attempt WHERE account_id = :account", account=person.account_id
    )

    for _ in range(3):  # the carrier brings it again and again: one message
        assert (await payer.sms(f"yes {code}  {person.pin}.", message=f"{code}-1")).status == 200
    ref = ref_in(await payee.hears("2,000 KHR"))
    await payer.hears("2,000 KHR", ref)
    # The same code once more, as another message, after it has paid.
    assert (await payer.sms(f"YES {code} {person.pin}")).status == 200
    await town.agree(person, other)
    assert other.riel is not None
    assert await town.riel(other) == other.riel + 2000
    assert len(town.payments(person)) == 1


async def test_one_message_posted_in_parallel_pays_once_and_is_answered_once(town: Town):
    payer, payee = town.phones(2)
    message = "parallel-send"
    answers = await asyncio.gather(
        *(payer.sms(f"SEND 1500 {payee.person.national}", message=message) for _ in range(5))
    )
    assert {answer.status for answer in answers} == {200}
    code = _code_in(await payer.hears("1,500 KHR"))
    yes = f"YES {code} {payer.person.pin}"
    answers = await asyncio.gather(*(payer.sms(yes, message="parallel-yes") for _ in range(5)))
    assert {answer.status for answer in answers} == {200}
    await payee.hears("1,500 KHR")
    await town.agree(payer.person, payee.person)
    assert len(town.payments(payer.person)) == 1
    await payer.hears("Sent", "1,500 KHR")
    assert len(payer.inbox) == 2, payer.inbox  # the code and the receipt


async def test_balance_by_sms_and_help_are_answered(town: Town):
    (phone,) = town.phones(1)
    await phone.sms("bal")
    await phone.hears("200,000 KHR")
    await phone.sms("What is this?")
    await phone.hears("HELP")


def _code_in(text: str) -> str:
    words = text.split()
    return words[words.index("YES") + 1]
