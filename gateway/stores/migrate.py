"""Brings a database to the schema of this release: `ussd-gateway migrate`, and the tests.

One transaction does all of it, under a lock: of two processes that migrate at once the second
waits and finds nothing left to do.
"""

from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from structlog import get_logger

from gateway.stores.engines import open_engine
from gateway.stores.sql import StoreUnavailable

log = get_logger(__name__)

_LOCK = 7_855_855  # any constant: the same in every process
_TIMEOUT_S = 300.0  # a migration may rewrite a large table, or wait for one that does


def migrate(url: str, *, to: str = "head") -> str:
    """Upgrade; the revision the database now has. Harmless when there is nothing to do."""
    engine = open_engine(url, timeout_s=_TIMEOUT_S)
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            # On SQLite, BEGIN IMMEDIATE was the lock.
            before = _version(connection)
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, to)
            after = _version(connection)
    except DBAPIError as error:
        raise StoreUnavailable(f"migration failed: {error.orig}") from error
    finally:
        engine.dispose()
    log.info("migrated", before=before, after=after)
    return after or ""


def schema_version(url: str) -> str | None:
    """The revision a database has; None when it was never migrated."""
    engine = open_engine(url)
    try:
        with engine.connect() as connection:
            return _version(connection)
    except DBAPIError as error:
        raise StoreUnavailable(type(error.orig).__name__) from error
    finally:
        engine.dispose()


def newest_version() -> str:
    """The revision this release works with."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def _config() -> Config:
    config = Config()
    place = str(files("gateway.stores") / "migrations")
    config.set_main_option("script_location", place.replace("%", "%%"))
    return config


def _version(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
