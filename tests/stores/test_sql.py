"""What every SQL store does, on SQLite and on PostgreSQL."""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import crowd
import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from gateway.stores.dialects import insert_ignore, upsert
from gateway.stores.runners import open_sql
from gateway.stores.sql import Sql, StoreUnavailable
from gateway.stores.tables import Counter, Message, Submission, table_of

COUNTER = table_of(Counter)


def row(account, amount=0):
    return {"account_id": account, "bucket": "KHR", "period": "2026-11", "amount": amount}


def insert(connection, items):
    return [insert_ignore(connection, Counter, [row(*item)]) for item in items]


def amounts(connection, accounts):
    found = {each.account_id: each.amount for each in connection.execute(select(COUNTER))}
    return [found.get(account) for account in accounts]


def deadlocks(connection, _):
    if connection.dialect.name == "sqlite":
        return [0]
    statement = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    return [connection.execute(text(statement)).scalar()]


async def test_what_an_operation_wrote_is_there_for_the_next(sql: Sql):
    assert await sql.run(insert, [("a", 1), ("b", 2)]) == [1, 1]
    assert await sql.run(amounts, ["b", "a", "c"]) == [2, 1, None]


async def test_money_beyond_32_bits_is_kept(sql: Sql):
    await sql.run(insert, [("a", 2**62)])
    assert await sql.run(amounts, ["a"]) == [2**62]


async def test_columns_left_out_get_their_defaults(sql: Sql):
    def operation(connection, _):
        values = {"tx_hash": "h", "purpose": "transfer", "account_id": "a", "batch": "b"}
        insert_ignore(connection, Submission, [values | {"created_time": 1, "data": b"\x00\xff"}])
        return connection.execute(select(table_of(Submission))).all()

    (made,) = await sql.run(operation, [])
    assert (made.state, made.position, made.next_send_at, made.data) == (
        "signed",
        0,
        0,
        b"\x00\xff",
    )


async def test_an_operation_that_raises_leaves_nothing(sql: Sql):
    def operation(connection, items):
        insert(connection, items)
        raise LookupError("changed my mind")

    with pytest.raises(LookupError):
        await sql.run(operation, [("a", 1)])
    assert await sql.run(amounts, ["a"]) == [None]


async def test_a_savepoint_lets_one_item_fail_alone(sql: Sql):
    def operation(connection, items):
        results = []
        for item in items:
            try:
                with connection.begin_nested():
                    connection.execute(COUNTER.insert(), row(*item))
                    results.append("made")
            except IntegrityError:
                results.append("taken")
        return results

    assert await sql.run(operation, [("a", 1), ("a", 2), ("b", 3)]) == ["made", "taken", "made"]
    assert await sql.run(amounts, ["a", "b"]) == [1, 3]


async def test_a_broken_statement_is_the_operations_own_error(sql: Sql):
    def operation(connection, _):
        connection.execute(text("SELECT nonsense FROM nowhere"))

    with pytest.raises(DBAPIError):
        await sql.run(operation, [])
    assert await sql.run(amounts, ["a"]) == [None]


async def test_an_error_does_not_carry_values_into_a_log(sql: Sql):
    secret = {"id": "1", "msisdn": "+85512345601", "kind": "code", "text": "very private"}

    def operation(connection, _):
        connection.execute(table_of(Message).insert(), secret)  # queued_at is missing

    with pytest.raises(IntegrityError) as caught:
        await sql.run(operation, [])
    assert "very private" not in str(caught.value).partition("DETAIL")[0]


async def test_inserting_and_ignoring_counts_what_was_inserted(sql: Sql):
    def operation(connection, accounts):
        return [insert_ignore(connection, Counter, [row(account) for account in accounts])]

    assert await sql.run(operation, "ab") == [2]
    assert await sql.run(operation, "abc") == [1]
    assert await sql.run(operation, "") == [0]


async def test_an_upsert_sets_the_named_columns_only(sql: Sql):
    def operation(connection, rows):
        return [upsert(connection, Counter, rows, update=["amount"])]

    await sql.run(operation, [row("a", 1) | {"count": 5}])
    await sql.run(operation, [row("a", 2) | {"count": 9}, row("b", 3) | {"count": 1}])

    def read(connection, _):
        return connection.execute(select(COUNTER).order_by(COUNTER.c.account_id)).all()

    assert [(each.amount, each.count) for each in await sql.run(read, [])] == [(2, 5), (3, 1)]


async def test_a_guarded_update_never_exceeds_its_limit(sql: Sql):
    await sql.run(insert, [("a", 0)])

    def spend(connection, items):
        guarded = update(COUNTER).where(COUNTER.c.amount + 7 <= 100)
        statement = guarded.values(amount=COUNTER.c.amount + 7)
        return [connection.execute(statement).rowcount for _ in items]

    spent = await asyncio.gather(*(sql.run(spend, [None]) for _ in range(40)))
    assert sum(count for (count,) in spent) == 14
    assert await sql.run(amounts, ["a"]) == [98]


async def test_two_processes_spend_a_limit_exactly_and_never_deadlock(database_url: str, sql: Sql):
    cap, spenders = 50, 40
    before = await sql.run(deadlocks, [])
    await sql.run(insert, [(wallet, 0) for wallet in crowd.WALLETS])
    command = [sys.executable, crowd.__file__, database_url, str(cap), str(spenders)]
    root = Path(__file__).parents[2]
    crowds = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=root)
        for _ in range(2)
    ]
    said = [await asyncio.to_thread(process.communicate) for process in crowds]
    assert [process.returncode for process in crowds] == [0, 0], said
    assert sum(int(out) for out, _ in said) == cap * len(crowd.WALLETS)
    assert await sql.run(amounts, crowd.WALLETS) == [cap] * len(crowd.WALLETS)
    assert await sql.run(deadlocks, []) == before


async def test_an_operation_that_takes_too_long_may_yet_commit(sql: Sql):
    going_on = threading.Event()

    def operation(connection, items):
        going_on.wait(10)
        return insert(connection, items)

    with pytest.raises(StoreUnavailable, match="GATEWAY_DATABASE_URL") as caught:
        await sql.run(operation, [("a", 1)], timeout_s=0.01)
    assert caught.value.maybe_committed
    going_on.set()
    while await sql.run(amounts, ["a"]) != [1]:
        await asyncio.sleep(0)


async def test_an_operation_that_was_not_begun_in_time_is_taken_back(database_url: str):
    sql = open_sql(database_url, threads=1)
    going_on, begun = threading.Event(), threading.Event()

    def block(connection, items):
        begun.set()
        going_on.wait(10)
        return items

    blocking = asyncio.create_task(sql.run(block, []))
    await asyncio.to_thread(begun.wait)
    with pytest.raises(StoreUnavailable) as caught:
        await sql.run(insert, [("a", 1)], timeout_s=0.01)
    assert not caught.value.maybe_committed
    going_on.set()
    await blocking
    assert await sql.run(amounts, ["a"]) == [None]
    await sql.close()


async def test_closing_finishes_what_was_begun(database_url: str):
    sql = open_sql(database_url)
    running = asyncio.create_task(sql.run(insert, [("a", 1)]))
    await asyncio.sleep(0)
    await sql.close()
    assert await running == [1]
    with pytest.raises(StoreUnavailable):
        await sql.run(insert, [("b", 1)])
