"""The rows of disputes: stored, answered and ended, each change once, with the hold it carries.

open (asked | held) → returned | refused | ended, and held → asked when only the hold's time is
over. A hold is part of the receiver's `outgoing` from the commit that stores the dispute to the
commit that moves it out of `held`. Each change is a movement of the receiver's chain, whether or
not it holds or frees anything: it is bound to the row as it has become, so that a row edited since
is found (`audit`).

Called inside a caller's commit, on wallets that `lock_wallets` has locked: the receiver's is the
lock of every change here. Nothing here tells anybody anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import (
    BigInteger,
    Connection,
    Select,
    String,
    and_,
    bindparam,
    insert,
    or_,
    select,
    update,
)

from gateway import logs
from gateway.desk import chain
from gateway.desk.books import DisputeRow
from gateway.desk.chain import DISPUTE, Entry
from gateway.desk.disputable import DISPUTABLE, MINE, TODAY, DisputeTerms
from gateway.desk.dispute_reads import OPEN_BETWEEN, UNPAID, read
from gateway.desk.journal import Journal
from gateway.desk.reservations import GuardFailed
from gateway.stores.tables import Dispute, Holding, Transfer, table_of

End = Literal["returned", "refused", "ended"]
# Of one payer against one wallet at a time. Not of the wallet: else its friends could fill it up.
OPEN_MOST: Final = 3

LOG: Final = logs.get("disputes")
_DISPUTE, _TRANSFER = table_of(Dispute), table_of(Transfer)
_HOLDING = table_of(Holding)


@dataclass(frozen=True, slots=True)
class Asked:
    """A dispute to be stored, of a payment that `src_account` made."""

    id: str
    ref: str
    src_account: str
    day: str
    now_ms: int


# ---- stored, with its hold

_GIVEN = ("id", "held", "state", "business_day", "asked_at", "due_at", "answer_by")
_COPIED = (
    *("ref", "tx_hash", "src_account", "dest_account", "dest_msisdn"),
    *("currency", "amount"),
)
_STORE = insert(_DISPUTE).from_select(
    [*_GIVEN, *_COPIED],
    select(
        *(bindparam(f"b_{name}", type_=_DISPUTE.c[name].type) for name in _GIVEN),
        *(_TRANSFER.c[name] for name in _COPIED),
    ).where(
        *MINE,
        *DISPUTABLE,
        bindparam("b_per_day", type_=BigInteger) > TODAY,
        bindparam("b_open_most", type_=BigInteger) > OPEN_BETWEEN,
    ),
)
# No row yet: it has received nothing that is settled.
_UNSPENT: Select[Any] = (
    select(_HOLDING.c.settled - _HOLDING.c.outgoing, _TRANSFER.c.amount)
    .join(
        _TRANSFER,
        and_(
            _TRANSFER.c.dest_account == _HOLDING.c.account_id,
            _TRANSFER.c.currency == _HOLDING.c.currency,
        ),
    )
    .where(*MINE)
)


def store(
    journal: Journal, connection: Connection, terms: DisputeTerms, asked: Asked
) -> DisputeRow | None:
    """Store a dispute and hold what it can of its amount; None when it may not be."""
    mine = {"b_ref": asked.ref, "b_src": asked.src_account}
    unspent = connection.execute(_UNSPENT, mine).first() if terms.hold_hours else None
    held = max(0, min(*unspent)) if unspent else 0
    answer_by = terms.answer_by(asked.now_ms)
    values = mine | {
        "b_id": asked.id,
        "b_held": held,
        "b_state": "held" if held else "asked",
        "b_day": asked.day,
        "b_business_day": asked.day,
        "b_asked_at": asked.now_ms,
        "b_due_at": terms.held_until(asked.now_ms) if held else answer_by,
        "b_answer_by": answer_by,
        "b_since": terms.since(asked.now_ms),
        "b_per_day": terms.per_day,
        "b_open_most": OPEN_MOST,
    }
    connection.execute(_STORE, values)
    stored = connection.execute(_STORED, {"id": asked.id}).mappings().first()
    if stored is None:  # of what it inserts, PostgreSQL's driver does not say how many
        return None
    _write(journal, connection, stored, held, asked.now_ms)
    return read(connection, [asked.id])[asked.id]


_STORED = select(*(_DISPUTE.c[name] for name in DISPUTE)).where(_DISPUTE.c.id == bindparam("id"))
_by = bindparam("b_by", type_=BigInteger)
_HOLD = (
    update(_HOLDING)
    .where(
        _HOLDING.c.account_id == bindparam("b_account"),
        _HOLDING.c.currency == bindparam("b_currency"),
        or_(_by <= 0, _HOLDING.c.settled - _HOLDING.c.outgoing >= _by),
        _HOLDING.c.outgoing + _by >= 0,
    )
    .values(outgoing=_HOLDING.c.outgoing + _by, movement=bindparam("b_movement"))
)
_POINT = (
    update(_DISPUTE)
    .where(_DISPUTE.c.id == bindparam("b_id"))
    .values(movement=bindparam("b_movement"))
)


def _write(
    journal: Journal, connection: Connection, row: Mapping[Any, Any], by: int, at_ms: int
) -> None:
    """Hold `by` more of the receiver's money, or less, and write what the dispute has come to."""
    account, currency = row["dest_account"], row["currency"]
    bound = chain.bound(journal.key(connection), chain.picked(row, DISPUTE))
    line, change = (account, currency, ""), (0, by, 0)
    entry = Entry(line, change, row["state"], row["tx_hash"], None, at_ms, bound)
    (number,) = journal.write(connection, [entry])
    holding = {"b_account": account, "b_currency": currency, "b_by": by, "b_movement": number}
    if connection.execute(_HOLD, holding).rowcount != 1:
        raise GuardFailed(f"{by} of the money of a dispute")
    connection.execute(_POINT, {"b_id": row["id"], "b_movement": number})


