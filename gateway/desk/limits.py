"""The tiers of `limits.toml`, and which counter a payment uses.

The arithmetic of a single payment is `menus.limits`, shared with the pages; here are the figures
it works on. No SQL: counters are rows of `Counter`, changed by `reservations` and `changes`.
"""

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from gateway.desk.amounts import NotExact, from_decimal
from menus.kinds import Currency, Money
from menus.limits import Caps, Used

PACKAGED = Path(__file__).parent.parent / "limits.toml"
COMBINED = "ALL"
_CODES = {one: one.value for one in Currency}  # `.value` is slow, and asked in every turn
_COUNTS = {"count_per_day"}


class LimitsError(ValueError):
    """The file cannot be used; the message names file, tier, currency and key."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What one wallet has used of one counter; the counter's own units."""

    day: int = 0
    month: int = 0
    count: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """All tiers; with `combined_rate` (riel for a dollar) both currencies share one counter."""

    tiers: Mapping[str, Mapping[Currency, Caps]]  # the lowest first
    combined_rate: int | None = None

    def caps(self, tier: str, currency: Currency) -> Caps:
        """In minor units of `currency`; a combined day and month are what the riel ones allow."""
        of_tier = self._of(tier)
        caps = of_tier[currency]
        if self.combined_rate is None or currency is Currency.KHR:
            return caps
        riel = of_tier[Currency.KHR]
        return replace(
            caps,
            day=self._from_counter(riel.day, currency),
            month=self._from_counter(riel.month, currency),
            count_per_day=riel.count_per_day,
        )

    def bucket(self, currency: Currency) -> str:
        """The counter that payments in this currency use."""
        return _CODES[currency] if self.combined_rate is None else COMBINED

    def counter_caps(self, tier: str, currency: Currency) -> Caps:
        """Day, month and count of that counter, in the counter's own units."""
        return self._of(tier)[currency if self.combined_rate is None else Currency.KHR]

    def counted(self, amount: Money) -> int:
        """How much of its counter a payment uses; a fraction of a riel counts as a whole one."""
        if self.combined_rate is None or amount.currency is Currency.KHR:
            return amount.minor
        return -(-amount.minor * self.combined_rate // 100)

    def used(self, tier: str, currency: Currency, counted: Counted) -> Used:
        """The counter as `menus.limits` reads it: caps less this is exactly what is left."""
        if self.combined_rate is None or currency is Currency.KHR:
            return Used(counted.day, counted.month, counted.count)
        caps, counter = self.caps(tier, currency), self.counter_caps(tier, currency)
        return Used(
            day=caps.day - self._from_counter(counter.day - counted.day, currency),
            month=caps.month - self._from_counter(counter.month - counted.month, currency),
            count=counted.count,
        )

    def left_today(self, tier: str, currency: Currency, counted: Counted) -> Money:
        """What day, month and count still allow, whatever the wallet holds."""
        counter = self.counter_caps(tier, currency)
        if counted.count >= counter.count_per_day:
            return Money(currency, 0)
        left = min(counter.day - counted.day, counter.month - counted.month)
        return Money(currency, max(0, self._from_counter(left, currency)))

    def _of(self, tier: str) -> Mapping[Currency, Caps]:
        # A wallet whose tier the file no longer has is treated as one of the lowest.
        return self.tiers.get(tier) or next(iter(self.tiers.values()))

    def _from_counter(self, units: int, currency: Currency) -> int:
        if self.combined_rate is None or currency is Currency.KHR:
            return units
        return units * 100 // self.combined_rate  # the inverse of `counted`, rounded down


def load_limits(path: Path = PACKAGED) -> Limits:
    """Read and check a limits file."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LimitsError(f"{path}: {error}") from error
    rate = document.pop("combined_rate", None)
    if rate is not None and (type(rate) is not int or rate < 1):
        raise LimitsError(f"{path}: combined_rate: riel for a dollar, a whole number")
    if not document:
        raise LimitsError(f"{path}: no tier")
    return Limits({tier: _tier(f"{path}: {tier}", table) for tier, table in document.items()}, rate)


def _tier(where: str, table: object) -> Mapping[Currency, Caps]:
    if not isinstance(table, dict):
        raise LimitsError(f"{where}: a tier is a table per currency")
    wanted = {currency.value for currency in Currency}
    if set(table) != wanted:
        raise LimitsError(f"{where}: {_differing(table, wanted)}")
    return {one: _caps(f"{where}.{one}", table[one], one) for one in Currency}


def _caps(where: str, table: object, currency: Currency) -> Caps:
    names = {field.name for field in fields(Caps)}
    if not isinstance(table, dict):
        raise LimitsError(f"{where}: a table of {sorted(names)}")
    if set(table) != names:
        raise LimitsError(f"{where}: {_differing(table, names)}")
    values = {key: _figure(f"{where}.{key}", key, table[key], currency) for key in table}
    for less, more in (("least", "most"), ("most", "day"), ("day", "month"), ("least", "sms_most")):
        if values[less] > values[more]:
            raise LimitsError(f"{where}.{less}: more than {more}")
    return Caps(**values)


def _differing(table: Collection[str], wanted: Collection[str]) -> str:
    lacks, unknown = set(wanted) - set(table), set(table) - set(wanted)
    told = {"lacks": lacks, "does not know": unknown}
    return "; ".join(f"{how} {', '.join(sorted(keys))}" for how, keys in told.items() if keys)


def _figure(where: str, key: str, value: Any, currency: Currency) -> int:  # noqa: ANN401 - as TOML gives it
    if key in _COUNTS:
        if type(value) is not int or value < 1:
            raise LimitsError(f"{where}: a whole number, at least 1")
        return value
    if not isinstance(value, str):
        raise LimitsError(f"{where}: an amount in quotes")
    try:
        minor = from_decimal(value.replace(",", ""), currency)
    except NotExact as error:
        raise LimitsError(f"{where}: {error}") from error
    if minor < 1:
        raise LimitsError(f"{where}: more than zero")
    return minor
