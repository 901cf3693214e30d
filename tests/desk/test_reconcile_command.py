"""`ussd-gateway reconcile`: plain words, and an exit code that a timer can act upon."""

import asyncio

import pytest
from custody_parts import DARA
from money_parts import HOLDING, MemoryLedger, execute, person
from sqlalchemy import delete, update
from typer.testing import CliRunner, Result

import gateway.reconcile
from gateway import logs
from gateway.__main__ import app
from gateway.stores.runners import open_sql
from gateway.stores.tables import ChainKey, table_of


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    """A run in this process must not set the logs of the tests after it."""
    monkeypatch.setattr(logs, "set_up", lambda _level: None)


@pytest.fixture
def host(tmp_path, sqlite_url, monkeypatch) -> str:
    """The gateway's host, with a wallet from before there were movements: its database."""
    assert run("keys", str(tmp_path / "keys")).exit_code == 0
    monkeypatch.setenv("GATEWAY_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("GATEWAY_KEK_FILE", str(tmp_path / "keys/kek.toml"))
    in_database(sqlite_url, lambda sql: person(sql, DARA, riel=5_000))
    return sqlite_url


def in_database(url: str, work) -> None:
    async def visit():
        sql = open_sql(url)
        try:
            await work(sql)
        finally:
            await sql.close()

    asyncio.run(visit())


def run(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def test_nothing_drifts_until_a_row_is_edited(host):
    told = run("reconcile", "--no-ledger")
    assert (told.exit_code, told.stdout.splitlines()) == (
        0,
        ["2 rows: as they should be", "no drift"],
    )
    more = update(HOLDING).values(settled=HOLDING.c.settled + 1)
    in_database(host, lambda sql: execute(sql, more))
    told = run("reconcile", "--no-ledger")
    assert told.exit_code == 1
    assert "drift: holding 85512345601@bank KHR: is not what its movements say" in told.stdout
    assert told.stdout.splitlines()[-1] == "1 row drifts"


def test_stopped_by_hand_it_says_so_and_has_an_exit_code_of_its_own(host, monkeypatch):
    def stop(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(gateway.reconcile, "reconcile", stop)
    told = run("reconcile")
    assert told.exit_code == 130
    assert told.stderr == "stopped before the end; nothing was changed\n"


def test_what_an_operator_can_mend_is_one_line(host, monkeypatch):
    monkeypatch.setenv("GATEWAY_KEK_FILE", "nowhere.toml")
    told = run("reconcile", "--no-ledger")
    assert told.exit_code == 2
    (line,) = told.stderr.splitlines()
    assert "GATEWAY_KEK_FILE" in line


def test_the_key_of_another_database_is_no_drift(host, monkeypatch, tmp_path):
    assert run("reconcile", "--no-ledger").exit_code == 0
    assert run("keys", str(tmp_path / "others")).exit_code == 0
    monkeypatch.setenv("GATEWAY_KEK_FILE", str(tmp_path / "others/kek.toml"))
    told = run("reconcile", "--no-ledger")
    assert told.exit_code == 2
    (line,) = told.stderr.splitlines()
    assert line == "ussd-gateway: GATEWAY_KEK_FILE does not open this database's chain key"


def test_movements_without_their_key_are_told_and_nothing_is_written(host):
    assert run("reconcile", "--no-ledger").exit_code == 0
    in_database(host, lambda sql: execute(sql, delete(table_of(ChainKey))))
    for _ in range(2):
        told = run("reconcile", "--no-ledger")
        assert told.exit_code == 2
        assert "movements, and not their key" in told.stderr


class Unsettled(MemoryLedger):
    """Has blocks that we do not know."""

    async def close(self):
        pass


async def nobody_settles(*_args, **_options):
    return False


def test_what_was_not_compared_is_no_success(host, monkeypatch):
    """Whoever asks by a timer reads the exit code only."""
    monkeypatch.setattr(gateway.reconcile, "ledger_of", lambda _settings: Unsettled())
    monkeypatch.setattr(gateway.reconcile.recount, "is_settled", nobody_settles)
    told = run("reconcile")
    assert (told.exit_code, told.stdout.splitlines()[-1]) == (2, "no drift in what was compared")
    more = update(HOLDING).values(settled=HOLDING.c.settled + 1)
    in_database(host, lambda sql: execute(sql, more))
    assert run("reconcile").exit_code == 1
