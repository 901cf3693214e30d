"""What the value of a setting must look like: the types of the rows in `config`.

What is raised here says what would be right, never what was given: that may be a secret.
"""

import re
from collections.abc import Callable
from ipaddress import ip_network
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode

from ledger_client.keys import is_public_key
from menus.bank_accounts import LONGEST_BANK
from menus.encoding import GSM7_BASIC
from menus.text.load import PACKAGED

_LABEL = r"[a-zA-Z](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"  # the ledger's own rule
# Every page that names a bank is proved with a name of this length, in letters like these: one of
# Khmer would halve the page, and one of GSM-7's extension table takes the room of two.
_NAME_MOST = len(LONGEST_BANK)
_NAME_LETTERS = re.escape(GSM7_BASIC.replace("\n", "").replace("\r", ""))
_NAME = rf"(?! )[{_NAME_LETTERS}]{{1,{_NAME_MOST}}}(?<! )"
_NAMED = f"1 to {_NAME_MOST} characters of GSM-7: Latin letters, no Khmer, none of [ ] {{ }} | ~"


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


def _split(value: object) -> object:
    """Lists are comma-separated in the environment; a file may write them as lists."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _not_empty(values: tuple[str, ...]) -> tuple[str, ...]:
    if not values or len(set(values)) < len(values):
        raise ValueError("at least one, and none of them twice")
    return values


def _peer(value: str) -> None:
    parts = urlsplit(f"//{value}")
    if not parts.hostname or not parts.port or parts.netloc != value or "@" in value:
        raise ValueError


def _member_bank(value: str) -> None:
    if not re.fullmatch(rf"{_LABEL}(?:\.{_LABEL})*={_NAME}", value):
        raise ValueError


def _banks_named_once(values: tuple[str, ...]) -> tuple[str, ...]:
    if len({value.partition("=")[0] for value in values}) < len(values):
        raise ValueError("no domain twice")
    return values


def _peer_key(value: str) -> None:
    if not is_public_key(value):
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


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Carriers = Annotated[Names, AfterValidator(_not_empty)]
Peers = Annotated[
    Names, AfterValidator(_not_empty), _each(_peer, "each one host:port, comma-separated")
]
Networks = Annotated[Names, _each(_network, "addresses or networks like 192.0.2.0/24")]
MemberBanks = Annotated[
    Names,
    _each(_member_bank, f"each one DOMAIN=NAME, a name of {_NAMED}"),
    AfterValidator(_banks_named_once),
]
PeerKeys = Annotated[
    Names, _each(_peer_key, "each one 64 hex digits, or ed0120 and 64, comma-separated")
]
TrustedBlock = Annotated[
    str, _shaped(r"[1-9][0-9]{0,17}:[0-9a-fA-F]{64}", "a height and a hash like 1200:8f0c…")
]
Host = Annotated[str, _shaped(r"[A-Za-z0-9._:%-]+", "an address or name to listen on")]
Domain = Annotated[
    str, _shaped(rf"{_LABEL}(?:\.{_LABEL})*", "a domain as the ledger writes it, like bank")
]
# Every text that names the code is proved with one of this length.
ServiceCode = Annotated[
    str, _shaped(r"(?=.{1,12}$)(?:\*[0-9]+)+#", "a code like *855#, 12 characters at most")
]
Sender = Annotated[str, _shaped(r"\+?[A-Za-z0-9]{1,15}", "letters and digits, 15 at most")]
BankName = Annotated[str, _shaped(_NAME, f"{_NAMED}, no spaces around them")]
Credential = Annotated[
    str, _shaped(r"[!-~]*", "no spaces or line ends, also not at its end, and no accents")
]
PathPart = Annotated[
    str, _shaped(r"(?!\.{1,2}$)[A-Za-z0-9._~-]*", "only letters, digits, - . _ and ~")
]
RedisUrl = Annotated[
    str,
    _shaped(
        r"(?:rediss?(?:\+cluster)?|unix)://\S+",
        "must begin with redis://, rediss://, unix://, redis+cluster:// or rediss+cluster://",
    ),
]
WebAddress = Annotated[str, AfterValidator(_web_address)]
DatabaseUrl = Annotated[str, AfterValidator(_database)]
Language = Annotated[str, AfterValidator(_language)]
