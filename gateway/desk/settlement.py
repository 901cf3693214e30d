"""Every end of a submission and of the payment or wallet it stands for, each exactly once.

signed → committed | rejected | cancelled | expired. Called inside a caller's commit, on
rows that `lock_for_ending` has locked. A change happens where `UPDATE … WHERE state = …` says that
it happened, and only those rows are handed on, so that a late or repeated verdict moves nothing:
`changes` gives back or consumes by them, `endings` tells people.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import BigInteger, Connection, String, bindparam, case, exists, select, update

from gateway.desk.locks import lock_wallets
from gateway.stores.dialects import in_list, listed
from gateway.stores.tables import Submission, Transfer, Wallet, table_of

_WALLET, _SUBMISSION, _TRANSFER = table_of(Wallet), table_of(Submission), table_of(Transfer)


class Ended(NamedTuple):
    """A submission that has just reached a final state, with its payment if it is one."""

    tx_hash: str
    purpose: str
    account_id: str
    batch: str
    before: str  # "signed", or the state that the ledger has now contradicted
    state: str
    payment: "EndedPayment | None"


class EndedPayment(NamedTuple):
    """What must be given back or told when a payment ends."""

    tx_hash: str
    ref: str
    intent_id: str
    src_account: str
    dest_account: str
    src_msisdn: str
    dest_msisdn: str
    beneficiary: str | None
    currency: str
    amount: int
    bucket: str
    counted: int
    business_day: str


class Submitted(NamedTuple):
    """A submission among some hashes, and whose wallets its end concerns."""

    tx_hash: str
    state: str
    account_id: str
    src_account: str | None
    dest_account: str | None


_SUBMITTED = (
    select(
        _SUBMISSION.c.tx_hash,
        _SUBMISSION.c.state,
        _SUBMISSION.c.account_id,
        _TRANSFER.c.src_account,
        _TRANSFER.c.dest_account,
    )
    .select_from(_SUBMISSION)
    .outerjoin(_TRANSFER, _TRANSFER.c.tx_hash == _SUBMISSION.c.tx_hash)
    .where(_SUBMISSION.c.tx_hash.in_(select(listed("hashes").c.value)))
)

_END = (
    update(_SUBMISSION)
    .where(
        _SUBMISSION.c.tx_hash.in_(select(listed("hashes").c.value)),
        # An expression, or SQLite would read all that is on its way.
        _SUBMISSION.c.state + "" == bindparam("b_before"),
    )
    .values(state=bindparam("b_state"), settled_at=bindparam("b_at"), height=bindparam("b_height"))
    .returning(
        _SUBMISSION.c.tx_hash,
        _SUBMISSION.c.purpose,
        _SUBMISSION.c.account_id,
        _SUBMISSION.c.batch,
    )
)
_END_UNSENT = _END.where(_SUBMISSION.c.first_sent_at.is_(None))
_END_PAYMENTS = (
    update(_TRANSFER)
    .where(_TRANSFER.c.tx_hash.in_(select(listed("moved").c.value)))
    .values(state=bindparam("b_state"), settled_at=bindparam("b_at"))
    .returning(*(_TRANSFER.c[name] for name in EndedPayment._fields))
)
_END_OPENINGS = (
    update(_WALLET)
    .where(
        _WALLET.c.account_id.in_(select(listed("accounts").c.value)),
        _WALLET.c.state == "opening",
    )
    .values(
        state=bindparam("b_state"),
        opened_at=case(
            (bindparam("b_state", type_=String) == "open", bindparam("b_at", type_=BigInteger)),
            else_=_WALLET.c.opened_at,
        ),
    )
    .returning(_WALLET.c.account_id, _WALLET.c.msisdn, _WALLET.c.claim)
)
_other = _WALLET.alias("other")
_REOPEN = (
    update(_WALLET)
    .where(
        _WALLET.c.account_id == bindparam("b_account"),
        _WALLET.c.state == "closed",
        _WALLET.c.opened_at == 0,  # by an opening that came to nothing, not after it was used
        ~exists().where(_other.c.msisdn == _WALLET.c.msisdn, _other.c.state != "closed"),
    )
    .values(state="open", opened_at=bindparam("b_at"))
    .returning(_WALLET.c.account_id, _WALLET.c.msisdn, _WALLET.c.claim)
)


def lock_for_ending(
    connection: Connection, hashes: Sequence[str], others: Iterable[str] = ()
) -> tuple[list[Submitted], set[str]]:
    """Lock the wallets that these submissions, and `others`, concern.

    The submissions of ours with their states under the lock, and which accounts are ours.
    """
    found = _submitted(connection, hashes)
    accounts = {account for row in found for account in row[2:] if account is not None}
    ours = lock_wallets(connection, {*accounts, *others})
    # Accounts never change, states do: read again now that nobody else can change them.
    return _submitted(connection, [row.tx_hash for row in found]), ours


def _submitted(connection: Connection, hashes: Sequence[str]) -> list[Submitted]:
    if not hashes:
        return []
    rows = connection.execute(_SUBMITTED, {"hashes": in_list(hashes)})
    return [Submitted(*row) for row in rows]


def end(
    connection: Connection,
    hashes: Sequence[str],
    state: str,
    at_ms: int,
    *,
    height: int | None = None,
    before: str = "signed",
    never_sent: bool = False,
) -> list[Ended]:
    """Move those of `hashes` that are `before` to `state`, and their payments with them.

    With `never_sent` only what no byte of has left, which is what makes a cancellation safe.
    Reservations are the caller's: `Changes.end`.
    """
    if not hashes:
        return []
    to = {"b_state": state, "b_at": at_ms}
    asked = {"hashes": in_list(hashes), "b_before": before, "b_height": height, **to}
    moved = connection.execute(_END_UNSENT if never_sent else _END, asked).all()
    if not moved:
        return []
    asked = {"moved": in_list(row.tx_hash for row in moved), **to}
    payments = connection.execute(_END_PAYMENTS, asked)
    by_hash = {row.tx_hash: EndedPayment(*row) for row in payments}
    return [
        Ended(
            row.tx_hash,
            row.purpose,
            row.account_id,
            row.batch,
            before,
            state,
            by_hash.get(row.tx_hash),
        )
        for row in moved
    ]


def end_openings(
    connection: Connection, accounts: Sequence[str], state: str, at_ms: int
) -> list[tuple[str, str]]:
    """Move wallets that are opening to `state` (open, closed).

    (account, number) of each moved that its owner wanted: nobody else waits to hear of it.
    """
    if not accounts:
        return []
    asked = {"accounts": in_list(accounts), "b_state": state, "b_at": at_ms}
    rows = connection.execute(_END_OPENINGS, asked)
    return sorted((row.account_id, row.msisdn) for row in rows if not row.claim)


def reopen(
    connection: Connection, accounts: Sequence[str], at_ms: int
) -> tuple[list[tuple[str, str]], list[str]]:
    """Open wallets whose openings were given up, and are on the ledger all the same.

    (account, number) as from `end_openings`; and those that stay closed, for their numbers have
    others by now: whoever reads of them must see to what is paid there.
    """
    opened, stranded = list[tuple[str, str]](), list[str]()
    for account in accounts:  # one by one: two may be of one number
        row = connection.execute(_REOPEN, {"b_account": account, "b_at": at_ms}).first()
        if row is None:
            stranded.append(account)
        elif not row.claim:
            opened.append((row.account_id, row.msisdn))
    return opened, stranded
