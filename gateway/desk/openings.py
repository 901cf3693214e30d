"""A wallet drawn up, and stored in one commit with what makes it true on the ledger.

The opener creates the account; the new wallet grants the recoverer the right to replace its key. A
wallet that its owner opens is published for other banks, one made by receiving only once it is
claimed (`renewal`): until then others must see that nobody has it. All travels as members of one
atomic batch, which a first payment into the wallet may join (`making`). Who may have one is not
decided here: `wallets` opens one for its owner, `making` for whom somebody pays. No PIN comes into
this room.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from sqlalchemy import Connection, insert

from gateway.desk.changes import make_holdings
from gateway.desk.directory import OPENING
from gateway.desk.listings import published
from gateway.stores.dialects import insert_ignore
from gateway.stores.tables import Submission, Wallet, table_of
from gateway.vault import Sealed
from ledger_client.keys import KeyForm, SigningKey
from ledger_client.ledger import (
    Command,
    CreateAccount,
    GrantPermission,
    SetAccountDetail,
    Signed,
)
from ledger_client.transaction import Member, build
from menus.kinds import Currency, Msisdn

GRANTED: Final = ("can_add_my_signatory", "can_remove_my_signatory")
BASIC: Final = "basic"  # the tier of who is known by number only
_PURPOSES: Final = (OPENING, "grant")
_NAMED: Final = re.compile(r"(\d+)(?:_\d+)?@").match
_SUBMISSION = table_of(Submission)


@dataclass(frozen=True, slots=True)
class Profile:
    """What the bank knows of a new wallet's owner; somebody who dials is known by number only."""

    name: str = ""
    tier: str = BASIC
    role: str = "subscriber"
    till: str | None = None
    dollars: bool = False


@dataclass(frozen=True, slots=True)
class Bank:
    """Whose wallets these are, and who opens them."""

    domain: str
    opener: SigningKey
    key_form: KeyForm = "raw"  # of new wallets' keys; the only one that a stock irohad takes

    @property
    def opener_id(self) -> str:
        return f"opener@{self.domain}"

    def no_op(self, now_ms: int) -> bytes:
        """A signed transaction that changes nothing of worth: it makes the ledger make a block."""
        command = SetAccountDetail(self.opener_id, "alive", str(now_ms))
        return build(self.opener_id, [command], now_ms, key=self.opener).data

    @property
    def recoverer_id(self) -> str:
        return f"recoverer@{self.domain}"

    def account_of(self, number: Msisdn, earlier: int) -> str:
        """The account of a number's next wallet, after `earlier` ones."""
        name = number.e164.removeprefix("+") + (f"_{earlier + 1}" if earlier else "")
        return f"{name}@{self.domain}"

    def opening(
        self, account_id: str, key: SigningKey, now_ms: int, *, number: Msisdn | None
    ) -> tuple[Member, Member]:
        """What makes an account of `key` a wallet, signed as a batch; published if `number`."""
        name = account_id.partition("@")[0]
        commands: list[Command] = [CreateAccount(name, self.domain, key.public_key)]
        if number:
            commands.append(published(self.opener_id, number.e164, account_id))
        return (
            (self.opener_id, commands, now_ms, self.opener),
            (account_id, grants(self.recoverer_id), now_ms, key),
        )

    def listing(self, number: str, account_id: str, now_ms: int) -> Member:
        """What tells other banks of a wallet that was made without."""
        listing = published(self.opener_id, number, account_id)
        return self.opener_id, [listing], now_ms, self.opener


def grants(recoverer_id: str) -> tuple[GrantPermission, ...]:
    """What a new wallet signs, and nothing else: who may replace its key."""
    return tuple(GrantPermission(recoverer_id, permission) for permission in GRANTED)


def number_of(account_id: str) -> str | None:
    """The number that an account is named after by `Bank.account_of`, if it is."""
    found = _NAMED(account_id)
    return f"+{found[1]}" if found else None


@dataclass(frozen=True, slots=True)
class Opening:
    """A wallet drawn up and signed for, ready for its one commit."""

    account_id: str
    number: str
    profile: Profile
    public_key: str
    sealed: Sealed = field(repr=False)
    signed: Sequence[Signed] = field(repr=False)  # the two of `Bank.opening`
    now_ms: int
    claim: Literal["", "waiting"] = ""  # for whom nobody has chosen a PIN yet

    @property
    def batch(self) -> str:
        return self.signed[0].tx_hash


def store_openings(connection: Connection, items: Sequence[Opening]) -> Sequence[bool]:
    """Write each wallet with what is to be sent for it, unless its number has one by now."""
    stored = {}
    for item in sorted(items, key=lambda item: item.number):
        free = insert_ignore(connection, Wallet, [_wallet_row(item)]) == 1
        if free:
            make_holdings(connection, [(item.account_id, each.value) for each in Currency])
            connection.execute(insert(_SUBMISSION), _submission_rows(item))
        stored[item.number] = free
    return [stored[item.number] for item in items]


def _wallet_row(item: Opening) -> dict[str, Any]:
    return {
        "account_id": item.account_id,
        "msisdn": item.number,
        "name": item.profile.name,
        "tier": item.profile.tier,
        "role": item.profile.role,
        "till": item.profile.till,
        "dollars": item.profile.dollars,
        "state": "opening",
        "public_key": item.public_key,
        "key_version": item.sealed.key_version,
        "kek_version": item.sealed.kek_version,
        "salt": item.sealed.salt,
        "sealed_key": item.sealed.blob,
        "wrong_pins": 0,
        "locked_until": 0,
        "opened_at": 0,
        "claim": item.claim,
    }


def _submission_rows(item: Opening) -> list[dict[str, Any]]:
    return [
        {
            "tx_hash": signed.tx_hash,
            "purpose": purpose,
            "account_id": item.account_id,
            "batch": item.batch,
            "position": position,
            "created_time": signed.created_time,
            "data": signed.data,
            "state": "signed",
            "next_send_at": item.now_ms,
            "sends": 0,
        }
        for position, (purpose, signed) in enumerate(zip(_PURPOSES, item.signed, strict=True))
    ]
