"""Does a text hold what may be a PIN, although none was asked for? By SMS that is answered first.

A PIN is a number of its length that stands alone. Phone numbers, refs and amounts hold such
numbers, too, so they are taken out before; where it cannot be told, a warning does less harm.
"""

import re
from typing import Final

from menus.kinds import CURRENCY_WORD, Msisdn

_GROUPS_MOST: Final = 4  # of digits, in a phone number: "+855 12 345 602"
_GROUP: Final = re.compile(r"\+?[0-9]+")
_REF: Final = re.compile(r"(?<![0-9a-z])(?=[0-9]*[a-z])[0-9a-z]{8}(?![0-9a-z])")
_NUMBER: Final = r"[0-9]+(?:[.,][0-9]+)*"
_LONE: Final = re.compile(_NUMBER)
_PRICED: Final = re.compile(
    rf"(?<![a-z])(?:{CURRENCY_WORD}) ?{_NUMBER}|{_NUMBER} ?(?:{CURRENCY_WORD})(?![a-z])"
)
_CALLED_PIN: Final = re.compile(r"(?:pin|លេខសម្ងាត់)(?: is)?[ :=.#-]*$").search


def holds_pin(text: str, length: int, *, pays: bool) -> bool:
    """Say whether a number of `length` digits stands alone in a plain text.

    Not the one of a text that `pays` which alone could be its amount.

    >>> holds_pin("5000 012 345602 PIN 730264", 6, pays=True)
    True
    >>> holds_pin("730264 012 345602", 6, pays=True)
    False
    """
    left = _REF.sub(";", _without_phone_numbers(text.lower()))
    left, priced = _PRICED.subn(";", left)
    lone = list(_LONE.finditer(left))
    pins = [one for one in lone if one[0].isdigit() and len(one[0]) == length]
    if not pays or priced or any(_CALLED_PIN(left[: pin.start()]) for pin in pins):
        return bool(pins)
    amounts = [one for one in lone if one[0][0] != "0"]
    return any(amounts != [pin] for pin in pins)


def _without_phone_numbers(text: str) -> str:
    groups = list(_GROUP.finditer(text))
    kept, end, first = "", 0, 0
    while first < len(groups):
        start = groups[first].start()
        for last in reversed(groups[first : first + _GROUPS_MOST]):
            if _is_phone_number(text[start : last.end()]):
                kept, end = f"{kept}{text[end:start]};", last.end()
                first = groups.index(last)
                break
        first += 1
    return kept + text[end:]


def _is_phone_number(text: str) -> bool:
    """A fixed line's counts: somebody meant to pay it."""
    number = Msisdn.read(text)
    return isinstance(number, Msisdn) or number.key == "number.not_mobile"
