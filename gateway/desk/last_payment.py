"""What became of a payment: the last of a number, made or received, or one named by its ref.

Also what has come after it (`aftermath`), and which payment may still be asked back, it or an
earlier one (`disputable`). One operation; it changes nothing.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, bindparam, select

from gateway.desk import aftermath, listings
from gateway.desk.aftermath import Since
from gateway.desk.books import IS_ALIVE
from gateway.desk.disputable import DisputeTerms, latest_disputable
from gateway.desk.listings import Banks
from gateway.desk.times import from_ms
from gateway.stores.tables import Receipt, Transfer, Wallet, table_of
from menus.disputes import PaidOut
from menus.effects import LastAndEarlier, LastPaidOut, LastPayment, NoPayment, PaymentState
from menus.kinds import Currency, Money, Msisdn, masked_name, shown_other

_WALLET, _TRANSFER, _RECEIPT = table_of(Wallet), table_of(Transfer), table_of(Receipt)
_STATES: Final = {
    "signed": PaymentState.IN_PROGRESS,
    "committed": PaymentState.PAID,
    "rejected": PaymentState.NOT_PAID,
    "cancelled": PaymentState.NOT_PAID,
    "expired": PaymentState.NOT_PAID,
}

Last = LastPayment | LastPaidOut | LastAndEarlier | NoPayment


class Asked(NamedTuple):
    """Whose payment; empty `ref`: the last."""

    number: str
    ref: str


_OUT = (
    select(
        _TRANSFER.c.state,
        _TRANSFER.c.ref,
        _TRANSFER.c.currency,
        _TRANSFER.c.amount,
        _TRANSFER.c.dest_account,
        _TRANSFER.c.dest_msisdn,
        _TRANSFER.c.beneficiary,
        _TRANSFER.c.created_at,
        _TRANSFER.c.settled_at,
        _TRANSFER.c.tx_hash,
        _TRANSFER.c.bucket,
        _TRANSFER.c.channel,
    )
    .where(_TRANSFER.c.src_account == bindparam("account"))
    .order_by(_TRANSFER.c.created_at.desc(), _TRANSFER.c.ref)
    .limit(1)
)
_IN = (
    select(
        _RECEIPT.c.ref,
        _RECEIPT.c.currency,
        _RECEIPT.c.amount,
        _RECEIPT.c.src_account,
        _RECEIPT.c.at,
        _RECEIPT.c.tx_hash,
        _RECEIPT.c.command_index,
        _TRANSFER.c.bucket,
        _TRANSFER.c.channel,
    )
    .outerjoin_from(_RECEIPT, _TRANSFER, _TRANSFER.c.tx_hash == _RECEIPT.c.tx_hash)
    .where(_RECEIPT.c.account_id == bindparam("account"))
    .order_by(_RECEIPT.c.at.desc(), _RECEIPT.c.ref)
    .limit(1)
)
_OUT_NAMED = _OUT.where(_TRANSFER.c.ref == bindparam("ref"))
_IN_NAMED = _IN.where(_RECEIPT.c.ref == bindparam("ref"))
_ACCOUNT = select(_WALLET.c.account_id).where(_WALLET.c.msisdn == bindparam("number"), IS_ALIVE)
_OTHER = select(_WALLET.c.name, _WALLET.c.msisdn).where(
    _WALLET.c.account_id == bindparam("account")
)


def last_payments(
    banks: Banks,
    terms: DisputeTerms,
    now_ms: int,
    connection: Connection,
    items: Sequence[Asked],
) -> list[Last]:
    """The most recent payment of each, made or received, or the one of theirs that is named."""
    return [_last_payment(banks, terms, now_ms, connection, asked) for asked in items]


def _last_payment(
    banks: Banks, terms: DisputeTerms, now_ms: int, connection: Connection, asked: Asked
) -> Last:
    account = connection.execute(_ACCOUNT, {"number": asked.number}).scalar()
    if account is None:
        return NoPayment()
    named = {"ref": asked.ref} if asked.ref else {}
    outgoing, incoming = (_OUT_NAMED, _IN_NAMED) if named else (_OUT, _IN)
    out = connection.execute(outgoing, {"account": account, **named}).first()
    # Of two with one ref ours is meant: what another bank calls its payments we cannot help.
    ours = bool(named) and out is not None
    received = None if ours else connection.execute(incoming, {"account": account, **named}).first()
    disputable = None if named else latest_disputable(connection, terms, account, now_ms)
    if out is not None and (received is None or out.created_at >= received.at):
        if out.ref == disputable:
            return LastPaidOut(_paid_out(connection, out))
        last = _made(banks, connection, out)
    elif received is not None:
        last = _received(banks, connection, received)
    else:
        return NoPayment()
    if disputable is None:
        return last
    earlier = connection.execute(_OUT_NAMED, {"account": account, "ref": disputable}).one()
    return LastAndEarlier(last, _paid_out(connection, earlier))


def _made(banks: Banks, connection: Connection, out: Row[*tuple[Any, ...]]) -> LastPayment:
    since = None
    if out.state == "committed":
        since = (
            aftermath.of_paid(connection, out.tx_hash)
            if out.bucket
            else aftermath.of_return(out.channel, paid=True)
        )
    since = since or Since(_STATES[out.state])
    return LastPayment(
        since.state,
        out.ref,
        Money(Currency(out.currency), out.amount),
        shown_other("", banks.paid(out))
        if out.beneficiary
        else _other(banks, connection, out.dest_account),
        since.at or _at(out),
    )


def _at(out: Row[*tuple[Any, ...]]) -> datetime:
    """When it was paid, as its receipt says; before that, when it was asked for."""
    paid_at = out.settled_at if out.state == "committed" else None
    return from_ms(paid_at or out.created_at)


def _received(banks: Banks, connection: Connection, row: Row[*tuple[Any, ...]]) -> LastPayment:
    since = (
        aftermath.of_return(row.channel, paid=False)
        if row.bucket == ""
        else aftermath.of_received(connection, row.tx_hash, row.command_index)
    )
    since = since or Since(PaymentState.RECEIVED)
    return LastPayment(
        since.state,
        row.ref,
        Money(Currency(row.currency), row.amount),
        _other(banks, connection, row.src_account),
        since.at or from_ms(row.at),
    )


def _paid_out(connection: Connection, out: Row[*tuple[Any, ...]]) -> PaidOut:
    name = connection.execute(_OTHER, {"account": out.dest_account}).scalar()
    amount, to = Money(Currency(out.currency), out.amount), Msisdn(out.dest_msisdn)
    return PaidOut(out.ref, amount, masked_name(name or ""), to, _at(out))


def _other(banks: Banks, connection: Connection, account_id: str) -> str:
    row = connection.execute(_OTHER, {"account": account_id}).first()
    if row:
        return shown_other(masked_name(row.name), Msisdn(row.msisdn))
    numbers = [Msisdn(number) for number, _ in listings.of_accounts(connection, [account_id])]
    return shown_other(banks.name(account_id), numbers[0] if numbers else None)
