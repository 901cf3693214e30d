"""The one SQL seam: every durable fact goes in and out through `Sql.run`.

An operation is a plain synchronous function `(connection, items) -> results` on SQLAlchemy Core.
It runs in one transaction, committed before `run` returns; raising rolls back all of it. It takes
its rows in key order, guards every change with `UPDATE … WHERE` and the row count, answers a
refused item with a value instead of raising (`with connection.begin_nested()` around what may
fail), and may be rerun whole: a deadlock is resolved that way, and a lost commit reply too.

The same operations run on SQLite's one writer thread, on PostgreSQL's few threads, and inline in
the simulated world. That is why PostgreSQL is driven by psycopg in threads and not by asyncpg: an
asynchronous driver would need every operation written twice, could not be replayed inline from a
seed, and hops once per statement where a thread hops once per batch, which costs more than the
threads do. Concurrency comes from batches (`gateway.batch`), not from connections.

No business rule lives here, and no statement but the transaction's own.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, Engine, StaticPool, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlmodel import SQLModel

from gateway.stores.tables import table_of

I = TypeVar("I")  # noqa: E741 - an item; R is its result
R = TypeVar("R")

Operation = Callable[[Connection, Sequence[I]], Sequence[R]]

SETTING = "GATEWAY_DATABASE_URL"
TIMEOUT_S = 5.0
RERUNS_MOST = 5


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
    """Runs operations, each in one transaction."""

    async def run(
        self, operation: Operation[I, R], items: Sequence[I], *, timeout_s: float | None = None
    ) -> Sequence[R]: ...

    async def close(self) -> None: ...


def open_sql(url: str, *, threads: int = 4, timeout_s: float = TIMEOUT_S) -> Sql:
    """The store of a URL, `sqlite:///path` or `postgresql://…`. `threads` is PostgreSQL's."""
    engine = open_engine(url, threads=threads, timeout_s=timeout_s)
    return ThreadedSql(engine, 1 if engine.dialect.name == "sqlite" else threads, timeout_s)


class ThreadedSql:
    """Operations on threads of their own: one for SQLite, a few for PostgreSQL."""

    def __init__(self, engine: Engine, threads: int, timeout_s: float = TIMEOUT_S) -> None:
        self._engine = engine
        self._timeout_s = timeout_s
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="sql")

    async def run(
        self, operation: Operation[I, R], items: Sequence[I], *, timeout_s: float | None = None
    ) -> Sequence[R]:
        try:
            running = self._threads.submit(run_once, self._engine, operation, items)
        except RuntimeError as error:
            raise StoreUnavailable("closed") from error
        answer = asyncio.wrap_future(running)
        answer.add_done_callback(_noted)
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        try:
            await asyncio.wait({answer}, timeout=limit_s)
        except asyncio.CancelledError:
            running.cancel()
            raise
        if answer.done():
            return answer.result()
        # Not begun: it can still be taken back. Begun: it goes on, and may yet commit.
        begun = not running.cancel()
        raise StoreUnavailable(f"no answer within {limit_s:g} s", maybe_committed=begun)

    async def close(self) -> None:
        """Finish what was begun, then let go of the database."""
        await asyncio.to_thread(self._threads.shutdown)
        self._engine.dispose()


class InlineSql:
    """Operations on the caller's own thread, for the simulated world: replayable from a seed."""

    def __init__(self, url: str = "sqlite://") -> None:
        self._engine = open_engine(url)

    async def run(
        self,
        operation: Operation[I, R],
        items: Sequence[I],
        *,
        timeout_s: float | None = None,  # noqa: ARG002 - no other thread, nothing to wait for
    ) -> Sequence[R]:
        return run_once(self._engine, operation, items)

    async def close(self) -> None:
        self._engine.dispose()


def run_once(engine: Engine, operation: Operation[I, R], items: Sequence[I]) -> Sequence[R]:
    """One operation in one committed transaction, on this thread; rerun whole after a deadlock."""
    reruns = 0
    while True:
        committing = False
        try:
            with engine.connect() as connection:
                results = operation(connection, items)
                committing = True
                connection.commit()
                return results
        except DBAPIError as error:
            why = type(error.orig).__name__  # never the statement or its values
            if _lost_a_race(error):
                reruns += 1
                if reruns > RERUNS_MOST:
                    raise StoreUnavailable(why) from error
            elif _unavailable(error):
                raise StoreUnavailable(why, maybe_committed=committing) from error
            else:
                raise


