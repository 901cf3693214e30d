"""What has become of a payment since it was made: it waits, came back, is asked or given back.

Read from the rows that decide it (`unclaimed`, `dispute`, the transfer that brings money back), so
that whoever looks a payment up reads what is true now. Reads only, and composes no text.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, Connection, bindparam, select

from gateway.desk.dispute_reads import is_open
from gateway.desk.times import from_ms
from gateway.stores.tables import Dispute, Transfer, Unclaimed, table_of
from menus.effects import PaymentState

_TRANSFER, _UNCLAIMED, _DISPUTE = table_of(Transfer), table_of(Unclaimed), table_of(Dispute)


@dataclass(frozen=True, slots=True)
class Since:
    """What a payment is now, and since when; while it waits unclaimed, `at` is until when."""

    state: PaymentState
    at: datetime | None = None  # None: since it was made


_NOT_CLAIMED = (
    select(_UNCLAIMED.c.state, _UNCLAIMED.c.due_at, _TRANSFER.c.settled_at)
    .outerjoin_from(_UNCLAIMED, _TRANSFER, _TRANSFER.c.ref == _UNCLAIMED.c.ref)
    .where(
        _UNCLAIMED.c.tx_hash == bindparam("hash"),
        _UNCLAIMED.c.command_index == bindparam("index", type_=BigInteger),
    )
)
_ASKED_BACK = (
    select(
        is_open(_DISPUTE.c.state).label("is_open"),
        _TRANSFER.c.state.label("paid"),
        _TRANSFER.c.settled_at,
    )
    .outerjoin_from(_DISPUTE, _TRANSFER, _TRANSFER.c.intent_id == _DISPUTE.c.id)
    .where(_DISPUTE.c.tx_hash == bindparam("hash"))
)


def of_paid(connection: Connection, tx_hash: str) -> Since | None:
    """What its payer has to know; None: nothing has come after it."""
    if asked := connection.execute(_ASKED_BACK, {"hash": tx_hash}).first():
        if asked.paid == "committed":
            return Since(PaymentState.GIVEN_BACK, _moment(asked.settled_at))
        waits = asked.is_open or asked.paid == "signed"  # on its way it is not there yet
        return Since(PaymentState.ASKED_BACK) if waits else None
    row = connection.execute(_NOT_CLAIMED, {"hash": tx_hash, "index": 0}).first()
    if row is None:
        return None
    if row.state == "waiting":
        return Since(PaymentState.WAITS, from_ms(row.due_at))
    if row.state == "returned":
        return Since(PaymentState.CAME_BACK, _moment(row.settled_at))
    return Since(PaymentState.COMING_BACK) if row.state == "returning" else None


def of_received(connection: Connection, tx_hash: str, index: int) -> Since | None:
    """What its receiver has to know; None: nothing has come after it."""
    if asked := connection.execute(_ASKED_BACK, {"hash": tx_hash}).first():
        if asked.paid == "committed":
            return Since(PaymentState.GAVE_BACK, _moment(asked.settled_at))
        return Since(PaymentState.ASKED_OF_YOU) if asked.is_open else None
    row = connection.execute(_NOT_CLAIMED, {"hash": tx_hash, "index": index}).first()
    if row and row.state == "returned":
        return Since(PaymentState.WENT_BACK, _moment(row.settled_at))
    return None


def of_return(channel: str, *, paid: bool) -> Since:
    """Tell what a payment is that takes money back itself; the sweep's own go by `return`."""
    if channel == "return":
        return Since(PaymentState.WENT_BACK if paid else PaymentState.CAME_BACK)
    return Since(PaymentState.GAVE_BACK if paid else PaymentState.GIVEN_BACK)


def _moment(at_ms: int | None) -> datetime | None:
    return None if at_ms is None else from_ms(at_ms)
