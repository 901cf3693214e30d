"""`python shifted.py FILE`: `ussd-gateway serve` by a clock that is wrong by the file's seconds.

They may change at any moment: the clock jumps.
"""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway.__main__ import main
from gateway.clock import SystemClock


def serve_by(told: Path) -> None:
    """Serve as if it were so much later, or earlier."""

    def now(_clock: SystemClock) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=float(told.read_text()))

    SystemClock.now = now
    sys.argv[1:] = ["serve"]
    main()


if __name__ == "__main__":
    serve_by(Path(sys.argv[1]))
