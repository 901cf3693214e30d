"""What may be sent, and which limit refuses: the same arithmetic on the page and at the desk."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from menus.effects import LimitKind, OverLimit
from menus.kinds import Currency, Money
from menus.limits import Caps, Used, business_day, refusal, sendable

CAPS = Caps(least=100, most=5000, day=8000, month=9000, count_per_day=3, held=20_000, sms_most=1000)


def khr(minor):
    return Money(Currency.KHR, minor)


@pytest.mark.parametrize(
    ("amount", "used", "available", "sms", "limit", "left"),
    [
        (99, Used(), 50_000, False, LimitKind.LEAST, 100),
        (5001, Used(), 50_000, False, LimitKind.MOST, 5000),
        (1001, Used(), 50_000, True, LimitKind.SMS, 1000),
        (5001, Used(), 50_000, True, LimitKind.SMS, 1000),
        (701, Used(), 700, False, LimitKind.BALANCE, 700),
        (2001, Used(day=6000), 50_000, False, LimitKind.DAY, 2000),
        (2001, Used(day=6000, month=8500), 50_000, False, LimitKind.MONTH, 500),
        (5001, Used(day=4000, month=5000), 4000, False, LimitKind.BALANCE, 4000),
        (501, Used(day=6000, month=8500), 50_000, False, LimitKind.MONTH, 500),
    ],
)
def test_the_limit_that_leaves_least_refuses_and_says_what_may_be_sent(  # noqa: PLR0917 - a table
    amount, used, available, sms, limit, left
):
    room = sendable(CAPS, used, available)
    assert refusal(khr(amount), room, sms=sms) == OverLimit(limit, khr(left))


@pytest.mark.parametrize("amount", [1, 50, 99, 100, 1_000_000])
@pytest.mark.parametrize("sms", [True, False])
@pytest.mark.parametrize(
    ("used", "available", "limit", "left"),
    [
        (Used(), 60, LimitKind.BALANCE, 60),
        (Used(), -5, LimitKind.BALANCE, 0),
        (Used(day=7_901), 50_000, LimitKind.DAY, 99),
        (Used(day=9_999), 50_000, LimitKind.DAY, 0),
        (Used(month=8_950), 50_000, LimitKind.MONTH, 50),
        (Used(count=3), 50_000, LimitKind.COUNT, 0),
    ],
)
def test_when_nothing_can_be_sent_no_amount_is_told_another_reason(  # noqa: PLR0917 - a table
    amount, sms, used, available, limit, left
):
    over = refusal(khr(amount), sendable(CAPS, used, available), sms=sms)
    assert over == OverLimit(limit, khr(left), least=khr(100))


def test_before_the_first_payment_all_of_each_cap_is_left():
    room = sendable(CAPS, Used(), 50_000)
    assert (room.day, room.month, room.count) == (CAPS.day, CAPS.month, CAPS.count_per_day)


def test_what_is_within_all_limits_is_not_refused():
    room = sendable(CAPS, Used(day=3000, count=2), 50_000)
    assert refusal(khr(5000), room) is None
    assert refusal(khr(1000), room, sms=True) is None


@given(
    st.builds(Used, st.integers(0, 12_000), st.integers(0, 12_000), st.integers(0, 5)),
    st.integers(-10, 12_000),
    st.sampled_from([1, 99, 1_000_000]),
    st.booleans(),
)
def test_what_a_refusal_names_may_really_be_sent(used, available, amount, sms):
    room = sendable(CAPS, used, available)
    over = refusal(khr(amount), room, sms=sms)
    assert (over.least is None) == (room.most > 0)
    if over.least is None:
        assert refusal(over.amount, room, sms=sms) is None


@given(
    st.builds(Used, st.integers(0, 12_000), st.integers(0, 12_000), st.integers(0, 5)),
    st.integers(-10, 12_000),
    st.integers(1, 12_000),
)
def test_most_is_exactly_what_is_not_refused(used, available, amount):
    room = sendable(CAPS, used, available)
    refused = refusal(khr(amount), room)
    assert (refused is None) == (CAPS.least <= amount <= room.most)


@pytest.mark.parametrize(
    ("at", "day"),
    [
        (datetime(2026, 11, 22, 16, 59, 59, tzinfo=UTC), "2026-11-22"),
        (datetime(2026, 11, 22, 17, 0, tzinfo=UTC), "2026-11-23"),
        (datetime(2026, 12, 31, 17, 0, tzinfo=UTC), "2027-01-01"),
    ],
)
def test_the_business_day_begins_at_midnight_in_phnom_penh(at, day):
    assert business_day(at) == day


def test_of_a_limit_that_nothing_is_said_of_nothing_is_used():
    assert Used() == Used(day=0, month=0, count=0)


@pytest.mark.parametrize(("used", "most"), [(7_899, 101), (7_900, 100), (7_901, 0), (8_000, 0)])
def test_less_than_the_least_is_nothing(used, most):
    assert sendable(CAPS, Used(day=used), 50_000).most == most


def test_nothing_that_is_left_is_below_zero():
    left = sendable(CAPS, Used(day=8_001, month=9_001, count=4), -1)
    assert (left.balance, left.day, left.month, left.count) == (0, 0, 0, 0)
