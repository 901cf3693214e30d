"""The values that take most room, made from type hints: what the proof of sizes speaks with.

Whatever an effect may answer is made here from the fields of its dataclass, so that a new outcome
is proved without a line being added; only a text field with a new name must be given its longest
values below. No text, no engine, no page.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from itertools import product
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from menus.bank_accounts import BankAccount
from menus.kind import Kind
from menus.kinds import Msisdn, PaidTo, Pin, shown_other

NOW = datetime(2026, 12, 31, 16, 59, tzinfo=UTC)

# Letters as wide as any on a phone. A Khmer initial makes its whole page UCS-2; a wallet opened
# by dialling has no name yet.
NAMES = ("W*** W***", "ស*** ដ***", "")
_OTHERS: tuple[tuple[str, PaidTo], ...] = (
    ("", BankAccount.worst()[0]),
    *((name, Msisdn.worst()[0]) for name in NAMES),
)

_STRINGS = {
    "account_id": ("85512345678_2@bank",),
    "bank": ("Bank of Siemreap", ""),  # another than ours, and as long
    "code": ("888888",),
    "field": ("pin",),
    "intent": ("w" * 22,),
    "language": ("en", "km"),
    "name": NAMES,
    "other": tuple(shown_other(name, to) for name, to in _OTHERS),
    "ref": ("W" * 8,),
    "service_code": ("*384*123456#",),
    "token": ("token",),
}
_WHOLE_NUMBERS = {"tries_left": (1, 9)}


class NoWorstValue(Exception):
    """A field of a kind or name that this module does not know."""


def worst(hint: Any, name: str = "") -> tuple[Any, ...]:  # noqa: ANN401, PLR0911 - any type hint
    """Give the worst values of a type; `name` is the field's, which tells texts apart."""
    if get_origin(hint) in (Union, UnionType):
        return tuple(value for member in get_args(hint) for value in worst(member, name))
    if get_origin(hint) is tuple:
        return tuple(_tuples(worst(get_args(hint)[0], name)))
    if hint is Pin:
        return (Pin("730264"),)
    if hint is NoneType:
        return (None,)
    if hint is bool:
        return (False, True)
    if hint is datetime:
        return (NOW,)
    if hint in (str, int):
        return _named(hint, name)
    return _structured(hint, name)


def _tuples(values: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    yield values
    yield values[:1]  # the longest
    yield ()


def _named(hint: type[str] | type[int], name: str) -> tuple[Any, ...]:
    known: dict[str, tuple[Any, ...]] = {**_STRINGS, **_WHOLE_NUMBERS}
    if name not in known:
        raise NoWorstValue(f"{hint.__name__} field {name!r}: write its longest values in worst.py")
    return known[name]


def _structured(hint: Any, name: str) -> tuple[Any, ...]:  # noqa: ANN401 - likewise
    if isinstance(hint, type) and issubclass(hint, Kind):
        return tuple(hint.worst())
    if isinstance(hint, type) and issubclass(hint, Enum):
        return tuple(hint)
    if isinstance(hint, type) and is_dataclass(hint):
        hints = get_type_hints(hint)
        choices = {each.name: worst(hints[each.name], each.name) for each in fields(hint)}
        return tuple(hint(**values) for values in _together(hints, choices))
    raise NoWorstValue(f"type {hint!r} of {name!r}")


def _together(
    hints: Mapping[str, Any], choices: Mapping[str, tuple[Any, ...]]
) -> Iterator[dict[str, Any]]:
    """Combine the values of fields.

    What tells texts apart (enumerations, flags, what may be missing) in every way; sizes only
    add up, so of the others one at a time departs from its first value, the longest.
    """
    apart = [name for name in choices if _tells_apart(hints[name])]
    longest = {name: values[0] for name, values in choices.items()}
    for told in product(*(choices[name] for name in apart)):
        base = {**longest, **dict(zip(apart, told, strict=True))}
        yield base
        for name in choices.keys() - set(apart):
            yield from ({**base, name: value} for value in choices[name][1:])


def _tells_apart(hint: Any) -> bool:  # noqa: ANN401 - likewise
    if get_origin(hint) in (Union, UnionType):
        return True
    return isinstance(hint, type) and (hint is bool or issubclass(hint, Enum))
