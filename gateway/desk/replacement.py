"""A key that takes the place of a wallet's key on the ledger: stored first, installed by its block.

1.  ONE commit holds the new key, sealed, and the exact bytes of one transaction that adds it and
    removes the old one; nothing is sent before. The ledger does both or neither, so no block
    leaves a wallet with two keys that sign, or with none that we can open.
2.  Until a block holds it, the wallet's row keeps the old key. The wallet receives; it pays nothing
    and changes no PIN (`books.IS_BEING_REPLACED`), for the key that would serve is about to go.
3.  The follower's commit moves the new key into the wallet's row. Refused or cancelled, the old
    key has never been away. What a block says is not argued with: a replacement that was given up
    and commits all the same is installed.

Everything runs inside a caller's commit, on wallets that `lock_wallets` has locked. Who may have a
key replaced is not decided here: `renewal` (the owner) and `recovery` (the bank) do.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from sqlalchemy import (
    Connection,
    and_,
    bindparam,
    insert,
    literal_column,
    not_,
    select,
    update,
)

from gateway.desk import unclaimed
from gateway.desk.attempts import forgive
from gateway.desk.books import IS_BEING_REPLACED
from gateway.desk.openings import BASIC
from gateway.messages import withdraw_invitations
from gateway.stores.dialects import in_list, listed
from gateway.stores.tables import Replacement, Submission, Wallet, table_of
from gateway.vault import Sealed
from ledger_client.ledger import AddSignatory, Block, RemoveSignatory

REPLACEMENT: Final = "replacement"
LISTING: Final = "listing"  # of a wallet that is claimed, in one batch with its new key
Reason = Literal["first_pin", "theft", "forgotten"]
State = Literal["awaiting", "pending", "done", "failed"]

_WALLET, _SUBMISSION, _REPLACEMENT = table_of(Wallet), table_of(Submission), table_of(Replacement)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key made for a wallet, and the transaction that puts it in the place of the old one."""

    account_id: str
    reason: Reason
    public_key: str
    sealed: Sealed = field(repr=False)
    tx_hash: str
    created_at: int  # ms; the transaction's too


class Present(NamedTuple):
    """Which key a wallet has, as far as a replacement may depend on it."""

    key_version: int
    salt: bytes


class Changed(NamedTuple):
    """A wallet whose key was to be replaced, and whether the new one has a PIN."""

    tx_hash: str
    account_id: str
    has_pin: bool
    claimed: bool = False  # its wallet had no owner before


def exchange(
    account_id: str, *, new: str, old: Iterable[str]
) -> tuple[AddSignatory | RemoveSignatory, ...]:
    """One transaction's commands, in the only order that never leaves an account without a key."""
    return AddSignatory(account_id, new), *(RemoveSignatory(account_id, key) for key in old)


# ---- stored


IS_REPLACEABLE = and_(
    _WALLET.c.state.in_(("open", "held")),
    _WALLET.c.claim != literal_column("'returning'"),
    not_(IS_BEING_REPLACED),
)
_PRESENT = select(*(_WALLET.c[name] for name in Present._fields)).where(
    _WALLET.c.account_id == bindparam("account"), IS_REPLACEABLE
)
_STATE = select(_REPLACEMENT.c.state).where(_REPLACEMENT.c.tx_hash == bindparam("tx_hash"))


def present(connection: Connection, account_id: str) -> Present | None:
    """The key of a wallet, if it is on the ledger and no replacement is under way."""
    row = connection.execute(_PRESENT, {"account": account_id}).first()
    return None if row is None else Present(*row)


def state_of(connection: Connection, tx_hash: str) -> str | None:
    """How far a replacement is, or None when it was never stored."""
    return connection.execute(_STATE, {"tx_hash": tx_hash}).scalar_one_or_none()


def store(connection: Connection, key: NewKey, state: State) -> None:
    """Write a new key down; one that is `pending` is then `send`."""
    row = {
        "tx_hash": key.tx_hash,
        "account_id": key.account_id,
        "reason": key.reason,
        "public_key": key.public_key,
        "key_version": key.sealed.key_version,
        "kek_version": key.sealed.kek_version,
        "salt": key.sealed.salt,
        "sealed_key": key.sealed.blob,
        "state": state,
        "created_at": key.created_at,
    }
    connection.execute(insert(_REPLACEMENT), [row])


