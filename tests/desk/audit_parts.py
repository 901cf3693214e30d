"""What the audit finds, and rows that somebody has edited."""

from typing import Any

from custody_parts import make_journal
from sqlalchemy import LargeBinary

from gateway.desk import audit
from gateway.desk.journal import Journal


async def found(desk: Any, journal: Journal | None = None) -> list[audit.Drift]:
    """All drifts of this desk's rows."""
    drifts: list[audit.Drift] = []
    async for step in audit.rounds(desk.sql, journal or make_journal(), desk.clock.now):
        drifts += step.drifts
    return drifts


def key_of(table: Any, row: dict[str, Any]) -> list[Any]:
    return [column == row[column.name] for column in table.primary_key]


def other(value: Any, column: Any) -> Any:
    """Another value of the column."""
    if isinstance(column.type, LargeBinary):
        return value[:-1] + bytes([value[-1] ^ 1]) if value else b"\0"
    if isinstance(value, str):
        return f"{value}x"
    return (value or 0) + 1000
