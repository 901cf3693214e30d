"""A stack as one test uses it: phones that dial and text, and the truth on ledger and in SQL."""

import asyncio
import contextlib
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
from people import Person
from stack import SERVICE_CODE, SHORTCODE, Stack, fetch

from ledger_client.iroha1 import Iroha1

POLL_S = 0.03
CALLBACK_S = 15.0  # no callback may take longer, whatever is stuck
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
FAULTS = "gateway_faults_total{"
REF = re.compile(r"\b[0-9A-HJKMNP-TV-Z]{8}\b")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a callback got; status 0: the connection broke."""

    status: int
    body: str
    seconds: float

    @property
    def page(self) -> str:
        assert self.status == 200, f"{self.status}: {self.body}"
        assert self.body.startswith(("CON ", "END ")), self.body
        return self.body


BROKEN = 0


class Town:
    """Everything a test needs of a stack, in the test's own event loop."""

    def __init__(self, stack: Stack, http: aiohttp.ClientSession, ledger: Iroha1) -> None:
        self.stack = stack
        self.http = http
        self.ledger = ledger

    # --- callbacks

    async def post(self, name: str, form: dict[str, str], *, gateway: int = 0) -> Answer:
        """One callback as Africa's Talking posts it; never raises."""
        begun = time.monotonic()
        url = f"{self.stack.callbacks(gateway)}/{name}"
        try:
            async with self.http.post(url, data=form, headers=FORM) as response:
                body = await response.text()
                return Answer(response.status, body, time.monotonic() - begun)
        except (aiohttp.ClientError, TimeoutError):
            return Answer(BROKEN, "", time.monotonic() - begun)

    async def turn(self, phone: str, session: str, text: str, *, gateway: int = 0) -> Answer:
        form = {
            "sessionId": session,
            "phoneNumber": phone,
            "networkCode": "45601",
            "serviceCode": SERVICE_CODE,
            "text": text,
        }
        return await self.post("ussd", form, gateway=gateway)

    async def text(self, phone: str, text: str, *, message: str = "", gateway: int = 0) -> Answer:
        """An SMS from a phone."""
        form = {
            "from": phone,
            "to": SHORTCODE,
            "text": text,
            "date": "2026-11-22 10:00:00",
            "id": message or secrets.token_hex(8),
        }
        return await self.post("sms", form, gateway=gateway)

    def phone(self, person: Person) -> "Phone":
        self.stack.secrets.add(person.pin)
        return Phone(self, person)

    def phones(self, count: int, tier: str = "partial") -> list["Phone"]:
        return [self.phone(self.stack.person(tier)) for _ in range(count)]

    # --- what is true

    async def riel(self, person: Person) -> int:
        """What the ledger says that somebody holds."""
        return int((await self.ledger.balances(person.account_id)).get("khr#nbc", "0"))

    def payments(self, person: Person) -> list[dict[str, Any]]:
        return self.stack.rows(
            "SELECT * FROM transfer WHERE src_account = :account ORDER BY created_at",
            account=person.account_id,
        )

    async def settled(self, *people: Person, within_s: float = 20.0) -> None:
        """Wait until no payment of theirs is under way."""

        def nothing_signed() -> bool:
            return not any(
                payment["state"] == "signed" for each in people for payment in self.payments(each)
            )

        await eventually(
            nothing_signed, within_s, lambda: f"still under way: {[*map(self.payments, people)]}"
        )

    async def agree(self, *people: Person) -> None:
        """SQL, its counters and the ledger tell the same of these people; nothing is under way."""
        await self.settled(*people)
        for person in people:
            assert person.riel is not None
            rows = self.stack.rows(
                "SELECT * FROM holding WHERE account_id = :account AND currency = 'KHR'",
                account=person.account_id,
            )
            holding = rows[0]
            sent = self._sum("src_account", person)
            received = self._sum("dest_account", person)
            expected = person.riel - sent + received
            assert holding["settled"] == expected, (person.msisdn, holding, sent, received)
            assert (holding["outgoing"], holding["incoming"]) == (0, 0), (person.msisdn, holding)
            assert await self.riel(person) == expected, person.msisdn
            for period in (10, 7):  # "2026-11-22" and "2026-11"
                assert self._counted(person, period) == sent, person.msisdn

    def _sum(self, column: str, person: Person) -> int:
        query = (
            "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) AS total FROM transfer"  # noqa: S608
            f" WHERE {column} = :account AND state = 'committed' AND currency = 'KHR'"
        )
        return int(self.stack.rows(query, account=person.account_id)[0]["total"])

    def _counted(self, person: Person, length: int) -> int:
        """All that is reserved or spent of this kind of period."""
        rows = self.stack.rows(
            "SELECT amount FROM counter WHERE account_id = :account AND bucket = 'KHR'"
            " AND LENGTH(period) = :length",
            account=person.account_id,
            length=length,
        )
        return sum(row["amount"] for row in rows)

    def faults(self) -> list[str]:
        """What the gateways count as things that should not happen."""
        found: list[str] = []
        for process, port in zip(self.stack.gateways, self.stack.gateway_ports, strict=True):
            if process.running:
                status, text = fetch(port, "/metrics")
                assert status == 200
                counters = (line for line in text.splitlines() if line.startswith(FAULTS))
                found += [line for line in counters if float(line.split()[-1])]
        return found


