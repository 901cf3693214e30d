"""Settings: one row each, read from `GATEWAY_…` variables or one TOML file.

The environment wins over the file that `GATEWAY_CONFIG` names (keys there are the names below, in
lower case without the prefix). A row is name, type, default and help; `SETTINGS.md` is generated
from them and a test keeps it so. No other module reads the environment.
"""

import os
import re
import tomllib
from collections.abc import Callable
from difflib import get_close_matches
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from menus.text.load import PACKAGED

PREFIX = "GATEWAY_"
PORT_MOST = 65535
_LABEL = r"[a-zA-Z](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"  # the ledger's own rule


class SettingsError(Exception):
    """A setting is missing or wrong; the message names it and says what would be right."""


# ---- what a value must look like; what is raised says what would be right, never what was given


def _shaped(pattern: str, wanted: str) -> AfterValidator:
    shape = re.compile(pattern)

    def check(value: str) -> str:
        if not shape.fullmatch(value):
            raise ValueError(wanted)
        return value

    return AfterValidator(check)


def _each(check: Callable[[str], None], wanted: str) -> AfterValidator:
    def check_all(values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            try:
                check(value)
            except ValueError:
                raise ValueError(wanted) from None
        return values

    return AfterValidator(check_all)


def _not_empty(values: tuple[str, ...]) -> tuple[str, ...]:
    if not values or len(set(values)) < len(values):
        raise ValueError("at least one, and none of them twice")
    return values


def _peer(value: str) -> None:
    parts = urlsplit(f"//{value}")
    if not parts.hostname or not parts.port or parts.netloc != value or "@" in value:
        raise ValueError


def _network(value: str) -> None:
    ip_network(value, strict=False)


def _web_address(value: str) -> str:
    try:
        parts = urlsplit(value)
        right = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        right = False
    if not right or re.search(r"[\s?#@]", value):
        raise ValueError("an address like https://api.example.com, nothing after its path")
    return value


def _database(value: str) -> str:
    # Else the end of a password would be taken for the host, and named in an error.
    if value.partition("//")[2].partition("?")[0].count("@") > 1:
        raise ValueError("an @ in the user's name or password must be written %40")
    return value


def _language(value: str) -> str:
    languages = sorted(path.stem for path in PACKAGED.glob("*.toml"))
    if value not in languages:
        raise ValueError(f"there are texts in {', '.join(languages)}")
    return value


Names = Annotated[tuple[str, ...], NoDecode]
Carriers = Annotated[Names, AfterValidator(_not_empty)]
Peers = Annotated[
    Names, AfterValidator(_not_empty), _each(_peer, "each one host:port, comma-separated")
]
Networks = Annotated[Names, _each(_network, "addresses or networks like 192.0.2.0/24")]
Host = Annotated[str, _shaped(r"[A-Za-z0-9._:%-]+", "an address or name to listen on")]
Domain = Annotated[
    str, _shaped(rf"{_LABEL}(?:\.{_LABEL})*", "a domain as the ledger writes it, like bank")
]
ServiceCode = Annotated[str, _shaped(r"\*[0-9*]+#", "a code like *855#")]
Word = Annotated[str, _shaped(r"\S+", "not empty, no spaces")]
Shown = Annotated[str, _shaped(r"\S(?:.*\S)?", "not empty, one line, no spaces around it")]
Credential = Annotated[str, _shaped(r"\S*", "no spaces or line ends, also not at its end")]
PathPart = Annotated[
    str, _shaped(r"(?!\.{1,2}$)[A-Za-z0-9._~-]*", "only letters, digits, - . _ and ~")
]
RedisUrl = Annotated[
    str, _shaped(r"(?:redis|rediss|unix)://\S+", "must begin with redis://, rediss:// or unix://")
]
WebAddress = Annotated[str, AfterValidator(_web_address)]
DatabaseUrl = Annotated[str, AfterValidator(_database)]
Language = Annotated[str, AfterValidator(_language)]


# ---- the rows


def _row(default: Any, text: str, **bounds: Any) -> Any:  # noqa: ANN401  # pydantic's own types
    return Field(default=default, description=text, **bounds)


class Settings(BaseSettings):
    """Everything an operator can set."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    env: Literal["development", "production"] = _row(
        "production", "development allows seeding and the well-known callback secret"
    )
    host: Host = _row("127.0.0.1", "address the HTTP server listens on")
    port: int = _row(8855, "port the HTTP server listens on", ge=1, le=PORT_MOST)
    database_url: DatabaseUrl = _row(
        "sqlite:///.state/gateway.db", "sqlite:///PATH, or postgresql://… in production"
    )
    database_connections: int = _row(
        4, "PostgreSQL connections (and threads) of one process", ge=1, le=64
    )
    redis_url: RedisUrl | None = _row(
        None, "redis://… for conversations shared by several processes; in memory when not set"
    )
    carriers: Carriers = _row(("africastalking",), "carriers to serve, comma-separated")
    callback_secret: PathPart = _row(
        "", "last secret part of the callback paths; at least 24 letters, digits, - . _ ~"
    )
    callback_allow: Networks = _row(
        (), "addresses or networks that may post callbacks, comma-separated; all when empty"
    )
    service_code: ServiceCode = _row("*855#", "the USSD code people dial")
    shortcode: Word = _row("855", "the number people text, and the sender of our SMS")
    africastalking_url: WebAddress = _row(
        "https://api.africastalking.com", "base URL of Africa's Talking's REST API"
    )
    africastalking_user: Credential = _row("", "Africa's Talking username")
    africastalking_key: Credential = _row("", "Africa's Talking API key")
    ledger_peers: Peers = _row(
        ("127.0.0.1:50051",), "Iroha Torii addresses (host:port), comma-separated"
    )
    ledger_ca_file: Path | None = _row(None, "PEM certificates to trust when peers speak TLS")
    ledger_wait_s: float = _row(
        3.0, "longest wait of a turn for the ledger, seconds", ge=0.1, le=60, allow_inf_nan=False
    )
    bank_domain: Domain = _row("bank", "this bank's domain on the ledger")
    bank_name: Shown = _row("Bakong", "this bank's name as people know it")
    asset_domain: Domain = _row("nbc", "domain of the khr and usd assets on the ledger")
    opener_key_file: Path = _row(Path(".state/keys/opener.key"), "key of opener@<bank>")
    treasury_key_file: Path = _row(
        Path(".state/keys/treasury.key"), "key of treasury@<bank>; only `seed` reads it"
    )
    kek_file: Path = _row(Path(".state/keys/kek.toml"), "key-encryption keys, outside the database")
    limits_file: Path | None = _row(None, "tiers and limits as TOML; the packaged one when not set")
    language: Language = _row("en", "language of people who have not chosen one")
    lookups_per_day: int = _row(
        50, "other people's numbers one subscriber may look up in a day", ge=0
    )
    sms_replies_per_hour: int = _row(20, "SMS answers one number may cause in an hour", ge=0)
    argon2_ops: int = _row(2, "argon2id passes over a PIN", ge=1, le=100)
    argon2_mib: int = _row(19, "argon2id memory for a PIN, MiB", ge=1, le=4096)
    argon2_threads: int = _row(2, "PINs checked at the same time by one process", ge=1, le=64)
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
    except OSError as error:
        raise SettingsError(f"{PREFIX}CONFIG={path}: {error.strerror}") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{PREFIX}CONFIG={path}: {error}") from None
    except ValueError:  # whose own text quotes the byte
        raise SettingsError(f"{PREFIX}CONFIG={path}: not UTF-8") from None


def load_settings() -> Settings:
    """Read the settings; raises `SettingsError` naming every wrong one, never its value."""
    try:
        return Settings()
    except ValidationError as error:
        wrong = {str(problem["loc"][0]): _why(problem) for problem in error.errors()}
        lines = [f"{PREFIX}{name.upper()}: {why}" for name, why in wrong.items()]
        raise SettingsError("\n".join(lines)) from None


def _why(problem: ErrorDetails) -> str:
    if problem["type"] != "extra_forbidden":
        return problem["msg"].removeprefix("Value error, ")
    similar = get_close_matches(str(problem["loc"][0]).lower(), Settings.model_fields, n=1)
    hint = f"; perhaps {similar[0]}?" if similar else ""
    return f"no such setting, in the file of {PREFIX}CONFIG{hint}"


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
