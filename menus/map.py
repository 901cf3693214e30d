"""Draws the map of all screens as Mermaid text, and lists what opens some of them at once.

The map is of what explore.py walked through, the list of the forms themselves. No file is written.

Left out, because with them nobody could read it: ways back and home, ways to where one already
is, and the ending that every form has when a part of the service does not answer. Screens are
named by their texts in the default language, not by the values of one walk.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import takewhile

from menus.explore import Findings, Seen
from menus.forms import HOME, Form
from menus.text.load import DEFAULT_LANGUAGE, Language

SHOWN_CODE = "*855#"  # of the service, in the list
_LEFT_OUT = ("0", "00", "9")
_EVERYWHERE = ("resume", "Unavailable")


def draw(found: Findings, texts: Language) -> str:
    """Give the map: a node for each screen, a rounded one where the session ends."""
    screens: dict[str, list[Seen]] = {}
    for seen in found.seen.values():
        if seen.language == DEFAULT_LANGUAGE:
            screens.setdefault(seen.place, []).append(seen)
    ways = {
        (start, end)
        for start, typed, end in found.ways
        if typed not in _LEFT_OUT and start != end and not _obvious(start, end)
    }
    shown = {
        place: (screens[place][0].page.end, _label(place, screens[place], texts))
        for place in sorted({place for way in ways for place in way})
    }
    alike: dict[tuple[str, str], str] = {}  # endings of a form that read the same are drawn once
    drawn = {
        place: alike.setdefault((place.partition(":")[0], label), place) if ends else place
        for place, (ends, label) in shown.items()
    }
    lines = ["flowchart LR"]
    for place in dict.fromkeys(drawn.values()):
        ends, label = shown[place]
        left, right = ("([", "])") if ends else ("[", "]")
        lines.append(f'  {_id(place)}{left}"{label}"{right}')
    lines += dict.fromkeys(
        f"  {_id(drawn[start])} --> {_id(drawn[end])}" for start, end in sorted(ways)
    )
    return "\n".join(lines) + "\n"


def at_once(forms: Iterable[Form]) -> str:
    """Give the rows of a table: what is dialled, what is texted instead, and what it does."""
    rows = (
        f"| {_code(_dialled(form))} | {_code(_texted(form))} | {form.cls.__doc__} |"
        for form in sorted(forms, key=lambda form: form.dial or 0)
        if form.dial or form.sms
    )
    return "\n".join(rows)


def _dialled(form: Form) -> Iterator[str]:
    """Its number alone, and with the answers that never have to be left out."""
    if form.dial is None:
        return
    number = f"{SHOWN_CODE.removesuffix('#')}*{form.dial}"
    yield f"{number}#"
    answered = takewhile(lambda it: it.kind.dialable or it.default is not None, form.questions)
    if fields := [question.field for question in answered if question.default is None]:
        yield f"{'*'.join((number, *fields))}#"


def _texted(form: Form) -> Iterator[str]:
    optional = {question.field for question in form.questions if question.default is not None}
    fields = [f"[{name}]" if name in optional else name for name in form.sms_fields]
    return (" ".join((word, *fields)) for word in form.sms_words)


def _code(texts: Iterable[str]) -> str:
    return ", ".join(f"`{text}`" for text in texts)


def _obvious(start: str, end: str) -> bool:
    at_menu = end.startswith((f"menu.{HOME}", f"{HOME}."))
    return at_menu or start in _EVERYWHERE or end.endswith(_EVERYWHERE)


def _id(place: str) -> str:
    return re.sub(r"\W+", "_", place)


def _label(place: str, seen: Iterable[Seen], texts: Language) -> str:
    """Name a screen by its own text, a menu also by its lines, an ending by all that it may say."""
    own = [place] if place in texts else []
    entries = [key for key in next(iter(seen)).keys if key.startswith("menu.")]
    keys = [*own, *entries] or dict.fromkeys(one.keys[0] for one in seen)
    said = "\n".join(texts[key].pattern for key in keys)
    return said.replace("#", "#35;").replace('"', "#quot;").replace("\n", "<br/>")
