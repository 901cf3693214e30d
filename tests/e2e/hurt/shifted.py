"""`python shifted.py SECONDS`: `ussd-gateway serve` by a clock that is wrong by so much."""

import sys
from datetime import UTC, datetime, timedelta

from gateway.__main__ import main
from gateway.clock import SystemClock


def serve_at(seconds: float) -> None:
    """Serve as if it were so much later, or earlier."""
    by = timedelta(seconds=seconds)
    SystemClock.now = lambda _self: datetime.now(UTC) + by
    sys.argv[1:] = ["serve"]
    main()


if __name__ == "__main__":
    serve_at(float(sys.argv[1]))
