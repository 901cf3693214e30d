"""What a conversation remembers between two inputs, and what one input gives.

A `State` is dumped to JSON and loaded again between any two turns. It holds answers by field
name, never a PIN, never what a person typed. Only this module knows its stored form.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, NamedTuple

from menus.effects import Effect
from menus.facts import Facts
from menus.forms import HOME, Answering, Form, Question
from menus.kind import Json, Kind
from menus.kinds import Pin

_encode = json.JSONEncoder(sort_keys=True).encode  # `dumps` would make one each time
GIVEN: Final = "given"  # the digest of an intent that came from outside and never changes


class Minted(NamedTuple):
    """An intent and the digest of the answers it stands for."""

    id: str
    digest: str


class State(NamedTuple):
    """Where a person is: at a menu, at an offer to resume, or at a question of a form.

    A tuple, because several are made in every turn: a frozen dataclass of this size takes six
    times as long to make and to change, which was a third of the engine's time.
    """

    menu: str = HOME
    form: str | None = None
    shape: str = ""  # of the form, when this was saved
    asked: str | None = None  # the field whose question is on the screen
    answers: Mapping[str, Json] = {}  # by field, dumped
    given: tuple[str, ...] = ()  # fields the form was opened with: never asked
    intent: Minted | None = None
    shown: tuple[str, ...] = ()  # what the numbers on the screen mean
    page: int = 0  # of a paged list
    language: str | None = None  # chosen in this conversation
    offer: Mapping[str, Json] | None = None  # a dropped conversation, as it was dumped

    # Within one turn, while an effect is under way; never saved.
    waiting: Literal["", "lookup", "effect"] = ""
    rest: tuple[str, ...] = ()  # dialled inputs not yet used
    consumed: int = 0
    values: Mapping[str, Kind] = {}  # answers that were loaded already

    def __repr__(self) -> str:
        """Without `rest`, which may hold a PIN that somebody dialled."""
        return f"State({self.dump()}, waiting={self.waiting!r}, consumed={self.consumed})"

    def dump(self) -> dict[str, Json]:
        """Give it as JSON, without what is not set."""
        dumped: dict[str, Json] = {
            "menu": self.menu if self.menu != HOME else None,
            "form": self.form,
            "shape": self.shape,
            "asked": self.asked,
            "answers": dict(self.answers),
            "given": list(self.given),
            "intent": [self.intent.id, self.intent.digest] if self.intent else None,
            "shown": list(self.shown),
            "page": self.page,
            "language": self.language,
            "offer": dict(self.offer) if self.offer else None,
        }
        return {name: value for name, value in dumped.items() if value}

    @classmethod
    def load(cls, dumped: Mapping[str, Any] | None) -> "State | None":
        """Undo `dump`; None for nothing, and for what no release dumped."""
        if not dumped:
            return None if dumped is None else cls()
        try:
            intent = dumped.get("intent")
            return cls(
                menu=str(dumped.get("menu", HOME)),
                form=dumped.get("form"),
                shape=dumped.get("shape", ""),
                asked=dumped.get("asked"),
                answers=dict(dumped.get("answers", {})),
                given=tuple(dumped.get("given", ())),
                intent=Minted(*intent) if intent else None,
                shown=tuple(dumped.get("shown", ())),
                page=int(dumped.get("page", 0)),
                language=dumped.get("language"),
                offer=dumped.get("offer"),
            )
        except (TypeError, ValueError, AttributeError):
            return None


class Screen(NamedTuple):
    """A page as it goes to the phone: translated and sized. `end`: the session ends with it."""

    text: str
    end: bool


class Turn(NamedTuple):
    """What one input gives: exactly one of a page and an effect.

    `secret`: the page asks for a PIN, so the next input must be masked before it is hashed.
    `consumed`: how many dialled inputs were taken; whatever came after them is dropped and must
    be masked, for it may hold a PIN.
    """

    state: State | None
    page: Screen | None = None
    effect: Effect | None = None
    secret: bool = False
    consumed: int = 0


# --- a state and its form -------------------------------------------------------------------------


def opened(form: Form) -> State:
    """Begin a form."""
    return State(form=form.name, shape=form.shape)


def loaded(state: State, asked: Iterable[Question]) -> dict[str, Kind]:
    """Give the answers to questions; TypeError or ValueError if another release saved them."""
    answers, known = state.answers, state.values
    return {
        question.field: known.get(question.field) or question.kind.load(answers[question.field])
        for question in asked
        if question.field in answers
    }


def built(state: State, form: Form, pin: Pin) -> Answering:
    """Make the form of its answers, its intent and the PIN that was just typed."""
    return form.build(loaded(state, form.questions), state.intent.id if state.intent else None, pin)


def saved(state: State, question: Question, value: Kind) -> State:
    """Save one more answer."""
    answers = {**state.answers, question.field: value.dump()}
    values = {**state.values, question.field: value}
    return state._replace(answers=answers, values=values, asked=question.field)


def minted(state: State, form: Form, facts: Facts) -> State:
    """Keep the intent if the answers are those it was minted for, else mint another."""
    if form.intent is None:
        return state
    digest = hashlib.sha256(_encode([form.name, state.answers]).encode())
    bound = digest.hexdigest()[:16]
    if state.intent and state.intent.digest in (bound, GIVEN):
        return state
    return state._replace(intent=Minted(facts.fresh_id, bound))
