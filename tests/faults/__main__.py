"""What is promised when things go wrong, asked and reached, as a table.

    python tests/faults [--seeds 100000] [--minutes 30] [--long] [--seed N]

Simulated worlds are lived from one seed after the other until all were or the time is over, and
mistakes are made on purpose to see whether they are noticed. `--long` goes on until it is stopped;
Ctrl-C ends any run with the table of what was reached. `--seed` lives one world again and prints
its history.
"""

import os
import sys
from contextlib import suppress
from typing import Annotated

import typer
from figures import Effort, Row, mistakes, report, worlds
from promises import broken
from rich import box
from rich.console import Console
from rich.table import Table
from simulated_town import live

# What real processes must show is measured by functions like these, each from a file of its own.
MEASURES = (mistakes, worlds)
FOR_EVER = sys.maxsize

out, err = Console(), Console(stderr=True)


def table(rows: list[Row]) -> Table:
    """The rows, the broken ones marked."""
    shown = Table(title="Promises", box=box.SIMPLE, title_justify="left")
    for name in ("promise", "asked", "reached", ""):
        shown.add_column(name)
    for row in rows:
        shown.add_row(row.promise, row.asked, row.reached, "kept" if row.kept else "[red]BROKEN")
    return shown


def measured(effort: Effort) -> list[Row]:
    """The rows of all measures; what an interrupted one has not told is not in it."""
    rows: list[Row] = []
    with suppress(KeyboardInterrupt):
        for measure in MEASURES:
            rows.extend(measure(effort))
    return rows


def main(
    *,
    seeds: Annotated[int, typer.Option(min=1, help="Worlds to live.")] = 100_000,
    minutes: Annotated[float, typer.Option(min=0.01, help="And no longer than this.")] = 30.0,
    long: Annotated[bool, typer.Option(help="Go on until it is stopped.")] = False,
    seed: Annotated[int | None, typer.Option(help="Live this world again.")] = None,
) -> None:
    """Try every promise, and print how far each was kept."""
    if seed is not None:
        history = live(seed)
        out.print(report(seed, broken(history)), markup=False, highlight=False)
        return
    with err.status("") as status:
        effort = Effort(
            FOR_EVER if long else seeds,
            float("inf") if long else 60 * minutes,
            os.cpu_count() or 1,
            status.update,
            lambda what: err.print(what, markup=False, highlight=False),
        )
        rows = measured(effort)
    out.print(table(rows))
    if not all(row.kept for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    typer.run(main)
