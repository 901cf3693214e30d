"""`ussd-gateway recover`: three steps on two hosts, and one line for what can be mended."""

import asyncio
import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from clocks import FakeClock
from custody_parts import ACCOUNT, DARA, make_wallet, only, rows
from money_parts import SUBMISSION
from replacement_parts import REPLACEMENT, KeyedLedger
from typer.testing import CliRunner, Result

import gateway.app
from gateway import clock, logs
from gateway.__main__ import app
from gateway.stores.runners import open_sql
from ledger_client.transaction import read_draft


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    """A run in this process must not set the logs of the tests after it."""
    monkeypatch.setattr(logs, "set_up", lambda _level: None)


@pytest.fixture
def host(tmp_path: Path, sqlite_url: str, monkeypatch) -> Path:
    """The gateway's host: keys, and Dara's wallet in the database."""
    assert run("keys", str(tmp_path / "keys")).exit_code == 0
    monkeypatch.setenv("GATEWAY_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("GATEWAY_KEK_FILE", str(tmp_path / "keys/kek.toml"))
    wallet = in_database(sqlite_url, make_wallet)

    def ledger_of(_settings, asker, key):
        """One on which Dara's key is; it tells the recoverer, and nobody else."""
        assert (asker, key.public_key) == ("recoverer", public_key(tmp_path, "recoverer"))
        ledger = KeyedLedger()
        ledger.keys[ACCOUNT] = {wallet.public_key}
        return ledger

    monkeypatch.setattr(gateway.app, "ledger_of", ledger_of)
    return tmp_path


def in_database(url: str, work, *arguments, **where):
    async def visit():
        sql = open_sql(url)
        try:
            return await work(sql, *arguments, **where)
        finally:
            await sql.close()

    return asyncio.run(visit())


def public_key(host: Path, name: str) -> str:
    return (host / f"keys/{name}.pub").read_text().strip()


def run(*words: str | Path, typed: str = "") -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], input=typed)


def begin(host: Path, *more: str) -> Result:
    key = host / "keys/recoverer.key"
    asked = ("recover", "begin", host / "asked.json", "--number", DARA.e164, "--key-file", key)
    return run(*asked, *more)


def sign(host: Path, *more: str, typed: str = "") -> Result:
    key = host / "keys/recoverer_second.key"
    words = ("recover", "sign", host / "asked.json", host / "signed.json", "--key-file", key)
    return run(*words, *more, typed=typed)


def refused(result: Result, naming: str) -> None:
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("ussd-gateway: ")
    assert naming in line


def test_two_people_on_two_hosts_replace_a_key(host, sqlite_url, monkeypatch):
    begun = begin(host)
    assert begun.exit_code == 0, begun.output
    asked = host / "asked.json"
    assert stat.S_IMODE(asked.stat().st_mode) == 0o600
    with monkeypatch.context() as second_host:
        second_host.delenv("GATEWAY_DATABASE_URL")
        second_host.delenv("GATEWAY_KEK_FILE")
        signed = sign(host, typed="y\n")
    assert signed.exit_code == 0, signed.output
    for shown in ("85512345601@bank", "+85512345601", "the PIN is forgotten", "good until"):
        assert shown in begun.output
        assert shown in signed.output
    done = run("recover", "finish", host / "signed.json")
    assert done.exit_code == 0, done.output
    new = in_database(sqlite_url, only, REPLACEMENT)
    assert (new["state"], new["reason"]) == ("pending", "forgotten")
    sent = in_database(sqlite_url, only, SUBMISSION)
    keys = [public_key(host, name) for name in ("recoverer", "recoverer_second")]
    assert list(read_draft(sent["data"]).signers) == keys


def test_who_says_no_signs_nothing(host):
    begin(host, "--reason", "theft")
    said = sign(host, typed="n\n")
    assert said.exit_code == 1
    assert "may be stolen" in said.output
    assert not (host / "signed.json").exists()


def test_nothing_is_overwritten(host):
    begin(host)
    held = (host / "asked.json").read_text()
    refused(begin(host), "asked.json exists")
    assert (host / "asked.json").read_text() == held
    sign(host, "--yes")
    refused(sign(host, "--yes"), "signed.json")


def test_one_signature_is_refused_in_one_line(host, sqlite_url):
    begin(host)
    refused(run("recover", "finish", host / "asked.json"), "second signature")
    assert in_database(sqlite_url, rows, SUBMISSION) == []


def test_a_day_without_recoveries_is_named_by_its_setting(host, monkeypatch):
    begin(host)
    sign(host, "--yes")
    monkeypatch.setenv("GATEWAY_RECOVERIES_PER_DAY", "0")
    refused(run("recover", "finish", host / "signed.json"), "GATEWAY_RECOVERIES_PER_DAY")


def test_an_old_request_is_refused_by_both_hosts(host, monkeypatch):
    begin(host)
    later = FakeClock(datetime.now(UTC).replace(year=datetime.now(UTC).year + 1))
    monkeypatch.setattr(clock, "SystemClock", lambda: later)
    refused(sign(host, "--yes"), "begin again")
    refused(run("recover", "finish", host / "asked.json"), "begin again")


@pytest.mark.parametrize(
    ("number", "naming"), [("12", "--number"), ("+85512345699", "has no wallet")]
)
def test_a_number_that_will_not_do(host, number, naming):
    key = host / "keys/recoverer.key"
    words = ("recover", "begin", host / "a.json", "--number", number, "--key-file", key)
    refused(run(*words), naming)
    assert not (host / "a.json").exists()


def test_a_file_of_something_else_is_refused(host):
    file = host / "asked.json"
    file.write_text(json.dumps({"reason": "forgotten", "transaction": "00"}))
    refused(sign(host, "--yes"), "not a request")
    refused(run("recover", "finish", host / "none.json"), "none.json")


def test_a_key_file_that_is_not_there_is_named(host):
    (host / "keys/recoverer.key").unlink()
    refused(begin(host), "recoverer.key")
