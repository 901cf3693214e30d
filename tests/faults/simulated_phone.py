"""People with phones: they read what is on the screen, type, mistype, wait, hang up and dial again.

A person knows nothing but the page. What one agrees to is taken from the page that asked for the
PIN, since that is what the person was told. Everything seen and typed goes into the history; of
PINs only whether they were right.
"""

import asyncio
import re
from collections.abc import Callable
from functools import partial

from beginnings import Person
from histories import Sum, sum_in

PIN_PAGE = re.compile(
    r"(Send (?P<amount>[\d,.]+ [A-Z]{3}) to (?P<to>.*)"
    r"|(?P<stranger>[\d ]+) has no wallet yet\. Send (?P<waits>[\d,.]+ [A-Z]{3})\? It comes back.*)"
    r"\nPIN to confirm",
    re.DOTALL,
)
CODE = re.compile(
    r"(Send (?P<amount>[\d,.]+ [A-Z]{3}) to (?P<to>.*)\?"
    r"|^(?P<stranger>[\d ]+) has no wallet yet\. Send (?P<waits>[\d,.]+ [A-Z]{3})\? It comes .*)"
    r" Within .* YES (?P<code>\d+)"
)
# Others are known by the ends of their numbers where they are not typed.
ASK_PAGE = re.compile(r"Ask .*\.\.(?P<tail>\d{3}) to give (?P<amount>.*) back\nPIN to confirm")
GIVE_PAGE = re.compile(r"Give (?P<amount>.*) back to .*\.\.(?P<tail>\d{3})\nPIN to confirm")
ASKED_CODE = re.compile(
    r"\.\.(?P<tail>\d{3}) says (?P<amount>.*) was a mistake, .* YES (?P<code>\d+)"
)
WRONG_PERSON = re.compile(r"^(\d) (?:Wrong person|Sent before)$", re.MULTILINE)
GET_WALLET = re.compile(r"^(\d) (?:Choose a PIN|Open a wallet)$", re.MULTILINE)
PATIENCE_S = 40.0  # with a code that does not come
WRONG_PIN, NEW_PIN = "111222", "395172"


