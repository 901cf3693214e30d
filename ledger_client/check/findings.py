"""What a look at a network brings up, in words for whoever has to mend it.

`says` is one plain sentence; `remedy` names the setting to change or the command to send to the
ledger. Settings are called by the names in `Terms`, which the caller chooses: nothing here knows
whose settings they are.
"""

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """How it stands with one thing."""

    FINE = "fine"
    MISSING = "missing"
    UNKNOWN = "unknown"  # it could not be found out: worth a look, no alarm


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    about: str
    state: State
    says: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the settings are called that a remedy may name."""

    peers: str = "the addresses of the peers"
    certificates: str = "the trusted certificates"
    genesis: str = "the pinned genesis block"
    peer_keys: str = "the pinned keys of the peers"
    domain: str = "the bank's domain"
    asset_domain: str = "the domain of the assets"
    opener_key: str = "the opener's key"


def fine(about: str, says: str) -> Finding:
    """Nothing to do here."""
    return Finding(about, State.FINE, says)


def missing(about: str, says: str, remedy: str) -> Finding:
    """A gateway would fail for the lack of it."""
    return Finding(about, State.MISSING, says, remedy)


def unknown(about: str, says: str) -> Finding:
    """It cannot be found out from here."""
    return Finding(about, State.UNKNOWN, says)


def spoken(ms: float) -> str:
    """A span of time as one would say it: "40 ms", "3 s", "7 min", "5 h", "2 days"."""
    amount = abs(ms)
    for unit, length, until in _UNITS:
        if amount < until:
            return f"{amount / length:.0f} {unit}"
    return f"{amount / _DAY_MS:.0f} days"


_SECOND_MS, _MINUTE_MS, _HOUR_MS, _DAY_MS = 1000, 60_000, 3_600_000, 86_400_000
_UNITS = (
    ("ms", 1, _SECOND_MS),
    ("s", _SECOND_MS, 2 * _MINUTE_MS),
    ("min", _MINUTE_MS, 2 * _HOUR_MS),
    ("h", _HOUR_MS, 2 * _DAY_MS),
)
