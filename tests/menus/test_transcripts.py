"""Every transcript through the pure core, with JSON between any two turns, in a small town."""

import json
import tomllib
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from talk import KHR_CAPS, NOW, USD_CAPS

import sim.people
from menus.disputes import AskedBack, PaidOut
from menus.effects import (
    Balance,
    ChangePin,
    ChoosePin,
    Committed,
    Compare,
    Different,
    Dispute,
    Disputed,
    Effect,
    FindPayee,
    GiveBack,
    Keep,
    KeepMoney,
    Kept,
    KeyRenewed,
    LanguageSet,
    LastAndEarlier,
    LastPaidOut,
    LastPayment,
    LastPaymentOutcome,
    MoneyKept,
    NoOwnerYet,
    NoPayment,
    OpenWallet,
    Outcome,
    PayeeFound,
    PaymentState,
    PinChanged,
    ReadBalance,
    ReadLastPayment,
    Same,
    SetLanguage,
    Transfer,
    WalletOpened,
    WrongPin,
)
from menus.engine import Engine, Facts, Service, State, WalletFacts
from menus.kinds import Currency, Money, Msisdn, masked_name, shown_other
from menus.limits import Used, sendable
from menus.receipts import (
    AskedBackNotice,
    GivenBack,
    Invitation,
    NotGivenBack,
    Opened,
    PinChangedNotice,
    Received,
    Sent,
)
from menus.sms import Asks, Challenge, Confirmation, SmsEngine
from menus.text.load import load_texts
from sim.perform import Answer, Cue, perform
from sim.transcript import Dial, End, ExpectSms, Expire, SendSms, Type, parse

FOLDER = Path(__file__).parents[1] / "transcripts"
PEOPLE = tomllib.loads(sim.people.PEOPLE.read_text(encoding="utf-8"))
TEXTS = load_texts()
SERVICE = Service("Mekong Bank", "*855#", "855")
CAPS = {Currency.KHR: KHR_CAPS, Currency.USD: USD_CAPS}


@dataclass
class Person:
    """One phone, its owner's wallet if there is one, and what the phone was told."""

    msisdn: Msisdn
    name: str
    language: str | None
    dollars: bool = False
    pin: str | None = None  # None: no wallet
    holds: dict[Currency, int] = field(default_factory=dict)
    last: LastPaymentOutcome = field(default_factory=NoPayment)
    asked_back: list[AskedBack] = field(default_factory=list)
    inbox: list[str] = field(default_factory=list)
    saved: str = "null"  # the dumped state, as a session store would keep it
    in_session: bool = False
    challenge: tuple[Challenge, str] | None = None
    wrong: int = 0
    waits: bool = False  # money that was sent before there was an owner


