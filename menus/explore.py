"""Walks every conversation there is, through the very engine that people talk to.

From each person's first dial it types every input at every screen and answers every effect with
each of its outcomes, until nothing new comes up. What is found are screens as they would be sent,
the ways between them, and whatever went wrong on the way; menus.lint judges them. The state is
dumped to JSON and loaded again between any two turns.
"""

import json
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, get_type_hints

from menus.bank_accounts import BankAccount
from menus.encoding import TooLong
from menus.engine import Engine, State
from menus.forms import HOME, Catalogue, Form, about
from menus.kind import Kind
from menus.people import ACCOUNTS, ANSWERS, ANYWHERE, CHOICES, DIALLED, PIN, SECRETS, Person
from menus.screens import BACK, HOME_KEY
from menus.state import Screen, Turn
from menus.text.load import Language, TextError, Texts
from menus.worst import worst

Path = tuple[str, ...]


class Spoken(Texts):
    """Texts that remember which of them were said."""

    def __init__(self, languages: Mapping[str, Language], default: str) -> None:
        super().__init__(languages, default)
        self.ever: set[str] = set()
        self.lately: list[str] = []

    def say(self, language: str | None, key: str, **holes: str) -> str:
        self.ever.add(key)
        self.lately.append(key)
        return super().say(language, key, **holes)


