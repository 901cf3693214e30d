"""All keys move to a new key-encryption key, as an operator asks for it, also when it is killed."""

import contextlib
import os
import sqlite3
import subprocess
import sys
import time

import pytest
from clocks import seeded
from sqlalchemy import insert

from gateway import rekey
from gateway.config import Settings
from gateway.kek import Kek
from gateway.stores.engines import open_engine
from gateway.stores.tables import Wallet, table_of
from gateway.vault import Cost, PinKey, Vault

WALLET = table_of(Wallet)
CHEAP = Cost(1, 8)


@pytest.fixture
def settings(tmp_path, sqlite_url) -> Settings:
    """A database and a file of two versions, of which the older has sealed everything."""
    file = tmp_path / "kek.toml"
    Kek.create(file, seeded())
    return Settings(database_url=sqlite_url, kek_file=file)


def add_wallets(settings: Settings, how_many: int, sealed_key: bytes | None = None) -> None:
    """Wallets under the newest version; their outer layer is all that matters here."""
    vault = Vault(Kek.load(settings.kek_file), os.urandom, None, cost=CHEAP)
    under = PinKey(CHEAP, bytes(16), bytes(32))
    rows = []
    for number in range(8551000000, 8551000000 + how_many):
        sealed = vault.seal(f"{number}@bank", 1, bytes(32), under)
        rows.append(
            {
                "account_id": f"{number}@bank",
                "msisdn": f"+{number}",
                "public_key": "",
                "salt": sealed.salt,
                "sealed_key": sealed_key or sealed.blob,
                "kek_version": sealed.kek_version,
            }
        )
    engine = open_engine(settings.database_url)
    with engine.begin() as connection:
        connection.execute(insert(WALLET), rows)
    engine.dispose()


def under(settings: Settings, version: int) -> int:
    file = settings.database_url.removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(file)) as it:
        asked = it.execute("SELECT count(*) FROM wallet WHERE kek_version = ?", [version])
        return int(asked.fetchone()[0])


async def test_keys_move_and_it_says_how_far_it_is(settings, monkeypatch):
    monkeypatch.setattr(rekey, "TOLD_EVERY", 2)
    add_wallets(settings, 3)
    Kek.add_version(settings.kek_file, seeded("second"))
    said: list[str] = []
    await rekey.rekey(settings, said.append)
    assert said == ["moved 3 of 3 keys", "every key is under version 2; 3 were moved"]
    assert under(settings, 2) == 3
    await rekey.rekey(settings, said.append)
    assert said[2:] == ["every key is under version 2; 0 were moved"]


async def test_keys_that_cannot_be_moved_are_named(settings):
    add_wallets(settings, 3, b"of another key")
    Kek.add_version(settings.kek_file, seeded("second"))
    with pytest.raises(rekey.NotAllMoved, match=r"3 keys cannot .* 8551000000@bank"):
        await rekey.rekey(settings, lambda _said: None)


async def test_a_move_that_is_killed_goes_on_when_it_is_run_again(settings):
    """In a process of its own, which dies somewhere among a few thousand wallets."""
    add_wallets(settings, 4000)
    Kek.add_version(settings.kek_file, seeded("second"))
    own = {
        "GATEWAY_DATABASE_URL": settings.database_url,
        "GATEWAY_KEK_FILE": str(settings.kek_file),
    }
    moving = subprocess.Popen(
        [sys.executable, "-m", "gateway", "kek", "reseal"], env={**os.environ, **own}
    )
    try:
        patience = time.monotonic() + 60
        while not under(settings, 2) and time.monotonic() < patience:
            time.sleep(0.005)
    finally:
        moving.kill()
        moving.wait()
    assert 0 < under(settings, 2) <= 4000
    await rekey.rekey(settings, lambda _said: None)
    assert under(settings, 2) == 4000
