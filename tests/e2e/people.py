"""Invented people for the end-to-end tests: enough that no two tests share one.

Everyone has a PIN of their own, so that a leaked one tells whose turn leaked it.
"""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass

from menus.weak_pins import weak

BANK = "bank"
HELD = 200_000
TIGHT_DAY, TIGHT_MOST, TIGHT_HELD = 10_000, 5_000, 30_000
TIGHT_LIMITS = f"""
[tight.KHR]
least = "100"
most = "{TIGHT_MOST}"
day = "{TIGHT_DAY}"
month = "20,000"
count_per_day = 20
held = "{TIGHT_HELD}"
sms_most = "{TIGHT_MOST}"

[tight.USD]
least = "0.05"
most = "1.00"
day = "2.00"
month = "3.00"
count_per_day = 20
held = "10.00"
sms_most = "1.00"
"""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a phone; `riel` None: without a wallet yet."""

    msisdn: str
    pin: str
    riel: int | None
    tier: str = "partial"
    name: str = ""
    language: str = "en"
    dollars: str | None = None
    bank: str = BANK

    @property
    def national(self) -> str:
        """The number as people type it."""
        return "0" + self.msisdn.removeprefix("+855")

    @property
    def account_id(self) -> str:
        return f"{self.msisdn.removeprefix('+')}@{self.bank}"

    def toml(self) -> str:
        holds = {"KHR": str(self.riel)} | ({"USD": self.dollars} if self.dollars else {})
        rows = {"msisdn": self.msisdn, "pin": self.pin, "name": self.name, "tier": self.tier}
        rows["language"] = self.language
        lines = [f"{key} = {json.dumps(value)}" for key, value in rows.items()]
        if self.riel is not None:
            lines.append(
                "holds = {" + ", ".join(f'{key} = "{value}"' for key, value in holds.items()) + "}"
            )
        return "\n".join(["[[people]]", *lines, ""])


DARA = Person("+85512345601", "730264", 400_000, "basic", "Sok Dara", "en", "100.00")
THIDA = Person("+85512345602", "730264", 50_000, "basic", "Chan Thida", "km")


def crowd() -> Iterator[Person]:
    """Everyone, the issue's own people first."""
    yield from (DARA, THIDA)
    chance = random.Random(855)
    pins: set[str] = set()
    for tier, first, count, riel in (
        ("partial", 400, 72, HELD),
        ("tight", 500, 16, 20_000),
        ("nobody", 600, 10, None),
    ):
        for number in range(first, first + count):
            msisdn = f"+85512346{number}"
            while (pin := f"{chance.randrange(10**6):06}") in pins or weak(pin, msisdn):
                pass
            pins.add(pin)
            yield Person(msisdn, pin, riel, tier, f"Test Person{number}")
