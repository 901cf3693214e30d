"""Wallets of ours that a block makes and no row knows: the database was taken back to a backup.

Each is written again, so that its number gets no other and what comes into it is its owner's. Its
key is lost, and with it the PIN: it is held, as after too many wrong ones, until the bank gives it
another (`recovery`). Lost, too, is what only the row knew: name, tier, role, and whether its owner
had claimed it; for money that went back to its sender we have no key, so it has its owner.

A wallet is known by what the gateway makes (`openings`): the opener's account, named after a
number, that grants the recoverer its keys in the same block. The bank's own software may make
others. Called inside the commit that settles the block, on wallets that are locked.
"""

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from sqlalchemy import BigInteger, Connection, bindparam, exists, update

from gateway.desk.attempts import HELD_AT
from gateway.desk.changes import make_holdings
from gateway.desk.openings import BASIC, grants, number_of
from gateway.stores.dialects import insert_ignore
from gateway.stores.tables import Wallet, table_of
from ledger_client.ledger import Block, CreateAccount
from menus.kinds import Currency


class Made(NamedTuple):
    """A wallet that a block makes, and by which transaction."""

    account_id: str
    msisdn: str
    tx_hash: str


_KEYLESS: Final = {
    "state": "held",
    "wrong_pins": HELD_AT,  # so that a recovery opens it
    "locked_until": 0,
    "public_key": "",
    "key_version": 1,
    "kek_version": 0,
    "salt": b"",
    "sealed_key": b"",
    "claim": "",
    "tier": BASIC,
}
_WALLET = table_of(Wallet)
_other = _WALLET.alias("other")
# An opening of ours that the ledger will refuse, or has: the account was there before it.
_TAKE_PLACE = (
    update(_WALLET)
    .where(
        _WALLET.c.account_id == bindparam("b_account"),
        _WALLET.c.state.in_(("opening", "closed")),
        _WALLET.c.opened_at == 0,
        ~exists().where(
            _other.c.msisdn == _WALLET.c.msisdn,
            _other.c.account_id != _WALLET.c.account_id,
            _other.c.state != "closed",
        ),
    )
    .values(**_KEYLESS, opened_at=bindparam("b_at", type_=BigInteger))
)


def made_in(block: Block, own: str) -> list[Made]:
    """The wallets of bank `own` that a block makes."""
    opener, granted = f"opener@{own}", grants(f"recoverer@{own}")
    made = [
        Made(command.account_id, number, transaction.tx_hash)
        for transaction in block.transactions
        if transaction.creator == opener
        for command in transaction.commands
        if isinstance(command, CreateAccount)
        and command.domain_id == own
        and (number := number_of(command.account_id))
    ]
    if not made:
        return []
    ours = {each.creator for each in block.transactions if each.commands == granted}
    return [one for one in made if one.account_id in ours]


def rebuild_wallets(
    connection: Connection, made: Sequence[Made], at_ms: int, *, known: Collection[str]
) -> tuple[list[Made], list[Made]]:
    """Write those whose transactions are not `known`: which were, and whose numbers have others.

    `at_ms` is the block's time.
    """
    written, homeless = list[Made](), list[Made]()
    for one in made:
        if one.tx_hash not in known:
            (written if _write(connection, one, at_ms) else homeless).append(one)
    keys = [(one.account_id, currency.value) for one in written for currency in Currency]
    make_holdings(connection, keys)
    return written, homeless


def _write(connection: Connection, made: Made, at_ms: int) -> bool:
    row = {"account_id": made.account_id, "msisdn": made.msisdn, "opened_at": at_ms, **_KEYLESS}
    if insert_ignore(connection, Wallet, [row]):
        return True
    taken = connection.execute(_TAKE_PLACE, {"b_account": made.account_id, "b_at": at_ms})
    return taken.rowcount == 1
