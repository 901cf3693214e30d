"""Other processes that `ussd-sim up` starts, watches and stops.

Each writes to its own log file. They are in their own process group, so that a Ctrl-C reaches
only us and we stop them in order; and they stop with us, whatever happens (`tethered.py`).
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

STOP_S = 15.0  # the gateway drains for up to ten
LOG_LINES_SHOWN = 15


class ChildFailed(Exception):
    """A process ended that should not have, or not so."""

    def __init__(self, name: str, code: int, log: Path, began: int = 0) -> None:
        self.name = name
        self.code = code
        self.log = log
        self.began = began
        super().__init__(f"{name} {_how(code)}; its log is {log}")

    def last_lines(self) -> str:
        """The end of what it wrote to its log in this run."""
        with self.log.open("rb") as log:
            log.seek(self.began)
            lines = log.read().decode("utf-8", "replace").strip().split("\n")
        return "\n".join(lines[-LOG_LINES_SHOWN:]) or "(it wrote nothing)"


def _how(code: int) -> str:
    """A negative code is the signal that killed it."""
    if code >= 0:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"


@dataclass(slots=True)
class Child:
    """A process that runs; `ends` fails with `ChildFailed` when it does not any more."""

    pid: int
    ends: "asyncio.Task[None]"
    stdin: asyncio.StreamWriter | None = None

    def tell(self, line: str) -> None:
        """Give it one line on its standard input, if it listens there."""
        if self.stdin is not None:
            self.stdin.write(f"{line}\n".encode())


def _length(log: Path) -> int:
    """Where this run's part of a log begins."""
    return log.stat().st_size if log.exists() else 0


async def _start(
    args: Sequence[str], env: Mapping[str, str], log: Path, *, told: bool = False
) -> asyncio.subprocess.Process:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "sim.tethered"),
            *args,
            env=dict(env),
            stdin=asyncio.subprocess.PIPE if told else asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )


async def complete(name: str, args: Sequence[str], env: Mapping[str, str], log: Path) -> None:
    """Run a command of this interpreter to its end; raises `ChildFailed`."""
    began = _length(log)
    process = await _start(args, env, log)
    try:
        code = await process.wait()
    finally:
        await _stop(process)
    if code != 0:
        raise ChildFailed(name, code, log, began)


@contextlib.asynccontextmanager
async def running(
    name: str, args: Sequence[str], env: Mapping[str, str], log: Path, *, told: bool = False
) -> AsyncIterator[Child]:
    """A process that runs while the block does; `told`: it listens to `Child.tell`."""
    began = _length(log)
    process = await _start(args, env, log, told=told)

    async def watch() -> None:
        raise ChildFailed(name, await process.wait(), log, began)

    watching = asyncio.get_running_loop().create_task(watch())
    try:
        yield Child(process.pid, watching, process.stdin)
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError, ChildFailed):
            await watching
        await _stop(process)


async def _stop(process: asyncio.subprocess.Process) -> None:
    """SIGTERM and a while to drain, then SIGKILL."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def clean_environment() -> dict[str, str]:
    """Ours for a child: output not buffered, text is UTF-8."""
    return {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}
