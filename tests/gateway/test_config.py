"""Settings: every wrong one is named, none is ever shown."""

from pathlib import Path

import pytest

from gateway.app import trust_of, trusted_block
from gateway.config import Settings, SettingsError, load_settings, rows, unknown_variables
from ledger_client.genesis import Bank, dump_genesis, genesis
from ledger_client.genesis import Peer as LedgerPeer
from ledger_client.keys import SigningKey
from ledger_client.ledger import Reached
from ledger_client.trust import Trust

PEER_KEY = SigningKey.from_seed(b"\1" * 32).public_key


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    for name, _, _ in rows():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)


def test_the_environment_wins_over_the_file(tmp_path, monkeypatch):
    file = tmp_path / "gateway.toml"
    file.write_text('port = 1\nledger_peers = ["a:1", "b:2"]\nservice_code = "*100#"\n')
    monkeypatch.setenv("GATEWAY_CONFIG", str(file))
    monkeypatch.setenv("GATEWAY_PORT", "2")
    settings = load_settings()
    assert (settings.port, settings.service_code) == (2, "*100#")
    assert settings.ledger_peers == ("a:1", "b:2")


def test_lists_are_comma_separated(monkeypatch):
    monkeypatch.setenv("GATEWAY_LEDGER_PEERS", "10.0.0.1:50051, 10.0.0.2:50051,")
    assert load_settings().ledger_peers == ("10.0.0.1:50051", "10.0.0.2:50051")


def test_every_wrong_setting_is_named_and_its_value_is_not_shown(monkeypatch):
    monkeypatch.setenv("GATEWAY_PORT", "s3cret")
    monkeypatch.setenv("GATEWAY_LEDGER_WAIT_S", "s3cret")
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert "GATEWAY_PORT" in str(refused.value)
    assert "GATEWAY_LEDGER_WAIT_S" in str(refused.value)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("setting", "value"), [("BANK_NAME", "ធនាគារ"), ("MEMBER_BANKS", "aba=ABA,wing=វីង")]
)
def test_a_bank_name_that_would_halve_its_pages_is_refused(monkeypatch, setting, value):
    monkeypatch.setenv(f"GATEWAY_{setting}", value)
    with pytest.raises(SettingsError, match=rf"GATEWAY_{setting}: .*GSM-7.*no Khmer"):
        load_settings()


def test_a_misspelt_row_of_the_file_is_named(tmp_path, monkeypatch):
    file = tmp_path / "gateway.toml"
    file.write_text("prot = 1\n")
    monkeypatch.setenv("GATEWAY_CONFIG", str(file))
    with pytest.raises(SettingsError, match="PROT"):
        load_settings()


def test_a_misspelt_variable_is_found(monkeypatch):
    monkeypatch.setenv("GATEWAY_PROT", "1")
    monkeypatch.setenv("GATEWAY_ZZZZZZ", "1")
    assert unknown_variables() == {"GATEWAY_PROT": "perhaps port?", "GATEWAY_ZZZZZZ": ""}


@pytest.mark.parametrize("secret", ["", "local", "x" * 23])
def test_production_refuses_a_guessable_callback_secret(secret):
    settings = Settings(callback_secret=secret, africastalking_user="u", africastalking_key="k")
    with pytest.raises(SettingsError, match="GATEWAY_CALLBACK_SECRET"):
        settings.check_for_serving()


def test_production_refuses_to_serve_without_a_way_to_send_sms():
    settings = Settings(callback_secret="x" * 24, africastalking_user="u")
    with pytest.raises(SettingsError, match="GATEWAY_AFRICASTALKING_KEY"):
        settings.check_for_serving()


def test_production_refuses_to_believe_blocks_that_nobody_known_has_signed():
    told = {"callback_secret": "x" * 24, "africastalking_user": "u", "africastalking_key": "k"}
    with pytest.raises(SettingsError, match="GATEWAY_LEDGER_GENESIS_FILE"):
        Settings(**told).check_for_serving()
    Settings(**told, ledger_genesis_file=Path("genesis.json")).check_for_serving()
    with pytest.raises(SettingsError, match="GATEWAY_LEDGER_TRUSTED_BLOCK"):
        Settings(**told, ledger_peer_keys=(PEER_KEY,)).check_for_serving()
    trusted = {"ledger_peer_keys": (PEER_KEY,), "ledger_trusted_block": f"7:{'ab' * 32}"}
    Settings(**told, **trusted).check_for_serving()


def test_peers_and_the_first_block_are_pinned_by_the_genesis_file(tmp_path):
    banks = [Bank.of("bank", lambda name: SigningKey.from_seed(name.ljust(32).encode()).public_key)]
    block = genesis(banks, [LedgerPeer("192.0.2.1:10001", PEER_KEY.upper())], issuer=PEER_KEY)
    dump_genesis(tmp_path / "genesis.json", block)
    trust = trust_of(Settings(ledger_genesis_file=tmp_path / "genesis.json"))
    assert trust.peers == {PEER_KEY}
    assert len(trust.genesis_hash) == 64
    other = SigningKey.from_seed(b"\2" * 32).public_key
    told = Settings(ledger_genesis_file=tmp_path / "genesis.json", ledger_peer_keys=(other,))
    assert trust_of(told) == Trust(frozenset([other]), trust.genesis_hash)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"block_v1": {"payload": {"height": "2"}}}'])
def test_a_file_that_is_no_genesis_block_is_named(tmp_path, content):
    file = tmp_path / "genesis.json"
    file.write_text(content)
    with pytest.raises(SettingsError, match=r"GATEWAY_LEDGER_GENESIS_FILE=.*genesis\.json: "):
        trust_of(Settings(ledger_genesis_file=file))


def test_a_gateway_begins_after_the_block_it_is_told_to_trust():
    assert trusted_block(Settings()) == Reached(0)
    told = Settings(ledger_trusted_block=f"1200:{'AB' * 32}")
    assert trusted_block(told) == Reached(1200, "ab" * 32)


def test_everything_that_is_missing_for_production_is_named_at_once():
    with pytest.raises(SettingsError) as refused:
        Settings().check_for_serving()
    named = ("CALLBACK_SECRET", "AFRICASTALKING_USER", "AFRICASTALKING_KEY", "LEDGER_GENESIS_FILE")
    for name, line in zip(named, str(refused.value).splitlines(), strict=True):
        assert line.startswith(f"GATEWAY_{name} ")


def test_the_settings_page_is_the_one_generated_from_the_rows():
    from gateway.__main__ import settings_page  # noqa: PLC0415

    page = Path(__file__).parents[2] / "gateway" / "SETTINGS.md"
    assert page.read_text(encoding="utf-8") == settings_page()
