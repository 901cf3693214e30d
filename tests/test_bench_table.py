"""What `make bench` prints fits a terminal of 80 columns, and says what is aimed at."""

from rich.console import Console

from sim.load import Load
from tests.bench.__main__ import AIM, Row, table

LOAD = Load("", ("",), 128, 64, 2.0)


def test_the_table_of_turns_is_not_cut_at_80_columns_and_shows_the_aim():
    rows = [
        Row("bare aiohttp", 12_345, 8080, None, 105.0, 109.0),
        Row("gateway, memory", 16_345, 8170, None, 108.2, 119.1),
        Row("gateway, redis", 15_123, 8180, 1060, 111.0, 1123.4),
    ]
    console = Console(width=80)
    with console.capture() as shown:
        console.print(table(rows, LOAD, 3))
    assert "…" not in shown.get()
    (aimed,) = [line for line in shown.get().splitlines() if "gateway, redis" in line]
    assert f"{AIM['gateway, redis']:.2f}" in aimed.split()
    assert "p99 ms" in shown.get()
