"""What a conversation is made of: forms, their questions, their pages, and menus.

A form is a frozen dataclass made by `@form`: each field is a question, its type is its parser
(kinds.py, lookups.py), `effect` is what the answers ask for and `reply` is what the person is
told. USSD asks the fields one at a time, an SMS brings them all at once, and both end in an equal
value. Forms hold no state and no text; the engine does everything else, once, for all of them.

    @form("send", dial=1, sms="SEND amount to", resume=("to", "amount"))
    class SendMoney:
        to: Payee
        currency: Annotated[Currency, OnlyIf(dollars_on)] = Currency.KHR
        amount: Annotated[Money, within_limits]
        intent: Intent
        pin: Pin

Beside its kind a field may carry checks, `(value, facts) -> Refusal | None`, and `OnlyIf` with
the condition of asking; a field that may be skipped has a default. A field of type `Intent` is
never asked: the engine mints it when the PIN page is shown.

Its texts: `menu.<form>` (its line in menus), `<form>.<field>` (each question),
`<form>.resume_<field>` for the fields of `resume`, `<form>.code` when an SMS ends in a challenge,
and what `reply` names. An answer may want its own wording of the last two: `<form>.pin_<wording>`.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from dataclasses import field as having
from types import UnionType
from typing import (
    Annotated,
    Any,
    Protocol,
    TypeVar,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

from menus.effects import Effect
from menus.facts import Facts
from menus.kind import Context, Kind, Refusal
from menus.kinds import Pin

Check = Callable[[Any, Facts], Refusal | None]


class WrongForm(Exception):
    """A form that could not work; raised when it is defined."""


@dataclass(frozen=True, slots=True)
class OnlyIf:
    """Ask this question only if the condition holds; else its default is the answer.

    Only conditions that nothing another person does can change: pages must not come and go.
    """

    condition: Callable[[Context], bool]


@dataclass(frozen=True, slots=True)
class Intent:
    """The id of what the person means to do: the same intent is never done twice."""

    id: str


# --- pages ------------------------------------------------------------------------------------

HOME = "home"


@dataclass(frozen=True, slots=True)
class Opening:
    """A form to open prefilled: its `given` fields are not asked.

    `intent` is the id of what is stored, if the form answers that; else it mints its own.
    """

    cls: type["Answering"]
    given: Mapping[str, Kind]
    intent: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """What a form answers: a text, and where the conversation goes with it.

    `then` is None (the session ends with this page), `HOME` (the menu, under the text if there is
    one), or a field to ask again under the text. `language` is spoken from here on. In a session
    `opens`, whose first question tells the same, is asked instead, if the person's menu offers it.
    """

    key: str
    holes: Mapping[str, str] = having(default_factory=dict)
    then: str | None = None
    language: str | None = None
    opens: Opening | None = None


def ends(key: str, **holes: str) -> Page:
    """Say it and end the session."""
    return Page(key, holes)


def asks(name: str, key: str, **holes: str) -> Page:
    """Say it above the question of the field `name`, which must be answered anew."""
    return Page(key, holes, name)


def goes_home(key: str = "", language: str | None = None, **holes: str) -> Page:
    """Show the menu, under the text if there is one."""
    return Page(key, holes, HOME, language)


# --- forms ------------------------------------------------------------------------------------


class Answering(Protocol):
    """What every form has."""

    def effect(self) -> Effect: ...

    def reply(self, outcome: Any, /) -> Page:  # noqa: ANN401 - each its own effect's outcomes
        """Match every outcome of the effect; mypy names a missing one (`assert_never`)."""


@dataclass(frozen=True, slots=True)
class Question:
    """One field of a form."""

    field: str
    kind: type[Kind]
    checks: tuple[Check, ...] = ()
    only_if: OnlyIf | None = None
    default: Kind | None = None

    def wanted(self, context: Context) -> bool:
        """Must it be asked?"""
        return self.only_if is None or self.only_if.condition(context)

    def check(self, value: Kind, facts: Facts) -> Refusal | None:
        """Give the first refusal of its checks."""
        return next((no for check in self.checks if (no := check(value, facts))), None)


@dataclass(frozen=True, slots=True)
class Form:
    """What the decorator knows about a form class."""

    name: str
    cls: type[Answering]
    questions: tuple[Question, ...]
    outcomes: tuple[type[Any], ...]  # what `reply` may be given
    dial: int | None  # its direct-dial number, fixed for ever
    sms: str | None  # "WORD|OTHER field field"
    resume: tuple[str, ...]  # fields whose answer is worth coming back to
    intent: str | None  # its field of type Intent
    shape: str  # changes when saved answers could no longer be understood
    _places: Mapping[str, int] = having(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        places = {question.field: place for place, question in enumerate(self.questions)}
        object.__setattr__(self, "_places", places)

    def question(self, name: str) -> Question:
        return self.questions[self._places[name]]

    def before(self, name: str) -> tuple[Question, ...]:
        """The questions that come before the field `name`."""
        return self.questions[: self._places[name]]

    def after(self, name: str) -> tuple[Question, ...]:
        """The questions that come after the field `name`."""
        return self.questions[self._places[name] + 1 :]

    @property
    def sms_words(self) -> tuple[str, ...]:
        """The words that open it by SMS."""
        return tuple(self.sms.split()[0].split("|")) if self.sms else ()

    @property
    def sms_fields(self) -> tuple[str, ...]:
        """The fields that its SMS brings. If each has a default, the word may stand alone."""
        return tuple(self.sms.split()[1:]) if self.sms else ()

    @property
    def pin(self) -> Question | None:
        """Its last question, when that is the PIN it needs."""
        last = self.questions[-1] if self.questions else None
        return last if last and last.kind is Pin else None

    def build(self, answers: Mapping[str, Kind], intent: str | None, pin: Pin) -> Answering:
        """Make the form of its answers; what was not asked has its default."""
        values: dict[str, Any] = dict(answers)
        if self.pin:
            values[self.pin.field] = pin
        if self.intent:
            values[self.intent] = Intent(intent or "")
        return self.cls(**values)


A = TypeVar("A", bound=Answering)
_forms: dict[type[Any], Form] = {}


@dataclass_transform(frozen_default=True, kw_only_default=True)
def form(
    name: str,
    *,
    dial: int | None = None,
    sms: str | None = None,
    resume: tuple[str, ...] = (),
) -> Callable[[type[A]], type[A]]:
    """Make a class a form; its name is also where its texts are found."""

    def make(cls: type[A]) -> type[A]:
        made = dataclass(frozen=True, kw_only=True)(cls)
        _forms[made] = _describe(made, name, dial, sms, resume)
        return made

    return make


def about(cls: type[Answering]) -> Form:
    """Everything the decorator knows."""
    return _forms[cls]


def questions(cls: type[Answering]) -> tuple[Question, ...]:
    """The questions of a form, in the order they are asked."""
    return _forms[cls].questions


def _describe(
    cls: type[Any], name: str, dial: int | None, sms: str | None, resume: tuple[str, ...]
) -> Form:
    hints = get_type_hints(cls, include_extras=True)
    intent, found = None, list[Question]()
    for declared in fields(cls):
        if hints[declared.name] is Intent:
            intent = declared.name
        else:
            default = None if declared.default is MISSING else declared.default
            found.append(_question(name, declared.name, hints[declared.name], default))
    asked = tuple(found)
    _check_order(name, asked, (*resume, *(sms or "").split()[1:]))
    outcomes = _members(get_type_hints(cls.reply)["outcome"])
    return Form(name, cls, asked, outcomes, dial, sms, resume, intent, _shape(name, asked))


def _question(form_name: str, name: str, hint: Any, default: Kind | None) -> Question:  # noqa: ANN401 - a type hint
    kind, *extras = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    if not (isinstance(kind, type) and issubclass(kind, Kind)):
        raise WrongForm(f"{form_name}.{name}: {kind!r} is not a kind")
    only_if = next((extra for extra in extras if isinstance(extra, OnlyIf)), None)
    if (only_if is None) != (default is None):
        raise WrongForm(f"{form_name}.{name}: OnlyIf and a default come together")
    checks = tuple(extra for extra in extras if callable(extra))
    if len(checks) + (only_if is not None) != len(extras):
        raise WrongForm(f"{form_name}.{name}: neither a check nor OnlyIf among {extras!r}")
    return Question(name, kind, checks, only_if, default)


def _check_order(name: str, asked: tuple[Question, ...], named: tuple[str, ...]) -> None:
    secrets = [question.kind.secret for question in asked]
    if secrets != sorted(secrets):
        raise WrongForm(f"{name}: PINs are asked last")
    if any(question.kind is Pin for question in asked[:-1]):
        raise WrongForm(f"{name}: a Pin is the last field; one needed later is a NewPin")
    if unknown := set(named) - {question.field for question in asked}:
        raise WrongForm(f"{name}: no field {', '.join(sorted(unknown))}")


def _members(union: Any) -> tuple[type[Any], ...]:  # noqa: ANN401 - a type hint
    return get_args(union) if get_origin(union) in (Union, UnionType) else (union,)


def _shape(name: str, asked: tuple[Question, ...]) -> str:
    """Hash what saved answers depend on: the fields, their order, their kinds."""
    described = [[q.field, q.kind.__name__, q.only_if is not None] for q in asked]
    return hashlib.sha256(json.dumps([name, described]).encode()).hexdigest()[:8]


# --- menus --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Menu:
    """A menu is data: a name (its line in another menu is `menu.<name>`), entries, a title."""

    name: str
    entries: tuple["type[Answering] | Menu", ...]
    title: str | None = None  # a text above the entries
    also: tuple["type[Answering]", ...] = ()  # forms that open by themselves: they have no line

    def names(self) -> tuple[str, ...]:
        """The names of its entries: of forms and of menus."""
        return tuple(
            entry.name if isinstance(entry, Menu) else about(entry).name for entry in self.entries
        )

    def menus(self) -> Iterator["Menu"]:
        """Itself and every menu below it."""
        yield self
        for entry in self.entries:
            if isinstance(entry, Menu):
                yield from entry.menus()

    def offers(self, cls: type[Answering]) -> bool:
        """Can the form be reached from here?"""
        return any(cls in (*menu.entries, *menu.also) for menu in self.menus())


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All forms, which menu a person is shown, and the form that asks strangers their language.

    `waiting` is what others ask of a person: put to them once a dial, before their menu.
    """

    forms: tuple[type[Answering], ...]
    menu_for: Callable[[Facts], Menu]
    first: type[Answering]
    waiting: Callable[[Facts], Opening | None] = lambda _facts: None
