"""One PIN guessed on many numbers: stopped early, for everybody's sake, and at nobody's cost."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack

import pytest
from custody_parts import (
    ATTEMPT,
    LEAST,
    OTHER,
    PIN,
    WALLET,
    DyingSql,
    make_guard,
    make_vault,
    make_wallet,
    rows,
)
from sqlalchemy import Connection, insert, text
from structlog.testing import capture_logs

from gateway.desk import spraying
from gateway.desk.attempts import LEASE_MS
from gateway.desk.pins import Opened
from gateway.desk.spraying import MINUTE_MS, Budget, Spent, block_of
from gateway.meters import Meters
from gateway.stores.runners import open_sql
from gateway.stores.sql import Sql
from gateway.vault import PinKey
from menus.effects import PinLocked, Unavailable, WrongPin
from menus.kinds import Msisdn

A, B, C = "+85510", "+85511", "+85512"  # blocks of a million numbers


def number(block: str, n: int) -> Msisdn:
    return Msisdn(f"{block}{n:06}")


def account(block: str, n: int) -> str:
    return f"{block[1:]}{n:06}@bank"


async def make_wallets(sql: Sql, block: str, how_many: int) -> None:
    for n in range(how_many):
        await make_wallet(sql, number(block, n))


async def test_a_block_that_guesses_shuts_itself_and_then_all_shut_the_bank(sql, clock):
    for block in (A, B, C):
        await make_wallets(sql, block, 7)
    meters = Meters()
    guard = make_guard(sql, clock, wrong_pins=12, meters=meters)  # a block may have four of them

    async def guess(block: str, n: int) -> object:
        return await guard.open(account(block, n), OTHER, f"guess/{block}/{n}")

    assert [await guess(A, n) for n in range(6)] == [WrongPin(2)] * 4 + [Unavailable()] * 2
    assert await guard.open(account(A, 6), PIN, "a") == Unavailable()  # nobody learns what is right
    assert isinstance(await guard.open(account(B, 6), PIN, "b"), Opened)
    for block in (B, C):
        assert [await guess(block, n) for n in range(4)] == [WrongPin(2)] * 4
    await make_wallet(sql, number("+85597", 0))
    assert await guard.open(account("+85597", 0), PIN, "d") == Unavailable()
    assert [refused(meters, of) for of in ("block", "bank")] == [3, 1]
    counts = [wallet["wrong_pins"] for wallet in await rows(sql, WALLET)]
    assert sorted(counts) == [0] * 10 + [1] * 12  # who was not tried is not counted


def refused(meters: Meters, of: str) -> float:
    found = meters.registry.get_sample_value("gateway_pins_not_tried_total", {"of": of})
    assert found is not None
    return found


async def test_a_minute_later_people_are_tried_again(sqlite_sql, clock):
    await make_wallets(sqlite_sql, A, 5)
    guard = make_guard(sqlite_sql, clock, wrong_pins=6)
    for n in range(2):
        assert await guard.open(account(A, n), OTHER, f"t{n}") == WrongPin(2)
        await clock.advance(1)
    assert await guard.open(account(A, 2), PIN, "t2") == Unavailable()
    await clock.advance(MINUTE_MS / 1000 - 2)
    assert isinstance(await guard.open(account(A, 2), PIN, "t2"), Opened)


async def test_who_was_judged_or_is_locked_hears_the_same_as_ever(sqlite_sql, clock):
    await make_wallets(sqlite_sql, A, 3)
    guard = make_guard(sqlite_sql, clock, wrong_pins=12)
    for turn in range(3):
        said = await guard.open(account(A, 0), OTHER, f"t{turn}")
    assert isinstance(said, PinLocked)
    assert await guard.open(account(A, 1), OTHER, "t3") == WrongPin(2)
    assert await guard.open(account(A, 2), OTHER, "t4") == Unavailable()
    assert await guard.open(account(A, 1), OTHER, "t3") == WrongPin(2)
    assert isinstance(await guard.open(account(A, 0), OTHER, "t5"), PinLocked)


async def test_an_attempt_of_a_worker_that_died_is_not_tried_again_meanwhile(sqlite_sql, clock):
    await make_wallets(sqlite_sql, A, 5)
    guard = make_guard(sqlite_sql, clock, wrong_pins=6)
    dying = make_guard(DyingSql(sqlite_sql, 2, after_commit=False), clock, wrong_pins=6)
    assert await dying.open(account(A, 4), PIN, "t9") == Unavailable()
    await clock.advance(LEASE_MS / 1000)
    for n in range(2):
        await guard.open(account(A, n), OTHER, f"t{n}")
    assert await guard.open(account(A, 4), PIN, "t9") == Unavailable()
    await clock.advance(MINUTE_MS / 1000)
    assert isinstance(await guard.open(account(A, 4), PIN, "t9"), Opened)


async def test_the_bank_is_told_once_a_minute_and_no_number(sqlite_sql, clock):
    await make_wallets(sqlite_sql, A, 3)
    guard = make_guard(sqlite_sql, clock, wrong_pins=3)
    await guard.open(account(A, 0), OTHER, "t0")
    with capture_logs() as said:
        for n in range(5):
            assert await guard.open(account(A, 1), PIN, f"u{n}") == Unavailable()
        await clock.advance(MINUTE_MS / 1000)
        await guard.open(account(A, 1), OTHER, "v")
        assert await guard.open(account(A, 2), PIN, "w") == Unavailable()
    assert [line["event"] for line in said] == ["no PIN is tried"] * 2
    assert {(line["of"], line["block"], line["log_level"]) for line in said} == {
        ("block", "85510", "error")
    }
    assert "000001" not in str(said)


async def test_right_pins_never_use_the_budget_up(sqlite_sql, clock):
    await make_wallets(sqlite_sql, A, 10)
    guard = make_guard(sqlite_sql, clock, wrong_pins=3)
    said = await asyncio.gather(*(guard.open(account(A, n), PIN, f"t{n}") for n in range(10)))
    assert all(isinstance(one, Opened) for one in said)


@pytest.mark.parametrize(
    ("account_id", "block"),
    [
        ("85512345678@bank", "85512"),
        ("85512345678_2@bank", "85512"),
        ("855975551234@sub.bank", "855975"),
        ("123456@bank", ""),
    ],
)
def test_a_block_is_a_million_numbers_alike(account_id, block):
    assert block_of(account_id) == block


@pytest.mark.parametrize(("bank", "block"), [(100, 33), (8, 2), (3, 1), (1, 1)])
def test_a_block_bears_a_third_of_the_banks_budget_in_whole_attempts(bank, block):
    assert str(Budget(bank).block) == str(block)


async def test_no_right_pin_is_looked_at_to_count_the_wrong_ones(sql):
    """Payments do not get slower by those before them: the index holds wrong ones only."""

    def explained(connection: Connection, items: Sequence[None]) -> Sequence[str]:
        connection.execute(
            insert(ATTEMPT),
            [
                {"turn_key": f"t{n}", "account_id": account(A, n), "state": "right", "at": n}
                for n in range(3000)
            ],
        )
        lite = connection.dialect.name == "sqlite"
        connection.execute(text("ANALYZE"))
        Spent(connection, Budget(), 0)
        statement, own, names = spraying._WRONG._made[connection.dialect.name]
        given = {**own, "since": 0, "most": 100}
        driver = connection.connection.driver_connection
        plan = driver.execute(
            f"EXPLAIN {'QUERY PLAN' if lite else ''} {statement}",
            given if names is None else [given[name] for name in names],
        ).fetchall()
        return [str(plan)]

    (plan,) = await sql.run(explained, [None])
    assert "attempt_wrong" in plan


# ---- a whole attack


async def test_one_pin_on_ten_thousand_numbers_tries_at_most_a_hundred(database_url, clock):
    """As many at a time as argon2 lets wait, along one block; the default budget."""
    wave, everyone = 64, 10_000
    async with AsyncExitStack() as stack:
        sql = open_sql(database_url)
        stack.push_async_callback(sql.close)
        await _crowd(sql, everyone)
        threads = stack.enter_context(ThreadPoolExecutor(2))
        guard = make_guard(sql, clock, make_vault(threads), wrong_pins=Budget().bank)
        tried = 0
        for first in range(0, everyone, wave):
            said = await asyncio.gather(
                *(
                    guard.open(account(A, n), OTHER, f"t{n}")
                    for n in range(first, min(first + wave, everyone))
                )
            )
            tried += sum(one == WrongPin(2) for one in said)
        assert Budget().block <= tried <= 100
        assert sum(wallet["wrong_pins"] for wallet in await rows(sql, WALLET)) == tried


async def _crowd(sql: Sql, how_many: int) -> None:
    """Wallets of one block, sealed under one key that no PIN makes: all that a guesser sees."""
    await make_wallet(sql, number(A, 0))
    (row,) = await rows(sql, WALLET)
    vault, under = make_vault(), PinKey(LEAST, bytes(16), bytes(32))
    many = []
    for n in range(1, how_many):
        sealed = vault.seal(account(A, n), 1, bytes(32), under)
        own = {"account_id": account(A, n), "msisdn": number(A, n).e164}
        many.append({**row, **own, "salt": sealed.salt, "sealed_key": sealed.blob})

    def add(connection: Connection, _items: Sequence[None]) -> Sequence[None]:
        connection.execute(insert(WALLET), many)
        return [None]

    await sql.run(add, [None], timeout_s=60.0)
