"""`python -m sim.tethered ARGS…`: become `python ARGS…`, told to stop when the parent dies.

A world whose `ussd-sim up` was killed must not keep its ports. Done here, between two execs,
because code run after a fork in a process full of threads may hang.
"""

import contextlib
import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    # Nothing but our own command line is run again.
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])  # noqa: S606
