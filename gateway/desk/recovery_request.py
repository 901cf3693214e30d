"""A request for a recovery: the file that goes from the first signer to the second and back.

It holds one transaction of the recoverer, signed by one of its keys or by both, and no secret: the
new key stays sealed in the database. What a signer is shown is read from the signed bytes, so a
file can be refused, but it cannot lie; only the reason is hearsay. Pure: no clock, no file, no
database, for the second signer's host has none of ours.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, cast

from gateway.desk.replacement import Reason
from gateway.desk.times import from_ms
from ledger_client.keys import SigningKey
from ledger_client.ledger import AddSignatory, Command, InvalidTransaction, RemoveSignatory
from ledger_client.transaction import Draft, add_signature, read_draft

BANKS_REASONS: Final[tuple[Reason, ...]] = ("forgotten", "theft")
QUORUM: Final = 2
GOOD_FOR: Final = timedelta(hours=23)  # the ledger takes it for 24; the last one is for sending it
AHEAD: Final = timedelta(minutes=5)  # hosts' clocks differ; the ledger allows as much


class RecoveryError(ValueError):
    """It cannot be done; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Request:
    """Asks the ledger for a new key of one wallet."""

    reason: Reason
    data: bytes
    tx_hash: str
    recoverer: str
    account_id: str
    new_key: str
    old_keys: tuple[str, ...]
    signers: tuple[str, ...]
    asked_at: datetime

    @classmethod
    def of(cls, reason: Reason, data: bytes) -> "Request":
        """What these bytes ask for; raises `RecoveryError` unless it is a recovery and no more."""
        try:
            draft = read_draft(data)
        except InvalidTransaction as error:
            raise RecoveryError(f"not a request that can be trusted: {error}") from None
        match draft.commands:
            case (AddSignatory(account_id, new), *rest) if _is_recovery(draft, account_id):
                old = _removed(account_id, rest)
            case _:
                new, old = "", ()
        if not old or new in old:
            raise RecoveryError("not a request for a recovery: it asks for something else")
        asked_at, signers = from_ms(draft.created_time), draft.signers
        return cls(
            reason, data, draft.tx_hash, draft.creator, account_id, new, old, signers, asked_at
        )

    @classmethod
    def read(cls, text: str) -> "Request":
        """A request from its file; raises `RecoveryError`."""
        try:
            held = json.loads(text)
            reason, data = held["reason"], bytes.fromhex(held["transaction"])
        except (ValueError, TypeError, KeyError):
            raise RecoveryError("this file is no request of `ussd-gateway recover begin`") from None
        if reason not in BANKS_REASONS:
            raise RecoveryError("the file gives no reason that is known here")
        return cls.of(cast("Reason", reason), data)

    def text(self) -> str:
        """The content of its file."""
        return json.dumps({"reason": self.reason, "transaction": self.data.hex()}, indent=2) + "\n"

    @property
    def good_until(self) -> datetime:
        return self.asked_at + GOOD_FOR

    def check_time(self, now: datetime) -> None:
        """Raise `RecoveryError` for what the ledger may no longer, or not yet, take."""
        if now >= self.good_until:
            hours = GOOD_FOR // timedelta(hours=1)
            raise RecoveryError(f"the request is older than {hours} hours: begin again")
        if self.asked_at > now + AHEAD:
            raise RecoveryError("the request is from the future: compare the clocks of both hosts")

    def signed_by(self, key: SigningKey, now: datetime) -> "Request":
        """The same request with one signature more."""
        self.check_time(now)
        if len(self.signers) >= QUORUM:
            raise RecoveryError("both have signed already: `ussd-gateway recover finish` is next")
        try:
            data = add_signature(self.data, key)
        except InvalidTransaction:
            raise RecoveryError("this key has signed already: another person must") from None
        return replace(self, data=data, signers=(*self.signers, key.public_key))


def _removed(account_id: str, commands: Sequence[Command]) -> tuple[str, ...]:
    """The keys that these take from the account; none if they are anything else, too."""
    keys = [
        one.public_key
        for one in commands
        if isinstance(one, RemoveSignatory) and one.account_id == account_id
    ]
    return tuple(keys) if len(set(keys)) == len(commands) else ()


def _is_recovery(draft: Draft, account_id: str) -> bool:
    """Is it the recoverer's of the wallet's own bank, and of the quorum that it must have?"""
    domain = account_id.partition("@")[2]
    return draft.creator == f"recoverer@{domain}" and draft.quorum == QUORUM
