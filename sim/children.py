"""Other processes that `ussd-sim up` starts, watches and stops.

Each writes to its own log file. They are in their own process group, so that a Ctrl-C reaches
only us and we stop them in order; and they stop with us, whatever happens (`tethered.py`).
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

STOP_S = 15.0  # the gateway drains for up to ten
LOG_LINES_SHOWN = 15


class ChildFailed(Exception):
    """A process ended that should not have, or not so."""

    def __init__(self, name: str, code: int, log: Path) -> None:
        self.name = name
        self.code = code
        self.log = log
        super().__init__(f"{name} ended with code {code}; its log is {log}")

    def last_lines(self) -> str:
        """The end of its log."""
        lines = self.log.read_text("utf-8", "replace").rstrip().split("\n")
        return "\n".join(lines[-LOG_LINES_SHOWN:])


async def _start(
    args: Sequence[str], env: Mapping[str, str], log: Path
) -> asyncio.subprocess.Process:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "sim.tethered"),
            *args,
            env=dict(env),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )


async def complete(name: str, args: Sequence[str], env: Mapping[str, str], log: Path) -> None:
    """Run a command of this interpreter to its end; raises `ChildFailed`."""
    process = await _start(args, env, log)
    try:
        code = await process.wait()
    finally:
        await _stop(process)
    if code != 0:
        raise ChildFailed(name, code, log)


@contextlib.asynccontextmanager
async def running(
    name: str, args: Sequence[str], env: Mapping[str, str], log: Path
) -> AsyncIterator["asyncio.Task[None]"]:
    """A process that runs while the block does; the task fails when it ends before."""
    process = await _start(args, env, log)

    async def watch() -> None:
        raise ChildFailed(name, await process.wait(), log)

    watching = asyncio.get_running_loop().create_task(watch())
    try:
        yield watching
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
