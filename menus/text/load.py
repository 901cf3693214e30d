"""Everything the service says, one TOML file per language, read once and checked.

`en.toml` and its sisters hold tables of texts; a text is called by its dotted path
("send.ask.amount") and may have holes ("Balance {amount}"). Every language has the same keys
and the same holes: what is missing is found here, at start, and not by a person in the middle
of a payment. With lint.py this is the only module of the core that reads a file. It knows
nothing of forms, pages and sizes.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from types import MappingProxyType

PACKAGED = Path(__file__).parent
DEFAULT_LANGUAGE = "en"


class TextError(Exception):
    """Something is wrong with the texts, or with how one was asked for."""


class UnknownKey(TextError):
    """No text has this key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"no text is called {key!r}")
        self.key = key


class WrongHoles(TextError):
    """The values given are not the ones that the text needs."""

    def __init__(self, key: str, given: frozenset[str], wanted: frozenset[str]) -> None:
        super().__init__(f"text {key!r} has the holes {sorted(wanted)}, given {sorted(given)}")
        self.key = key
        self.given = given
        self.wanted = wanted


class BadText(TextError):
    """A file holds something that is no text."""

    def __init__(self, language: str, key: str, why: str) -> None:
        super().__init__(f"{language}.toml: {key}: {why}")
        self.language = language
        self.key = key
        self.why = why


class LanguagesDiffer(TextError):
    """Languages do not have the same keys and holes; `differences` has one line for each."""

    def __init__(self, differences: tuple[str, ...]) -> None:
        super().__init__("; ".join(differences))
        self.differences = differences


@dataclass(frozen=True, slots=True)
class Text:
    """One text in one language."""

    pattern: str
    holes: frozenset[str]


Language = Mapping[str, Text]


class Texts:
    """All texts in all languages; the default language comes first and stands in for unknown ones.

    Immutable after construction, so any number of threads may ask it.
    """

    def __init__(self, languages: Mapping[str, Language], default: str = DEFAULT_LANGUAGE) -> None:
        if default not in languages:
            raise TextError(f"there are no texts in the default language {default!r}")
        differences = tuple(_differences(languages, default))
        if differences:
            raise LanguagesDiffer(differences)
        self.default = default
        self.languages = (
            default,
            *sorted(language for language in languages if language != default),
        )
        self._texts = {language: dict(languages[language]) for language in self.languages}

    def say(self, language: str | None, key: str, **holes: str) -> str:
        """Say text `key` in `language` with its holes filled: all of them and no others."""
        texts = self._texts.get(language or self.default) or self._texts[self.default]
        text = texts.get(key)
        if text is None:
            raise UnknownKey(key)
        if holes.keys() != text.holes:
            raise WrongHoles(key, frozenset(holes), text.holes)
        return text.pattern.format_map(holes) if holes else text.pattern

    def keys(self) -> frozenset[str]:
        """Every key there is."""
        return frozenset(self._texts[self.default])

    def holes(self, key: str) -> frozenset[str]:
        """The holes of one text."""
        text = self._texts[self.default].get(key)
        if text is None:
            raise UnknownKey(key)
        return text.holes


def load_texts(folder: Path = PACKAGED, default: str = DEFAULT_LANGUAGE) -> Texts:
    """Read every `<language>.toml` of a folder."""
    return Texts(
        {path.stem: read_language(path) for path in sorted(folder.glob("*.toml"))}, default
    )


def read_language(path: Path) -> Language:
    """Read one file; its keys become dotted paths."""
    with path.open("rb") as file:
        tables = tomllib.load(file)
    return parse_language(path.stem, tables)


def parse_language(language: str, tables: Mapping[str, object]) -> Language:
    """Read the tables of one language."""
    return MappingProxyType(
        {key: _text(language, key, value) for key, value in _leaves(tables, "")}
    )


def _leaves(table: Mapping[str, object], path: str) -> Iterator[tuple[str, object]]:
    for name, value in table.items():
        key = f"{path}.{name}" if path else name
        if isinstance(value, Mapping):
            yield from _leaves(value, key)
        else:
            yield key, value


def _text(language: str, key: str, value: object) -> Text:
    if not isinstance(value, str) or not value.strip():
        raise BadText(language, key, "is not a text")
    try:
        parts = list(Formatter().parse(value))
    except ValueError as error:
        raise BadText(language, key, str(error)) from None
    holes = set[str]()
    for _, hole, specification, conversion in parts:
        if hole is None:
            continue
        # Only plain names: a file of texts must not reach into objects or format numbers.
        if not hole.isidentifier() or specification or conversion:
            raise BadText(language, key, f"{{{hole}}} is not a plain hole")
        holes.add(hole)
    # A text without holes is said as it stands, so its doubled braces are undone here.
    pattern = value if holes else "".join(literal for literal, *_ in parts)
    return Text(pattern, frozenset(holes))


def _differences(languages: Mapping[str, Language], default: str) -> Iterator[str]:
    wanted = languages[default]
    for language, texts in sorted(languages.items()):
        for key in sorted(wanted.keys() - texts.keys()):
            yield f"{language} lacks {key}"
        for key in sorted(texts.keys() - wanted.keys()):
            yield f"{language} has {key}, which {default} lacks"
        for key in sorted(texts.keys() & wanted.keys()):
            if texts[key].holes != wanted[key].holes:
                there, here = sorted(texts[key].holes), sorted(wanted[key].holes)
                yield f"{language} has the holes {there} in {key}, {default} has {here}"