# ---- answered or ended

_MOVE = (
    update(_DISPUTE)
    .where(
        _DISPUTE.c.id == bindparam("b_id"),
        _DISPUTE.c.state == bindparam("b_from"),
        _DISPUTE.c.held == bindparam("b_held"),
        # Not given back beside an ordinary payment of it; what the ledger has taken is taken.
        or_(
            bindparam("b_to", type_=String) != "returned",
            bindparam("b_from", type_=String) == "ended",
            UNPAID,
        ),
    )
    .values(
        state=bindparam("b_to"),
        held=0,
        due_at=_DISPUTE.c.answer_by,
        closed_at=bindparam("b_at", type_=BigInteger),
    )
    .returning(*(_DISPUTE.c[name] for name in DISPUTE))
)


def close(journal: Journal, connection: Connection, row: DisputeRow, to: End, now_ms: int) -> bool:
    """End an open dispute and give its hold back; False when it is not as it was read."""
    return row.is_open and _move(journal, connection, row, to, now_ms)


def hold_no_longer(journal: Journal, connection: Connection, row: DisputeRow, now_ms: int) -> bool:
    """Give the hold back; the question stays."""
    return row.state == "held" and _move(journal, connection, row, "asked", now_ms)


def not_returned(journal: Journal, connection: Connection, row: DisputeRow, now_ms: int) -> bool:
    """The ledger did not take the return, or it never left."""
    return row.state == "returned" and _move(journal, connection, row, "ended", now_ms)


def returned_after_all(
    journal: Journal, connection: Connection, row: DisputeRow, now_ms: int
) -> bool:
    """The ledger took a return that had been given up."""
    return row.state == "ended" and _move(journal, connection, row, "returned", now_ms)


def _move(journal: Journal, connection: Connection, row: DisputeRow, to: str, now_ms: int) -> bool:
    closed_at = None if to == "asked" else now_ms
    change = {"b_id": row.id, "b_from": row.state, "b_held": row.held, "b_to": to}
    try:
        with connection.begin_nested():
            moved = connection.execute(_MOVE, change | {"b_at": closed_at}).mappings().first()
            if moved:
                _write(journal, connection, moved, -row.held, now_ms)
    except GuardFailed:  # one such row must not stop the others that are due
        LOG.error("a hold is not in its wallet", dispute=row.id)
        return False
    return moved is not None
