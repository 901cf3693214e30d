"""Proves, before anything runs, that whatever a person can be told is there and fits.

`python -m menus.lint` reads the texts of every language, walks every conversation (explore.py,
explore_sms.py) with the values that take most room (worst.py, people.py), and prints one line for
each thing that is wrong; it fails the build. `--map` draws what it walked through, and in a page
also lists what is dialled or texted to get there at once. With load.py this is the only module of
the core that does I/O.
"""

import argparse
import re
import sys
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from menus.catalogue import CATALOGUE
from menus.encoding import Encoding, PageSize, encoding_of, fits, segments, size
from menus.engine import Apology, Engine
from menus.explore import Findings, Seen, Spoken, Walk
from menus.explore_sms import SMS, write_everything
from menus.forms import Catalogue, Form, about
from menus.map import at_once, draw
from menus.people import SERVICE, Person, people
from menus.receipts import Notice
from menus.sms import HELP_WORDS, YES_WORDS
from menus.state import Screen, State
from menus.text.load import (
    DEFAULT_LANGUAGE,
    PACKAGED,
    Language,
    LanguagesDiffer,
    TextError,
    read_language,
)
from menus.worst import worst

GSM7_LANGUAGES = ("en",)  # whose texts must not leave GSM-7: one other letter halves the page
AT_ONCE = "| dial | or text | |\n|---|---|---|\n"
RECEIPT = "receipt"
SEGMENTS = {  # how many SMS a text may take, in GSM-7 and in UCS-2
    RECEIPT: {Encoding.GSM7: 1, Encoding.UCS2: 2},
    SMS: {Encoding.GSM7: 2, Encoding.UCS2: 3},
}


@dataclass(frozen=True, slots=True)
class Report:
    """What was proved, or why it was not."""

    problems: tuple[str, ...]
    languages: tuple[str, ...] = ()
    screens: int = 0
    answers: int = 0  # by SMS, with receipts
    found: Findings | None = None

    def __str__(self) -> str:
        return (
            f"{self.screens} screens and {self.answers} SMS proved in {len(self.languages)} "
            f"languages ({', '.join(self.languages)})"
        )


def lint(
    folder: Path = PACKAGED,
    catalogue: Catalogue = CATALOGUE,
    page: PageSize = PageSize(),  # noqa: B008 - frozen
    notices: object = Notice,
) -> Report:
    """Prove the texts of a folder with the forms of a catalogue."""
    forms = tuple(map(about, catalogue.forms))
    languages, problems = _read(folder)
    problems += _of_texts(languages)
    problems += _of_forms(forms, catalogue)
    try:
        texts = Spoken(languages, DEFAULT_LANGUAGE)
    except LanguagesDiffer as error:
        problems += [f"{folder.name}: {difference}" for difference in error.differences]
    except TextError as error:
        problems.append(f"{folder.name}: {error}")
    if problems:  # nothing can be walked before the texts agree
        return Report(tuple(problems))
    found = _walk(texts, catalogue, page)
    _say_notices(texts, notices, found)
    problems += map(str, found.problems.values())
    problems += _of_sizes(found.seen.values(), page)
    dead = texts.keys() - texts.ever
    problems += [f"{DEFAULT_LANGUAGE}.toml: {key}: is said nowhere" for key in sorted(dead)]
    by_sms = sum(_sms_kind(seen) is not None for seen in found.seen.values())
    return Report(tuple(problems), texts.languages, len(found.seen) - by_sms, by_sms, found)


# --- what files and forms must be ---------------------------------------------------------------


def _read(folder: Path) -> tuple[dict[str, Language], list[str]]:
    languages: dict[str, Language] = {}
    problems: list[str] = []
    for path in sorted(folder.glob("*.toml")):
        try:
            languages[path.stem] = read_language(path)
        except (TextError, tomllib.TOMLDecodeError) as error:
            problems.append(f"{path.name}: {error}".replace(f"{path.name}: {path.name}", path.name))
    return languages, problems


def _of_texts(languages: Mapping[str, Language]) -> list[str]:
    return [
        f"{language}.toml: {key}: {what}"
        for language, texts in languages.items()
        for key, text in texts.items()
        for what in _faults(language, text.pattern)
    ]


def _faults(language: str, pattern: str) -> Iterator[str]:
    if pattern != pattern.strip() or re.search(r" {2}| \n|\n ", pattern):
        yield "has spaces that nobody sees"
    for character in sorted(set(pattern)):
        if character != "\n" and unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp"):
            yield f"has U+{ord(character):04X}, which takes room and shows nothing"
        elif language in GSM7_LANGUAGES and encoding_of(character) is not Encoding.GSM7:
            yield f"has {character!r} (U+{ord(character):04X}), which is not GSM-7"


def _of_forms(forms: Iterable[Form], catalogue: Catalogue) -> list[str]:
    forms = tuple(forms)
    menus = [catalogue.menu_for(person.facts) for person in people(DEFAULT_LANGUAGE)]
    words = [word for form in forms for word in form.sms_words]
    unreachable = [
        form.name
        for form in forms
        if form.cls is not catalogue.first and not any(menu.offers(form.cls) for menu in menus)
    ]
    return [
        *(f"forms: {name} is the name of two" for name in _twice(f.name for f in forms)),
        *(f"forms: direct-dial number {n} is two forms'" for n in _twice(f.dial for f in forms)),
        *(
            f"forms: SMS word {w} means two things"
            for w in _twice((*words, *YES_WORDS, *HELP_WORDS))
        ),
        *(f"forms: {name} stands in no menu" for name in unreachable),
        *(problem for form in forms for problem in _of_form(form)),
    ]


