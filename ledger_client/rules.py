"""What a peer would refuse without looking at its state, checked before anything is signed.

Iroha 1.6's stateless rules, and two that it leaves to each network: the description limit that
our genesis sets, and the precision of the currencies we know. Every refusal is an
`InvalidTransaction` that names the field and the rule, never a secret. Nothing here knows
protobuf or the state of the ledger.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from ledger_client.keys import is_public_key
from ledger_client.ledger import (
    AddAssetQuantity,
    AddSignatory,
    Command,
    CreateAccount,
    GrantPermission,
    InvalidTransaction,
    OtherCommand,
    RemoveSignatory,
    SetAccountDetail,
    SubtractAssetQuantity,
    TransferAsset,
)

PRECISIONS: Final[Mapping[str, int]] = {"khr#nbc": 0, "usd#nbc": 2}
"""Decimals of the currencies we know. Even "1.0" is refused by an asset without decimals."""

DESCRIPTION_BYTES_MAX: Final = 64
DETAIL_BYTES_MAX: Final = 4 * 1024 * 1024
QUORUM_MAX: Final = 128
CREATED_TIME_MIN: Final = 1_000_000_000_000  # September 2001: less than this is not milliseconds
CREATED_TIME_MAX: Final = 100_000_000_000_000
_AMOUNT_MAX: Final = 2**256

_NAME = r"[a-z_0-9]{1,32}"
_LABEL = r"[a-zA-Z](?:[a-zA-Z0-9\-]{0,61}[a-zA-Z0-9])?"
_DOMAIN = rf"{_LABEL}(?:\.{_LABEL})*"
_PATTERNS: Final = {
    "name": re.compile(_NAME),
    "domain": re.compile(_DOMAIN),
    "account": re.compile(rf"{_NAME}@{_DOMAIN}"),
    "asset": re.compile(rf"{_NAME}#{_DOMAIN}"),
    "detail key": re.compile(r"[A-Za-z0-9_]{1,64}"),
    "amount": re.compile(r"[0-9]{1,100}(?:\.[0-9]{1,100})?"),
}


def check_transaction(
    creator: str, commands: Sequence[Command], created_time: int, quorum: int
) -> None:
    """Raise `InvalidTransaction` for the first rule that the transaction breaks."""
    require("creator", "account", creator)
    # bool is an int to Python, and a float would sign a time that nobody meant.
    if type(created_time) is not int or not CREATED_TIME_MIN <= created_time <= CREATED_TIME_MAX:
        raise InvalidTransaction("created_time: whole milliseconds since 1970")
    if type(quorum) is not int or not 1 <= quorum <= QUORUM_MAX:
        raise InvalidTransaction(f"quorum: from 1 to {QUORUM_MAX}")
    if not commands:
        raise InvalidTransaction("commands: at least one")
    for index, command in enumerate(commands):
        try:
            _check(command)
        except InvalidTransaction as error:
            raise InvalidTransaction(f"command {index}, {error}") from None


def _check(command: Command) -> None:
    match command:
        case TransferAsset():
            require("src", "account", command.src)
            require("dest", "account", command.dest)
            if command.src == command.dest:
                raise InvalidTransaction("dest: another account than src")
            _money(command)
        case AddAssetQuantity() | SubtractAssetQuantity():
            _money(command)
        case CreateAccount():
            require("account_name", "name", command.account_name)
            require("domain_id", "domain", command.domain_id)
            require_public_key(command.public_key)
        case AddSignatory() | RemoveSignatory():
            require("account_id", "account", command.account_id)
            require_public_key(command.public_key)
        case GrantPermission():
            require("account_id", "account", command.account_id)
        case SetAccountDetail():
            require("account_id", "account", command.account_id)
            require("key", "detail key", command.key)
            if len(command.value.encode()) > DETAIL_BYTES_MAX:
                raise InvalidTransaction(f"value: at most {DETAIL_BYTES_MAX} bytes")
        case OtherCommand():
            raise InvalidTransaction(f"{command.name}: this project never sends it")


def _money(command: TransferAsset | AddAssetQuantity | SubtractAssetQuantity) -> None:
    """Check asset, amount and description, which money commands share."""
    require("asset_id", "asset", command.asset_id)
    require("amount", "amount", command.amount)
    digits = int(command.amount.replace(".", ""))
    if not 0 < digits < _AMOUNT_MAX:
        raise InvalidTransaction("amount: more than nothing and less than 2^256")
    precision = PRECISIONS.get(command.asset_id)
    decimals = len(command.amount.partition(".")[2])
    if precision is not None and decimals > precision:
        raise InvalidTransaction(f"amount: {command.asset_id} has {precision} decimals")
    try:
        length = len(command.description.encode())
    except UnicodeEncodeError:
        raise InvalidTransaction("description: valid Unicode") from None
    if length > DESCRIPTION_BYTES_MAX:
        raise InvalidTransaction(f"description: at most {DESCRIPTION_BYTES_MAX} bytes of UTF-8")


def require(field: str, kind: str, value: str) -> None:
    """Raise unless `value` is a well-formed `kind`, e.g. "account"."""
    if not _PATTERNS[kind].fullmatch(value):
        raise InvalidTransaction(f"{field}: {value!r} is no {kind} of this ledger")


def require_public_key(value: str) -> None:
    """Raise unless somebody can sign with it; a name in neither form, or no point, is refused."""
    if not is_public_key(value):
        raise InvalidTransaction("public_key: 64 hex digits, or ed0120 and 64, of a valid point")