@dataclass(frozen=True, slots=True)
class Seen:
    """A screen as it would be sent. `path` is what was typed, and answered by the world."""

    place: str  # "send.amount", "menu.home", "send: Committed"
    language: str
    person: str
    page: Screen
    keys: tuple[str, ...]
    path: Path


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that must not be, and where."""

    place: str
    language: str
    what: str
    path: Path = ()

    def __str__(self) -> str:
        how = f" (after {' > '.join(self.path)})" if self.path else ""
        return f"{self.language} {self.place}: {self.what}{how}"


@dataclass(slots=True)
class Findings:
    """What walks have found."""

    seen: dict[tuple[str, str, str], Seen] = field(default_factory=dict)
    problems: dict[str, Problem] = field(default_factory=dict)
    ways: dict[tuple[str, str, str], None] = field(default_factory=dict)  # from, typed, to

    def report(self, problem: Problem) -> None:
        """Keep the first of equal problems: the one with the shortest path."""
        self.problems.setdefault(f"{problem.language} {problem.place} {problem.what}", problem)


@dataclass(frozen=True, slots=True)
class Stop:
    """A screen that was reached; `state` is None when the session has ended with it."""

    state: State | None
    place: str
    text: str
    path: Path
    key: str  # what tells places apart


class Walk:
    """One person's conversations, in one language."""

    def __init__(
        self,
        engine: Engine,
        catalogue: Catalogue,
        texts: Spoken,
        found: Findings,
        *,
        person: Person,
        language: str,
    ) -> None:
        self._engine = engine
        self._catalogue = catalogue
        self._forms = {form.name: form for form in map(about, catalogue.forms)}
        self._first = f"{about(catalogue.first).name}.{about(catalogue.first).questions[0].field}"
        self._texts = texts
        self._found = found
        self._person = person
        self._facts = person.facts
        self._language = language
        self._offered: set[str] = set()

    def everywhere(self) -> None:
        """Go wherever this person can get to."""
        known: set[str] = set()
        queue = deque(self._starts())
        while queue:
            stop = queue.popleft()
            if stop.state is None or stop.key in known:
                continue
            if stop.state.language not in (None, self._language):
                continue  # the walk in that language goes there
            known.add(stop.key)
            queue.extend(self._answers(stop))
            if stop.state.form:
                queue.extend(self._redial(stop))

    def _starts(self) -> Iterator[Stop]:
        yield from self._begin(("dial",))
        for form in self._forms.values():
            for rest in DIALLED if form.dial else ():
                dialled = (str(form.dial), *rest)
                if self._engine.dialable(dialled, self._facts):
                    yield from self._begin(("dial *" + "*".join(dialled),), dialled=dialled)

    def _begin(
        self, path: Path, *, dialled: Sequence[str] = (), previous: State | None = None
    ) -> Iterator[Stop]:
        start = partial(self._engine.begin, self._facts, dialled=dialled, previous=previous)
        yield from self._take(start, "", path)

    def _redial(self, stop: Stop) -> Iterator[Stop]:
        """Drop the session and dial again; an offer that reads like one before is that one."""
        path = (*stop.path, "redial")
        for offered in self._begin(path, previous=_reloaded(stop.state)):
            if offered.text not in self._offered:
                self._offered.add(offered.text)
                yield offered

    def _answers(self, stop: Stop) -> Iterator[Stop]:
        for typed in (*ANYWHERE, *self._worth_typing(stop.state)):
            hear = partial(self._engine.hear, _reloaded(stop.state), typed, self._facts)
            shown = "PIN" if typed == PIN else typed[:16]
            for reached in self._take(hear, stop.place, (*stop.path, shown)):
                self._found.ways.setdefault((stop.place, typed, reached.place), None)
                if typed == HOME_KEY:
                    self._must_be_home(stop, reached)
                if typed == BACK:
                    self._must_say_back(stop, reached)
                yield reached

    def _worth_typing(self, state: State | None) -> Sequence[str]:
        if state is None or state.form is None or state.offer or state.shown:
            return CHOICES
        if self._is_secret(state):
            return SECRETS
        # Most answers are good account numbers too, and each would be walked from.
        return ACCOUNTS if self._kind(state) is BankAccount else ANSWERS

    # --- one turn ---------------------------------------------------------------------------

    def _take(self, step: Callable[[], Turn], place: str, path: Path) -> Iterator[Stop]:
        """Take a step and answer its effect, if it has one, in every way there is."""
        self._texts.lately.clear()
        try:
            turn = step()
        except TooLong as error:
            self._saw(Screen(error.text, end=False), place, path)
            return
        except (TextError, TypeError, ValueError, LookupError, ArithmeticError) as error:
            what = f"{type(error).__name__}: {error}"
            self._report(place or "dial", what, path)
            return
        if turn.page is not None:
            yield self._see(turn, turn.page, place, path)
            return
        state = turn.state
        if state is None or turn.effect is None:
            self._report(place, "neither a page nor an effect", path)
            return
        self._keeps_no_pin(state, place, path)
        for outcome in self._outcomes(state):
            answered = partial(self._engine.heard, state, outcome, self._facts)
            name = type(outcome).__name__
            yield from self._take(answered, f"{state.form}: {name}", (*path, name))

    def _outcomes(self, state: State) -> tuple[Any, ...]:
        looked_up = state.asked if state.waiting == "lookup" else None
        return outcomes(self._forms[state.form or ""], looked_up)

    def _see(self, turn: Turn, page: Screen, place: str, path: Path) -> Stop:
        stop = Stop(turn.state, self._place(turn.state, place), page.text, path, self._key(turn))
        self._saw(page, stop.place, path)
        if page.end != (turn.state is None):
            self._report(stop.place, "ends with a state, or goes on without one", path)
        if turn.state is not None:
            self._keeps_no_pin(turn.state, stop.place, path)
            form = self._forms.get(turn.state.form or "")
            secret = bool(form and turn.state.asked and self._is_secret(turn.state))
            if turn.secret != secret:
                self._report(stop.place, "does not say truly whether it asks for a PIN", path)
        return stop

    def _key(self, turn: Turn) -> str:
        """Give what changes pages to come.

        An intent does not, nor does choosing the language one has. What was given and fills no
        hole was for the question after it.
        """
        state = turn.state
        if state is None:
            return ""
        dumped = _without_intents(state.dump())
        if state.language == self._facts.language:
            dumped.pop("language", None)
        if state.form and state.asked:
            form = self._forms[state.form]
            for question in form.before(state.asked)[:-1]:
                given = state.answers[question.field] if question.field in state.given else None
                if given and not question.kind.load(given).holes(question.field):
                    dumped["answers"] = {**dumped["answers"], question.field: None}
        return json.dumps(dumped, sort_keys=True)

    def _saw(self, page: Screen, place: str, path: Path) -> None:
        keys = tuple(self._texts.lately)
        seen = Seen(place, self._language, self._person.name, page, keys, path)
        self._found.seen.setdefault((self._language, place, page.text), seen)

    def _place(self, state: State | None, ended: str) -> str:
        if state is None:
            return ended
        if state.offer:
            return "resume"
        if state.form is not None:
            return f"{state.form}.{state.asked}"
        menu = self._catalogue.menu_for(self._facts)
        return menu.title if state.menu == HOME and menu.title else f"menu.{state.menu}"

    # --- what must hold everywhere --------------------------------------------------------------

    def _is_secret(self, state: State) -> bool:
        kind = None if state.offer else self._kind(state)
        return kind is not None and kind.secret

    def _kind(self, state: State) -> type[Kind] | None:
        if state.form is None or state.asked is None:
            return None
        return self._forms[state.form].question(state.asked).kind

    def _keeps_no_pin(self, state: State, place: str, path: Path) -> None:
        if PIN in json.dumps(state.dump()):
            self._report(place, "the saved state holds a PIN", path)

    def _must_be_home(self, stop: Stop, reached: Stop) -> None:
        """`00` ends at the menu, or at the language page of people who chose none."""
        state = reached.state
        at_menu = state is not None and state.form is None and state.menu == HOME
        if at_menu or (state and self._facts.language is None):
            return
        self._report(stop.place, "00 does not lead home", reached.path)

    def _must_say_back(self, stop: Stop, reached: Stop) -> None:
        """`0` leaves every place but home, and wherever it leaves, the screen says so."""
        state = stop.state
        if state is None or state.offer:  # an offer has its way out among its choices
            return
        at_home = (state.form, state.menu) == (None, HOME) or stop.place == self._first
        leaves = reached.key != stop.key
        if not leaves and not at_home:
            self._report(stop.place, "0 does not lead back", reached.path)
        if leaves and not at_home and not re.search(rf"^{BACK} \S", stop.text, re.MULTILINE):
            self._report(stop.place, "0 leads back and the screen does not say so", reached.path)

    def _report(self, place: str, what: str, path: Path) -> None:
        self._found.report(Problem(place, self._language, what, path))


@cache
def outcomes(form: Form, looked_up: str | None) -> tuple[Any, ...]:
    """Everything the world may answer to a form's effect, or to the look-up of one field."""
    hints: tuple[Any, ...] = form.outcomes
    if looked_up:
        hints = (get_type_hints(form.question(looked_up).kind.found)["outcome"],)
    return tuple(value for hint in hints for value in worst(hint))


def _reloaded(state: State | None) -> State | None:
    """Give the state as the next turn will find it."""
    return State.load(json.loads(json.dumps(state.dump()))) if state else None


def _without_intents(dumped: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in dumped.items() if name != "intent"}
    if offer := kept.get("offer"):
        kept["offer"] = _without_intents(offer)
    return kept
