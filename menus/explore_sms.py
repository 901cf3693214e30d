"""Walks every answer that an SMS can get, through the very engine that people write to.

Each person writes each word that opens a form with everything that may follow it; each effect is
answered with each of its outcomes; each challenge is answered with a right code. What is found
joins the findings of explore.py.
"""

import json
from collections.abc import Callable, Iterator
from functools import partial

from menus.explore import Findings, Path, Problem, Seen, Spoken, outcomes
from menus.forms import Catalogue, Opening, about
from menus.kinds import Pin
from menus.people import ALSO_WRITTEN, PIN, WRITTEN, Person
from menus.sms import Asks, Challenge, Confirmation, Reply, Said, SmsEngine
from menus.state import Screen
from menus.text.load import TextError
from menus.worst import worst

SMS = "sms"  # how the place of every answer begins


def write_everything(
    texts: Spoken, catalogue: Catalogue, found: Findings, person: Person, language: str
) -> None:
    """Write all that one person may write, in one language."""
    visit = _Visit(SmsEngine(texts, catalogue), texts, found, person, language)
    for text in (*_commands(catalogue), *ALSO_WRITTEN):
        visit.take((text or "nothing",), partial(visit.engine.hear, text, person.facts))
    if waiting := catalogue.waiting(person.facts):
        visit.agree(waiting)


def _commands(catalogue: Catalogue) -> Iterator[str]:
    for form in map(about, catalogue.forms):
        for word in form.sms_words:
            yield from (f"{word} {rest}".strip() for rest in WRITTEN)


class _Visit:
    def __init__(
        self, engine: SmsEngine, texts: Spoken, found: Findings, person: Person, language: str
    ) -> None:
        self.engine = engine
        self._texts = texts
        self._found = found
        self._person = person
        self._language = language

    def take(self, path: Path, step: Callable[[], Said]) -> None:
        """Take a step, and go on with what it gives until there is an answer."""
        self._texts.lately.clear()
        place = f"{SMS} {path[0].split()[0]}"
        try:
            said = step()
        except (TextError, TypeError, ValueError, LookupError) as error:
            what = f"{type(error).__name__}: {error}"
            self._found.report(Problem(place, self._language, what, path))
            return
        facts = self._person.facts
        match said:
            case Reply(text):
                self._saw(place, text, path)
            case Asks():
                for outcome in outcomes(said.form, said.waiting):
                    name = type(outcome).__name__
                    self.take((*path, name), partial(self.engine.heard, said, outcome, facts))
            case Challenge():
                self._challenged(place, said, path)
            case Confirmation():
                self.take((*path, "wrong code"), partial(self.engine.no_challenge, facts))

    def agree(self, waiting: Opening) -> None:
        """Answer the SMS by which a question was put before it is met in a session."""
        form = about(waiting.cls)
        given = {name: value.dump() for name, value in waiting.given.items()}
        for question in form.questions:
            if question.field not in given and (agreed := question.kind.agreed()):
                given[question.field] = agreed.dump()
        confirmed = partial(
            self.engine.confirmed,
            form.name,
            given,
            waiting.intent or "",
            Pin(PIN),
            self._person.facts,
        )
        self.take((form.name, "YES"), confirmed)

    def _challenged(self, place: str, said: Challenge, path: Path) -> None:
        (code,) = worst(str, "code")
        self._saw(place, said.reply(code).text, path)
        stored = json.dumps(dict(said.answers))
        if PIN in stored:
            problem = Problem(place, self._language, "the stored challenge holds a PIN", path)
            self._found.report(problem)
        confirmed = partial(
            self.engine.confirmed,
            said.form,
            json.loads(stored),
            said.intent,
            Pin(PIN),
            self._person.facts,
        )
        self.take((*path, "YES"), confirmed)

    def _saw(self, place: str, text: str, path: Path) -> None:
        keys = tuple(self._texts.lately)
        page = Screen(text, end=True)
        seen = Seen(place, self._language, self._person.name, page, keys, path)
        self._found.seen.setdefault((self._language, place, text), seen)
