"""What is promised when things go wrong, asked and reached, as a table.

    python tests/faults [--seeds 100000] [--minutes 25] [--long] [--times 1]
                        [--only WHAT] [--seed N] [--mutants MODULE]

Simulated worlds are lived from one seed after the other until all were or the time is over, and
mistakes are made on purpose to see whether they are noticed. Real processes are killed, stopped and
repeated at. `--long` does ten times that, and then goes on until it is stopped; Ctrl-C ends any run
with the table of what was reached. `--only` tries one kind of it; `--seed` lives one world again
and prints its history; `--mutants` tries the mutants of a module, and may be repeated.
"""

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Literal

import typer
from figures import Effort, Row, mistakes, report, worlds
from figures_of_code import branches, killed, killed_in
from money_code import ROOT
from promises import broken
from real_processes import real_processes
from rich import box
from rich.console import Console
from rich.table import Table
from simulated_town import live

MEASURES = {
    "branches": branches,
    "mutants": killed,
    "mistakes": mistakes,
    "real": real_processes,
    "worlds": worlds,
}
Only = Literal["branches", "mutants", "mistakes", "real", "worlds"]
FOR_EVER = sys.maxsize
LONG_TIMES = 10  # as much as usual of what ends by itself
QUIET_S = 10.0  # between lines of progress where there is no terminal

out, err = Console(), Console(stderr=True)


def table(rows: list[Row]) -> Table:
    """The rows, the broken ones marked."""
    shown = Table(title="Promises", box=box.SIMPLE, title_justify="left")
    for name in ("promise", "asked", "reached", ""):
        shown.add_column(name)
    for row in rows:
        shown.add_row(row.promise, row.asked, row.reached, "kept" if row.kept else "[red]BROKEN")
    return shown


def measured(effort: Effort, only: str | None) -> list[Row]:
    """The rows of the measures; what an interrupted one has not told is not in it."""
    rows: list[Row] = []
    with suppress(KeyboardInterrupt):
        for name, measure in MEASURES.items():
            if only in (None, name):
                for row in measure(effort):
                    rows.append(row)
                    effort.show(f"{'kept' if row.kept else 'BROKEN'}: {row.promise}: {row.reached}")
    return rows


def now_and_then(pause_s: float) -> Callable[[str], None]:
    """Say on a line of its own what is told, but not too often."""
    said_at = -pause_s

    def say(what: str) -> None:
        nonlocal said_at
        if time.monotonic() - said_at >= pause_s:
            said_at = time.monotonic()
            err.print(what, markup=False, highlight=False)

    return say


def main(
    *,
    seeds: Annotated[int, typer.Option(min=1, help="Worlds to live.")] = 100_000,
    minutes: Annotated[float, typer.Option(min=0.01, help="And no longer than this.")] = 25.0,
    long: Annotated[bool, typer.Option(help="Go on until it is stopped.")] = False,
    times: Annotated[float, typer.Option(help="As often as usual, with real processes.")] = 1.0,
    only: Annotated[Only | None, typer.Option(help="Try only these.")] = None,
    seed: Annotated[int | None, typer.Option(help="Live this world again.")] = None,
    mutants: Annotated[
        list[str] | None, typer.Option(help="Only try the mutants of this module.")
    ] = None,
) -> None:
    """Try every promise, and print how far each was kept."""
    for module in mutants or ():  # or it is found missing after minutes
        if not (ROOT / module).is_file():
            raise typer.BadParameter(f"there is no {module} in {ROOT}", param_hint="--mutants")
    if seed is not None:
        history = live(seed)
        out.print(report(seed, broken(history)), markup=False, highlight=False)
        return
    with err.status("") as status:
        effort = Effort(
            FOR_EVER if long else seeds,
            float("inf") if long else 60 * minutes,
            os.cpu_count() or 1,
            status.update if err.is_terminal else now_and_then(QUIET_S),
            lambda what: err.print(what, markup=False, highlight=False),
            times * (LONG_TIMES if long else 1),
        )
        rows = list(killed_in(effort, mutants)) if mutants else measured(effort, only)
    out.print(table(rows))
    if not all(row.kept for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    typer.run(main)