def _noted(answer: asyncio.Future[Any]) -> None:
    """Whoever gave up on this answer does not want to hear that it failed."""
    if not answer.cancelled():
        answer.exception()


# ---- which failure is whose


def _sqlstate(error: DBAPIError) -> str | None:
    state: str | None = getattr(error.orig, "sqlstate", None)
    return state


def _lost_a_race(error: DBAPIError) -> bool:
    """The server rolled it back whole because of somebody else: serialization or deadlock."""
    return _sqlstate(error) in {"40001", "40P01"}


def _unavailable(error: DBAPIError) -> bool:
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


# ---- engines


def normal_url(url: str) -> URL:
    """The URL as SQLAlchemy knows our two drivers; asynchronous spellings are accepted."""
    try:
        parsed = make_url(url.strip())
    except (ArgumentError, ValueError) as error:
        raise ValueError(f"{SETTING} is no database URL") from error
    match parsed.drivername.partition("+")[0]:
        case "sqlite":
            return parsed.set(drivername="sqlite")
        case "postgres" | "postgresql":
            return parsed.set(drivername="postgresql+psycopg")
    raise ValueError(f"{SETTING} must begin with sqlite:/// or postgresql://")


def open_engine(url: str, *, threads: int = 1, timeout_s: float = TIMEOUT_S) -> Engine:
    """An engine whose every transaction behaves as this module promises."""
    parsed = normal_url(url)
    patience_s = 0.8 * timeout_s  # the database's own word on a delay, before we stop listening
    if parsed.drivername == "sqlite":
        return _sqlite_engine(parsed, patience_s)
    timeout_ms = int(patience_s * 1000)
    return create_engine(
        parsed,
        hide_parameters=True,
        pool_size=threads,
        max_overflow=0,
        pool_timeout=timeout_s,
        pool_pre_ping=True,  # a restarted server costs a reconnect, not a failed transfer
        connect_args={
            "connect_timeout": max(2, int(patience_s)),
            "tcp_user_timeout": timeout_ms,  # a host that vanished is noticed
            "options": f"-c statement_timeout={timeout_ms} -c lock_timeout={timeout_ms} "
            f"-c idle_in_transaction_session_timeout={2 * timeout_ms} -c timezone=UTC",
        },
    )


def _sqlite_engine(url: URL, patience_s: float) -> Engine:
    if url.database and url.database != ":memory:":
        _private_file(Path(url.database))
    engine = create_engine(
        url,
        hide_parameters=True,  # an error's text must not carry values into a log
        poolclass=StaticPool,  # one connection: one writer
        # The driver must not begin transactions behind our back: it would begin them deferred,
        # and two processes would both read before either writes.
        connect_args={
            "isolation_level": None,
            "check_same_thread": False,
            "timeout": patience_s,
            "cached_statements": 512,
        },
    )
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def _set_pragmas(connection: sqlite3.Connection, _record: object) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _private_file(path: Path) -> None:
    """The file holds sealed keys: readable by its owner only, from its first byte."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StoreUnavailable(f"{error.strerror}: {path}") from error


# ---- the two statements that the dialects spell differently


def insert_ignore(
    connection: Connection, model: type[SQLModel], rows: Iterable[Mapping[str, Any]]
) -> int:
    """Insert the rows whose keys are free; how many were inserted.

    All rows of one call name the same columns.
    """
    return _insert(connection, model, rows, None)


def upsert(
    connection: Connection,
    model: type[SQLModel],
    rows: Iterable[Mapping[str, Any]],
    *,
    update: Sequence[str],
) -> int:
    """Insert the rows, or set the columns of `update` where the primary key is taken.

    All rows of one call name the same columns, and no two the same key.
    """
    return _insert(connection, model, rows, update)


def _insert(
    connection: Connection,
    model: type[SQLModel],
    rows: Iterable[Mapping[str, Any]],
    update: Sequence[str] | None,
) -> int:
    values = [dict(row) for row in rows]
    if not values:
        return 0
    table = table_of(model)
    statement: sqlite.Insert | postgresql.Insert
    on_sqlite = connection.dialect.name == "sqlite"
    statement = sqlite.insert(table) if on_sqlite else postgresql.insert(table)
    if update is None:
        statement = statement.on_conflict_do_nothing()
    else:
        statement = statement.on_conflict_do_update(
            index_elements=list(table.primary_key.columns),
            set_={name: statement.excluded[name] for name in update},
        )
    return connection.execute(
        statement, values, execution_options={"preserve_rowcount": True}
    ).rowcount
