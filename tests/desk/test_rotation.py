"""A key-encryption key is replaced under a running gateway, and nobody's PIN changes."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from clocks import seeded
from custody_parts import (
    ACCOUNT,
    LEAST,
    PIN,
    WALLET,
    DyingSql,
    change,
    make_guard,
    make_wallet,
    only,
    rows,
)
from sqlalchemy import Connection

from gateway.desk import rotation
from gateway.desk.pins import Opened
from gateway.desk.replacement import NewKey, store
from gateway.desk.rotation import Rotated, count_older, rotate
from gateway.kek import Kek
from gateway.stores.sql import Sql, StoreUnavailable
from gateway.stores.tables import Replacement, table_of
from gateway.vault import Sealed, Vault
from menus.effects import Unavailable
from menus.kinds import Msisdn

OLD, NEW = b"k" * 32, b"n" * 32
REPLACEMENT = table_of(Replacement)


def vault_with(**versions: bytes) -> Vault:
    kek = Kek({int(name[1:]): key for name, key in versions.items()})
    return Vault(kek, seeded("rotation"), None, cost=LEAST)


async def test_every_wallet_moves_and_the_old_version_can_go(sql, clock, monkeypatch):
    monkeypatch.setattr(rotation, "PAGE", 2)
    numbers = [Msisdn(f"+8551234560{n}") for n in range(5)]
    for number in numbers:
        await make_wallet(sql, number)
    told: list[int] = []
    assert await rotate(sql, vault_with(v1=OLD, v2=NEW), told.append) == Rotated(5, ())
    assert told == [2, 4, 5]
    assert await rotate(sql, vault_with(v1=OLD, v2=NEW)) == Rotated(0, ())
    assert {row["kek_version"] for row in await rows(sql, WALLET)} == {2}
    guard = make_guard(sql, clock, vault_with(v2=NEW))
    for number in numbers:
        account = f"{number.e164[1:]}@bank"
        assert isinstance(await guard.open(account, PIN, account), Opened)


async def test_what_cannot_be_moved_is_named_and_left_as_it_is(sqlite_sql):
    await make_wallet(sqlite_sql)
    await change(sqlite_sql, WALLET, key_version=4)
    before = await rows(sqlite_sql, WALLET)
    said = await rotate(sqlite_sql, vault_with(v1=OLD, v2=NEW))
    assert said == Rotated(0, ("85512345601@bank",))
    assert await rows(sqlite_sql, WALLET) == before


async def test_a_pin_changed_meanwhile_is_not_undone(sqlite_sql):
    """The row is the one that was read, or it is not touched."""
    await make_wallet(sqlite_sql)
    vault = vault_with(v1=OLD, v2=NEW)
    home = rotation.HOMES[0]
    (page,) = await sqlite_sql.run(rotation.read_page, [rotation.Page(home, "", 2)])
    account, _, old = page[0]
    new = rotation.Rewrapped(home, account, old, vault.rewrap(account, old))
    await change(sqlite_sql, WALLET, sealed_key=b"sealed anew")
    assert list(await sqlite_sql.run(rotation.replace_outer, [new])) == [False]


@pytest.mark.parametrize("state", ["awaiting", "pending", "failed"])
async def test_a_key_that_waits_to_be_a_wallets_moves_too(sql, state):
    """Also one that failed: a block may hold it all the same."""
    old, new = vault_with(v1=OLD), vault_with(v1=OLD, v2=NEW)
    sealed = old.seal_without_pin(ACCOUNT, 2, b"s" * 32)
    await add_replacement(sql, sealed, state)
    assert list(await sql.run(count_older, [2])) == [1]
    assert await rotate(sql, new) == Rotated(1, ())
    row = await only(sql, REPLACEMENT)
    moved = Sealed(row["key_version"], row["kek_version"], row["salt"], row["sealed_key"])
    assert vault_with(v2=NEW).open_without_pin(ACCOUNT, moved) == b"s" * 32


async def test_a_replacement_that_is_done_holds_no_key(sqlite_sql):
    sealed = replace(vault_with(v1=OLD).seal_without_pin(ACCOUNT, 2, b"s" * 32), blob=b"")
    await add_replacement(sqlite_sql, sealed, "done")
    assert list(await sqlite_sql.run(count_older, [2])) == [0]
    assert await rotate(sqlite_sql, vault_with(v1=OLD, v2=NEW)) == Rotated(0, ())


async def add_replacement(sql: Sql, sealed: Sealed, state: str) -> None:
    key = NewKey(ACCOUNT, "forgotten", "ab" * 32, sealed, "cd" * 32, 0)

    def add(connection: Connection, _items: Sequence[None]) -> Sequence[None]:
        store(connection, key, state)
        return [None]

    await sql.run(add, [None])


@pytest.mark.parametrize("after_commit", [False, True])
async def test_cut_off_anywhere_it_goes_on_and_loses_nobody(sql, clock, monkeypatch, after_commit):
    monkeypatch.setattr(rotation, "PAGE", 1)
    numbers = [Msisdn(f"+8551234560{n}") for n in range(3)]
    for number in numbers:
        await make_wallet(sql, number)
    vault = vault_with(v1=OLD, v2=NEW)
    guard = make_guard(sql, clock, vault)
    for run, dies_at in enumerate((1, 2, 3, 2)):
        with pytest.raises(StoreUnavailable):
            await rotate(DyingSql(sql, dies_at, after_commit=after_commit), vault)
        for number in numbers:  # whichever version their key is under at this moment
            account = f"{number.e164[1:]}@bank"
            assert isinstance(await guard.open(account, PIN, f"{account}/{run}"), Opened)
    await rotate(sql, vault)
    assert list(await sql.run(count_older, [1, 2, 3])) == [0, 0, 3]


async def test_a_running_gateway_meets_the_new_version_and_seals_with_it(
    sqlite_sql, clock, tmp_path
):
    file = tmp_path / "kek.toml"
    file.touch(mode=0o600)
    file.write_text(f'1 = "{OLD.hex()}"\n')
    await make_wallet(sqlite_sql)
    running = Vault(Kek.load(file), seeded("running"), None, cost=LEAST)
    guard = make_guard(sqlite_sql, clock, running)
    await rotate(sqlite_sql, Vault(Kek.add_version(file, seeded("new")), seeded(), None))
    assert (await only(sqlite_sql, WALLET))["kek_version"] == 2
    assert running.kek_version == 1
    assert isinstance(await guard.open(ACCOUNT, PIN, "t1"), Opened)
    assert running.kek_version == 2


async def test_where_the_new_file_has_not_come_yet_a_pin_costs_no_attempt(
    sqlite_sql, clock, tmp_path
):
    await make_wallet(sqlite_sql)
    await rotate(sqlite_sql, vault_with(v1=OLD, v2=NEW))
    file = tmp_path / "kek.toml"
    file.touch(mode=0o600)
    file.write_text(f'1 = "{OLD.hex()}"\n')
    guard = make_guard(sqlite_sql, clock, Vault(Kek.load(file), seeded(), None, cost=LEAST))
    assert await guard.open(ACCOUNT, PIN, "t1") == Unavailable()
    file.chmod(0o644)
    assert await guard.open(ACCOUNT, PIN, "t2") == Unavailable()
    assert (await only(sqlite_sql, WALLET))["wrong_pins"] == 0
    file.chmod(0o600)
    file.write_text(f'1 = "{OLD.hex()}"\n2 = "{NEW.hex()}"\n')
    assert isinstance(await guard.open(ACCOUNT, PIN, "t3"), Opened)
