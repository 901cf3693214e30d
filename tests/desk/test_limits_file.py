"""The tiers are read exactly or not at all, and combined currencies share one counter."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.desk.amounts import MINOR_MOST, NotExact, from_decimal, to_decimal
from gateway.desk.limits import PACKAGED, Counted, LimitsError, load_limits
from menus.kinds import Currency, Money
from menus.limits import sendable

KHR, USD = Currency.KHR, Currency.USD


def test_the_packaged_days_are_the_central_banks_of_2021():
    limits = load_limits()
    days = {tier: (limits.caps(tier, KHR).day, limits.caps(tier, USD).day) for tier in limits.tiers}
    assert days == {
        "basic": (2_000_000, 500_00),
        "partial": (12_000_000, 3_000_00),
        "full": (40_000_000, 10_000_00),
        "unclaimed": (400_000, 100_00),  # ours: it sends nothing of its own accord
    }
    assert limits.combined_rate is None


def test_figures_that_no_rule_gives_are_marked_as_ours():
    section = ""
    for line in PACKAGED.read_text().splitlines():
        section = line if line.startswith("[") else section
        figure, equals, comment = line.partition("=")
        if not equals or figure.startswith("#"):
            continue
        ruled = figure.strip() == "day" and "unclaimed" not in section
        expected = "central bank, 2021" if ruled else "ours"
        assert comment.endswith(f"# {expected}"), line


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('most = "1,000,000"', 'most = "1,000,000.5"', "basic.KHR.most"),
        ('most = "1,000,000"', "most = 1000000.0", "basic.KHR.most"),
        ('most = "1,000,000"', 'most = "-1"', "basic.KHR.most"),
        ('most = "1,000,000"', "", "basic.KHR: lacks most"),
        ('most = "1,000,000"', 'mots = "1"', "basic.KHR: lacks most; does not know mots"),
        ('least = "100" ', 'least = "2000000" ', "basic.KHR.least"),
        ('least = "100" ', 'least = "0" ', "basic.KHR.least"),
        ("count_per_day = 20 ", "count_per_day = true ", "basic.KHR.count_per_day"),
        ("[basic.USD]", "[basic.EUR]", "basic: lacks USD; does not know EUR"),
        ("# combined_rate = 4000", "combined_rate = 0", "combined_rate"),
        ("[basic.KHR]", "[basic.KHR", "limits"),
    ],
)
def test_a_wrong_file_names_its_tier_and_key(tmp_path, old, new, named):
    path = tmp_path / "limits.toml"
    path.write_text(PACKAGED.read_text().replace(old, new, 1))
    with pytest.raises(LimitsError, match=named) as raised:
        load_limits(path)
    assert str(path) in str(raised.value)


def test_a_missing_or_empty_file_is_named(tmp_path):
    with pytest.raises(LimitsError, match=r"none\.toml"):
        load_limits(tmp_path / "none.toml")
    (tmp_path / "empty.toml").touch()
    with pytest.raises(LimitsError, match="no tier"):
        load_limits(tmp_path / "empty.toml")


@pytest.mark.parametrize("text", ["basic = 5", "basic.KHR = 5\nbasic.USD = 5"])
def test_a_figure_where_a_table_belongs_is_named(tmp_path, text):
    path = tmp_path / "limits.toml"
    path.write_text(text)
    with pytest.raises(LimitsError, match=r"basic.*: a t"):
        load_limits(path)


def test_when_all_transfers_of_a_day_are_made_nothing_is_left_today():
    limits = load_limits()
    most = limits.caps("basic", KHR).count_per_day
    assert limits.left_today("basic", KHR, Counted(0, 0, most)) == Money(KHR, 0)
    assert limits.left_today("basic", KHR, Counted(0, 0, most - 1)) == Money(KHR, 2_000_000)


def test_a_tier_that_the_file_no_longer_has_is_the_lowest():
    limits = load_limits()
    assert limits.caps("gold", KHR) == limits.caps("basic", KHR)


def test_a_combined_rate_is_read_from_the_file(tmp_path):
    path = tmp_path / "limits.toml"
    path.write_text(PACKAGED.read_text().replace("# combined_rate", "combined_rate"))
    assert load_limits(path).combined_rate == 4000


@pytest.mark.parametrize(("cents", "riel"), [(1, 42), (2, 83), (3, 125), (200, 8300)])
def test_a_fraction_of_a_riel_counts_as_a_whole_one(cents, riel):
    limits = dataclasses.replace(load_limits(), combined_rate=4150)
    assert str(limits.counted(Money(USD, cents))) == str(riel), "and is no 42.0"


@pytest.mark.parametrize(("rate", "cents"), [(4000, 50_000), (4100, 48_780), (1, 200_000_000)])
def test_the_last_cent_of_a_combined_day_is_counted_from_its_riel(rate, cents):
    limits = dataclasses.replace(load_limits(), combined_rate=rate)
    assert limits.caps("basic", USD).day == cents
    assert limits.left_today("basic", USD, Counted(0, 0, 0)) == Money(USD, cents)


TIERS = st.sampled_from(["basic", "partial", "full", "unclaimed"])


@given(
    tier=TIERS,
    rate=st.integers(1, 10_000),
    day=st.integers(0, 2_500_000),
    earlier=st.integers(0, 60_000_000),
    cents=st.integers(1, 100_000),
)
def test_what_the_page_says_is_left_is_exactly_what_the_counter_takes(
    tier, rate, day, earlier, cents
):
    limits = dataclasses.replace(load_limits(), combined_rate=rate)
    used = limits.used(tier, USD, Counted(day, earlier + day, 7))
    left = sendable(limits.caps(tier, USD), used, 10**9)
    counter, more = limits.counter_caps(tier, USD), limits.counted(Money(USD, cents))
    assert (cents <= left.day) == (day + more <= counter.day)
    assert (cents <= left.month) == (earlier + day + more <= counter.month)
    assert used.count == 7
    assert limits.bucket(USD) == limits.bucket(KHR) == "ALL"


@given(
    tier=TIERS,
    currency=st.sampled_from(Currency),
    rate=st.none() | st.integers(1, 10_000),
    day=st.integers(0, 50_000_000),
    earlier=st.integers(0, 300_000_000),
)
def test_what_is_left_today_is_what_day_and_month_both_allow(tier, currency, rate, day, earlier):
    limits = dataclasses.replace(load_limits(), combined_rate=rate)
    counted = Counted(day, earlier + day, 0)
    left = sendable(limits.caps(tier, currency), limits.used(tier, currency, counted), 10**12)
    told = limits.left_today(tier, currency, counted)
    assert told == Money(currency, max(0, min(left.day, left.month)))


@given(st.sampled_from(Currency), st.integers(1, MINOR_MOST))
def test_an_amount_comes_back_from_the_ledger_as_it_went(currency, minor):
    text = to_decimal(Money(currency, minor))
    assert from_decimal(text, currency) == minor


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("5000.", KHR, 5000),
        ("007", KHR, 7),
        ("12.5", USD, 1250),
        ("3", USD, 300),
        ("12.500", USD, 1250),
        ("5000.00", KHR, 5000),
        ("1000000000000000", KHR, 10**15),
    ],
)
def test_ledger_decimals_are_read_exactly(text, currency, minor):
    assert from_decimal(text, currency) == minor


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("0.5", KHR),
        ("1.005", USD),
        ("", KHR),
        (".5", USD),
        ("-1", KHR),
        ("1e3", KHR),
        ("1,000", KHR),
        ("១២", KHR),
        (" 1", KHR),
        ("1\n", KHR),
        ("1000000000000001", KHR),
        (str(2**63), KHR),
        ("9" * 200, KHR),
        ("1.2.3", USD),
    ],
)
def test_what_is_not_exact_is_refused(text, currency):
    with pytest.raises(NotExact):
        from_decimal(text, currency)


@pytest.mark.parametrize("minor", [0, -1])
def test_nothing_and_less_cannot_be_moved(minor):
    with pytest.raises(NotExact):
        to_decimal(Money(KHR, minor))
