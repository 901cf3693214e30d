"""Payments of ours that a block holds and no row does: the database was taken back to a backup.

Each is written as it was reserved when it was signed, and then ends with its block like any other:
counters, balances and receipts follow by themselves. What only the lost row knew is lost: which
turn it was, the channel, the exact bytes (they are on the ledger). A payment is known by what the
gateway makes: one command, signed by the wallet it takes from, with a ref for description. Out of a
wallet without an owner only returns go (`returns`), each of what has come from where it goes to.

Also in a process that has come to the end of the chain: what was on its way to the ledger when the
database went back is in a block that is made later, and what no block tells of (`went_back`) nobody
may have noticed. Nothing is sent before it is stored, so such a payment is always a fault to tell,
be it of a lost row or of a key that somebody has taken. Called inside the commit that settles the
block, on wallets that are locked.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError

from gateway import logs
from gateway.desk.amounts import Assets, NotExact, from_decimal
from gateway.desk.checks import Want
from gateway.desk.journal import Journal
from gateway.desk.limits import Limits
from gateway.desk.reservations import GuardFailed, Order, reserve_rebuilt, reserve_returns
from gateway.desk.settlement import Submitted
from gateway.desk.signing import described
from gateway.desk.unclaimed import meet_return
from gateway.stores.dialects import in_list, listed
from gateway.stores.tables import Listing, Wallet, table_of
from ledger_client.ledger import Block, BlockTransaction, Signed, TransferAsset
from menus.kinds import Money, Msisdn

LOG = logs.get("rebuilding")
_WALLET, _LISTING = table_of(Wallet), table_of(Listing)
_NUMBERS = (
    select(_LISTING.c.account_id, _LISTING.c.msisdn)
    .where(_LISTING.c.account_id.in_(select(listed("accounts").c.value)))
    .union_all(
        select(_WALLET.c.account_id, _WALLET.c.msisdn).where(
            _WALLET.c.account_id.in_(select(listed("accounts").c.value))
        )
    )
)


class Payer(NamedTuple):
    """A wallet of ours that a block takes money from; `claim` is empty once it has its owner."""

    account_id: str
    key_version: int
    claim: str


_PAYERS = select(*(_WALLET.c[name] for name in Payer._fields)).where(
    _WALLET.c.account_id.in_(select(listed("accounts").c.value))
)


def rebuild(
    journal: Journal,
    connection: Connection,
    limits: Limits,
    assets: Assets,
    ours: Collection[str],
    *,
    block: Block,
    known: Collection[str],
) -> list[Submitted]:
    """Write the block's payments of wallets of `ours` that are not among the `known` hashes."""
    found = [
        (transaction, command)
        for transaction in block.transactions
        if transaction.tx_hash not in known
        for command in _payment(transaction, ours)
    ]
    if not found:
        return []
    accounts = in_list({account for _, one in found for account in (one.src, one.dest)})
    numbered = connection.execute(_NUMBERS, {"accounts": accounts})
    numbers = {row.account_id: row.msisdn for row in numbered}
    payers = connection.execute(_PAYERS, {"accounts": accounts})
    by_account = {row.account_id: Payer(*row) for row in payers}
    written = []
    for transaction, command in found:
        payer = by_account[command.src]
        try:
            order, beneficiary = _order(transaction, command, numbers, payer, assets)
            with connection.begin_nested():
                if payer.claim:
                    _go_back(journal, connection, ours, order)
                else:
                    reserve_rebuilt(journal, connection, limits, ours, [(order, beneficiary)])
        except (GuardFailed, IntegrityError, NotExact) as error:
            LOG.error("a payment cannot be written again", tx_hash=transaction.tx_hash, error=error)
            continue
        written.append(
            Submitted(transaction.tx_hash, "signed", command.src, command.src, command.dest)
        )
    return written


def _go_back(journal: Journal, connection: Connection, ours: Collection[str], order: Order) -> None:
    """Write a return, also at what it returns: that would go back once more, of others' money."""
    src, to, amount = order.src_account, order.want.dest_account, order.want.amount
    if not meet_return(connection, src, to, amount, ref=order.ref, at_ms=order.at_ms):
        raise GuardFailed("nothing like it waits in this wallet, which has no owner")
    reserve_returns(journal, connection, ours, [order], paid=True)


def _payment(transaction: BlockTransaction, ours: Collection[str]) -> Iterator[TransferAsset]:
    """The one command of what looks like a payment that this gateway has signed."""
    match transaction.commands:
        case (TransferAsset(src=src, description=description) as command,):
            if src == transaction.creator and src in ours and described(description):
                yield command


def _order(
    transaction: BlockTransaction,
    command: TransferAsset,
    numbers: Mapping[str, str],
    payer: Payer,
    assets: Assets,
) -> tuple[Order, str | None]:
    made, currency = described(command.description), assets.currency(command.asset_id)
    if made is None or currency is None:
        raise NotExact(command.asset_id)
    ref, beneficiary = made
    to = numbers.get(command.dest)
    named = (f"rebuilt {transaction.tx_hash}", f"rebuilt/{transaction.tx_hash}")
    intent, turn = (f"return/{ref}", "") if payer.claim else named
    want = Want(
        intent,
        turn,
        Msisdn(numbers[command.src]),
        Msisdn(to) if to else None,
        command.dest,
        Money(currency, from_decimal(command.amount, currency)),
        again=True,
        channel="return" if payer.claim else "ussd",
    )
    signed = Signed(transaction.tx_hash, "", transaction.created_time, b"")
    at_ms = transaction.created_time
    return Order(want, ref, command.src, payer.key_version, signed, at_ms), beneficiary