class Phone:
    """One person's phone, and what that person does with it."""

    def __init__(self, town, person: Person) -> None:
        self._town, self.person = town, person
        self._chance = town.chances.stream("phone", person.number)
        self.pin = person.pin
        self.sure = True  # which PIN it is
        self.inbox: list[str] = []
        self._arrived = asyncio.Event()
        self._sessions = 0
        self._texts = 0

    # ---- one session

    async def dial(self, *dialled: str) -> "Call":
        self._sessions += 1
        call = Call(self, f"{self.person.number[-3:]}-{self._sessions}", list(dialled))
        await call.send()
        return call

    def receive(self, text: str) -> None:
        self.inbox.append(text)
        self._arrived.set()

    # ---- what people do

    async def live(self, errands: list) -> None:
        """Run one errand after the other."""
        for errand in errands:
            await asyncio.sleep(2 * self._chance.random())
            if self.sure:
                await errand()

    async def pay(self, to: str, amount: Sum, *, stepwise: bool = False) -> bool:
        """Pay by USSD; was it seen to the end?"""
        call = await self.dial(*(() if stepwise else self._dialled(to, amount)))
        return await self._talk(call, lambda page: self._answer(page, to, amount))

    async def _talk(self, call: "Call", answer: Callable[[str], str | None]) -> bool:
        """Type what each page is answered with, while there is something; was the end seen?"""
        for _ in range(10):
            typed = None if call.page is None or call.ended else answer(call.page)
            if typed is None:
                break
            if self._chance.random() < self._town.habits.hang_up:
                self._town.note("hung up", self.person.number)
                return False
            await asyncio.sleep(self._chance.random())
            await call.type(typed)
        return call.ended

    def _dialled(self, to: str, amount: Sum) -> tuple[str, ...]:
        """Everything at once; who has dollars chooses between them and riel."""
        choice = ("2" if amount.currency == "USD" else "1",) if self.person.cents else ()
        return ("1", to, *choice, amount.typed)

    def _answer(self, page: str, to: str, amount: Sum) -> str | None:
        """What to type at this page; None to leave it."""
        if asks := PIN_PAGE.search(page):
            return self._pin(partial(self.agree, asks, "ussd"))
        if decided := self._decide(page):
            return decided
        for words, typed in (
            ("Send anyway", "1" if self._chance.random() < 0.6 else None),
            ("Continue sending", "1" if self._chance.random() < 0.5 else "2"),
            ("1 Send money", "1"),
            ("Ask them to dial", None),
            ("Send to which number?", to),
            ("Send what?", "2" if amount.currency == "USD" else "1"),
            ("How much", amount.typed if page.startswith("How much") else None),
        ):
            if words in page:
                return typed
        return None

    def _pin(self, agree: Callable[..., None]) -> str:
        """The PIN, by which something is agreed to, or a wrong one."""
        right = self._chance.random() >= self._town.habits.wrong_pin
        agree(right=right)
        return self.pin if right else WRONG_PIN

    def agree(self, agreed: re.Match, over: str, *, right: bool) -> None:
        """Note what the person has been told and says yes to."""
        digits = "".join(one for one in agreed["to"] or agreed["stranger"] if one.isdigit())
        amount = agreed["amount"] or agreed["waits"]
        number, to = self.person.number, f"+855{digits.removeprefix('0')}"
        self._town.note("agreed", number, to, sum_in(amount), right, over)

    def _agree_back(self, kind: str, agreed: re.Match, over: str, *, right: bool) -> None:
        to, amount = f"+85512345{agreed['tail']}", sum_in(agreed["amount"])
        self._town.note(kind, self.person.number, to, amount, right, over)

    async def ask_back(self) -> None:
        """Say that the latest payment went to the wrong person."""
        await self._talk(await self.dial("3"), self._regret)

    def _regret(self, page: str) -> str | None:
        if asks := ASK_PAGE.search(page):
            return self._pin(partial(self._agree_back, "asks back", asks, "ussd"))
        offered = WRONG_PERSON.search(page)
        return offered and offered[1]

    async def decide(self, over: str) -> None:
        """Give back or keep what somebody has asked for by SMS, if anybody has."""
        found = await self._code(0, ASKED_CODE)
        ways = [self._give_back_by_sms(found[0])] if found and over != "ussd" else []
        if found and over != "sms":
            ways.append(self._decide_by_ussd())
        await asyncio.gather(*ways)

    async def _give_back_by_sms(self, asked: re.Match) -> None:
        pin = self._pin(partial(self._agree_back, "gives back", asked, "sms"))
        await self.text(f"YES {asked['code']} {pin}")

    async def _decide_by_ussd(self) -> None:
        await self._talk(await self.dial(), self._decide)

    def _decide(self, page: str) -> str | None:
        if asks := GIVE_PAGE.search(page):
            return self._pin(partial(self._agree_back, "gives back", asks, "ussd"))
        if "was a mistake" in page:
            return self._chance.choice("1120")
        return "1" if page.startswith("Keep") else None

    async def send(self, to: str, amount: Sum) -> str | None:
        """Send it without a slip, whatever is asked; the last page."""
        call = await self.dial(*self._dialled(to, amount))
        while call.page and not call.ended:
            asks = PIN_PAGE.search(call.page)
            if asks:
                self.agree(asks, "ussd", right=True)
            elif "Send anyway" not in call.page:
                break
            await call.type(self.pin if asks else "1")
        return call.page

    async def pay_by_sms(self, to: str, amount: Sum) -> None:
        """Ask by SMS, wait for the code, answer with it and the PIN."""
        seen, habits = len(self.inbox), self._town.habits
        await self.text(f"SEND {amount.typed} {amount.currency} {to}")
        for _ in range(3):
            found = await self._code(seen)
            if found is None:
                return
            agreed, seen = found
            if self._chance.random() < habits.wrong_code:
                await self.text(f"YES {(int(agreed['code']) + 1) % 10000:04} {self.pin}")
                if self._chance.random() < 0.5:  # and thinks better of it
                    return
            pin = self._pin(partial(self.agree, agreed, "sms"))
            await self.text(f"YES {agreed['code']} {pin}")
            if pin != WRONG_PIN:
                return

    async def pay_at_once(self, to: str, amount: Sum, other: Sum) -> None:
        """Agree by USSD and by SMS at the same moment."""
        seen = len(self.inbox)
        await self.text(f"SEND {other.typed} {other.currency} {to}")
        code = await self._code(seen)
        call = await self.dial(*self._dialled(to, amount))
        asks = PIN_PAGE.search(call.page or "")
        if code and asks:
            self.agree(asks, "ussd", right=True)
            self.agree(code[0], "sms", right=True)
            yes = f"YES {code[0]['code']} {self.pin}"
            await asyncio.gather(call.type(self.pin), self.text(yes))

    async def guess(self, to: str, amount: Sum) -> None:
        """Somebody who holds the phone tries many PINs at once."""
        seen = len(self.inbox)
        await self.text(f"SEND {amount.typed} {amount.currency} {to}")
        if found := await self._code(seen):
            agreed, _ = found
            for _ in range(5):
                self.agree(agreed, "sms", right=False)
            await asyncio.gather(
                *(self.text(f"YES {agreed['code']} {WRONG_PIN}") for _ in range(5))
            )

    async def _code(self, seen: int, asks: re.Pattern[str] = CODE):
        until = self._town.loop.time() + PATIENCE_S
        while self._town.loop.time() < until:
            for place in range(seen, len(self.inbox)):
                if found := asks.search(self.inbox[place]):
                    return found, place + 1
            self._arrived.clear()
            try:
                async with asyncio.timeout(until - self._town.loop.time()):
                    await self._arrived.wait()
            except TimeoutError:
                break
        return None

    async def text(self, text: str) -> None:
        self._texts += 1
        self._town.note("text", self.person.number, text.replace(self.pin, "PIN"))
        await self._town.carrier.sms(
            self.person.number, f"{self.person.number}/{self._texts}", text
        )

    async def get_wallet(self) -> None:
        """Dial, and choose a PIN: of a new wallet, or of one that somebody's money has made."""
        call = await self.dial()
        for _ in range(6):
            if not call.page or call.ended:
                break
            if offered := GET_WALLET.search(call.page):
                typed = offered[1]
            elif "Choose a PIN of" in call.page or "Type the PIN again" in call.page:
                typed = self.pin
            else:
                break
            await asyncio.sleep(self._chance.random())
            await call.type(typed)

    async def change_pin(self) -> None:
        """Choose another PIN, and use it from then on if the page says that it is changed."""
        call = await self.dial("4")
        asks = {"Choose a new PIN": NEW_PIN, "Type the new PIN": NEW_PIN, "your old PIN": self.pin}
        for _ in range(6):
            words = next((words for words in asks if words in (call.page or "")), "")
            if not words or call.ended:
                break
            if asks[words] != NEW_PIN:
                self.sure = False
                self._town.note("old PIN", self.person.number)
            await asyncio.sleep(self._chance.random())
            await call.type(asks[words])
        if "Your PIN is changed" in (call.page or ""):
            self.pin, self.sure = NEW_PIN, True
            self._town.note("new PIN", self.person.number)

    async def look(self, item: str) -> str | None:
        """Read the balance or the last payment from the menu."""
        call = await self.dial()
        if call.page and "was a mistake" in call.page:
            await call.type("0")
        if call.page and "Continue sending" in call.page:
            await call.type("2" if "2 " in call.page else "00")
        lines = (call.page or "").splitlines()
        if line := next((line for line in lines if line.endswith(item)), ""):
            await call.type(line.split()[0])
        # A choice below what is told is left at that.
        asks = any(words in (call.page or "") for words in ("Wrong person", "Sent before"))
        page = call.page if call.ended or asks else None
        self._town.note("looked", self.person.number, page)
        return page


class Call:
    """One USSD session as its phone has it."""

    def __init__(self, phone: Phone, session: str, dialled: list[str]) -> None:
        self._phone, self.session = phone, session
        self._typed = dialled
        self.page: str | None = None
        self.ended = False

    async def type(self, text: str) -> None:
        self._typed.append(text)
        await self.send()

    async def send(self) -> None:
        town, number = self._phone._town, self._phone.person.number
        reply = await town.carrier.ussd(number, self.session, "*".join(self._typed))
        self.page, self.ended = (reply.text, reply.end) if reply else (None, True)
        town.note("page", number, self.session, self.page)
