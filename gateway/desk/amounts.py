"""Money between its two written forms: integers of minor units here, decimal text on the ledger.

Exact or refused, never rounded. What people type is read by `menus`; this reads what machines and
operators write ("5000", "12.50", and "997158." as one of the ledger's stores shows riel).
"""

import re
from dataclasses import dataclass

from menus.kinds import Currency, Money

# More than all money there is, and so little that sums of thousands fit into 64 bits: a row's
# arithmetic must not fail for what somebody minted by mistake.
MINOR_MOST = 10**15

_DECIMAL = re.compile(r"([0-9]{1,100})(?:\.([0-9]{0,100}))?")


class NotExact(ValueError):
    """The text is no amount of this currency, or not one that fits whole minor units."""


def to_decimal(money: Money) -> str:
    """As the ledger wants it: "5000" riel, "12.50" dollars."""
    if money.minor <= 0:
        raise NotExact(f"{money.minor} cannot be moved")
    decimals = money.currency.decimals
    if not decimals:
        return str(money.minor)
    whole, part = divmod(money.minor, 10**decimals)
    return f"{whole}.{part:0{decimals}d}"


def from_decimal(text: str, currency: Currency) -> int:
    """Minor units of a decimal; raises `NotExact` rather than lose or invent a fraction."""
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise NotExact(f"no decimal amount of at most 100 digits in {currency}")
    whole, fraction = match[1], match[2] or ""
    decimals = currency.decimals
    if fraction[decimals:].strip("0"):
        raise NotExact(f"more than {decimals} decimals in {currency}")
    minor = int(whole + fraction[:decimals].ljust(decimals, "0"))
    if minor > MINOR_MOST:
        raise NotExact(f"more {currency} than there is")
    return minor


@dataclass(frozen=True, slots=True)
class Assets:
    """The ledger's names of our currencies: khr#nbc, usd#nbc."""

    domain: str = "nbc"

    def id(self, currency: Currency) -> str:
        return f"{currency.value.lower()}#{self.domain}"

    def currency(self, asset_id: str) -> Currency | None:
        """None for an asset that is none of ours to keep."""
        return next((known for known in Currency if self.id(known) == asset_id), None)
