"""The one SQL seam: every durable fact goes in and out through `Sql.run`.

An operation is a plain synchronous function `(connection, items) -> results` on SQLAlchemy Core.
It runs in one transaction, committed before `run` returns; raising rolls back all of it. It takes
its rows in key order, guards every change with `UPDATE … WHERE` and the row count, answers a
refused item with a value instead of raising (`with connection.begin_nested()` around what may
fail), and may be rerun whole: a deadlock is resolved that way, and a lost commit reply too.

The same operations run on SQLite's one writer thread, on PostgreSQL's few threads, and inline in
the simulated world (`runners`), through engines that behave alike (`engines`), in words that both
databases know (`dialects`). Here stands only what an operation and its caller promise each other.
No business rule and no statement enters these rooms but the transaction's own.
"""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, OperationalError

I = TypeVar("I")  # noqa: E741 - an item; R is its result
R = TypeVar("R")

Operation = Callable[[Connection, Sequence[I]], Sequence[R]]

SETTING = "GATEWAY_DATABASE_URL"


class StoreUnavailable(Exception):
    """The database did not do it.

    `maybe_committed`: the reply to COMMIT was lost, or did not come in time. Then the outcome is
    unknown until the same operation was run again or the rows were read.
    """

    def __init__(self, why: str, *, maybe_committed: bool = False) -> None:
        known = "the outcome is unknown" if maybe_committed else "nothing was changed"
        super().__init__(f"the database of {SETTING} is not available ({why}); {known}")
        self.maybe_committed = maybe_committed


class Sql(Protocol):
    """Runs operations, each in one transaction.

    `only_reads`: the operation changes nothing, so it need not wait behind those that do.
    """

    async def run(
        self,
        operation: Operation[I, R],
        items: Sequence[I],
        *,
        timeout_s: float | None = None,
        only_reads: bool = False,
    ) -> Sequence[R]: ...

    async def close(self) -> None: ...


# ---- which failure is whose


def _sqlstate(error: DBAPIError) -> str | None:
    state: str | None = getattr(error.orig, "sqlstate", None)
    return state


def lost_a_race(error: DBAPIError) -> bool:
    """The server rolled it back whole because of somebody else: serialization or deadlock."""
    return _sqlstate(error) in {"40001", "40P01"}


def unavailable(error: DBAPIError) -> bool:
    """The database's fault (gone, locked, full, too slow), not the operation's."""
    if isinstance(error.orig, sqlite3.Error):
        # The low byte is the primary code. 1 is a bad statement, 19 a constraint, 20 a wrong
        # type, 21 misuse, 25 a bad parameter number: ours to mend, so they pass unchanged.
        code = getattr(error.orig, "sqlite_errorcode", 1) & 0xFF
        return code not in {1, 19, 20, 21, 25}
    state = _sqlstate(error)
    if state is None:  # no word from the server at all
        return error.connection_invalidated or isinstance(error, OperationalError)
    # Connection, out of resources, operator's intervention (also the statement timeout), system,
    # lock not available, a standby, idle too long.
    return state.startswith(("08", "53", "57", "58")) or state in {"55P03", "25006", "25P03"}
