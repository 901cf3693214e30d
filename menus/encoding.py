"""How much room a text takes on a phone: GSM 03.38 septets, UCS-2 units, SMS segments, pages.

A text is GSM-7 when all of its characters are in the GSM 03.38 default alphabet or its
extension table (those cost two septets), and UCS-2 otherwise: one Khmer letter makes a whole
page UCS-2. Nothing is ever cut inside what a phone shows as one thing: an escaped septet pair,
a surrogate pair, a Khmer cluster (base, coeng pairs, vowels and signs).

This module imports nothing else of `menus`, because the simulator's phones measure with it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

GSM7_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM7_EXTENSION = "\f^{}\\[~]|€"

SEPTETS_SINGLE, SEPTETS_JOINED = 160, 153  # a joined SMS spends 6 octets on its header
UNITS_SINGLE, UNITS_JOINED = 70, 67

_basic = re.compile(f"[{re.escape(GSM7_BASIC)}]*").fullmatch
_gsm7 = re.compile(f"[{re.escape(GSM7_BASIC + GSM7_EXTENSION)}]*").fullmatch
_extension = re.compile(f"[{re.escape(GSM7_EXTENSION)}]").findall
_astral = re.compile("[\U00010000-\U0010ffff]").findall
_clusters = re.compile(
    # Khmer: a consonant or independent vowel, then coeng + consonant pairs, dependent vowels,
    # signs and (non-)joiners in any order, as they are typed.
    "[\u1780-\u17b3\u25cc](?:\u17d2[\u1780-\u17b3]|[\u17b4-\u17d1\u17d3\u17dd\u200c\u200d])*"
    # Others: a character and the accents and variation selectors that belong to it.
    "|.[\u0300-\u036f\ufe00-\ufe0f]*",
    re.DOTALL,
).findall


class Encoding(Enum):
    """How a text travels over the air."""

    GSM7 = "GSM-7"
    UCS2 = "UCS-2"


@dataclass(frozen=True, slots=True)
class PageSize:
    """What one USSD page may hold, in septets if the text is GSM-7 and in units if it is not."""

    septets: int = 160
    units: int = 80


class TooLong(Exception):
    """A text that cannot be divided does not fit its page. It is never cut and never sent."""

    def __init__(self, text: str, page: PageSize) -> None:
        room = page.septets if encoding_of(text) is Encoding.GSM7 else page.units
        super().__init__(f"takes {size(text)} {encoding_of(text).value}, a page holds {room}")
        self.text = text
        self.page = page


def encoding_of(text: str) -> Encoding:
    """Tell the cheapest encoding that carries the whole text."""
    return Encoding.GSM7 if _gsm7(text) else Encoding.UCS2


def septets(text: str) -> int:
    """Count the septets of a GSM-7 text; ValueError for any other text."""
    if _basic(text):
        return len(text)
    if _gsm7(text):
        return len(text) + len(_extension(text))
    raise ValueError("not a GSM-7 text")


def ucs2_units(text: str) -> int:
    """Count UTF-16 code units: two for a character outside the basic multilingual plane."""
    return len(text) if text.isascii() else len(text) + len(_astral(text))


def size(text: str) -> int:
    """Count the septets or units of a text, in its own encoding."""
    return septets(text) if _gsm7(text) else ucs2_units(text)


def fits(text: str, page: PageSize) -> bool:
    """Tell whether a text fits one page in its own encoding."""
    if _basic(text):
        return len(text) <= page.septets
    return size(text) <= (page.septets if _gsm7(text) else page.units)


# --- SMS ------------------------------------------------------------------------------------


def segments(text: str) -> list[str]:
    """Divide a text into what each of its SMS carries; joined they are the text again."""
    gsm7 = encoding_of(text) is Encoding.GSM7
    single, joined = (SEPTETS_SINGLE, SEPTETS_JOINED) if gsm7 else (UNITS_SINGLE, UNITS_JOINED)
    measure = septets if gsm7 else ucs2_units
    if measure(text) <= single:
        return [text]
    parts: list[str] = []
    part, room = "", joined
    for piece in _pieces(text, joined):
        needs = measure(piece)
        if needs > room:
            parts.append(part)
            part, room = "", joined
        part += piece
        room -= needs
    return [*parts, part]


def clusters(text: str) -> list[str]:
    """Divide a text into what a phone shows as one thing."""
    found: list[str] = _clusters(text)
    return found


def _pieces(text: str, room: int) -> Iterator[str]:
    for cluster in clusters(text):
        if ucs2_units(cluster) <= room:
            yield cluster
        else:  # no language writes this; somebody typed a base and dozens of signs
            yield from cluster


# --- pages ----------------------------------------------------------------------------------


def paged(
    lines: Sequence[str], page: PageSize, *, head: str = "", foot: str = "", foot_more: str = ""
) -> list[str]:
    """Divide lines into pages that fit; none is cut, and TooLong tells of one that cannot fit.

    Every page opens with `head`; the last ends with `foot`, the others with `foot_more` (the
    same commands and the one that turns the page).
    """
    pages: list[str] = []
    start = 0
    while True:
        rest = _page(head, lines[start:], foot)
        if fits(rest, page):
            return [*pages, rest]
        end = start
        while end + 1 < len(lines) and fits(_page(head, lines[start : end + 1], foot_more), page):
            end += 1
        if end == start:
            raise TooLong(_page(head, lines[start : start + 1], foot_more), page)
        pages.append(_page(head, lines[start:end], foot_more))
        start = end


def _page(head: str, lines: Sequence[str], foot: str) -> str:
    return "\n".join(part for part in (head, *lines, foot) if part)
