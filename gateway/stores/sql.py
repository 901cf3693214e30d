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
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sqlalchemy import (
    Connection,
    Engine,
    FunctionElement,
    Select,
    StaticPool,
    String,
    TableValuedAlias,
    bindparam,
    create_engine,
    event,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlmodel import SQLModel

from gateway.stores.tables import table_of

I = TypeVar("I")  # noqa: E741 - an item; R is its result
R = TypeVar("R")

Operation = Callable[[Connection, Sequence[I]], Sequence[R]]

SETTING = "GATEWAY_DATABASE_URL"
TIMEOUT_S = 5.0
RERUNS_MOST = 5
READER_S = 0.05  # SQLite's reader waits only for another process's recovery, and never for long


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


def open_sql(url: str, *, threads: int = 4, timeout_s: float = TIMEOUT_S) -> Sql:
    """The store of a URL, `sqlite:///path` or `postgresql://…`. `threads` is PostgreSQL's."""
    engine = open_engine(url, threads=threads, timeout_s=timeout_s)
    if engine.dialect.name != "sqlite":
        return ThreadedSql(engine, threads, timeout_s)
    reader = Reader(engine.url) if engine.url.database not in (None, "", ":memory:") else None
    return ThreadedSql(engine, 1, timeout_s, reader)


class ThreadedSql:
    """Operations on threads of their own: one for SQLite, a few for PostgreSQL.

    With a `reader`, what only reads runs on the caller's thread: a few pages of a local file,
    mostly in memory, take microseconds. On the writer's thread the same would wait for its commits
    to reach the disk, and then for the interpreter's lock at every row, since `sqlite3` lets go of
    it there: a turn took ten times as long.
    """

    def __init__(
        self,
        engine: Engine,
        threads: int,
        timeout_s: float = TIMEOUT_S,
        reader: "Reader | None" = None,
    ) -> None:
        self._engine = engine
        self._timeout_s = timeout_s
        self._reader = reader
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="sql")

    async def run(
        self,
        operation: Operation[I, R],
        items: Sequence[I],
        *,
        timeout_s: float | None = None,
        only_reads: bool = False,
    ) -> Sequence[R]:
        if only_reads and self._reader is not None:
            return run_once(self._reader, operation, items)
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
        if self._reader is not None:
            self._reader.close()
        self._engine.dispose()


class Reader:
    """A second connection to a SQLite file, that can only read.

    In WAL mode writers do not stop it, nor it them. It is kept open: to check a connection out of
    a pool takes as long as to read. A database in memory belongs to its one connection and has no
    reader.
    """

    def __init__(self, url: URL) -> None:
        how = {"isolation_level": None, "check_same_thread": False, "timeout": READER_S}
        self._engine = create_engine(
            url, hide_parameters=True, poolclass=StaticPool, connect_args=how
        )
        event.listen(self._engine, "connect", _only_read)
        event.listen(self._engine, "begin", _begin)
        self._kept: Connection | None = None

    def connect(self) -> "Reader":
        return self

    def __enter__(self) -> Connection:
        if self._kept is None:
            self._kept = self._engine.connect()
        return self._kept

    def __exit__(self, *_: object) -> None:
        if self._kept is not None and self._kept.in_transaction():
            self._kept.rollback()

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()
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
        only_reads: bool = False,  # noqa: ARG002 - likewise
    ) -> Sequence[R]:
        return run_once(self._engine, operation, items)

    async def close(self) -> None:
        self._engine.dispose()


def run_once(
    engine: Engine | Reader, operation: Operation[I, R], items: Sequence[I]
) -> Sequence[R]:
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


def _only_read(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA query_only=ON").close()


def _begin(connection: Connection) -> None:
    """One moment for all statements of an operation that reads."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)  # noqa: S101 - what a Reader opens
    driver.execute("BEGIN")


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


# ---- what the dialects spell differently


class _Listed(FunctionElement[str]):
    """The texts of a JSON array, as rows."""

    inherit_cache = True
    name = "listed"


@compiles(_Listed)
def _on_sqlite(element: _Listed, compiler: SQLCompiler, **how: Any) -> str:  # noqa: ANN401 - compiler's own
    return f"json_each({compiler.process(element.clauses, **how)})"


@compiles(_Listed, "postgresql")
def _on_postgres(element: _Listed, compiler: SQLCompiler, **how: Any) -> str:  # noqa: ANN401 - likewise
    return f"json_array_elements_text(CAST({compiler.process(element.clauses, **how)} AS JSON))"


def listed(name: str) -> TableValuedAlias:
    """A list of texts to join with, in column `value`; parameter `name` is `in_list(texts)`.

    One parameter, however long the list: the statement's text never changes, so that it is made
    once and stays prepared. `IN` with a placeholder for each text is made anew at each call.
    """
    return _Listed(bindparam(name, type_=String)).table_valued("value").alias(name)


def in_list(texts: Iterable[str]) -> str:
    """The parameter of a `listed`."""
    return json.dumps(list(texts))


class Prepared:
    """A SELECT for every turn: its text is made once, and then goes straight to the driver.

    SQLAlchemy finds a statement's text by its structure at every execution and wraps cursor and
    rows, which takes five times as long as a small query on SQLite. What it would do for us is
    left out: texts and integers go in and come out as the driver has them (a boolean is 0 or 1 on
    SQLite), and when this is all that an operation does, on SQLite it is a moment of its own.
    """

    def __init__(self, select: Select[Any]) -> None:
        self._select = select
        self._made: dict[str, tuple[str, dict[str, Any], Sequence[str] | None]] = {}

    def rows(
        self, connection: Connection, values: Mapping[str, str | int]
    ) -> Sequence[tuple[Any, ...]]:
        """All rows for these values of its parameters."""
        text, own, names = self._made.get(connection.dialect.name) or self._make(connection)
        given = {**own, **values}
        driver: Any = connection.connection.driver_connection
        try:
            rows: Sequence[tuple[Any, ...]] = driver.execute(
                text, given if names is None else [given[name] for name in names]
            ).fetchall()
        except connection.dialect.loaded_dbapi.Error as error:
            # What SQLAlchemy would make of it: `run_once` knows those.
            base = connection.dialect.loaded_dbapi.Error
            raise DBAPIError.instance(None, None, error, base) from error
        return rows

    def _make(self, connection: Connection) -> tuple[str, dict[str, Any], Sequence[str] | None]:
        compiled = self._select.compile(dialect=connection.dialect)
        made = (compiled.string, dict(compiled.params), compiled.positiontup)
        self._made[connection.dialect.name] = made
        return made


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
