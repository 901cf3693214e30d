"""Settings: one row each, read from `GATEWAY_…` variables or one TOML file.

The environment wins over the file that `GATEWAY_CONFIG` names (keys there are the names below, in
lower case without the prefix). A row is name, type, default and help; `SETTINGS.md` is generated
from them and a test keeps it so. No other module reads the environment.
"""

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

PREFIX = "GATEWAY_"
Names = Annotated[tuple[str, ...], NoDecode]


class SettingsError(Exception):
    """A setting is missing or wrong; the message names it and says what would be right."""


def _row(default: Any, text: str) -> Any:  # noqa: ANN401  # pydantic's own type is Any
    return Field(default=default, description=text)


class Settings(BaseSettings):
    """Everything an operator can set."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    env: Literal["development", "production"] = _row(
        "production", "development allows seeding and the well-known callback secret"
    )
    host: str = _row("127.0.0.1", "address the HTTP server listens on")
    port: int = _row(8855, "port the HTTP server listens on")
    database_url: str = _row(
        "sqlite:///.state/gateway.db", "sqlite:///PATH, or postgresql://… in production"
    )
    database_connections: int = _row(4, "PostgreSQL connections (and threads) of one process")
    redis_url: str | None = _row(
        None, "redis://… for conversations shared by several processes; in memory when not set"
    )
    carriers: Names = _row(("africastalking",), "carriers to serve, comma-separated")
    callback_secret: str = _row(
        "", "last secret part of the callback paths; at least 24 characters"
    )
    callback_allow: Names = _row(
        (), "addresses or networks that may post callbacks, comma-separated; all when empty"
    )
    service_code: str = _row("*855#", "the USSD code people dial")
    shortcode: str = _row("855", "the number people text, and the sender of our SMS")
    africastalking_url: str = _row(
        "https://api.africastalking.com", "base URL of Africa's Talking's REST API"
    )
    africastalking_user: str = _row("", "Africa's Talking username")
    africastalking_key: str = _row("", "Africa's Talking API key")
    ledger_peers: Names = _row(("127.0.0.1:50051",), "Iroha Torii addresses, comma-separated")
    ledger_ca_file: Path | None = _row(None, "PEM certificates to trust when peers speak TLS")
    ledger_wait_s: float = _row(3.0, "longest wait of a turn for the ledger, seconds")
    bank_domain: str = _row("bank", "this bank's domain on the ledger")
    bank_name: str = _row("Bakong", "this bank's name as people know it")
    asset_domain: str = _row("nbc", "domain of the khr and usd assets on the ledger")
    opener_key_file: Path = _row(Path(".state/keys/opener.key"), "key of opener@<bank>")
    treasury_key_file: Path = _row(
        Path(".state/keys/treasury.key"), "key of treasury@<bank>; only `seed` reads it"
    )
    kek_file: Path = _row(Path(".state/keys/kek.toml"), "key-encryption keys, outside the database")
    limits_file: Path | None = _row(None, "tiers and limits as TOML; the packaged one when not set")
    language: str = _row("en", "language of people who have not chosen one")
    lookups_per_day: int = _row(50, "other people's numbers one subscriber may look up in a day")
    sms_replies_per_hour: int = _row(20, "SMS answers one number may cause in an hour")
    argon2_ops: int = _row(2, "argon2id passes over a PIN")
    argon2_mib: int = _row(19, "argon2id memory for a PIN, MiB")
    argon2_threads: int = _row(2, "PINs checked at the same time by one process")
    log_level: Literal["debug", "info", "warning", "error"] = _row("info", "least level logged")

    @field_validator("carriers", "callback_allow", "ledger_peers", mode="before")
    @classmethod
    def _comma_separated(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("redis_url", "limits_file", "ledger_ca_file", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return None if value == "" else value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Given in code first, then the environment, then the file."""
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, InitSettingsSource(settings_cls, _file_values())

    @property
    def development(self) -> bool:
        return self.env == "development"

    def check_for_serving(self) -> None:
        """Raise `SettingsError` for what must not be served with, naming the setting."""
        if not self.callback_secret:
            raise SettingsError(
                f"{PREFIX}CALLBACK_SECRET is not set: choose a long random one, for instance "
                "with `openssl rand -hex 32`, and put it into the callback URLs at the carrier"
            )
        if self.development:
            return
        if len(self.callback_secret) < 24:  # noqa: PLR2004  # said in the row's help
            raise SettingsError(
                f"{PREFIX}CALLBACK_SECRET is too short for production: at least 24 characters"
            )
        for name in ("africastalking_user", "africastalking_key"):
            if "africastalking" in self.carriers and not getattr(self, name):
                raise SettingsError(f"{PREFIX}{name.upper()} is not set: no SMS could be sent")


def _file_values() -> dict[str, Any]:
    path = os.environ.get(PREFIX + "CONFIG")
    if not path:
        return {}
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{PREFIX}CONFIG={path}: {error}") from error


def load_settings() -> Settings:
    """Read the settings; raises `SettingsError` naming every wrong one, never its value."""
    try:
        return Settings()
    except ValidationError as error:
        lines = [
            f"{PREFIX}{str(problem['loc'][0]).upper()}: {problem['msg']}"
            for problem in error.errors()
        ]
        raise SettingsError("\n".join(lines)) from None


def unknown_variables() -> list[str]:
    """`GATEWAY_…` variables that set nothing: most likely misspelt, worth a warning."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {PREFIX + "CONFIG"}
    return sorted(
        name
        for name in os.environ
        if name.startswith(PREFIX) and name not in known and not name.startswith(PREFIX + "TEST_")
    )


def rows() -> list[tuple[str, str, str]]:
    """(variable, default, help) of every setting, in order: what the documents are made from."""
    return [
        (PREFIX + name.upper(), _shown(row.default), row.description or "")
        for name, row in Settings.model_fields.items()
    ]


def _shown(default: object) -> str:
    if default is None or default in ("", ()):
        return ""
    return ",".join(default) if isinstance(default, tuple) else str(default)
