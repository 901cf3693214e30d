"""Money for somebody without a wallet, through real processes: claimed, or sent back."""

from callers import Town, ref_in
from people import BANK


async def test_a_stranger_is_texted_dials_chooses_a_pin_and_has_the_money(town: Town):
    (payer,) = town.phones(1)
    person = town.stack.person("nobody")
    phone = town.phone(person)
    page = await payer.ask_to_pay(person, 5000)
    assert "has no wallet yet. Send 5,000 KHR? It comes back if not claimed." in page
    page = await payer.type(payer.person.pin)
    assert page.startswith("END Sent 5,000 KHR")
    invitation = await phone.hears("5,000 KHR", ref_in(page))
    assert "Dial *855#, choose a PIN before" in invitation

    await phone.dial()
    assert "You were sent money." in await phone.type("1")  # English
    page = await phone.type("1", person.pin, person.pin)
    assert page.startswith("END Your PIN is set.")
    await phone.hears("is open")
    assert (await phone.pay(payer.person, 1500)).startswith("END Sent 1,500 KHR")
    assert await town.riel(person) == 3500


async def test_what_nobody_claims_is_sent_back_by_a_gateway_that_was_killed_meanwhile(
    frail_town: Town,
):
    town = frail_town
    (payer,) = town.phones(1)
    person = town.stack.person("nobody")
    phone = town.phone(person)
    # By SMS, and the gateway dies right after the payment.
    await payer.sms(f"SEND 700 {person.national}")
    code = (await payer.hears("has no wallet yet", "700 KHR")).partition("YES ")[2][:4]
    await payer.sms(f"YES {code} {payer.person.pin}")
    await phone.hears("sent you 700 KHR")
    town.stack.gateways[0].kill()
    account_id = f"{person.msisdn[1:]}@{BANK}"
    town.stack.change("UPDATE unclaimed SET due_at = 0 WHERE account_id = :account", account_id)
    town.stack.start_gateway()
    await payer.hears("700 KHR came back", within_s=15.0)
    await phone.hears("went back", "700 KHR")
    assert await town.riel(person) == 0
    assert payer.person.riel is not None
    assert await town.riel(payer.person) == payer.person.riel
    assert not town.faults()
