"""One SMS into the same forms: it brings all answers at once, and a payment waits for its code.

The gateway's whole line (`sms` is a `SmsEngine`; nothing may be stored before `hear` returned,
because the text may hold a PIN, and nothing of the text may be stored after it either):

    said = sms.hear(text, facts)
    if isinstance(said, Confirmation):                  # "YES 4821 730264"
        stored = …the number's challenge, if the code is right and its time is not over…
        said = sms.confirmed(stored.form, stored.answers, stored.intent, said.pin, facts)
               if stored else sms.no_challenge(facts)
    while isinstance(said, Asks):
        said = sms.heard(said, await handle(said.effect, origin), facts)
    if isinstance(said, Challenge):                     # "SEND 5000 012345678"
        …store said.form, said.answers (JSON), said.intent and the keyed hash of a code…
        said = said.reply(code)
    …queue said.text to the sender…

`hear` and `heard` never give a `Confirmation` and an `Asks` for the same text: a PIN leaves the
core only after the code was found right, so that a wrong code costs no attempt. Case, spacing,
punctuation, Khmer digits and words like "to" are forgiven. Where a text could be read in two ways
it is not read at all, but answered with how to write it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import permutations
from typing import Final

from menus.catalogue import CATALOGUE
from menus.effects import Effect, Outcome
from menus.encoding import PageSize
from menus.facts import Facts
from menus.forms import Catalogue, Form, Page, Question, about
from menus.kind import Context, Json, Kind, Lookup, Refusal
from menus.kinds import FORGOTTEN, Money, Pin
from menus.reading import divisions, legible, plain
from menus.screens import Screens, holes_of
from menus.stray_pins import holds_pin
from menus.text.load import Texts

YES_WORDS: Final = ("YES", "Y", "បាទ", "ចាស")
HELP_WORDS: Final = ("HELP", "INFO", "ជំនួយ", "?")
_CODE_AND_PIN: Final = re.compile(r"\D*?(\d{3,8})\D+(\d{4,8})\D*").fullmatch
# Whole words, "no" and no Nokia; Khmer is written without spaces, and such a word may stand in it.
_NO: Final = re.compile(
    r"(?<!\w)(?:no|not|don[^\w\s]?t|stop|cancel|never)(?!\w)"
    r"|មិន|អត់|កុំ|បោះបង់|ទេ(?![\u1780-\u17d3])",
    re.IGNORECASE,
).search
_MINUS: Final = re.compile(r"\s-[0-9]").search  # and no dash between two numbers
# Not `\b`: a Khmer word may end in a sign that is no letter.
_FILLERS: Final = re.compile(r"(?<!\w)(?:to|for|of|payment|ref|ទៅ)(?!\w)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer, ready to be sent."""

    text: str


@dataclass(frozen=True, slots=True)
class Asks:
    """An effect to handle; its outcome goes to `heard` together with this, which is not stored."""

    effect: Effect
    form: Form
    answers: Mapping[str, Kind]
    waiting: str | None = None  # the field being looked up; None: the form's own effect
    lookups: Mapping[str, Lookup] = field(default_factory=dict)  # still to do
    intent: str | None = None


