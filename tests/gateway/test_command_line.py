"""The command line: what an operator can mend is one line that names the setting, and exit code 2.

Run in this process, because a process for each row would take a second each.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway import logs
from gateway.__main__ import app
from gateway.commands import explained
from gateway.config import rows
from ledger_client.ledger import QueryRefused

SECRET = "x7Qv" * 8  # in every value that must not be shown
LOOK = f"mine{SECRET}"

WRONG = [
    ("ENV", LOOK),
    ("HOST", f"a b{SECRET}"),
    ("HOST", ""),
    ("PORT", "0"),
    ("PORT", "65536"),
    ("PORT", LOOK),
    ("DATABASE_URL", f"mysql://me:{SECRET}@db/x"),
    ("DATABASE_URL", f"postgresql://me:a@{SECRET}@db/x"),
    ("DATABASE_URL", LOOK),
    ("DATABASE_CONNECTIONS", "0"),
    ("DATABASE_CONNECTIONS", "65"),
    ("REDIS_URL", f"http://:{SECRET}@redis"),
    ("REDIS_URL", LOOK),
    ("CARRIERS", ""),
    ("CARRIERS", "africastalking,africastalking"),
    *(("CALLBACK_SECRET", SECRET + wrong) for wrong in ("/", "?", "#", "%41", " ", "\n", "é")),
    ("CALLBACK_SECRET", ".."),
    ("CALLBACK_ALLOW", f"10.0.0.0/8,{LOOK}"),
    ("CALLBACK_ALLOW", "10.0.0.0/33"),
    ("TRUSTED_PROXIES", f"10.0.0.1,{LOOK}"),
    ("ADMIN_HOST", f"a b{SECRET}"),
    ("ADMIN_PORT", "0"),
    ("ADMIN_PORT", LOOK),
    ("CONNECTIONS", "9"),
    *(("KEEPALIVE_S", wrong) for wrong in ("0", "nan", "inf", LOOK)),
    *(("SERVICE_CODE", wrong) for wrong in ("", "855", "*855", "855#", "**a#", "*#", "**8#", LOOK)),
    ("SERVICE_CODE", "*855*12345678#"),
    *(("SHORTCODE", wrong) for wrong in ("é", "8 5", "x" * 16)),
    ("AFRICASTALKING_KEY", f"{SECRET}ក"),
    ("MEMBER_BANKS", "aba=ABA,wing=Wing,aba=Other"),
    ("SHORTCODE", ""),
    ("SHORTCODE", " "),
    ("AFRICASTALKING_URL", "api.example.com"),
    ("AFRICASTALKING_URL", f"ftp://{SECRET}.example.com"),
    ("AFRICASTALKING_URL", "http://"),
    ("AFRICASTALKING_URL", "http://example.com:99999"),
    ("AFRICASTALKING_URL", f"https://me:{SECRET}@example.com"),
    ("AFRICASTALKING_USER", f"{SECRET} "),
    ("AFRICASTALKING_KEY", f"{SECRET}\n"),
    ("LEDGER_PEERS", ""),
    ("LEDGER_PEERS", ","),
    *(("LEDGER_PEERS", f"a:1,{wrong}") for wrong in ("a", "a:0", "a:65536", "http://a:1", LOOK)),
    *(("LEDGER_WAIT_S", wrong) for wrong in ("0", "-1", "nan", "inf", "8.1", LOOK)),
    *(("BANK_DOMAIN", wrong) for wrong in ("", "-bank", "bank_", "a..b", "1bank", "b" * 64)),
    ("ASSET_DOMAIN", f"#{LOOK}"),
    ("BANK_NAME", ""),
    ("BANK_NAME", "two\nlines"),
    ("BANK_NAME", "longer than pages"),
    *(("BANK_NAME", wrong) for wrong in (" Bank", "Bank ", "Bank [1]", "ធនាគារ", "Бanк")),
    *(("MEMBER_BANKS", f"aba={wrong}") for wrong in ("", "longer than pages", "ធនាគារ", "A|B")),
    ("LANGUAGE", LOOK),
    ("LOOKUPS_PER_DAY", "-1"),
    ("SMS_REPLIES_PER_HOUR", "-1"),
    ("WRONG_PINS_PER_MINUTE", "9"),
    ("ARGON2_OPS", "0"),
    ("ARGON2_MIB", "0"),
    ("ARGON2_THREADS", "0"),
    ("ARGON2_THREADS", "65"),
    ("LOG_LEVEL", LOOK),
]


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    for name in [*os.environ]:
        if name.startswith("GATEWAY_"):
            monkeypatch.delenv(name)
    # It would keep the runner's standard error, which is closed after each run.
    monkeypatch.setattr(logs, "set_up", lambda _level: None)


@pytest.fixture
def place(tmp_path, sqlite_url, monkeypatch) -> Path:
    """A folder with all that serving needs, and the settings that say so."""
    assert run("keys", str(tmp_path / "keys")).exit_code == 0
    for name, value in {
        "ENV": "development",
        "CALLBACK_SECRET": "local",
        "DATABASE_URL": sqlite_url,
        "OPENER_KEY_FILE": str(tmp_path / "keys/opener.key"),
        "TREASURY_KEY_FILE": str(tmp_path / "keys/treasury.key"),
        "KEK_FILE": str(tmp_path / "keys/kek.toml"),
    }.items():
        monkeypatch.setenv(f"GATEWAY_{name}", value)
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def refused(result: Result, naming: str) -> str:
    """The one line, and nothing but it."""
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit), result.exception
    lines = result.stderr.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("ussd-gateway: ")
    assert naming in lines[0]
    assert SECRET not in result.output
    assert "Traceback" not in result.output
    return lines[0]


# ---- values


@pytest.mark.parametrize(("setting", "value"), WRONG)
def test_a_wrong_value_is_one_line_that_names_the_setting(place, monkeypatch, setting, value):
    monkeypatch.setenv(f"GATEWAY_{setting}", value)
    refused(run("serve"), f"GATEWAY_{setting}")


def test_each_wrong_value_has_its_line(monkeypatch):
    monkeypatch.setenv("GATEWAY_PORT", "0")
    monkeypatch.setenv("GATEWAY_LANGUAGE", LOOK)
    result = run("serve")
    assert result.exit_code == 2
    first, second = result.stderr.splitlines()
    assert "GATEWAY_PORT" in first
    assert "GATEWAY_LANGUAGE: there are texts in en, km" in second


def test_the_defaults_are_right_values(monkeypatch):
    """pydantic does not look at defaults."""
    for name, default, _ in rows():
        monkeypatch.setenv(name, default)
    monkeypatch.setenv("GATEWAY_CALLBACK_SECRET", "")
    told = run("serve").stderr.splitlines()
    assert told[0].startswith("ussd-gateway: GATEWAY_CALLBACK_SECRET is not set")


def test_a_carrier_that_there_is_not_is_told_which_there_are(place, monkeypatch):
    monkeypatch.setenv("GATEWAY_CARRIERS", "elsewhere")
    assert "africastalking" in refused(run("serve"), "GATEWAY_CARRIERS")


# ---- the settings file


@pytest.mark.parametrize(
    ("content", "naming"),
    [
        (b"prot = 1\n", "GATEWAY_PROT: no such setting"),
        (b"port = 0\n", "GATEWAY_PORT"),
        (b"ledger_peers = []\n", "GATEWAY_LEDGER_PEERS"),
        (f"callback_secret = {SECRET}\n".encode(), "GATEWAY_CONFIG="),
        (f'bank_name = "\xe9{SECRET}"\n'.encode("latin-1"), "GATEWAY_CONFIG="),
    ],
)
def test_a_wrong_settings_file(tmp_path, monkeypatch, content, naming):
    file = tmp_path / "gateway.toml"
    file.write_bytes(content)
    monkeypatch.setenv("GATEWAY_CONFIG", str(file))
    refused(run("serve"), naming)


def test_a_misspelt_row_is_told_the_similar_one(tmp_path, monkeypatch):
    file = tmp_path / "gateway.toml"
    file.write_text("ledger_peer = 1\n")
    monkeypatch.setenv("GATEWAY_CONFIG", str(file))
    assert "perhaps ledger_peers?" in refused(run("serve"), "GATEWAY_LEDGER_PEER: no such setting")


# ---- files that settings name


def missing(file: Path) -> None:
    file.unlink(missing_ok=True)


def garbled(file: Path) -> None:
    file.write_text(f"what {SECRET}\n")
    file.chmod(0o600)


def open_to_all(file: Path) -> None:
    file.chmod(0o644)


@pytest.mark.parametrize("harm", [missing, garbled, open_to_all])
@pytest.mark.parametrize(
    ("command", "setting", "name"),
    [
        ("serve", "OPENER_KEY_FILE", "opener.key"),
        ("serve", "KEK_FILE", "kek.toml"),
        ("seed", "TREASURY_KEY_FILE", "treasury.key"),
    ],
)
def test_a_key_file_that_cannot_be_used(place, harm, command, setting, name):
    harm(place / "keys" / name)
    people = place / "people.toml"
    people.write_text('[[people]]\nname = "Sok Dara"\nnumber = "+85512345601"\npin = "493817"\n')
    line = refused(
        run(command, *([str(people)] if command == "seed" else [])), f"GATEWAY_{setting}"
    )
    assert str(place / "keys" / name) in line
    if harm is missing:
        assert "`ussd-gateway keys DIR`" in line


@pytest.mark.parametrize("harm", [missing, garbled])
@pytest.mark.parametrize("setting", ["LIMITS_FILE", "LEDGER_CA_FILE"])
def test_another_file_that_cannot_be_used(place, monkeypatch, harm, setting):
    file = place / "given"
    harm(file)
    monkeypatch.setenv(f"GATEWAY_{setting}", str(file))
    assert str(file) in refused(run("serve"), f"GATEWAY_{setting}")


# ---- the database


def test_an_unreachable_database_has_one_reason_whichever_command_says_it(place, monkeypatch):
    url = f"postgresql://me:{SECRET}@127.0.0.1:9/none"
    monkeypatch.setenv("GATEWAY_DATABASE_URL", url)
    lines = {refused(run(command), "GATEWAY_DATABASE_URL") for command in ("serve", "migrate")}
    assert len(lines) == 1
    assert "refused" in lines.pop()


def test_a_database_of_no_release_is_told_to_be_migrated(place, monkeypatch):
    monkeypatch.setenv("GATEWAY_DATABASE_URL", f"sqlite:///{place / 'new.db'}")
    assert "ussd-gateway migrate" in refused(run("serve"), "GATEWAY_DATABASE_URL")


def test_migrate_says_what_it_did_once(tmp_path):
    """In a process of its own: with the logs as they are."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "migrate"],
        env={**os.environ, "GATEWAY_DATABASE_URL": f"sqlite:///{tmp_path / 'gateway.db'}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    (line,) = (done.stdout + done.stderr).splitlines()
    assert line.startswith("database at revision ")


def test_a_database_file_whose_folder_is_missing_is_told_what_to_do(place, monkeypatch):
    monkeypatch.setenv("GATEWAY_DATABASE_URL", f"sqlite:///{place / 'none' / 'gateway.db'}")
    line = refused(run("migrate"), "GATEWAY_DATABASE_URL")
    assert f"there is no folder {place / 'none'}: make it" in line


def test_keys_where_no_folder_can_be(tmp_path):
    (tmp_path / "file").write_text("")
    refused(run("keys", str(tmp_path / "file")), f"{tmp_path}/file: a file; name a folder")


# ---- the key-encryption key


def test_a_key_encryption_key_is_added_and_keys_move_to_it(place):
    added = run("kek", "add")
    assert added.exit_code == 0, added.output
    assert "added version 2" in added.output
    moved = run("kek", "reseal")
    assert moved.exit_code == 0, moved.output
    assert "every key is under version 2; 0 were moved" in moved.output


@pytest.mark.parametrize("harm", [missing, garbled, open_to_all])
@pytest.mark.parametrize("command", ["add", "reseal"])
def test_a_kek_file_that_cannot_be_used_is_left_as_it_is(place, harm, command):
    file = place / "keys" / "kek.toml"
    harm(file)
    before = file.read_bytes() if file.exists() else None
    refused(run("kek", command), "GATEWAY_KEK_FILE")
    assert (file.read_bytes() if file.exists() else None) == before


def test_a_ledger_that_does_not_know_our_key_is_told_with_the_setting(capsys):
    with pytest.raises(SystemExit) as ended, explained():
        raise QueryRefused("STATEFUL_INVALID", 3, "no such signer")
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "GATEWAY_OPENER_KEY_FILE" in line
    assert "`ussd-gateway ledger check`" in line
