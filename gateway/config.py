"""Settings: one row each, read from `GATEWAY_…` variables or one TOML file.

The environment wins over the file that `GATEWAY_CONFIG` names (keys there are the names below, in
lower case without the prefix). A row is name, type, default and help; `SETTINGS.md` is generated
from them and a test keeps it so. No other module reads the environment.
"""

import os
import tomllib
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from gateway.shapes import (
    BankName,
    Carriers,
    Credential,
    DatabaseUrl,
    Domain,
    Host,
    Language,
    MemberBanks,
    Networks,
    PathPart,
    PeerKeys,
    Peers,
    RedisUrl,
    Sender,
    ServiceCode,
    TrustedBlock,
    WebAddress,
)

PREFIX = "GATEWAY_"
PORT_MOST = 65535


class SettingsError(Exception):
    """A setting is missing or wrong; the message names it and says what would be right."""


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
    admin_host: Host = _row("127.0.0.1", "address of GATEWAY_ADMIN_PORT")
    admin_port: int | None = _row(
        None, "port that serves /ready and /metrics instead of GATEWAY_PORT", ge=1, le=PORT_MOST
    )
    connections: int = _row(
        2000, "open connections to one port; beyond it the longest silent is closed", ge=10
    )
    keepalive_s: float = _row(
        75.0,
        "an idle connection is closed after it, seconds; a proxy in front must give up sooner",
        ge=1,
        le=3600,
        allow_inf_nan=False,
    )
    database_url: DatabaseUrl = _row(
        "sqlite:///.state/gateway.db",
        "sqlite:///PATH, or postgresql://… in production; a standby that may take over must be"
        " synchronous, or what it lacks is written again from blocks and the rest is lost",
    )
    database_connections: int = _row(
        4, "PostgreSQL connections (and threads) of one process", ge=1, le=64
    )
    redis_url: RedisUrl | None = _row(
        None,
        "redis://HOST:PORT, or redis+cluster://HOST:PORT,HOST:PORT, shares conversations between"
        " processes; in memory when not set",
    )
    carriers: Carriers = _row(("africastalking",), "carriers to serve, comma-separated")
    callback_secret: PathPart = _row(
        "", "last secret part of the callback paths; at least 24 letters, digits, - . _ ~"
    )
    callback_allow: Networks = _row(
        (), "addresses or networks that may post callbacks, comma-separated; all when empty"
    )
    trusted_proxies: Networks = _row(
        (), "addresses or networks of proxies in front, whose X-Forwarded-For names the caller"
    )
    service_code: ServiceCode = _row("*855#", "the USSD code people dial")
    shortcode: Sender = _row("855", "the number people text, and the sender of our SMS")
    africastalking_url: WebAddress = _row(
        "https://api.africastalking.com", "base URL of Africa's Talking's REST API"
    )
    africastalking_user: Credential = _row("", "Africa's Talking username")
    africastalking_key: Credential = _row("", "Africa's Talking API key")
    ledger_peers: Peers = _row(
        ("127.0.0.1:50051",), "Iroha Torii addresses (host:port), comma-separated"
    )
    ledger_ca_file: Path | None = _row(None, "PEM certificates to trust when peers speak TLS")
    ledger_genesis_file: Path | None = _row(
        None, "the network's genesis block as JSON: its peers' keys and its hash are then pinned"
    )
    ledger_peer_keys: PeerKeys = _row(
        (), "public keys of the peers that sign blocks, instead of those in the genesis block"
    )
    ledger_trusted_block: TrustedBlock | None = _row(
        None, "HEIGHT:HASH of a block to begin after on a ledger that is older than this gateway"
    )
    ledger_wait_s: float = _row(
        3.0,
        "longest wait of a turn for the ledger, seconds, at most 8; all else of a turn may take 2, "
        "and carriers give up after 10 or sooner",
        ge=0.1,
        le=8,
        allow_inf_nan=False,
    )
    bank_domain: Domain = _row("bank", "this bank's domain on the ledger")
    bank_name: BankName = _row("Bakong", "this bank's name as people know it")
    member_banks: MemberBanks = _row(
        (),
        "other banks as people know them, like aba=ABA Bank,wing=Wing; by domain when not named. "
        "To accounts at the banks named here people can send money",
    )
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
    dispute_hours: int = _row(
        24,
        "how long after a payment to the wrong person it may be asked back; 0 never",
        ge=0,
        le=720,
    )
    dispute_hold_hours: int = _row(
        24,
        "how long what is left of such a payment is held while its receiver is asked; 0 not at all",
        ge=0,
        le=720,
    )
    disputes_per_day: int = _row(3, "payments one subscriber may ask back in a day", ge=0)
    recoveries_per_day: int = _row(
        20, "wallets whose key `ussd-gateway recover` may replace in a day", ge=0
    )
    sms_replies_per_hour: int = _row(20, "SMS answers one number may cause in an hour", ge=0)
    unclaimed_days: int = _row(
        30,
        "days after which money sent to a number without a wallet goes back unless it is claimed; "
        "0: no such money is taken",
        ge=0,
        le=365,
    )
    unclaimed_wallets_per_day: int = _row(
        5, "wallets that one sender may have made in a day by sending to numbers without", ge=0
    )
    unclaimed_sms_per_day: int = _row(
        3, "SMS in a day that invite one number to claim money; the rest is told later in one", ge=0
    )
    wrong_pins_per_minute: int = _row(
        100,
        "wrong PINs of everybody together, after which none is tried for the rest of a minute; a "
        "third of it for a million numbers alike. Set a tenth of the PINs of your busiest minute",
        ge=10,
    )
    reconciled_rows_per_s: int = _row(
        5000, "rows that one process compares with their movements in a second", ge=100, le=100_000
    )
    argon2_ops: int = _row(2, "argon2id passes over a PIN", ge=1, le=100)
    argon2_mib: int = _row(19, "argon2id memory for a PIN, MiB", ge=1, le=4096)
    argon2_threads: int = _row(2, "PINs checked at the same time by one process", ge=1, le=64)
    log_level: Literal["debug", "info", "warning", "error"] = _row("info", "least level logged")

    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object, info: ValidationInfo) -> object:
        unset = value == "" and cls.model_fields[info.field_name or ""].default is None
        return None if unset else value

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
    def bank_names(self) -> dict[str, str]:
        """Other banks' names by domain."""
        named = (entry.partition("=") for entry in self.member_banks)
        return {domain: name for domain, _, name in named}

    @property
    def development(self) -> bool:
        return self.env == "development"

    def check_for_serving(self) -> None:
        """Raise `SettingsError` for what must not be served with, naming every such setting."""
        wrong = list(self._not_for_serving())
        if wrong:
            raise SettingsError("\n".join(PREFIX + each for each in wrong))

    def _not_for_serving(self) -> Iterator[str]:
        if not self.callback_secret:
            yield (
                "CALLBACK_SECRET is not set: choose a long random one, for instance "
                "with `openssl rand -hex 32`, and put it into the callback URLs at the carrier"
            )
        if self.development:
            return
        if 0 < len(self.callback_secret) < 24:  # noqa: PLR2004  # said in the row's help
            yield "CALLBACK_SECRET is too short for production: at least 24 characters"
        for name in ("AFRICASTALKING_USER", "AFRICASTALKING_KEY"):
            if "africastalking" in self.carriers and not getattr(self, name.lower()):
                yield f"{name} is not set: no SMS could be sent"
        pinned = self.ledger_peer_keys and self.ledger_trusted_block
        if self.ledger_genesis_file is None and not pinned:
            yield (
                f"LEDGER_GENESIS_FILE (or {PREFIX}LEDGER_PEER_KEYS and "
                f"{PREFIX}LEDGER_TRUSTED_BLOCK) is not set: nothing would prove that a block is "
                "the network's and not one peer's invention"
            )


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
    hint = _perhaps(str(problem["loc"][0]))
    return f"no such setting, in the file of {PREFIX}CONFIG{'; ' if hint else ''}{hint}"


def _perhaps(name: str) -> str:
    """Name the setting that is spelt most like `name`, if any is."""
    similar = get_close_matches(name.lower(), Settings.model_fields, n=1)
    return f"perhaps {similar[0]}?" if similar else ""


def unknown_variables() -> dict[str, str]:
    """`GATEWAY_…` variables that set nothing, each with what it may be a misspelling of."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {PREFIX + "CONFIG"}
    return {
        name: _perhaps(name.removeprefix(PREFIX))
        for name in sorted(os.environ)
        if name.startswith(PREFIX) and name not in known and not name.startswith(PREFIX + "TEST_")
    }


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
