"""Whom a day's budget of SMS has kept from hearing of money is told of it later.

`endings` queues an invitation with each arrival, and leaves what is over the budget of a number
untold. As soon as the budget has room again, ONE SMS tells what waits there by then, of everybody,
and until when the first of it does: nothing that was claimed meanwhile, or goes back.

One commit: the wallets are locked, the rows read again, marked as told, and the SMS queued. Any
number of processes may look; stopped by cancelling `run`.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from itertools import groupby
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    bindparam,
    literal_column,
    not_,
    select,
    update,
)

from gateway import logs
from gateway.clock import Clock
from gateway.desk.locks import lock_wallets
from gateway.desk.receipts import Receipts, Waiting
from gateway.desk.times import from_ms, to_ms
from gateway.messages import DAY_MS, enqueue, invited_since
from gateway.stores.dialects import in_list, listed
from gateway.stores.sql import Sql, StoreUnavailable
from gateway.stores.tables import Receipt, Unclaimed, Wallet, table_of
from menus.kinds import Currency, Money, Msisdn

LOG = logs.get("invitations")
EVERY_S: Final = 300.0
NUMBERS_MOST: Final = 50  # in one commit

_WALLET, _RECEIPT, _UNCLAIMED = table_of(Wallet), table_of(Receipt), table_of(Unclaimed)


class Invitations:
    """Looks now and then, in the background. `queued` tells the sender to look now."""

    def __init__(
        self, sql: Sql, receipts: Receipts, *, queued: Callable[[], None], clock: Clock
    ) -> None:
        self._sql = sql
        self._invite = partial(invite, receipts)
        self._queued = queued
        self._clock = clock

    async def run(self) -> None:
        """Tell what is still to be told, until cancelled."""
        while True:
            try:
                while await self.tell() == NUMBERS_MOST:
                    pass
            except StoreUnavailable as error:
                LOG.warning("invitations wait for the database", error=error)
            await self._clock.sleep(EVERY_S)

    async def tell(self) -> int:
        """Tell some of those who are still to be told; how many."""
        (told,) = await self._sql.run(self._invite, [self._clock.now()])
        if told:
            self._queued()
            LOG.info("told later of money that waits", count=told)
        return told


# ---- operations


_waits = (
    _UNCLAIMED.c.state == literal_column("'waiting'"),  # spelt out, for the index of what is untold
    _UNCLAIMED.c.due_at > bindparam("now", type_=BigInteger),
    _WALLET.c.claim == "waiting",
    _WALLET.c.state == "open",
)
# Spelt as the index of what is untold has it: to SQLite `told = 0` would be something else.
_is_untold: ColumnElement[bool] = not_(literal_column("unclaimed.told"))
# In the order of that index.
_UNTOLD = (
    select(_UNCLAIMED.c.account_id)
    .distinct()
    .join(_WALLET, _WALLET.c.account_id == _UNCLAIMED.c.account_id)
    .where(*_waits, _is_untold, invited_since(_WALLET.c.msisdn) < bindparam("per_day"))
    .order_by(_UNCLAIMED.c.account_id)
    .limit(NUMBERS_MOST)
)
_WAITING = (
    select(
        *(_UNCLAIMED.c[name] for name in ("tx_hash", "account_id", "due_at")),
        *(_RECEIPT.c[name] for name in ("currency", "amount")),
        _WALLET.c.msisdn,
    )
    .join(
        _RECEIPT,
        (_RECEIPT.c.tx_hash == _UNCLAIMED.c.tx_hash)
        & (_RECEIPT.c.command_index == _UNCLAIMED.c.command_index),
    )
    .join(_WALLET, _WALLET.c.account_id == _UNCLAIMED.c.account_id)
    .where(*_waits, _UNCLAIMED.c.account_id.in_(select(listed("accounts").c.value)))
    .order_by(_UNCLAIMED.c.account_id, _UNCLAIMED.c.due_at.desc(), _UNCLAIMED.c.tx_hash)
)
_TELL = (
    update(_UNCLAIMED)
    .where(
        _UNCLAIMED.c.account_id.in_(select(listed("accounts").c.value)),
        _UNCLAIMED.c.state == "waiting",
        ~_UNCLAIMED.c.told,
    )
    .values(told=True)
)


def invite(receipts: Receipts, connection: Connection, moments: Sequence[datetime]) -> list[int]:
    """Queue what may be told by now, and mark it as told; to how many numbers."""
    return [_invite(receipts, connection, to_ms(now)) for now in moments]


def _invite(receipts: Receipts, connection: Connection, now_ms: int) -> int:
    asked = {"now": now_ms, "since": now_ms - DAY_MS, "per_day": receipts.terms.sms_per_day}
    found = set(connection.execute(_UNTOLD, asked).scalars())
    if not found:
        return 0
    lock_wallets(connection, found)
    accounts = in_list(sorted(found.intersection(connection.execute(_UNTOLD, asked).scalars())))
    rows = connection.execute(_WAITING, {"now": now_ms, "accounts": accounts}).all()
    waiting = [_sum(tuple(of)) for _, of in groupby(rows, key=lambda row: row.account_id)]
    enqueue(connection, receipts.of_waiting(connection, waiting), now_ms)
    connection.execute(_TELL, {"accounts": accounts})
    return len(waiting)


def _sum(rows: Sequence[Row[*tuple[Any, ...]]]) -> Waiting:
    """Add up what waits in one wallet, the latest first; its id is told but once."""
    sums: Counter[str] = Counter()
    for row in rows:
        sums[row.currency] += row.amount
    amounts = tuple(Money(one, sums[one.value]) for one in Currency if sums[one.value])
    newest, oldest = rows[0], rows[-1]
    id_ = f"{newest.tx_hash}/waits/{len(rows)}"
    return Waiting(id_, Msisdn(newest.msisdn), amounts, from_ms(oldest.due_at))