def send(
    connection: Connection, account_id: str, *signed: tuple[str, int, bytes], now_ms: int
) -> None:
    """Hand the outbox the new key, and what is in its batch: each hash, time and signed bytes."""
    rows = [
        {
            "tx_hash": tx_hash,
            "purpose": LISTING if position else REPLACEMENT,
            "account_id": account_id,
            "batch": signed[0][0],
            "position": position,
            "created_time": created_time,
            "data": data,
            "state": "signed",
            "next_send_at": now_ms,
            "sends": 0,
        }
        for position, (tx_hash, created_time, data) in enumerate(signed)
    ]
    connection.execute(insert(_SUBMISSION), rows)


# ---- ended

_UNASKED = select(_REPLACEMENT.c.tx_hash, _REPLACEMENT.c.account_id).where(
    _REPLACEMENT.c.tx_hash.in_(select(listed("hashes").c.value)),
    _REPLACEMENT.c.state == literal_column("'awaiting'"),
)


def unasked(connection: Connection, hashes: Sequence[str]) -> dict[str, str]:
    """Of these committed hashes those that stand for a replacement nobody sent from here: accounts.

    Whoever holds a recovery that two people have signed can give it to the ledger himself.
    """
    rows = connection.execute(_UNASKED, {"hashes": in_list(hashes)})
    return {tx_hash: account_id for tx_hash, account_id in rows}  # noqa: C416 - rows are not pairs to mypy


def key_changes(block: Block, own: str) -> list[tuple[str, str]]:
    """Accounts of bank `own` whose keys a block changes, each with the transaction's hash."""
    return [
        (command.account_id, transaction.tx_hash)
        for transaction in block.transactions
        for command in transaction.commands
        if isinstance(command, AddSignatory | RemoveSignatory)
        and command.account_id.endswith(f"@{own}")
    ]


def meet_claims(connection: Connection, accounts: Iterable[str], now_ms: int) -> None:
    """These have keys that a lost database knew: whichever had no owner here has been claimed.

    Nothing that waits there may go back, and what its owner has paid is his. We cannot sign for
    them until they are recovered.
    """
    claimed = unclaimed.claimed(connection, accounts, BASIC)
    withdraw_invitations(connection, claimed, now_ms)


def install(connection: Connection, hashes: Sequence[str]) -> list[Changed]:
    """Give wallets the keys that the ledger has given them."""
    if not hashes:
        return []
    waiting = connection.execute(
        select(_REPLACEMENT)
        .where(_REPLACEMENT.c.tx_hash.in_(hashes), _REPLACEMENT.c.state != "done")
        .order_by(_REPLACEMENT.c.account_id, _REPLACEMENT.c.key_version)
        .with_for_update()  # a rotation of the KEK may be re-wrapping them
    ).all()
    for row in waiting:
        connection.execute(
            update(_WALLET)
            .where(_WALLET.c.account_id == row.account_id)
            .values(
                public_key=row.public_key,
                key_version=row.key_version,
                kek_version=row.kek_version,
                salt=row.salt,
                sealed_key=row.sealed_key,
            )
        )
    connection.execute(
        update(_REPLACEMENT)
        .where(_REPLACEMENT.c.tx_hash.in_([row.tx_hash for row in waiting]))
        .values(state="done", sealed_key=b"")  # a secret has one home
    )
    owned = unclaimed.claimed(connection, [row.account_id for row in waiting if row.salt], BASIC)
    changed = [
        Changed(row.tx_hash, row.account_id, bool(row.salt), row.account_id in owned)
        for row in waiting
    ]
    forgive(connection, [one.account_id for one in changed if not one.has_pin])
    return changed


def give_up(connection: Connection, hashes: Sequence[str]) -> list[Changed]:
    """These are not to be: the old keys stay, and may be used again."""
    if not hashes:
        return []
    rows = connection.execute(
        update(_REPLACEMENT)
        .where(_REPLACEMENT.c.tx_hash.in_(hashes), _REPLACEMENT.c.state == "pending")
        .values(state="failed")
        .returning(_REPLACEMENT.c.tx_hash, _REPLACEMENT.c.account_id, _REPLACEMENT.c.salt)
    )
    failed = sorted(Changed(row.tx_hash, row.account_id, bool(row.salt)) for row in rows)
    unclaimed.release(connection, [one.account_id for one in failed])
    return failed
