"""Moments as the tables keep them: UTC milliseconds since 1970, exact in both directions."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_ms(at: datetime) -> int:
    """As stored."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


def from_ms(ms: int) -> datetime:
    """As aware UTC."""
    return _EPOCH + timedelta(milliseconds=ms)
