"""Which lines and branches of money code each test reaches.

A pytest plugin (`-p covering`) notes it, in each of pytest's processes; `covered` runs the tests
with it. What it found is kept beside the tree until a file of the tree changes.
"""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from coverage import Coverage
from money_code import CHOSEN, MODULES, ROOT, TESTS

FOLDER = ROOT / ".covered"
TESTS_MOST_S = 30 * 60.0  # they take five minutes; one that hangs must not hang the rest
# No test reaches these: they say what cannot be.
NEVER = (r"raise AssertionError", r"assert_never")


@dataclass(frozen=True, slots=True)
class Covered:
    """What the tests reached of money code, and how long each of them takes."""

    coverage: Coverage
    durations: dict[str, float]

    def missing(self) -> tuple[int, int, list[str]]:
        """All branches, those that were taken, and where a line or a branch was not."""
        told = FOLDER / "report.json"
        self.coverage.json_report(outfile=str(told))
        report = json.loads(told.read_text())
        places = [
            f"{path}: {', '.join([*map(str, one['missing_lines']), *_arrows(one)])}"
            for path, one in report["files"].items()
            if one["missing_lines"] or one["missing_branches"]
        ]
        totals = report["totals"]
        return totals["num_branches"], totals["covered_branches"], places

    def tests_of(self, module: str, lines: frozenset[int] | None = None) -> list[str]:
        """The tests that reach one of these lines, or any.

        The module's own come first, then those that reach most of the lines, then the quickest.
        """
        by_line = self.coverage.get_data().contexts_by_lineno(str(ROOT / module))
        wanted = by_line.keys() if lines is None else by_line.keys() & lines
        found = Counter(test for line in wanted for test in by_line[line])
        own = f"/test_{Path(module).stem}"
        return sorted(
            found.keys() & self.durations.keys(),
            key=lambda test: (own not in test, -found[test], self.durations[test], test),
        )


def covered(workers: int) -> Covered:
    """Run the tests of money code, or read what an earlier run has found."""
    if not _is_fresh():
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir()
        path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-p",
                "covering",
                f"-n{workers}",
                "-k",
                CHOSEN,
                *TESTS,
            ],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
            timeout=TESTS_MOST_S,
        )
        if done.returncode:
            raise RuntimeError(f"the tests of money code fail:\n{done.stdout[-4000:]}")
        _coverage().combine([str(FOLDER)])
        (FOLDER / "done").touch()
    coverage = _coverage()
    coverage.load()
    durations: dict[str, float] = {}
    for path in FOLDER.glob("durations-*.json"):
        durations |= json.loads(path.read_text())
    return Covered(coverage, durations)


def _coverage(process: str | None = None) -> Coverage:
    coverage = Coverage(
        data_file=str(FOLDER / "data"),
        data_suffix=process,
        branch=True,
        include=[str(ROOT / module) for module in MODULES],
        config_file=False,
    )
    for line in NEVER:
        coverage.exclude(line)
    coverage.set_option("run:disable_warnings", ["no-data-collected"])  # pytest-xdist's controller
    return coverage


def _is_fresh() -> bool:
    done = FOLDER / "done"
    return done.exists() and all(
        path.stat().st_mtime < done.stat().st_mtime
        for folder in ("gateway", "menus", "tests/desk", "tests/menus")
        for path in (ROOT / folder).rglob("*.py")
    )


def _arrows(file: dict[str, list[tuple[int, int]]]) -> list[str]:
    return [f"{start}→{end if end > 0 else 'exit'}" for start, end in file["missing_branches"]]


# ---- in pytest's processes


class Noting:
    """The plugin: says which test runs, and writes down how long it took."""

    def __init__(self) -> None:
        self._process = os.environ.get("PYTEST_XDIST_WORKER", "main")
        self._coverage = _coverage(self._process)
        self._durations: dict[str, float] = {}
        self._coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._coverage.switch_context(item.nodeid)
        done = yield
        self._coverage.switch_context("")
        return done

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._durations[report.nodeid] = self._durations.get(report.nodeid, 0.0) + report.duration

    def pytest_unconfigure(self) -> None:
        self._coverage.stop()
        self._coverage.save()
        told = FOLDER / f"durations-{self._process}.json"
        told.write_text(json.dumps(self._durations))


def pytest_addoption(pluginmanager: pytest.PytestPluginManager) -> None:
    """Early, before anything of the gateway is imported."""
    pluginmanager.register(Noting())
