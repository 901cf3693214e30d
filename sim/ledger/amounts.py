"""Decimal text as the ledger reads and writes it: integers underneath, never a float."""

import re

_AMOUNT = re.compile(r"[0-9]+(?:\.[0-9]*)?", re.ASCII)
LIMIT = 1 << 256  # the point left out


class TooPrecise(ValueError):
    """More decimals than the asset has, even if they are zeros."""


def well_formed(text: str) -> bool:
    """Digits with at most one point among or after them, and below 2^256 without it."""
    return bool(_AMOUNT.fullmatch(text)) and int(text.replace(".", "")) < LIMIT


def smallest_units(text: str, precision: int) -> int:
    """`"12.5"` of an asset with two decimals is 1250. The text must be well formed."""
    whole, _, decimals = text.partition(".")
    if len(decimals) > precision:
        raise TooPrecise(text)
    return int((whole + decimals).ljust(len(whole) + precision, "0"))


def shown(units: int, precision: int, *, trailing_point: bool) -> str:
    """The other way; one backend writes `"997158."` where the asset has no decimals."""
    if not precision:
        return f"{units}." if trailing_point else str(units)
    digits = str(units).rjust(precision + 1, "0")
    return f"{digits[:-precision]}.{digits[-precision:]}"