def _of_form(form: Form) -> Iterator[str]:
    asked = {question.field for question in form.questions}
    for name in form.sms_fields:
        if name not in asked:
            yield f"forms: {form.name}: its SMS names {name}, which is no field"
    secrets = [question.kind.secret for question in form.questions]
    if secrets != sorted(secrets):
        yield f"forms: {form.name}: PINs are not last"
    for question in form.questions:
        if not all(map(callable, question.checks)):
            yield f"forms: {form.name}.{question.field}: a check cannot be called"


def _twice(values: Iterable[object]) -> list[object]:
    return [value for value, count in Counter(values).items() if value is not None and count > 1]


# --- walking ----------------------------------------------------------------------------------


def _walk(texts: Spoken, catalogue: Catalogue, page: PageSize) -> Findings:
    engine, found = Engine(texts, catalogue, page), Findings()
    for language in texts.languages:
        for person in people(language):
            Walk(engine, catalogue, texts, found, person=person, language=language).everywhere()
            write_everything(texts, catalogue, found, person, language)
        _apologise(engine, texts, people(language)[1], language, found)
    return found


def _apologise(engine: Engine, texts: Spoken, who: Person, language: str, found: Findings) -> None:
    """Say what has no place in a conversation."""

    def saw(name: str, screen: Screen | None) -> None:
        if screen:
            seen = Seen(name, language, who.name, screen, tuple(texts.lately), (name,))
            found.seen[language, name, screen.text] = seen

    for kind in get_args(Apology):
        texts.lately.clear()
        saw(f"engine.{kind}", engine.apology(kind, replace(who.facts, service=SERVICE)))
    texts.lately.clear()
    gone = State(form="a form of an older release", asked="x")
    saw("engine.changed", engine.hear(gone, "1", who.facts).page)


def _say_notices(texts: Spoken, notices: object, found: Findings) -> None:
    for language in texts.languages:
        for notice in worst(notices):
            texts.lately.clear()
            text = notice.say(texts, language)
            place = f"{RECEIPT} {type(notice).__name__}"
            seen = Seen(place, language, "", Screen(text, end=True), tuple(texts.lately), ())
            found.seen[language, place, text] = seen


# --- sizes ------------------------------------------------------------------------------------


def _of_sizes(seen: Iterable[Seen], page: PageSize) -> list[str]:
    """Name what is too long: of screens made of the same texts only the longest."""
    longest: dict[tuple[str, tuple[str, ...]], Seen] = {}
    for one in seen:
        if not _fits(one, page):
            key = (one.language, one.keys)
            if key not in longest or size(one.page.text) > size(longest[key].page.text):
                longest[key] = one
    return [_too_long(one, page) for one in longest.values()]


def _sms_kind(seen: Seen) -> str | None:
    """Tell which budget of SMS it has; None for a screen."""
    return next((kind for kind in SEGMENTS if seen.place.startswith(f"{kind} ")), None)


def _fits(seen: Seen, page: PageSize) -> bool:
    text, kind = seen.page.text, _sms_kind(seen)
    if kind is None:
        return fits(text, page)
    return len(segments(text)) <= SEGMENTS[kind][encoding_of(text)]


def _too_long(seen: Seen, page: PageSize) -> str:
    text, kind = seen.page.text, _sms_kind(seen)
    encoding = encoding_of(text)
    if kind:
        room = f"{len(segments(text))} SMS, at most {SEGMENTS[kind][encoding]}"
    else:
        room = f"a page holds {page.septets if encoding is Encoding.GSM7 else page.units}"
    how = f" (after {' > '.join(seen.path)})" if seen.path else ""
    return (
        f"{seen.language}.toml: {' + '.join(seen.keys)}: {size(text)} {encoding.value}, {room}: "
        f"{text!r}{how}"
    )


# --- command line -----------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> int:
    """Prove everything; with `--map` also draw the screens: to a file, or into a page."""
    parser = argparse.ArgumentParser(prog="python -m menus.lint", description=__doc__)
    parser.add_argument("--map", nargs="?", const="-", metavar="FILE", help="draw the screens")
    parser.add_argument("--shown-in", metavar="PAGE", help="fail unless PAGE has that drawing")
    wanted = parser.parse_args(arguments)
    report = lint()
    for problem in report.problems:
        sys.stderr.write(f"{problem}\n")
    if report.problems:
        return 1
    if report.found and (wanted.map or wanted.shown_in):
        drawn = draw(report.found, read_language(PACKAGED / f"{DEFAULT_LANGUAGE}.toml"))
        if wanted.map == "-":
            sys.stdout.write(drawn)
            return 0
        if wanted.map:
            target = Path(wanted.map)
            target.write_text(_with(drawn, target), encoding="utf-8")
        if wanted.shown_in:
            page = Path(wanted.shown_in)
            if _with(drawn, page) != page.read_text(encoding="utf-8"):
                sys.stderr.write(f"{page} shows other screens: run `make map`\n")
                return 1
    sys.stdout.write(f"{report}\n")
    return 0


def _with(drawn: str, target: Path) -> str:
    """What a file says with this map: only the map, or a page with it and what opens at once."""
    if target.suffix != ".md":
        return drawn
    listed = at_once(map(about, CATALOGUE.forms))
    page = _put(target.read_text(encoding="utf-8"), AT_ONCE, listed, "\n\n")
    return _put(page, "```mermaid\n", drawn, "```\n")


def _put(page: str, opening: str, new: str, closing: str) -> str:
    """Put it between these two, or at the end of a page that lacks them."""
    before, _, rest = page.partition(opening)
    return f"{before}{opening}{new}{closing}{rest.partition(closing)[2]}"


if __name__ == "__main__":
    sys.exit(main())
