"""`ussd-gateway ledger …` and the key files that it begins with."""

import json
import os
from pathlib import Path

import pytest
from networks import OPENER, first_block, key
from typer.testing import CliRunner, Result

from gateway import logs
from gateway.__main__ import app
from gateway.config import Settings
from gateway.ledger_check import is_fit, look
from ledger_client.genesis import BANK_KEYS, Bank, Peer, dump_genesis, genesis
from ledger_client.keys import load_key, load_public_key, save_key, save_public_key
from ledger_client.roles import network_page
from sim.ledger import serve

DEAD = "127.0.0.1:9"


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    for name in [*os.environ]:
        if name.startswith("GATEWAY_"):
            monkeypatch.delenv(name)
    # It would keep the runner's standard error, which is closed after each run.
    monkeypatch.setattr(logs, "set_up", lambda _level: None)


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def refused(result: Result) -> str:
    """The one line, and nothing but it."""
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    return line


# ---- key files


def test_every_key_lies_beside_its_public_half(tmp_path):
    assert run("keys", tmp_path).exit_code == 0
    for name in BANK_KEYS:
        secret, public = tmp_path / f"{name}.key", tmp_path / f"{name}.pub"
        assert load_key(secret).public_key == load_public_key(public) == load_public_key(secret)
    modes = {(file.suffix, file.stat().st_mode & 0o777) for file in tmp_path.iterdir()}
    assert modes == {(".key", 0o600), (".toml", 0o600), (".pub", 0o644)}


def test_the_recoverers_second_key_is_to_be_moved_and_is_not_made_again(tmp_path):
    made = run("keys", tmp_path)
    (line,) = [line for line in made.output.splitlines() if "recoverer_second.key" in line]
    assert "move it to another host, to be kept by another person" in line
    (tmp_path / "recoverer_second.key").unlink()
    before = load_public_key(tmp_path / "recoverer_second.pub")
    assert "each is kept, none was made" in run("keys", tmp_path).output
    assert not (tmp_path / "recoverer_second.key").exists()
    assert load_public_key(tmp_path / "recoverer_second.pub") == before


def test_keys_of_an_older_release_get_their_public_half(tmp_path):
    save_key(tmp_path / "opener.key", key(OPENER))
    assert "opener.key" not in run("keys", tmp_path).output
    assert load_public_key(tmp_path / "opener.pub") == key(OPENER).public_key


def test_a_single_key_is_made_once(tmp_path):
    made = run("ledger", "key", tmp_path / "node.key")
    assert load_public_key(tmp_path / "node.pub") in made.output
    assert "exists" in refused(run("ledger", "key", tmp_path / "node.key"))
    assert "ends in .key" in refused(run("ledger", "key", tmp_path / "node.pub"))


# ---- the first block


@pytest.fixture
def town(tmp_path) -> list[object]:
    """The words that begin a network of two banks and two peers; OUT.json comes first."""
    words: list[object] = ["ledger", "genesis", tmp_path / "genesis.json"]
    for domain in ("mekong", "tonle"):
        run("keys", tmp_path / domain)
        words += ["--bank", f"{domain}={tmp_path / domain}"]
    for number in (1, 2):
        run("ledger", "key", tmp_path / f"node{number}.key")
        words += ["--peer", f"192.0.2.{number}:10001={tmp_path / f'node{number}.pub'}"]
    return [*words, "--issuer", key("issuer").public_key]


def test_a_first_block_is_written_from_public_keys_alone(tmp_path, town):
    for secret in tmp_path.rglob("*.key"):
        secret.unlink()
    result = run(*town)
    assert result.exit_code == 0, result.output
    banks = [
        Bank.of(name, lambda it, name=name: load_public_key(tmp_path / name / f"{it}.pub"))
        for name in ("mekong", "tonle")
    ]
    peers = [
        Peer(f"192.0.2.{number}:10001", load_public_key(tmp_path / f"node{number}.pub"))
        for number in (1, 2)
    ]
    expected = genesis(banks, peers, issuer=key("issuer").public_key, funds={})
    assert json.loads((tmp_path / "genesis.json").read_text()) == expected


def test_treasuries_begin_with_the_money_that_is_named_and_no_other(tmp_path, town):
    shown = run(*town, "--fund", "khr=1,000")
    assert "--fund khr=1,000: CURRENCY=AMOUNT" in refused(shown)
    result = run(*town, "--fund", "khr=5000", "--fund", "usd=12.50")
    assert "5,000 KHR in each treasury" in result.output
    assert "12.50 USD in each treasury" in result.output
    first = json.loads((tmp_path / "genesis.json").read_text())["block_v1"]["payload"]
    commands = first["transactions"][1]["payload"]["reducedPayload"]["commands"]
    assert [it["addAssetQuantity"]["amount"] for it in commands if "addAssetQuantity" in it] == [
        "10000",
        "25.00",
    ]


def test_what_was_written_is_shown(town):
    shown = run(*town).output
    for word in ("192.0.2.2:10001", "khr#nbc", "recoverer@tonle", "2 sign", "issuer@nbc"):
        assert word in shown
    assert "block hash" in shown


def test_an_existing_file_is_never_overwritten(tmp_path, town):
    (tmp_path / "genesis.json").write_text("mine")
    assert "genesis.json: File exists" in refused(run(*town))
    assert (tmp_path / "genesis.json").read_text() == "mine"


