"""What every kind does to a text before reading it: one plain form, or nothing.

Phones, keyboards and hostile people write the same digit in many ways. `plain` maps exactly the
ways people really use (Khmer digits, full-width forms, odd spaces) by a table of its own. It is
stricter than NFKC on purpose: NFKC would read 5² as 52. What could be read in two ways, such as
text whose direction is turned, is no text at all.
"""

import re
import unicodedata
from collections.abc import Iterator
from itertools import combinations, pairwise
from typing import Final

LONGEST: Final = 182  # characters; what a USSD string may hold

_ZERO_WIDTH = "\u200b\u200c\u200d\u2060\ufeff"  # Khmer keyboards put them between words
_SPACES = "\t\n\r\u00a0\u202f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2212"

_PLAIN: Final = {
    **{0x17E0 + digit: str(digit) for digit in range(10)},  # Khmer digits
    **{0xFEE0 + code: chr(code) for code in range(0x21, 0x7F)},  # full-width ASCII
    **dict.fromkeys(map(ord, _SPACES), " "),
    **dict.fromkeys(map(ord, _DASHES), "-"),
    **dict.fromkeys(map(ord, _ZERO_WIDTH), ""),
}
_SEPARATOR: Final = re.compile(r"[\s,;:./#*+-]+")
_ASCII_TEXT = re.compile(r"[ -~]*").fullmatch


def plain(text: str) -> str | None:
    r"""Give `text` in its one plain form, trimmed; None when it is too long or could mislead.

    >>> plain("\u17e5,\u17e0\u17e0\u17e0 ")
    '5,000'
    >>> plain("\u202e123") is None  # shown as 321
    True
    """
    if len(text) > LONGEST:
        return None
    if not _ASCII_TEXT(text):
        text = text.translate(_PLAIN)
        if any(map(_misleads, text)):
            return None
    return text.strip()


def legible(text: str) -> str:
    """What can be read in a text that `plain` refuses: to look for what must not stand there."""
    shown = (one for one in text.translate(_PLAIN) if unicodedata.category(one)[0] != "C")
    return "".join(str(unicodedata.decimal(one, one)) for one in shown)


def _misleads(character: str) -> bool:
    """Digits of scripts nobody here uses, and what is not shown but changes what is."""
    if character.isascii():
        return not character.isprintable()
    return character.isnumeric() or unicodedata.category(character)[0] == "C"


def divisions(text: str, count: int) -> Iterator[tuple[str, ...]]:
    """Every way to divide a text at separators into `count` parts."""
    gaps = [found.span() for found in _SEPARATOR.finditer(text)]
    for chosen in combinations(gaps, count - 1):
        edges = [(0, 0), *chosen, (len(text), len(text))]
        yield tuple(text[end:start] for (_, end), (start, _) in pairwise(edges))
