"""What SQLite and PostgreSQL spell differently, said once.

Lists as one parameter, rows that may be there already, SELECTs prepared for every turn, and several
SELECTs of one moment.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from msgspec import json
from sqlalchemy import (
    Connection,
    FunctionElement,
    Select,
    String,
    TableValuedAlias,
    bindparam,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlmodel import SQLModel

from gateway.stores.tables import table_of


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
    return json.encode(list(texts)).decode()


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
        said, own, names = self._made.get(connection.dialect.name) or self._make(connection)
        given = {**own, **values}
        driver: Any = connection.connection.driver_connection
        try:
            rows: Sequence[tuple[Any, ...]] = driver.execute(
                said, given if names is None else [given[name] for name in names]
            ).fetchall()
        except connection.dialect.loaded_dbapi.Error as error:
            # What SQLAlchemy would make of it: the runner knows those.
            base = connection.dialect.loaded_dbapi.Error
            raise DBAPIError.instance(None, None, error, base) from error
        return rows

    def _make(self, connection: Connection) -> tuple[str, dict[str, Any], Sequence[str] | None]:
        compiled = self._select.compile(dialect=connection.dialect)
        made = (compiled.string, dict(compiled.params), compiled.positiontup)
        self._made[connection.dialect.name] = made
        return made


class PreparedInsert:
    """An INSERT of many rows for every payment: its text is made once, likewise.

    Rows are tuples of the columns that it names, in that order.
    """

    def __init__(self, model: type[SQLModel], columns: Sequence[str]) -> None:
        self._table, self._columns = table_of(model).name, tuple(columns)

    def write(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert them all, or raise."""
        mark = "?" if connection.dialect.name == "sqlite" else "%s"
        names, marks = ", ".join(self._columns), ", ".join(mark for _ in self._columns)
        said = f"INSERT INTO {self._table} ({names}) VALUES ({marks})"  # noqa: S608 - our own names
        cursor: Any = connection.connection.cursor()
        try:
            cursor.executemany(said, rows)
        except connection.dialect.loaded_dbapi.Error as error:
            base = connection.dialect.loaded_dbapi.Error
            raise DBAPIError.instance(None, None, error, base) from error
        finally:
            cursor.close()


def one_moment(connection: Connection) -> None:
    """Let all that this operation reads be of one moment; called before it reads anything."""
    if connection.dialect.name == "postgresql":  # SQLite's transactions are so by themselves
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))


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
    into = None if update is None else tuple(update)
    return connection.execute(_inserting(connection.dialect.name, model, into), values).rowcount


@cache
def _inserting(
    dialect: str, model: type[SQLModel], update: tuple[str, ...] | None
) -> sqlite.Insert | postgresql.Insert:
    table = table_of(model)
    statement: sqlite.Insert | postgresql.Insert
    statement = sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)
    statement = statement.execution_options(preserve_rowcount=True)
    if update is None:
        return statement.on_conflict_do_nothing()
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        set_={name: statement.excluded[name] for name in update},
    )
