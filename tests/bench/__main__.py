"""How fast a turn is, beside a bare aiohttp handler for the same form in the same run.

    python -m tests.bench [--seconds 2] [--rounds 3] [--connections 64] [--phones 128] [--json]
                          [--only turns|ledger]

Real processes: `ussd-gateway serve` on SQLite, once with its sessions in memory and once in
Valkey, with a development ledger beside it. People with wallets dial, choose "Send money", name
somebody (a look-up), a currency and an amount, see the page that asks for the PIN, go back and
leave. Rounds are interleaved, so that a noisy neighbour disturbs all alike; each figure is the
median of the rounds. The processor time of a turn is the figure to trust. What money costs on its
way to the ledger and back is measured by `ledger`.
"""

import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Annotated, Literal

import typer
import uvloop
from rich import box
from rich.console import Console
from rich.table import Table

from sim.load import FIRST_NUMBER, Caller, Load, Report, bodies, run_load

try:
    from tests.bench.ledger import Rate, rates
    from tests.bench.ledger import medians as medians_of
    from tests.bench.world import Ended, Server, cpu_s, servers
except ImportError as missing:
    sys.exit(f"bench: {missing.name} is missing: run `make bench`, which installs it")

WARM_UP_S = 0.5
AIM = {"gateway, redis": 0.5}  # of the bare handler's turns per second
# What is typed, and what the page that answers must hold. All turns are one session.
TALK = (
    ("", "1 Send money"),
    ("1", "number?"),
    ("{payee}", "Riel"),
    ("1", "How much"),
    ("5000", "PIN"),
    ("0", "How much"),
    ("00", "1 Send money"),
)

out, err = Console(), Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Row:
    """One server in one round, or the medians of its rounds."""

    server: str
    turns_per_s: float
    cpu_us: float  # of the server, per turn
    store_us: float | None  # of Valkey, per turn
    p50_ms: float
    p99_ms: float


class Broken(Exception):
    """A server did not answer as it must: its figures would mean nothing."""


def measured(server: Server, load: Load) -> Row:
    """One server under load for a while."""
    before = _cpu_s(server)
    report = uvloop.run(run_load(load))
    _check(server, report)
    after = _cpu_s(server)
    cpu_us, store_us = ((b - a) / report.turns * 1e6 for a, b in zip(before, after, strict=True))
    return Row(
        server.name,
        report.turns_per_s,
        cpu_us,
        store_us if server.store_pid else None,
        report.percentile(50),
        report.percentile(99),
    )


def _cpu_s(server: Server) -> tuple[float, float]:
    return cpu_s(server.pid), cpu_s(server.store_pid) if server.store_pid else 0.0


def _check(server: Server, report: Report) -> None:
    if report.bad or report.ended:
        raise Broken(
            f"{server.name}: of {report.turns} turns {report.bad} failed and {report.ended} "
            "ended their session: these figures would mean nothing"
        )


async def rehearse(load: Load) -> None:
    """Play one session and look at every page: nobody needs a fast wrong answer."""
    caller = Caller(load.url)
    for body, (_, expected) in zip(bodies(load, 0), TALK, strict=True):
        status, answer = await caller.post(body)
        if status != 200 or expected not in answer.decode():
            raise Broken(f"{load.url} answered {status} {answer.decode()!r}, not {expected!r}")
    caller.close()


def medians(rows: Sequence[Row]) -> Row:
    """The median of each figure."""
    store = [row.store_us for row in rows if row.store_us is not None]
    return Row(
        rows[0].server,
        median(row.turns_per_s for row in rows),
        median(row.cpu_us for row in rows),
        median(store) if store else None,
        median(row.p50_ms for row in rows),
        median(row.p99_ms for row in rows),
    )


def table(rows: Sequence[Row], load: Load, rounds: int) -> Table:
    """The rows, and how they compare with the first of them."""
    shown = Table(
        title=f"USSD turns on one core, {load.connections} connections",
        caption=f"medians of {rounds} rounds of {load.seconds:g} s",
        box=box.SIMPLE,
        padding=(0, 1, 0, 0),
        title_justify="left",
        caption_justify="left",
    )
    shown.add_column("server", no_wrap=True)
    for name in ("turns/s", "ratio", "aim", "CPU µs", "ratio", "Valkey", "p50", "p99 ms"):
        shown.add_column(name, justify="right", no_wrap=True)
    bare = rows[0]
    for row in rows:
        shown.add_row(
            row.server,
            f"{row.turns_per_s:,.0f}",
            f"{row.turns_per_s / bare.turns_per_s:.2f}",
            f"{AIM[row.server]:.2f}" if row.server in AIM else "",
            f"{row.cpu_us:.0f}",
            f"{row.cpu_us / bare.cpu_us:.1f}",
            "" if row.store_us is None else f"{row.store_us:.0f}",
            f"{row.p50_ms:.1f}",
            f"{row.p99_ms:.1f}",
        )
    return shown


