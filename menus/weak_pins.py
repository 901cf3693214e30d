"""PINs that too many people choose: refused when one is chosen, never when one is entered.

More than a tenth of all PINs of six digits is refused (the share at which a blocklist starts to
help): repeats, runs, dates, years, shapes on the keypad, parts of the person's own number.
Pure: digits in, yes or no out.
"""

_RUN = "01234567890123456789"
_LINES = ("123", "456", "789", "147", "258", "369", "159", "357")  # of the keypad
_BOTH_WAYS = (*_LINES, *(line[::-1] for line in _LINES))
_WALKS = {first + second for first in _BOTH_WAYS for second in _BOTH_WAYS}
_SHAPES = {  # as fingers walk around and up and down the keypad, and lucky numbers
    *("147896", "369874", "741236", "963214", "123698", "321478", "789632", "987412"),
    *("142536", "152637", "415263", "748596", "475869", "258025", "147000", "258000"),
    *("520131", "168168", "888168", "168888", "520520"),
    *("246810", "108642", "135790", "097531", "131420", "420131"),
}
_MONTH_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_OWN_PART = 4  # so many digits in a row of one's own number are too many


def weak(pin: str, own_number: str) -> bool:
    """Tell whether `pin` is one of those; `own_number` is in E.164."""
    return (
        len(set(pin)) <= 2  # noqa: PLR2004 - 000000, 121212, 115555
        or _repeats(pin)
        or pin in _RUN
        or pin in _RUN[::-1]
        or pin in _WALKS
        or pin in _SHAPES
        or _date(pin)
        or _year(pin)
        or any(pin[at : at + _OWN_PART] in own_number for at in range(len(pin) - _OWN_PART + 1))
    )


def _repeats(pin: str) -> bool:
    """123123, 707070, 112233, 123321."""
    half, pairs = len(pin) // 2, [pin[at : at + 2] for at in range(0, len(pin), 2)]
    return (
        pin[:half] == pin[-half:]
        or pin == pin[::-1]
        or len(set(pairs)) == 1
        or all(len(set(pair)) == 1 for pair in pairs)
    )


def _date(pin: str) -> bool:
    """DDMMYY, MMDDYY, YYMMDD: birthdays."""
    if len(pin) != 6:  # noqa: PLR2004
        return False
    first, middle, last = int(pin[:2]), int(pin[2:4]), int(pin[4:])
    return _day(first, middle) or _day(middle, first) or _day(last, middle)


def _day(day: int, month: int) -> bool:
    return 1 <= month <= len(_MONTH_DAYS) and 1 <= day <= _MONTH_DAYS[month - 1]


def _year(pin: str) -> bool:
    """1987xx, xx2004: a year of a living person at either end."""
    return pin[:2] in ("19", "20") or pin[-4:-2] in ("19", "20")
