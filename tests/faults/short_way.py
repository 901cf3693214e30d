"""The short way from a statement to SQLite, for what the simulated world asks of it.

SQLAlchemy finds a statement's text by its structure at every execution, and wraps cursor and rows:
several times what SQLite takes itself. A statement that a module keeps is the same each time. So
here SQLAlchemy writes it once, and from then on it is found by which one it is. Its text, values,
transaction and rows are the same; what is made for one call goes SQLAlchemy's own way.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import IteratorResult
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.exc import DBAPIError


class Said(NamedTuple):
    """How a statement is told to SQLite."""

    text: str
    own: dict[str, Any]  # values that it brings
    names: Sequence[str]  # of all values, in order
    rows: SimpleResultMetaData | None  # what comes back

    def values(self, given: Mapping[str, Any]) -> list[Any]:
        every = {**self.own, **given}
        return [every[name] for name in self.names]


class Found(IteratorResult):
    """What came back, all of it read."""

    def __init__(self, said: Said, cursor: sqlite3.Cursor) -> None:
        super().__init__(said.rows, iter(cursor.fetchall() if said.rows else ()))
        self.rowcount = cursor.rowcount


class ShortWay(Connection):
    """A connection on which a kept statement costs little more than it costs SQLite."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        # What a module keeps lives as long as we; what was made for one call is let go.
        self._written: WeakKeyDictionary = WeakKeyDictionary()
        self.driver: sqlite3.Connection = self.connection.driver_connection
        # Not by an event, since an engine with events tells of every statement.
        engine.dialect.do_begin = lambda _: self._begin()

    def execute(self, statement, parameters=None, *, execution_options=None):
        many = isinstance(parameters, list | tuple)
        first = (parameters[0] if many else parameters) or {}
        said = self._said(statement, first, many=many)
        if said is None or execution_options:
            return super().execute(statement, parameters, execution_options=execution_options)
        self._begin()
        try:
            if many:
                cursor = self.driver.executemany(said.text, map(said.values, parameters))
            else:
                cursor = self.driver.execute(said.text, said.values(first))
            return Found(said, cursor)
        except sqlite3.Error as error:
            raise DBAPIError.instance(None, None, error, sqlite3.Error) from error

    def commit(self) -> None:
        if self.in_transaction():
            super().commit()
        self.driver.commit()

    def rollback(self) -> None:
        if self.in_transaction():
            super().rollback()
        self.driver.rollback()

    def _begin(self) -> None:
        """Here and not by SQLAlchemy, whose own transaction begins only when it is needed."""
        if not self.driver.in_transaction:
            self.driver.execute("BEGIN IMMEDIATE")

    def _said(self, statement, first, *, many: bool) -> Said | None:
        """None for what is asked for the first time, and perhaps never again."""
        ways = self._written.get(statement)
        if ways is None:
            self._written[statement] = {}
            return None
        way = (many, *first)
        if way not in ways:
            ways[way] = self._write(statement, first, many=many)
        return ways[way]

    def _write(self, statement, first, *, many: bool) -> Said | None:
        written = statement.compile(dialect=self.dialect, column_keys=sorted(first))
        returns = written.effective_returning or statement.is_select
        if written.prefetch or (many and returns):
            return None
        whole = written.construct_expanded_state(first)
        own = {name: value for name, value in whole.parameters.items() if name not in first}
        rows = self._rows(statement.exported_columns) if returns else None
        return Said(whole.statement, own, whole.positiontup, rows)

    def _rows(self, columns) -> SimpleResultMetaData:
        kinds = (column.type.dialect_impl(self.dialect) for column in columns)
        shown = [kind.result_processor(self.dialect, None) for kind in kinds]
        return SimpleResultMetaData(columns.keys(), _processors=shown)
