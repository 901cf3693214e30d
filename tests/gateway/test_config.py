"""Settings: every wrong one is named, none is ever shown."""

from pathlib import Path

import pytest

from gateway.config import Settings, SettingsError, load_settings, rows, unknown_variables


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


def test_a_misspelt_row_of_the_file_is_named(tmp_path, monkeypatch):
    file = tmp_path / "gateway.toml"
    file.write_text("prot = 1\n")
    monkeypatch.setenv("GATEWAY_CONFIG", str(file))
    with pytest.raises(SettingsError, match="PROT"):
        load_settings()


def test_a_misspelt_variable_is_found(monkeypatch):
    monkeypatch.setenv("GATEWAY_PROT", "1")
    assert unknown_variables() == ["GATEWAY_PROT"]


@pytest.mark.parametrize("secret", ["", "local", "x" * 23])
def test_production_refuses_a_guessable_callback_secret(secret):
    settings = Settings(callback_secret=secret, africastalking_user="u", africastalking_key="k")
    with pytest.raises(SettingsError, match="GATEWAY_CALLBACK_SECRET"):
        settings.check_for_serving()


def test_production_refuses_to_serve_without_a_way_to_send_sms():
    settings = Settings(callback_secret="x" * 24, africastalking_user="u")
    with pytest.raises(SettingsError, match="GATEWAY_AFRICASTALKING_KEY"):
        settings.check_for_serving()


def test_the_settings_page_is_the_one_generated_from_the_rows():
    from gateway.__main__ import settings_page  # noqa: PLC0415

    page = Path(__file__).parents[2] / "gateway" / "SETTINGS.md"
    assert page.read_text(encoding="utf-8") == settings_page()
