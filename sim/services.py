"""What a network serves: applications in Africa's Talking's form, each behind codes of its own.

Values only. Which phone may reach which is nobody's business here: as in a real network, every
phone reaches every code.
"""

from dataclasses import dataclass, field

from sim.people import Person


@dataclass(frozen=True, slots=True)
class Application:
    """The URLs of any application that speaks Africa's Talking's form; empty: it has none."""

    ussd: str
    sms: str = ""
    delivery: str = ""
    events: str = ""

    @classmethod
    def under(cls, base: str) -> "Application":
        """The four of one base: `…/ussd`, `…/sms`, `…/delivery`, `…/events`."""
        base = base.rstrip("/")
        return cls(*(f"{base}/{name}" for name in ("ussd", "sms", "delivery", "events")))


@dataclass(frozen=True, slots=True)
class Account:
    """One customer of the REST API; an empty key lets any in."""

    username: str = ""
    api_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Service:
    """One application: the code that people dial, the number they text, and whose phones show it.

    `people` get a phone each; theirs suggests this service, though it may dial any.
    """

    application: Application
    service_code: str = "*855#"
    shortcode: str = "855"
    account: Account = Account()
    people: tuple[Person, ...] = ()

    def inside(self, dialled: str) -> list[str] | None:
        """What a dialled code says beyond the service code; None when it is another's."""
        base, code = self.service_code.rstrip("#"), dialled.removesuffix("#")
        if code == dialled:  # it does not end in `#`
            return None
        if code == base:
            return []
        return code[len(base) + 1 :].split("*") if code.startswith(base + "*") else None