@dataclass(frozen=True, slots=True)
class Challenge:
    """A payment to be stored until its code comes back; `answers` is JSON and holds no PIN."""

    form: str
    answers: Mapping[str, Json]
    intent: str
    text: str = field(repr=False)  # with a hole for the code

    def reply(self, code: str) -> Reply:
        """Say what was understood, and the code that agrees to it."""
        return Reply(self.text.replace("{code}", code))


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What "YES <code> <PIN>" says: check the code first. The PIN only ever goes to `confirmed`."""

    code: str = field(repr=False)
    pin: Pin


Said = Reply | Asks | Challenge | Confirmation


class SmsEngine:
    """Immutable after construction, so any number of threads may share it."""

    def __init__(self, texts: Texts, catalogue: Catalogue = CATALOGUE) -> None:
        self._catalogue = catalogue
        self._languages = texts.languages
        self._screens = Screens(texts, PageSize())  # of it only `say`: an SMS has no page
        self._forms = {form.name: form for form in map(about, catalogue.forms)}
        self._words = dict(_words(self._forms.values()))

    def hear(self, text: str, facts: Facts) -> Said:
        """Take one SMS."""
        facts = replace(facts, channel="sms")
        written = plain(text)
        word, rest = ("", legible(text)) if written is None else self._command(written)
        if word in YES_WORDS:
            return self._confirmation(rest, facts)
        if form := self._words.get(word):
            return self._open(form, rest, facts)
        if holds_pin(rest, facts.service.pin_length, pays=False):
            return self._say("sms.never_pin", facts)
        return self._say("sms.help" if word in HELP_WORDS else "sms.unknown", facts)

    def heard(self, asked: Asks, outcome: Outcome, facts: Facts) -> Said:
        """Take the outcome of an effect."""
        facts, form = replace(facts, channel="sms"), asked.form
        if asked.waiting is None:
            page = form.build(asked.answers, asked.intent, FORGOTTEN).reply(outcome)
            return self._told(form, page, facts)
        question = form.question(asked.waiting)
        context = self._context(question.field, asked.answers, facts)
        found = question.kind.found(outcome, context)
        if isinstance(found, Refusal):
            return self._refused(found, facts)
        if no := question.check(found, facts):
            return self._refused(no, facts)
        answers = {**asked.answers, question.field: found}
        return self._go_on(form, answers, asked.lookups, facts)

    def confirmed(
        self, form: str, answers: Mapping[str, Json], intent: str, pin: Pin, facts: Facts
    ) -> Said:
        """Pay what a challenge stands for; its code was right."""
        facts = replace(facts, channel="sms")
        known = self._forms.get(form)
        if known is None or not self._catalogue.menu_for(facts).offers(known.cls):
            return self._say("sms.not_open", facts)
        try:
            loaded = {name: known.question(name).kind.load(answers[name]) for name in answers}
            effect = known.build(loaded, intent, pin).effect()
        except (TypeError, ValueError, KeyError):  # stored by another release
            return self.no_challenge(facts)
        return Asks(effect, known, loaded, intent=intent)

    def became_of(self, ref: str, facts: Facts) -> Said:
        """Tell what became of a payment: the code of a confirmation has paid it before."""
        return self.hear(f"STATUS {ref}", facts)

    def no_challenge(self, facts: Facts) -> Reply:
        """Say that no payment waits for this code: none was asked for, or its time is over.

        Who owes an answer may mean that, and is not told to write a payment.
        """
        owes = self._catalogue.waiting(facts) is not None
        return self._say("sms.no_challenge_asked" if owes else "sms.no_challenge", facts)

    # --- reading ------------------------------------------------------------------------------

    def _command(self, written: str) -> tuple[str, str]:
        """Divide a text into the word it begins with and what follows; "" for no word we know."""
        text = written.lstrip(" .,:;!*#'\"-")
        for word in sorted((*self._words, *YES_WORDS, *HELP_WORDS), key=len, reverse=True):
            rest = text[len(word) :]
            if text[: len(word)].upper() == word and not rest[:1].isalpha():
                return word, rest
        return "", written

    def _open(self, form: Form, rest: str, facts: Facts) -> Said:
        """Fill a form from what follows its word."""
        offered = self._catalogue.menu_for(facts).offers(form.cls)
        read = self._read(form, rest, facts) if offered else _not_offered(facts)
        unread = isinstance(read, Refusal) or not form.sms_fields  # which does not look at `rest`
        pays = any(form.question(name).kind is Money for name in form.sms_fields)
        if unread and holds_pin(rest, facts.service.pin_length, pays=pays):
            return self._say("sms.never_pin", facts)
        if isinstance(read, Refusal):
            return self._refused(read, facts)
        answers = {name: value for name, value in read.items() if isinstance(value, Kind)}
        lookups = {name: value for name, value in read.items() if isinstance(value, Lookup)}
        for name, value in answers.items():
            if no := form.question(name).check(value, facts):
                return self._refused(no, facts)
        return self._go_on(form, answers, lookups, facts)

    def _confirmation(self, rest: str, facts: Facts) -> Said:
        found = _CODE_AND_PIN(rest)
        if found and not _NO(rest):
            pin = Pin.parse(found[2], self._context("pin", {}, facts))
            if isinstance(pin, Pin):
                return Confirmation(found[1], pin)
        return self._say("sms.yes_form", facts)

    def _read(self, form: Form, rest: str, facts: Facts) -> dict[str, Kind | Lookup] | Refusal:
        """Find the one way to read `rest` as the form's fields, in whatever order."""
        usage = Refusal(f"{form.name}.sms_form")
        if _MINUS(rest):
            return usage
        names, rest = form.sms_fields, _FILLERS.sub(" ", rest).strip(" .,:;!?*#-")
        alone = all(form.question(name).default is not None for name in names)
        if not names or (alone and not rest):
            return {}
        good: list[dict[str, Kind | Lookup]] = []
        nearly: list[Refusal] = []
        for parts in divisions(rest, len(names)):
            for order in permutations(names):
                reading = {
                    name: form.question(name).kind.parse(part, self._context(name, {}, facts))
                    for name, part in zip(order, parts, strict=True)
                }
                refusals = [value for value in reading.values() if isinstance(value, Refusal)]
                if len(refusals) == 1:
                    nearly.extend(refusals)
                elif not refusals:
                    fine = {n: v for n, v in reading.items() if not isinstance(v, Refusal)}
                    if fine not in good:
                        good.append(fine)
        if len(good) == 1:
            return {name: good[0][name] for name in names}
        telling = [no for no in nearly if not no.key.endswith(".unclear")]
        return telling[0] if len(telling) == 1 and not good else usage

    # --- going on -----------------------------------------------------------------------------

    def _go_on(
        self,
        form: Form,
        answers: Mapping[str, Kind],
        lookups: Mapping[str, Lookup],
        facts: Facts,
    ) -> Said:
        """Look up what must be, fill in what the SMS implies, then challenge or act."""
        for name, lookup in lookups.items():
            left = {other: lookups[other] for other in lookups if other != name}
            return Asks(lookup.effect, form, answers, waiting=name, lookups=left)
        filled, warnings = self._fill(form, answers, facts)
        if form.pin is None:
            return Asks(form.build(filled, facts.fresh_id, FORGOTTEN).effect(), form, filled)
        if any(q.field not in filled and q.default is None for q in form.questions[:-1]):
            raise TypeError(f"{form.name}: its SMS does not bring every answer")
        context = self._context(form.pin.field, filled, facts)
        holes = {**holes_of(form, context), "code": "{code}"}
        asks = self._screens.say(facts.language, context.worded(f"{form.name}.code"), facts, holes)
        dumped = {name: value.dump() for name, value in filled.items()}
        return Challenge(form.name, dumped, facts.fresh_id, " ".join((*warnings, asks)))

    def _fill(
        self, form: Form, answers: Mapping[str, Kind], facts: Facts
    ) -> tuple[dict[str, Kind], list[str]]:
        """Answer the questions that an SMS does not bring; those it agrees to are said first."""
        filled: dict[str, Kind] = {}
        warnings: list[str] = []
        for question in form.questions:
            name = question.field
            context = self._context(name, {**answers, **filled}, facts)
            if name in answers:
                filled[name] = answers[name]
            elif question.default is not None and question.wanted(context):
                if value := question.kind.implied(answers):
                    filled[name] = value
                elif value := question.kind.agreed():
                    filled[name] = value
                    warnings.append(self._question_said(form, question, context))
        return filled, warnings

    def _question_said(self, form: Form, question: Question, context: Context) -> str:
        key, more = question.kind.ask(f"{form.name}.{question.field}", context)
        holes = {**holes_of(form, context), **more}
        return self._screens.say(context.facts.language, key, context.facts, holes)

    def _told(self, form: Form, page: Page, facts: Facts) -> Reply:
        """Say a page as an SMS; a page that would ask again tells what to write."""
        if not page.key:
            return self._say("sms.again", facts)
        told = self._screens.say(facts.language, page.key, facts, page.holes)
        if page.then is None or not form.pin:
            return Reply(told)
        key = "sms.pin_again" if page.then == form.pin.field else "sms.again"
        return Reply(f"{told} {self._screens.say(facts.language, key, facts)}")

    def _context(self, name: str, answers: Mapping[str, Kind], facts: Facts) -> Context:
        return Context(facts, name, answers, self._languages)

    def _refused(self, no: Refusal, facts: Facts) -> Reply:
        return Reply(self._screens.say(facts.language, no.key, facts, no.holes))

    def _say(self, key: str, facts: Facts) -> Reply:
        return Reply(self._screens.say(facts.language, key, facts))


def _not_offered(facts: Facts) -> Refusal:
    """Why nothing of this kind is done for this person now."""
    if facts.wallet:
        return Refusal("sms.not_open")
    return Refusal("sms.no_wallet" if facts.msisdn.is_payable else "home.elsewhere")


def _words(forms: Iterable[Form]) -> Iterator[tuple[str, Form]]:
    """Each word that opens a form: "BAL" and "BALANCE" of `sms="BAL|BALANCE"`."""
    for form in forms:
        for word in form.sms_words:
            yield word, form