def run(load: Load, rounds: int) -> list[Row]:
    """All servers, round by round."""
    measures: dict[str, list[Row]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="ussd-bench-") as folder,
        err.status("") as status,
        servers(
            Path(folder), load.phones, lambda what: status.update(f"starting {what} …")
        ) as all_,
    ):
        for server in all_:
            status.update(f"warming up {server.name} …")
            if server is not all_[0]:
                uvloop.run(rehearse(replace(load, url=server.url)))
            measured(server, replace(load, url=server.url, seconds=WARM_UP_S))
        for number in range(rounds):
            for server in all_:
                status.update(f"round {number + 1} of {rounds}: {server.name} …")
                row = measured(server, replace(load, url=server.url))
                measures.setdefault(server.name, []).append(row)
    return [medians(rows) for rows in measures.values()]


def money(rounds: int) -> list[Rate]:
    """What `ledger` measures, round by round."""
    with tempfile.TemporaryDirectory(prefix="ussd-bench-") as folder, err.status("") as status:
        found = []
        for number in range(rounds):
            where = f"round {number + 1} of {rounds}"
            place = Path(folder) / str(number)
            found.append(rates(place, lambda what, where=where: status.update(f"{where}: {what}")))
    return medians_of(found)


def money_table(found: Sequence[Rate], rounds: int) -> Table:
    """The rates, each beside its floor."""
    shown = Table(
        title="Transfers per second of processor time",
        caption=f"medians of {rounds} rounds",
        box=box.SIMPLE,
        title_justify="left",
        caption_justify="left",
    )
    for name in ("what", "per s", "beside", "per s", "ratio"):
        shown.add_column(name, justify="left" if name in {"what", "beside"} else "right")
    for rate in found:
        floor = f"{rate.floor_per_s:,.0f}" if rate.ratio else ""
        ratio = f"{rate.ratio:.2f}" if rate.ratio else ""
        shown.add_row(rate.what, f"{rate.per_s:,.0f}", rate.floor, floor, ratio)
    return shown


def main(
    *,
    seconds: Annotated[float, typer.Option(min=0.1, help="Of each measurement.")] = 2.0,
    rounds: Annotated[int, typer.Option(min=1, help="How often each is measured.")] = 3,
    connections: Annotated[int, typer.Option(min=1, help="Callbacks at the same time.")] = 64,
    phones: Annotated[int, typer.Option(min=1, help="People with wallets who call.")] = 128,
    as_json: Annotated[bool, typer.Option("--json", help="Figures for a program.")] = False,
    only: Annotated[
        Literal["turns", "ledger"] | None, typer.Option(help="Measure no more than this.")
    ] = None,
) -> None:
    """Measure USSD turns, and money on its way to the ledger and back."""
    if not sys.platform.startswith("linux"):
        sys.exit("bench: needs Linux, for its processor affinity and its /proc")
    if phones < connections:
        sys.exit(
            "bench: --phones must be at least --connections: a phone has one session at a time"
        )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # it stops as Ctrl-C does
    payee = f"0{FIRST_NUMBER + phones - 855_00_000_000}"
    script = tuple(typed.format(payee=payee) for typed, _ in TALK)
    load = Load("", script, phones, connections, seconds)
    rows: list[Row] = []
    found: list[Rate] = []
    try:
        if only != "ledger":
            rows = run(load, rounds)
        if only != "turns":
            found = money(rounds)
    except (Broken, Ended, OSError) as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit("bench: stopped")
    if as_json:
        print(json.dumps([asdict(row) for row in (*rows, *found)], indent=2))  # noqa: T201  # the answer
        return
    if rows:
        out.print(table(rows, load, rounds))
    if found:
        out.print(money_table(found, rounds))


if __name__ == "__main__":
    typer.run(main)
