"""What belongs to one kind of database: its URL, its locks, its way of failing."""

import asyncio
import sqlite3
import stat
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import select, text

from gateway.stores.dialects import insert_ignore
from gateway.stores.engines import normal_url, open_engine
from gateway.stores.runners import InlineSql, open_sql
from gateway.stores.sql import Sql, StoreUnavailable
from gateway.stores.tables import Counter, table_of

COUNTER = table_of(Counter)


def insert(connection, accounts):
    rows = [{"account_id": account, "bucket": "KHR", "period": "2026"} for account in accounts]
    return [insert_ignore(connection, Counter, rows)]


def accounts(connection, _):
    return list(connection.execute(select(COUNTER.c.account_id)).scalars())


@pytest.mark.parametrize(
    ("given", "driver"),
    [
        ("sqlite:///x.db", "sqlite"),
        ("sqlite+aiosqlite:///x.db", "sqlite"),
        ("postgres://h/d", "postgresql+psycopg"),
        ("postgresql://u:p@h:5432/d?sslmode=require", "postgresql+psycopg"),
        ("postgresql+asyncpg://h/d", "postgresql+psycopg"),
        (" postgresql+psycopg://h/d\n", "postgresql+psycopg"),
    ],
)
def test_every_usual_spelling_of_a_url_is_understood(given, driver):
    assert normal_url(given).drivername == driver


@pytest.mark.parametrize("given", ["", "mysql://h/d", "nonsense", "/var/lib/gateway.db"])
def test_any_other_url_names_the_setting_and_not_its_value(given):
    with pytest.raises(ValueError, match="GATEWAY_DATABASE_URL") as caught:
        normal_url(given)
    assert not given or given not in str(caught.value)


# ---- SQLite


def test_a_sqlite_file_is_its_owners_alone(empty_sqlite_url: str):
    engine = open_engine(empty_sqlite_url)
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE t (x)"))
        connection.commit()
        files = list(Path(normal_url(empty_sqlite_url).database).parent.iterdir())
        assert len(files) == 3, "with its log and shared memory"
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    engine.dispose()


def test_a_sqlite_commit_is_durable_and_readers_do_not_block(sqlite_url: str):
    engine = open_engine(sqlite_url)
    with engine.connect() as connection:
        ask = {name: text(f"PRAGMA {name}") for name in ("journal_mode", "synchronous")}
        answers = {name: connection.execute(ask[name]).scalar() for name in ask}
        assert answers == {"journal_mode": "wal", "synchronous": 2}
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1
    engine.dispose()


def test_a_folder_that_is_not_there_is_said(tmp_path: Path):
    with pytest.raises(StoreUnavailable, match="GATEWAY_DATABASE_URL"):
        open_sql(f"sqlite:///{tmp_path}/missing/gateway.db")


async def test_sqlite_locked_by_somebody_else_is_unavailable_and_heals(sqlite_url: str):
    sql = open_sql(sqlite_url, timeout_s=0.05)
    other = sqlite3.connect(normal_url(sqlite_url).database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable) as caught:
        await sql.run(insert, ["a"], timeout_s=10)
    assert not caught.value.maybe_committed
    other.execute("COMMIT")
    other.close()
    assert await sql.run(insert, ["a"], timeout_s=10) == [1]
    await sql.close()


async def test_what_only_reads_waits_for_no_writer_and_sees_every_commit(sqlite_url: str):
    sql = open_sql(sqlite_url, timeout_s=0.05)
    assert await sql.run(accounts, [], only_reads=True) == []
    other = sqlite3.connect(normal_url(sqlite_url).database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO counter (account_id, bucket, period) VALUES ('a', 'KHR', '2026')")
    assert await sql.run(accounts, [], only_reads=True) == []
    other.execute("COMMIT")
    other.close()
    assert await sql.run(accounts, [], only_reads=True) == ["a"]
    await sql.run(insert, ["b"])
    assert await sql.run(accounts, [], only_reads=True) == ["a", "b"]
    await sql.close()


async def test_what_only_reads_cannot_write(sqlite_sql: Sql):
    with pytest.raises(StoreUnavailable):
        await sqlite_sql.run(insert, ["a"], only_reads=True)
    assert await sqlite_sql.run(accounts, [], only_reads=True) == []


async def test_the_inline_store_never_leaves_the_callers_thread(sqlite_url: str):
    sql = InlineSql(sqlite_url)
    running = sql.run(insert, ["a"])
    with pytest.raises(StopIteration) as stopped:
        running.send(None)  # it is done without once waiting for anything
    assert stopped.value.value == [1]
    assert await sql.run(accounts, []) == ["a"]
    await sql.close()


# ---- PostgreSQL


async def test_a_deadlock_is_resolved_by_running_again(postgres_sql: Sql):
    await postgres_sql.run(insert, ["a", "b"])
    both_hold_one = asyncio.Barrier(2)
    loop = asyncio.get_running_loop()
    runs = []

    def crossing(connection, order):
        runs.append(order)
        for account in order:
            one = select(COUNTER).where(COUNTER.c.account_id == account)
            connection.execute(one.with_for_update())
            if account == order[0] and len(runs) <= 2:
                asyncio.run_coroutine_threadsafe(both_hold_one.wait(), loop).result(5)
        return order

    answers = await asyncio.gather(
        postgres_sql.run(crossing, ["a", "b"]), postgres_sql.run(crossing, ["b", "a"])
    )
    assert answers == [["a", "b"], ["b", "a"]]
    assert len(runs) >= 3


async def test_a_server_that_was_restarted_costs_no_operation(postgres_sql: Sql, postgres_url: str):
    await postgres_sql.run(insert, ["a"])
    hang_up_on_all(postgres_url)
    assert await postgres_sql.run(accounts, []) == ["a"]


async def test_a_connection_lost_before_the_commit_changed_nothing(
    postgres_sql: Sql, postgres_url: str
):
    def operation(connection, items):
        insert(connection, items)
        hang_up_on_all(postgres_url)
        return insert(connection, items)

    with pytest.raises(StoreUnavailable) as caught:
        await postgres_sql.run(operation, ["a"])
    assert not caught.value.maybe_committed
    assert await postgres_sql.run(accounts, []) == []


async def test_a_connection_lost_at_the_commit_is_an_unknown_outcome(
    postgres_sql: Sql, postgres_url: str
):
    def operation(connection, items):
        hang_up = insert(connection, items)
        hang_up_on_all(postgres_url)
        return hang_up

    with pytest.raises(StoreUnavailable) as caught:
        await postgres_sql.run(operation, ["a"])
    assert caught.value.maybe_committed


async def test_a_statement_that_runs_too_long_is_stopped_by_the_server(postgres_url: str):
    sql = open_sql(postgres_url, timeout_s=0.1)

    def operation(connection, _):
        connection.execute(text("SELECT pg_sleep(10)"))

    with pytest.raises(StoreUnavailable) as caught:
        await sql.run(operation, [], timeout_s=10)
    assert not caught.value.maybe_committed
    await sql.close()


async def test_a_server_that_is_away_is_said_without_its_password(port: int):
    sql = open_sql(f"postgresql://gateway:very-private@127.0.0.1:{port}/gateway")
    with pytest.raises(StoreUnavailable, match="GATEWAY_DATABASE_URL") as caught:
        await sql.run(accounts, [])
    assert not caught.value.maybe_committed
    assert "very-private" not in f"{caught.value} {caught.value.__cause__}"
    await sql.close()


def hang_up_on_all(url: str) -> None:
    """As a restart does: every other connection to the database ends."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
