"""A process of the product under test: started, watched, frozen, killed; never orphaned."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from warm import Nursery, Warm

STOP_S = 15.0
POLL_S = 0.05
TAIL = 60  # lines


class Ended(AssertionError):
    """A process ended, or did not get ready; with the end of its log."""


class Process:
    """`python -m …`, as an operator would run it, with its output in a file.

    It stops when the test process dies. With a `nursery` it is forked there and not executed anew.
    """

    nursery: Nursery | None = None

    def __init__(
        self, name: str, arguments: Sequence[str], env: Mapping[str, str], folder: Path
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._arguments = list(arguments)
        self._env = {**inherited(), **env}
        self._folder = folder
        self._process: subprocess.Popen[bytes] | Warm | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it; from the main thread only: it is stopped when the thread that did it ends."""
        assert not self.running
        assert threading.current_thread() is threading.main_thread()
        self.log.touch()
        if self.nursery is not None:
            self._process = self.nursery.begin(self._arguments, self._env, self._folder, self.log)
            return
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "sim.tethered", *self._arguments],
                env=self._env,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def ready(self, check: Callable[[], bool], within_s: float = 30.0) -> None:
        """Wait until `check` is true; raises `Ended` with the log when it never is."""
        deadline = time.monotonic() + within_s
        while not check():
            if not self.running or time.monotonic() > deadline:
                raise Ended(f"{self.name} is not ready\n{self.tail()}")
            time.sleep(POLL_S)

    def wait(self, within_s: float = STOP_S) -> int:
        assert self._process is not None
        return self._process.wait(within_s)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """As `kill -9`; returns when it is gone."""
        self.signal(signal.SIGKILL)
        self.wait()

    def thaw(self) -> None:
        """Let it go on, should it be frozen."""
        if self.running:
            self.signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it for certain, gently first; also when it is frozen or gone."""
        if self._process is None:
            return
        for number in (signal.SIGCONT, signal.SIGTERM):
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def tail(self) -> str:
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-TAIL:])


def inherited() -> dict[str, str]:
    """This process's environment without settings that somebody left in it."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
