"""The migrations make exactly what tables.py declares, once, whoever runs them."""

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlmodel import SQLModel

import gateway.stores.tables  # noqa: F401 - declares the tables
from gateway.stores.engines import open_engine
from gateway.stores.migrate import migrate, newest_version, schema_version
from gateway.stores.sql import StoreUnavailable


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"empty_{request.param}_url")
    return url


def test_migrating_makes_what_the_tables_declare(database_url: str):
    engine = open_engine(database_url)
    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, SQLModel.metadata) == []
    engine.dispose()


def test_migrating_again_changes_nothing(empty_url: str):
    assert schema_version(empty_url) is None
    assert migrate(empty_url) == newest_version()
    assert migrate(empty_url) == newest_version()
    assert schema_version(empty_url) == newest_version()


def test_two_processes_that_migrate_at_once_do_it_once(empty_url: str):
    code = "import sys; from gateway.stores.migrate import migrate; migrate(sys.argv[1])"
    command = [sys.executable, "-c", code, empty_url]
    root = Path(__file__).parents[2]
    both = [
        subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(2)
    ]
    said = [process.communicate()[0].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sum("before=None" in each for each in said) == 1, said
    assert schema_version(empty_url) == newest_version()


def test_a_migration_that_fails_leaves_the_database_as_it_was(empty_url: str):
    engine = open_engine(empty_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE wallet (in_the_way INTEGER)"))
    with pytest.raises(StoreUnavailable, match="wallet"):
        migrate(empty_url)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE wallet"))
    engine.dispose()
    assert migrate(empty_url) == newest_version()
