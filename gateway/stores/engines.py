"""Engines whose every transaction behaves as the seam promises, on SQLite and on PostgreSQL.

Pragmas, time-outs and file modes live here; no operation and no table does.
"""

import os
import sqlite3
from pathlib import Path

from sqlalchemy import Connection, Engine, StaticPool, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from gateway.stores.sql import SETTING, StoreUnavailable

TIMEOUT_S = 5.0
READER_S = 0.05  # SQLite's reader waits only for another process's recovery, and never for long


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


# ---- SQLite


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
    except FileNotFoundError as error:
        folder = path.absolute().parent
        raise StoreUnavailable(f"there is no folder {folder}: make it, or name another") from error
    except OSError as error:
        raise StoreUnavailable(f"{error.strerror}: {path}") from error
