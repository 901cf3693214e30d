"""Every way in which people type a PIN, and what logs may hold of it: nothing."""

import json

from callers import Town
from evidence import log_lines
from people import Person

WRONG, NEW = "904618", "473951"


async def talk_with_pins(town: Town) -> list[str]:
    """Every way a PIN can be typed, rightly and wrongly; the codes that came by SMS."""
    payer, payee, changer = town.phones(3)
    newcomer = town.phone(town.stack.person("nobody"))
    town.stack.secrets |= {WRONG, NEW, "123456"}

    await payer.ask_to_pay(payee.person, 900)
    await payer.type(WRONG, payer.person.pin)
    await payer.post(payer.typed("1"))  # the PINs once more, as the carrier repeats them

    await payer.dial(f"1*{payee.person.national}*800*{payer.person.pin}")  # dialled, unasked
    await payer.type("0")
    await payer.dial(payer.person.pin)  # a phone book entry gone wrong
    await payer.sms(payer.person.pin)
    await payer.sms(f"SEND 5000 {payee.person.national} {payer.person.pin}")

    await newcomer.dial()
    await newcomer.type("1", "1", "123456", newcomer.person.pin, WRONG)
    await newcomer.type(newcomer.person.pin, newcomer.person.pin)
    await newcomer.hears("is open")

    page = await changer.dial()
    number = next(line[0] for line in page[4:].splitlines() if line.endswith(" PIN"))
    await changer.type(number, "1", NEW, NEW, WRONG)
    page = await changer.type(changer.person.pin)
    assert "changed" in page
    changed = Person(changer.number, NEW, changer.person.riel)
    assert (await town.phone(changed).pay(payee.person, 650)).startswith("END Sent")

    await payer.sms(f"SEND 700 {payee.person.national}")
    words = (await payer.hears("700 KHR", "YES")).split()
    code = words[words.index("YES") + 1]
    await payer.sms(f"YES {code} {WRONG}")
    await payer.hears("Wrong PIN")
    await payer.sms(f"YES {code} {payer.person.pin}")
    await payee.hears("700 KHR")
    await town.settled(payer.person, changer.person)
    return [code]


def no_carrier_text_in_logs(town: Town, codes: list[str]) -> None:
    """Logs are JSON, one object a line, and quote nothing that a phone or a carrier sent."""
    for line in log_lines(town.stack.folder):
        record = json.loads(line)
        assert "event" in record
        for quoted in ("text=", "sessionId", "phoneNumber", "YES ", "SEND "):
            assert quoted not in line, line
        for code in codes:
            assert f'"{code}"' not in line
            assert f" {code} " not in line