@contextlib.asynccontextmanager
async def town_of(stack: Stack) -> AsyncIterator[Town]:
    """Connect a test to a stack."""
    ledger = stack.iroha()
    # A carrier's callbacks come from anywhere, at once, over connections of their own.
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    timeout = aiohttp.ClientTimeout(total=CALLBACK_S)
    try:
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, trust_env=False
        ) as http:
            yield Town(stack, http, ledger)
    finally:
        await ledger.close()


class Phone:
    """One person's phone: its session keeps everything typed, as the carrier accumulates it."""

    def __init__(self, town: Town, person: Person) -> None:
        self.person = person
        self.session = ""
        self.text = ""
        self._town = town
        self._read: set[int] = set()  # SMS that were heard of, by their place in the inbox
        town.stack.carrier.remember(person.msisdn)

    @property
    def number(self) -> str:
        return self.person.msisdn

    # --- USSD

    def redial(self, text: str = "") -> None:
        """Begin a session without posting anything."""
        self.session, self.text = f"ATUid_{secrets.token_hex(8)}", text

    def typed(self, *inputs: str) -> str:
        """The carrier's text once these are typed as well."""
        return "*".join([*([self.text] if self.text else []), *inputs])

    async def dial(self, text: str = "", *, gateway: int = 0) -> str:
        """Dial `*855#`, or deeper."""
        self.redial(text)
        return (await self._turn(gateway)).page

    async def type(self, *inputs: str, gateway: int = 0) -> str:
        """Type one answer after another; the last page."""
        page = ""
        for each in inputs:
            self.text = self.typed(each)
            page = (await self._turn(gateway)).page
        return page

    async def post(self, text: str, *, gateway: int = 0) -> Answer:
        """Any text in this session, without taking note of it."""
        return await self._town.turn(self.number, self.session, text, gateway=gateway)

    async def ask_to_pay(self, to: Person, amount: int) -> str:
        """Up to the page that asks for the PIN."""
        page = await self.dial()
        if "Continue" in page:
            await self.type("2")  # not what an earlier session left behind
        page = await self.type("1", to.national)
        if "PIN" not in page and "1 " in page:
            page = await self.type("1")  # riel, for those who also have dollars
        page = await self.type(str(amount))
        assert "PIN" in page, page
        return page

    async def pay(self, to: Person, amount: int) -> str:
        await self.ask_to_pay(to, amount)
        return await self.type(self.person.pin)

    async def _turn(self, gateway: int) -> Answer:
        return await self._town.turn(self.number, self.session, self.text, gateway=gateway)

    # --- SMS

    async def sms(self, text: str, *, message: str = "") -> Answer:
        return await self._town.text(self.number, text, message=message)

    @property
    def inbox(self) -> list[str]:
        return self._town.stack.carrier.inbox(self.number)

    async def hears(self, *words: str, within_s: float = 3.0) -> str:
        """Wait for an SMS that was not heard of yet and holds all these words."""
        found: list[str] = []

        def arrived() -> bool:
            for at, text in enumerate(self.inbox):
                if at not in self._read and all(word in text for word in words):
                    self._read.add(at)
                    found.append(text)
                    return True
            return False

        await eventually(arrived, within_s, lambda: f"no {words} to {self.number}: {self.inbox}")
        return found[0]


def ref_in(text: str) -> str:
    """The payment's reference in a page or an SMS."""
    match = REF.search(text)
    assert match, text
    return match[0]


async def eventually(
    true: Callable[[], bool], within_s: float, otherwise: Callable[[], str]
) -> None:
    """Poll until it is true; fail after the deadline."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, otherwise()
        await asyncio.sleep(POLL_S)
