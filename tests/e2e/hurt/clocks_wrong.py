"""A gateway whose clock is wrong, jumps, or passes into the next business day while people pay.

The ledger keeps the right time: it takes what seems up to 24 hours old, and up to 5 minutes early.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from afterwards import Found, judged
from callers import Town
from payers import Payer, payers
from process import Process

from menus.limits import business_day

SHIFTED = Path(__file__).with_name("shifted.py")
PHONES = 6
BEGIN_S = 3.0  # after the last jump the day ends …
GO_ON_S = 4.0  # … and people pay until it surely has
EARLY_MOST = timedelta(minutes=4)
WRONG_S = (-360.0, 240.0)  # one jump is of ten minutes, the other way


@dataclass(frozen=True, slots=True)
class Kept:
    """On how many business days people paid, and what was wrong."""

    days: int
    found: Found
    wrong: tuple[str, ...]


async def keep_time(town: Town) -> Kept:
    """Make the clock wrong in one way after the other, at last so that a day is about to end."""
    people = payers(town, PHONES)
    clock = _clock_of(town)
    for seconds in WRONG_S:
        _jump(clock, seconds)
        town.stack.heal()
        await _pay(people)
    # Who has the time of yesterday sends no SMS that is due today: first, all must be told.
    wrong = (await judged(town, people, hurried=True)).wrong
    began = asyncio.get_running_loop().time()
    _jump(clock, _to_the_end_of_a_day(datetime.now(UTC)))
    while asyncio.get_running_loop().time() < began + GO_ON_S:
        await _pay(people)
    found = await judged(town, people, hurried=True)
    rows = town.stack.rows("SELECT * FROM transfer WHERE state = 'committed'")
    wrong = (*wrong, *found.wrong, *_on_wrong_days(rows), *_counted_wrongly(town, rows))
    return Kept(len({row["business_day"] for row in rows}), found, wrong)


def _clock_of(town: Town) -> Path:
    """Stop the gateway; when it is started again it goes by the clock that this file tells."""
    stack = town.stack
    clock = stack.folder / "clock"
    stack.gateways[0].stop()
    port = {"GATEWAY_PORT": str(stack.gateway_ports[0])}
    command = [str(SHIFTED), str(clock)]
    stack.gateways[0] = Process("gateway0", command, stack.env | port, stack.folder)
    return clock


def _jump(clock: Path, seconds: float) -> None:
    """All at once, so that no half of a figure is read."""
    new = clock.with_suffix(".new")
    new.write_text(str(seconds))
    new.replace(clock)


def _to_the_end_of_a_day(now: datetime) -> float:
    """How far to shift, so that in a moment it is 17:00 UTC."""
    now += timedelta(seconds=BEGIN_S)
    end = now.replace(hour=17, minute=0, second=0, microsecond=0)
    if end - now > EARLY_MOST:
        end -= timedelta(days=1)
    return (end - now).total_seconds()


def _on_wrong_days(rows: Sequence[dict]) -> Iterator[str]:
    for row in rows:
        day = business_day(datetime.fromtimestamp(row["created_at"] / 1000, UTC))
        if row["business_day"] != day:
            yield f"{row['ref']} is of {day}, and counted on {row['business_day']}"


def _counted_wrongly(town: Town, rows: Sequence[dict]) -> Iterator[str]:
    """Each day's counters against the payments reserved on that day."""
    paid = Counter[tuple[str, str]]()
    for row in rows:
        paid[row["src_account"], row["business_day"]] += row["counted"]
    for row in town.stack.rows("SELECT * FROM counter WHERE LENGTH(period) = 10"):
        if row["bucket"] == "KHR" and row["amount"] != paid[row["account_id"], row["period"]]:
            yield f"{row['account_id']} has used {row['amount']} of {row['period']}"


async def _pay(people: Sequence[Payer]) -> None:
    ring = zip(people, [*people[1:], people[0]], strict=True)
    await asyncio.gather(*(payer.pay(payee.person) for payer, payee in ring))
