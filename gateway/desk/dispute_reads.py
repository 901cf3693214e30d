"""Disputes as they are: which wait for an answer, of whom, and what the receiver is asked.

Reads only; `dispute_rows` changes them, and takes its conditions from here.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    bindparam,
    func,
    literal_column,
    select,
)

from gateway.desk.books import IS_ALIVE, DisputeRow
from gateway.desk.disputable import MINE, came_back
from gateway.stores.dialects import in_list, listed
from gateway.stores.tables import Dispute, Transfer, Wallet, table_of
from menus.disputes import AskedBack
from menus.kinds import Currency, Money, Msisdn, masked_name

_DISPUTE, _TRANSFER, _WALLET = table_of(Dispute), table_of(Transfer), table_of(Wallet)
_other = _DISPUTE.alias("other")


def is_open(states: ColumnElement[str]) -> ColumnElement[bool]:
    """Waits for an answer; spelt out in the statement, for the index of open disputes."""
    return states.in_((literal_column("'asked'"), literal_column("'held'")))


OPEN_BETWEEN = (
    select(func.count())
    .where(
        _other.c.dest_account == _TRANSFER.c.dest_account,
        _other.c.src_account == _TRANSFER.c.src_account,
        is_open(_other.c.state),
    )
    .correlate(_TRANSFER)
    .scalar_subquery()
)
_OPEN_BETWEEN = select(OPEN_BETWEEN).select_from(_TRANSFER).where(*MINE)
_OPEN_AGAINST = select(func.count()).where(
    _DISPUTE.c.dest_account == bindparam("account"), is_open(_DISPUTE.c.state)
)
_ROWS = select(*(_DISPUTE.c[name] for name in DisputeRow._fields))
_BY_ID = _ROWS.where(_DISPUTE.c.id.in_(select(listed("ids").c.value)))
UNPAID = ~came_back(_DISPUTE.c.ref, "signed", "committed")
_TO_ANSWER = _BY_ID.where(UNPAID)
_PAID_BACK = _ROWS.where(
    is_open(_DISPUTE.c.state),
    _DISPUTE.c.dest_account.in_(select(listed("payers").c.value)),
    came_back(_DISPUTE.c.ref, "committed"),
).order_by(_DISPUTE.c.id)
_DUE = (
    _ROWS.where(is_open(_DISPUTE.c.state), _DISPUTE.c.due_at <= bindparam("now", type_=BigInteger))
    .order_by(_DISPUTE.c.due_at)
    .limit(bindparam("most"))
)
_SHOWN = (
    select(
        _DISPUTE.c.dest_account,
        *(_DISPUTE.c[name] for name in ("id", "ref", "currency", "amount", "src_account")),
        _WALLET.c.name,
        _WALLET.c.msisdn,
    )
    .join(_WALLET, _WALLET.c.account_id == _DISPUTE.c.src_account)
    .where(is_open(_DISPUTE.c.state), IS_ALIVE)
)
# One for each wallet, however many are asked of it.
_accounts = listed("accounts")
_oldest = (
    select(_other.c.id)
    .join(_WALLET, _WALLET.c.account_id == _other.c.src_account)
    .where(
        _other.c.dest_account == _accounts.c.value,
        is_open(_other.c.state),
        IS_ALIVE,
        ~came_back(_other.c.ref, "signed", "committed"),
    )
    .order_by(_other.c.asked_at, _other.c.id)
    .limit(1)
    .correlate(_accounts)
    .scalar_subquery()
)
_AGAINST = _SHOWN.where(_DISPUTE.c.id.in_(select(_oldest).select_from(_accounts)))
_HELD = (
    select(_DISPUTE.c.dest_account, _DISPUTE.c.currency, func.sum(_DISPUTE.c.held))
    .where(
        _DISPUTE.c.dest_account.in_(select(listed("accounts").c.value)), is_open(_DISPUTE.c.state)
    )
    .group_by(_DISPUTE.c.dest_account, _DISPUTE.c.currency)
)
_WITH_ID = _SHOWN.where(_DISPUTE.c.id == bindparam("id"))


def read(connection: Connection, ids: Iterable[str]) -> dict[str, DisputeRow]:
    """The disputes with these ids."""
    rows = connection.execute(_BY_ID, {"ids": in_list(ids)})
    return {row.id: DisputeRow(*row) for row in rows}


def open_between(connection: Connection, ref: str, src_account: str) -> int:
    """How many disputes of this payer with the receiver of `ref` wait for an answer."""
    return connection.execute(_OPEN_BETWEEN, {"b_ref": ref, "b_src": src_account}).scalar() or 0


def open_against(connection: Connection, account_id: str) -> int:
    """How many disputes the owner of this wallet has still to answer."""
    return int(connection.execute(_OPEN_AGAINST, {"account": account_id}).scalar_one())


def to_answer(connection: Connection, ids: Iterable[str]) -> dict[str, DisputeRow]:
    """Those of them whose money has not come back by an ordinary payment, nor is on its way."""
    rows = connection.execute(_TO_ANSWER, {"ids": in_list(ids)})
    return {row.id: DisputeRow(*row) for row in rows}


def paid_back(connection: Connection, payers: Iterable[str]) -> list[DisputeRow]:
    """Open disputes that these receivers have answered by an ordinary payment."""
    rows = connection.execute(_PAID_BACK, {"payers": in_list(payers)})
    return [DisputeRow(*row) for row in rows]


def due(connection: Connection, now_ms: int, most: int) -> list[DisputeRow]:
    """Open disputes whose hold, or whose own time, is over."""
    rows = connection.execute(_DUE, {"now": now_ms, "most": most})
    return [DisputeRow(*row) for row in rows]


def oldest_against(connection: Connection, accounts: Iterable[str]) -> dict[str, AskedBack]:
    """What the owners of these wallets are asked first, by account."""
    rows = connection.execute(_AGAINST, {"accounts": in_list(accounts)})
    return {row.dest_account: _shown(row) for row in rows}


def held(connection: Connection, accounts: Iterable[str]) -> dict[tuple[str, str], int]:
    """What open disputes hold in these wallets, by account and currency."""
    rows = connection.execute(_HELD, {"accounts": in_list(accounts)})
    return {(account, currency): int(minor) for account, currency, minor in rows if minor}


def shown(connection: Connection, dispute_id: str) -> AskedBack | None:
    """What the receiver is asked; None when it is over, or the payer is gone."""
    row = connection.execute(_WITH_ID, {"id": dispute_id}).first()
    return _shown(row) if row else None


def _shown(row: Row[*tuple[Any, ...]]) -> AskedBack:
    amount = Money(Currency(row.currency), row.amount)
    payer, name = Msisdn(row.msisdn), masked_name(row.name)
    return AskedBack(row.id, row.ref, amount, name, payer, row.src_account)
