"""What a kind is: the type of a form's field, which reads, shows, stores and sizes its values.

The kinds themselves are in kinds.py and, when they look something up, in lookups.py; one that
only a single flow needs stands with it. Readers are total: whatever was typed gives a value, a
`Lookup` or a `Refusal`, at once, never an exception.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

if TYPE_CHECKING:
    from menus.effects import Effect
    from menus.facts import Facts

Json = str | int | bool | list["Json"] | dict[str, "Json"] | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an answer was not taken: a text and its holes; the question is asked again under it.

    `anew` names the field to ask instead, when an earlier answer must be given anew. With `ends` no
    answer could help: nothing is asked, and the session ends.
    """

    key: str
    holes: Mapping[str, str] = field(default_factory=dict)
    anew: str | None = None
    ends: bool = False


@dataclass(frozen=True, slots=True)
class Lookup:
    """The text was well formed; what it means must be looked up."""

    effect: "Effect"


@dataclass(frozen=True, slots=True)
class Option:
    """One line of a choice. It is saved by `id`, never by its position."""

    id: str
    key: str
    language: str | None = None  # said in this language instead of the person's
    holes: Mapping[str, str] = field(default_factory=dict)


K = TypeVar("K", bound="Kind")


@dataclass(frozen=True, slots=True)
class Context:
    """What a kind may know while it reads: the facts, its field, and the answers before it."""

    facts: "Facts"
    field: str
    answers: Mapping[str, "Kind"]
    languages: tuple[str, ...]

    def answer(self, kind: type[K]) -> K | None:
        """Give the answer of this kind, if one was given."""
        return next((answer for answer in self.answers.values() if isinstance(answer, kind)), None)

    def worded(self, key: str) -> str:
        """Name the text that asks to agree to the answers: `send.pin`, or `send.pin_unclaimed`."""
        wording = next((value.wording for value in self.answers.values() if value.wording), "")
        return f"{key}_{wording}" if wording else key


class Kind:
    """What the type of a field offers the engine. Values are frozen and compare by value."""

    __slots__ = ()

    secret: ClassVar[bool] = False  # typed digits are masked, shown nowhere and never saved
    dialable: ClassVar[bool] = True  # may come with a deep dial
    kept: ClassVar[bool] = False  # saved as a token that dies with its session

    @classmethod
    def options(cls, context: Context) -> tuple[Option, ...]:  # noqa: ARG003 - most have none
        """Give the choices, when answering is choosing."""
        return ()

    @classmethod
    def parse(cls, text: str, context: Context) -> Self | Lookup | Refusal:
        """Read what a person typed. Total and fast, whatever it is."""
        raise NotImplementedError

    @classmethod
    def found(cls, outcome: Any, context: Context) -> Self | Refusal:  # noqa: ANN401 - the effect's own
        """Make the value from the outcome of the `Lookup` that `parse` asked for."""
        raise NotImplementedError

    @classmethod
    def ask(cls, key: str, context: Context) -> tuple[str, Mapping[str, str]]:  # noqa: ARG003
        """Choose the text that asks, and holes that only this kind can fill."""
        return key, {}

    @classmethod
    def implied(cls, answers: Mapping[str, "Kind"]) -> Self | None:  # noqa: ARG003
        """Give the value that the other answers of an SMS imply."""
        return None

    @classmethod
    def agreed(cls) -> Self | None:
        """Give the value that "YES" to an SMS means, when this question is put before it."""
        return None

    @property
    def show(self) -> str:
        """Say the value as it stands on a page, in every language."""
        raise NotImplementedError

    def holes(self, name: str) -> dict[str, str]:
        """Give the holes that this answer to the field `name` fills in later texts."""
        return {name: self.show}

    @property
    def wording(self) -> str:
        """Name the words that what follows is agreed to in; empty for the usual ones."""
        return ""

    def dump(self) -> Json:
        raise NotImplementedError

    @classmethod
    def load(cls, dumped: Json) -> Self:
        """Undo `dump`; ValueError for what no `dump` gave."""
        raise NotImplementedError

    @classmethod
    def worst(cls) -> Sequence[Self]:
        """Give the values that take most room, per encoding; the proof of sizes uses them."""
        raise NotImplementedError
