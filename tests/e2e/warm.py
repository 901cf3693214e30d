"""Processes of the product without the second that each takes to import it.

Run as a program this has imported the product, and forks itself for each order that it reads: a
line of JSON that names arguments, environment, folder and log. It answers `began PID`, and
`ended PID CODE` when one has. What is forked has begun nothing yet: no thread, loop or connection.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

IMPORTED = (
    *("gateway.__main__", "gateway.serve", "gateway.stores.migrate", "gateway.reconcile"),
    "sim.ledger.__main__",
)
POLL_S = 0.005
_PR_SET_PDEATHSIG = 1


class Nursery:
    """Where processes come from that have imported the product already."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._lock = threading.Lock()
        self._heard = b""
        self._began: list[int] = []
        self._ended: dict[int, int] = {}

    def begin(
        self, arguments: Sequence[str], env: Mapping[str, str], folder: Path, log: Path
    ) -> "Warm":
        """`python ARGUMENTS…`, in so much less time."""
        order = [list(arguments), dict(env), str(folder), str(log)]
        with self._lock:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
            while not self._began:
                self._hear(None)
            return Warm(self, self._began.pop())

    def code_of(self, pid: int) -> int | None:
        """How it ended, as `Popen` tells it; None while it runs."""
        with self._lock:
            self._hear(0)
            return self._ended.get(pid)

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()

    def _hear(self, patience_s: float | None) -> None:
        while select.select([self._process.stdout], [], [], patience_s)[0]:
            heard = os.read(self._process.stdout.fileno(), 65536)
            assert heard, "the nursery has ended"
            *lines, self._heard = (self._heard + heard).split(b"\n")
            for line in lines:
                match line.split():
                    case b"began", pid:
                        self._began.append(int(pid))
                    case b"ended", pid, code:
                        self._ended[int(pid)] = int(code)
            patience_s = 0


class Warm:
    """One of them, with as much of `Popen` as is used."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self._nursery, self.pid = nursery, pid

    def poll(self) -> int | None:
        return self._nursery.code_of(self.pid)

    def wait(self, timeout: float | None = None) -> int:
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("python", timeout)
            time.sleep(POLL_S)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


# ---- the program


def main() -> None:
    _dies_with_parent()
    for name in IMPORTED:
        importlib.import_module(name)
        if name.endswith("__main__"):
            del sys.modules[name]  # it is what is going to be run
    gc.freeze()
    woken, waking = os.pipe()
    os.set_blocking(waking, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waking)
    unread = b""
    while True:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            os.read(woken, 512)
            _tell_of_the_ended()
        if 0 in ready:
            read = os.read(0, 1 << 20)
            if not read:
                return None
            *orders, unread = (unread + read).split(b"\n")
            for order in orders:
                pid = os.fork()
                if not pid:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    return _become(*json.loads(order))
                os.write(1, b"began %d\n" % pid)


def _tell_of_the_ended() -> None:
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            os.write(1, b"ended %d %d\n" % (ended[0], os.waitstatus_to_exitcode(ended[1])))


def _become(arguments: list[str], env: dict[str, str], folder: str, log: str) -> None:
    _dies_with_parent()
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    written = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(written, 1)
    os.dup2(written, 2)
    os.closerange(3, 64)
    if arguments[0] == "-m":
        sys.path[0] = ""
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str(Path(arguments[0]).parent)
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name="__main__")


def _dies_with_parent() -> None:
    """As `sim.tethered` does."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    main()