class Town:
    """The people of `people.toml` with money that moves; the desk in fifty lines, no ledger."""

    def __init__(self) -> None:
        self.engine, self.sms = Engine(TEXTS), SmsEngine(TEXTS)
        self.people = {entry["msisdn"]: self._person(entry) for entry in PEOPLE["people"]}
        self.kept: dict[str, str] = {}
        self.ids = 0
        self.at = NOW

    def _person(self, entry: dict) -> Person:
        holds = entry.get("holds")
        if holds is None:  # nobody has dialled yet
            return Person(Msisdn(entry["msisdn"]), "", None)
        minor = {Currency(c): int(text.replace(".", "")) for c, text in holds.items()}
        dollars = Currency.USD in minor
        pin, number = PEOPLE["pin"], Msisdn(entry["msisdn"])
        return Person(number, entry["name"], entry["language"], dollars, pin, minor)

    def facts(self, person: Person) -> Facts:
        self.ids += 1
        self.at += timedelta(seconds=1)
        wallet = (person.pin or person.waits) and WalletFacts(
            "open",
            dollars=person.dollars,
            has_pin=person.pin is not None,
            waits=person.waits,
            sendable={c: sendable(CAPS[c], Used(), person.holds.get(c, 0)) for c in CAPS},
            asked_back=person.asked_back[0] if person.asked_back else None,
        )
        return Facts(
            person.msisdn, self.at, f"id-{self.ids}", person.language, wallet or None, SERVICE
        )

    # --- the phone

    def act(self, cue: Cue) -> Answer | None:
        person = self.people[cue.phone.msisdn]
        match cue.step:
            case Dial():
                return self._dial(person, cue.text)
            case Type():
                state = State.load(json.loads(person.saved))
                return self._page(person, self.engine.hear(state, cue.text, self.facts(person)))
            case SendSms():
                self._text(person, cue.text)
            case ExpectSms(msisdn):
                return Answer(inbox=tuple(self.people[msisdn].inbox)) if cue.tries == 0 else None
            case End() | Expire():
                person.in_session = False
        return Answer()

    def _dial(self, person: Person, code: str) -> Answer:
        dialled = code.removeprefix("*855").removesuffix("#").split("*")[1:]
        previous = State.load(json.loads(person.saved)) if person.saved != "null" else None
        turn = self.engine.begin(self.facts(person), dialled=dialled, previous=previous)
        return self._page(person, turn)

    def _page(self, person: Person, turn) -> Answer:
        while turn.effect:
            outcome = self.carry_out(turn.effect, person)
            turn = self.engine.heard(turn.state, outcome, self.facts(person))
        going_on = turn.state if turn.page and not turn.page.end else None
        person.saved = json.dumps(going_on.dump() if going_on else None)
        return Answer(turn.page.text, ended=turn.page.end)

    def _text(self, person: Person, text: str) -> None:
        said = self.sms.hear(text, self.facts(person))
        if isinstance(said, Confirmation):
            challenge, code = person.challenge or (None, "")
            if challenge is None or said.code != code:
                said = self.sms.no_challenge(self.facts(person))
            else:
                answers = json.loads(json.dumps(dict(challenge.answers)))
                facts = self.facts(person)
                said = self.sms.confirmed(
                    challenge.form, answers, challenge.intent, said.pin, facts
                )
        outcome: Outcome | None = None
        while isinstance(said, Asks):
            outcome = self.carry_out(said.effect, person)
            said = self.sms.heard(said, outcome, self.facts(person))
        if isinstance(said, Challenge):
            person.challenge = (said, "4821")
            said = said.reply("4821")
        if not isinstance(outcome, Committed):
            person.inbox.append(said.text)

    # --- the desk

    def carry_out(self, effect: Effect, person: Person) -> Outcome:  # noqa: C901, PLR0911, PLR0912 - one line each
        match effect:
            case Keep(_, pin):
                self.kept[token := f"token-{len(self.kept)}"] = pin.digits
                return Kept(token)
            case Compare(_, token, pin):
                return Same() if self.kept[token] == pin.digits else Different()
            case FindPayee(to):
                found = self.people.get(to.e164)
                if found is None or found.pin is None:
                    return NoOwnerYet(to)
                return PayeeFound(to, f"{to.e164}@bank", masked_name(found.name))
            case SetLanguage(language):
                person.language = language
                return LanguageSet(language)
            case OpenWallet(token):
                person.pin = self.kept[token]
                opened = Opened(SERVICE.bank, SERVICE.service_code)
                person.inbox.append(opened.say(TEXTS, person.language))
                return WalletOpened()
            case ChoosePin(token):
                person.pin, person.waits = self.kept[token], False
                opened = Opened(SERVICE.bank, SERVICE.service_code)
                person.inbox.append(opened.say(TEXTS, person.language))
                return KeyRenewed()
            case ChangePin(token, old):
                if wrong := self._wrong(person, old.digits):
                    return wrong
                person.pin = self.kept[token]
                person.inbox.append(PinChangedNotice(self.at).say(TEXTS, person.language))
                return PinChanged()
            case Transfer():
                return self._wrong(person, effect.pin.digits) or self._pay(person, effect)
            case Dispute(intent):
                return self._wrong(person, effect.pin.digits) or self._dispute(person, intent)
            case GiveBack(dispute, to, account_id, amount, pin):
                if wrong := self._wrong(person, pin.digits):
                    return wrong
                del person.asked_back[0]
                pay = Transfer(dispute, to, account_id, amount, again=True, pin=pin)
                return self._pay(person, pay, GivenBack)
            case KeepMoney():
                asked = person.asked_back.pop(0)
                name = masked_name(person.name)
                told = NotGivenBack(asked.ref, asked.amount, person.msisdn, name)
                payer = self.people[asked.payer.e164]
                payer.inbox.append(told.say(TEXTS, payer.language))
                return MoneyKept()
            case ReadBalance():
                shown = [c for c in CAPS if c is Currency.KHR or person.dollars]
                return Balance(tuple(Money(c, person.holds.get(c, 0)) for c in shown), None)
            case ReadLastPayment():
                return self._last(person)

    def _last(self, person: Person) -> LastPaymentOutcome:
        last = person.last
        if isinstance(last, LastPaidOut) and self.people[last.payment.to.e164].waits:
            paid = last.payment  # whose receiver cannot be asked yet
            until = paid.at + timedelta(days=SERVICE.unclaimed_days)
            return LastPayment(PaymentState.WAITS, paid.ref, paid.amount, paid.other, until)
        return last

    def _wrong(self, person: Person, pin: str) -> WrongPin | None:
        person.wrong = 0 if pin == person.pin else person.wrong + 1
        return WrongPin(3 - person.wrong) if person.wrong else None

    def _dispute(self, person: Person, intent: str) -> Disputed:
        paid = person.last.payment
        to, name, payer = self.people[paid.to.e164], masked_name(person.name), person.msisdn
        asked = AskedBack(intent, paid.ref, paid.amount, name, payer, f"{payer.e164}@bank")
        to.asked_back.append(asked)
        answers = {"asked": asked.dump(), "answer": "yes"}
        to.challenge = (Challenge("give_back", answers, intent, ""), "4822")
        told = AskedBackNotice(paid.ref, paid.amount, payer, name, "4822", "*855#", self.at)
        to.inbox.append(told.say(TEXTS, to.language))
        person.last = LastPayment(
            PaymentState.ASKED_BACK, paid.ref, paid.amount, paid.other, paid.at
        )
        return Disputed()

    def _pay(
        self, person: Person, effect: Transfer, receipt: type[Received] = Received
    ) -> Committed:
        to, amount = self.people[effect.to.e164], effect.amount
        ref = f"REF{self.ids:05}"
        for one, sign in ((person, -1), (to, 1)):
            one.holds[amount.currency] = one.holds.get(amount.currency, 0) + sign * amount.minor
        balance = Money(amount.currency, person.holds[amount.currency])
        theirs = Money(amount.currency, to.holds[amount.currency])
        to_name, from_name = masked_name(to.name), masked_name(person.name)
        left = Money(amount.currency, CAPS[amount.currency].day - amount.minor)
        sent = Sent(ref, amount, to.msisdn, to_name, self.at, balance, left)
        received: Received | Invitation
        received = receipt(ref, amount, person.msisdn, from_name, self.at, theirs)
        if to.pin is None:
            to.waits, until = True, self.at + timedelta(days=SERVICE.unclaimed_days)
            received = Invitation(
                ref, amount, person.msisdn, from_name, until, SERVICE.service_code
            )
        person.inbox.append(sent.say(TEXTS, person.language))
        to.inbox.append(received.say(TEXTS, to.language))
        shown_from = shown_other(from_name, person.msisdn)
        person.last = LastPaidOut(PaidOut(ref, amount, to_name, to.msisdn, self.at))
        earlier = getattr(to.last, "payment", None) or getattr(to.last, "earlier", None)
        to.last = LastPayment(PaymentState.RECEIVED, ref, amount, shown_from, self.at)
        if earlier:
            to.last = LastAndEarlier(to.last, earlier)
        return Committed(ref, to.msisdn, to_name, amount, balance)


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.txt")), ids=lambda file: file.stem)
def test_a_transcript_plays_through_the_pure_core(file):
    town = Town()
    playing = perform(parse(file.read_text(encoding="utf-8"), str(file)), {"pin": PEOPLE["pin"]})
    cue = next(playing)
    while True:
        try:
            cue = playing.send(town.act(cue))
        except StopIteration:
            break


def test_after_a_wrong_pin_the_page_still_names_the_payment_in_every_language():
    for language in TEXTS.languages:
        town = Town()
        person = town.people["+85512345601"]
        person.language = language
        cues = parse("# t\nphone +85512345601\ndial *855*1*012345602*1*400000#\n111222\n123\n", "t")
        playing = perform(cues)
        cue = next(playing)
        pages = []
        while True:
            answer = town.act(cue)
            pages.append(answer.text)
            try:
                cue = playing.send(answer)
            except StopIteration:
                break
        assert all("400,000 KHR" in page and "C*** T***" in page for page in pages), pages