@pytest.mark.parametrize(
    ("option", "value", "naming"),
    [
        ("--bank", "mekong", "DOMAIN=DIR"),
        ("--bank", "mekong=/nowhere", "/nowhere/opener.pub"),
        ("--peer", "192.0.2.9=node.pub", "HOST:PORT=KEY"),
        ("--peer", "192.0.2.9:0=node.pub", "HOST:PORT=KEY"),
        ("--peer", "192.0.2.9:10001", "HOST:PORT=KEY"),
        ("--peer", "192.0.2.9:50051=node.pub", "50051 is Torii, where clients call"),
        ("--peer", "192.0.2.9:10001=node.txt", ".pub, .key or .priv"),
        ("--peer", "192.0.2.9:10001=" + "ab" * 31, "a KEY is"),
        ("--peer", "192.0.2.1:10001=" + key("more").public_key, "addresses: no two"),
        ("--peer", "192.0.2.9:10001=zz", "--peer 192.0.2.9:10001: zz"),
        ("--issuer", "/nowhere.pub", "--issuer: key file /nowhere.pub"),
        ("--issuer", "zz", "--issuer: zz"),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path, town, option, value, naming):
    assert naming in refused(run(*town, option, value))
    assert not (tmp_path / "genesis.json").exists()


def test_two_banks_share_no_key(tmp_path, town):
    line = refused(run(*town, "--bank", f"angkor={tmp_path / 'mekong'}"))
    assert "keys of different banks: no two may be equal" in line


def test_of_a_secret_key_only_the_public_half_is_taken(tmp_path, town):
    run(*town, "--issuer", tmp_path / "node1.key")
    written = (tmp_path / "genesis.json").read_text()
    assert load_public_key(tmp_path / "node1.pub") in written
    assert load_key(tmp_path / "node1.key").seed.hex() not in written


def test_what_may_be_a_mistyped_secret_is_not_repeated(town):
    almost = key("issuer").seed.hex()[:-1]
    line = refused(run(*town, "--issuer", almost))
    assert "a KEY is" in line
    assert almost not in line


def test_the_page_of_roles_can_be_printed_anew():
    assert run("ledger", "network-page").output == network_page()


# ---- a look at a network


def settings(folder: Path, *peers: str) -> dict[str, str]:
    save_key(folder / "opener.key", key(OPENER))
    dump_genesis(folder / "genesis.json", first_block())
    return {
        "ledger_peers": ",".join(peers),
        "ledger_genesis_file": str(folder / "genesis.json"),
        "opener_key_file": str(folder / "opener.key"),
    }


async def test_a_gateway_finds_by_its_own_settings_that_nothing_is_missing(tmp_path, capsys):
    server = await serve(tmp_path / "new", first_block(), key("peer 0"))
    try:
        findings = await look(Settings(**settings(tmp_path, server.address)), shown=True)
        assert is_fit(findings)
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == len(findings)
        assert all(line.startswith("✓ ") for line in lines)
    finally:
        await server.stop()


def told(monkeypatch, folder: Path, *peers: str) -> None:
    for name, value in settings(folder, *peers).items():
        monkeypatch.setenv(f"GATEWAY_{name.upper()}", value)


def test_what_is_missing_is_told_with_its_remedy_and_the_exit_code(tmp_path, monkeypatch):
    told(monkeypatch, tmp_path, DEAD)
    result = run("ledger", "check")
    assert result.exit_code == 1
    peer, remedy, rest = result.output.splitlines()
    assert peer.startswith(f"✗ peer {DEAD} does not answer")
    assert remedy.startswith("  → start it, or correct GATEWAY_LEDGER_PEERS")
    assert rest == "? everything else is not known: no peer answers"


def test_machines_are_told_the_same(tmp_path, monkeypatch):
    told(monkeypatch, tmp_path, DEAD)
    result = run("ledger", "check", "--json")
    assert result.exit_code == 1
    said = json.loads(result.output)
    assert said["fit"] is False
    assert [each["state"] for each in said["findings"]] == ["missing", "unknown"]
    assert "GATEWAY_LEDGER_PEERS" in said["findings"][0]["remedy"]


def test_a_setting_that_is_wrong_is_one_line(tmp_path, monkeypatch):
    told(monkeypatch, tmp_path, DEAD)
    (tmp_path / "opener.key").unlink()
    save_public_key(tmp_path / "opener.key", key(OPENER))
    (tmp_path / "opener.key").chmod(0o644)
    assert "GATEWAY_OPENER_KEY_FILE" in refused(run("ledger", "check"))


def test_a_key_file_looked_for_in_the_wrong_folder_is_named_whole_with_its_setting(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    said = refused(run("ledger", "check"))
    assert "GATEWAY_OPENER_KEY_FILE" in said
    assert str(tmp_path / ".state/keys/opener.key") in said
    assert "is looked for where the command is started" in said


def test_no_help_speaks_of_python_types():
    commands = [
        *([name] for name in ("serve", "migrate", "keys", "seed", "settings")),
        *(["ledger", name] for name in ("genesis", "key", "check")),
        *(["kek", name] for name in ("add", "reseal")),
    ]
    for words in commands:
        assert "list[" not in run(*words, "--help").output
