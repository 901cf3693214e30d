"""Which PINs are too easy: each rule alone, and what lies just beside it."""

import pytest

from menus.weak_pins import weak

NUMBER = "+85512345601"
LAST_DAYS = {1: 31, 2: 29, 3: 31, 4: 30, 5: 31, 6: 30, 7: 31, 8: 31, 9: 30, 10: 31, 11: 30, 12: 31}
YEAR = 97  # no day and no month


def is_weak(pin: str) -> bool:
    return weak(pin, NUMBER)


@pytest.mark.parametrize(
    ("why", "pins"),
    [
        ("two digits", ["733373", "977799"]),
        ("one half twice", ["730730", "864864"]),
        ("the same from behind", ["730037", "864468"]),
        ("one pair thrice", ["737373", "868686"]),
        ("three pairs of one digit", ["773300", "668844"]),
        ("a run", ["234567", "678901", "901234"]),
        ("a run down", ["098765", "543210", "765432", "210987"]),
        ("two lines of the keypad", ["147369", "741963", "159753", "258456", "987147", "357159"]),
        ("around the keypad", ["147896", "369874", "741236", "963214"]),
        ("around it from elsewhere", ["123698", "321478", "789632", "987412"]),
        ("up and down the keypad", ["142536", "152637", "415263", "748596", "475869"]),
        ("its middle, its edge", ["258025", "147000", "258000"]),
        ("a lucky number", ["520131", "168168", "888168", "168888", "520520"]),
        ("a known one", ["246810", "108642", "135790", "097531", "131420", "420131"]),
        ("a year before", ["198664", "208664"]),
        ("a year behind", ["641986", "642086"]),
        ("part of one's own number", ["855164", "648551", "964560", "560164"]),
    ],
)
def test_each_rule_refuses_alone(why, pins):
    assert [pin for pin in pins if not is_weak(pin)] == [], why


def test_what_is_almost_refused_is_not():
    almost = ["730738", "730038", "737338", "773306", "678904", "098764"]
    almost += ["147368", "147806", "619864", "345864"]
    assert [pin for pin in almost if is_weak(pin)] == []


@pytest.mark.parametrize(("month", "last"), LAST_DAYS.items())
def test_every_day_of_a_year_is_refused_in_each_order_and_no_other(month, last):
    for day in (1, last):
        for pin in (f"{day:02}{month:02}{YEAR}", f"{month:02}{day:02}{YEAR}"):
            assert is_weak(pin)
        assert is_weak(f"{YEAR}{month:02}{day:02}")
    for day in (0, last + 1):
        if len({day, month}) == 2 and day:
            assert not is_weak(f"{day:02}{month:02}{YEAR}")


@pytest.mark.parametrize("pin", ["120097", "141397", "971400", "000397"])
def test_there_is_no_month_nought_nor_thirteen_and_no_day_nought(pin):
    assert not is_weak(pin)


def test_of_another_length_only_what_needs_no_date_is_refused():
    assert is_weak("1234")
    assert is_weak("12341234")
    assert not is_weak("3112")
