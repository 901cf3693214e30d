"""A key-encryption key is replaced under a running gateway, and nobody's PIN changes."""

from clocks import seeded
from custody_parts import LEAST, PIN, WALLET, change, make_guard, make_wallet, rows

from gateway.desk import rotation
from gateway.desk.pins import Opened
from gateway.desk.rotation import Rotated, rotate
from gateway.kek import Kek
from gateway.vault import Vault
from menus.kinds import Msisdn

OLD, NEW = b"k" * 32, b"n" * 32


def vault_with(**versions: bytes) -> Vault:
    kek = Kek({int(name[1:]): key for name, key in versions.items()})
    return Vault(kek, seeded("rotation"), None, cost=LEAST)


async def test_every_wallet_moves_and_the_old_version_can_go(sql, clock, monkeypatch):
    monkeypatch.setattr(rotation, "PAGE", 2)
    numbers = [Msisdn(f"+8551234560{n}") for n in range(5)]
    for number in numbers:
        await make_wallet(sql, number)
    assert await rotate(sql, vault_with(v1=OLD, v2=NEW)) == Rotated(5, ())
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
    (page,) = await sqlite_sql.run(rotation.read_page, [rotation.Page("", 2)])
    account, old = page[0]
    new = vault.rewrap(account, old)
    await change(sqlite_sql, WALLET, sealed_key=b"sealed anew")
    changed = await sqlite_sql.run(rotation.replace_outer, [rotation.Rewrapped(account, old, new)])
    assert list(changed) == [False]
