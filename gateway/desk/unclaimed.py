"""Wallets without an owner yet, and the money in them: whose it becomes is decided here, once.

A wallet made by receiving (`making`) has a key that no PIN opens. `wallet.claim` says whose it is:

    waiting → claiming → ""    its number has chosen a PIN (`renewal`); a block holds the new key
    claiming → waiting         the ledger refused that key: nothing has changed
    waiting → returning        what nobody claimed in time goes back (`returns`) …
    returning → waiting        … and has ended, well or not

Each step is one UPDATE that names the state before it, so that of a claim and a return that race
exactly one begins, and the other finds the wallet taken. Each arrival is a row of its own with a
time of its own, so that every sender's money waits as long as he was told.

Called inside a caller's commit, on wallets that `lock_wallets` has locked. No key comes in here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import BigInteger, Connection, bindparam, case, exists, select, update

from gateway.messages import withdraw_invitations
from gateway.stores.dialects import in_list, listed
from gateway.stores.tables import Receipt, Unclaimed, Wallet, table_of
from menus.kinds import Money

TIER: Final = "unclaimed"
DAY_MS: Final = 24 * 60 * 60 * 1000
AGAIN_MS: Final = DAY_MS  # after a return came to nothing, until it is tried again

_WALLET, _RECEIPT, _UNCLAIMED = table_of(Wallet), table_of(Receipt), table_of(Unclaimed)


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms money may be sent to numbers without a wallet."""

    days: int = 30  # then it goes back; 0: no such money is taken
    wallets_per_day: int = 5  # that one sender may have made
    sms_per_day: int = 3  # about such money, to one number

    def due_at(self, at_ms: int) -> int:
        """When money that came at this moment goes back."""
        return at_ms + self.days * DAY_MS


NOT_TAKEN: Final = Terms(days=0)

# ---- claimed

_BEGIN_CLAIM = (
    update(_WALLET)
    .where(_WALLET.c.account_id == bindparam("b_account"), _WALLET.c.claim.in_(("", "waiting")))
    .values(claim=case((_WALLET.c.claim == "waiting", "claiming"), else_=_WALLET.c.claim))
)
_among = (select(listed("accounts").c.value),)
_RELEASE = (
    update(_WALLET)
    .where(_WALLET.c.account_id.in_(*_among), _WALLET.c.claim == "claiming")
    .values(claim="waiting")
)
_CLAIMED = (
    update(_WALLET)
    .where(_WALLET.c.account_id.in_(*_among), _WALLET.c.claim != "")
    .values(claim="", tier=bindparam("b_tier"))
    .returning(_WALLET.c.account_id)
)
_OWNED = (
    update(_UNCLAIMED)
    .where(_UNCLAIMED.c.account_id.in_(*_among), _UNCLAIMED.c.state == "waiting")
    .values(state="claimed")
)
_OWNERLESS = select(_WALLET.c.account_id).where(
    _WALLET.c.account_id.in_(*_among), _WALLET.c.claim != ""
)


def begin_claim(connection: Connection, account_id: str) -> bool:
    """May this wallet be given a key with a PIN? Not while its money is going back."""
    return connection.execute(_BEGIN_CLAIM, {"b_account": account_id}).rowcount == 1


def release(connection: Connection, accounts: Iterable[str]) -> None:
    """The ledger did not take the new keys of these: they wait as before."""
    connection.execute(_RELEASE, {"accounts": in_list(accounts)})


def claimed(connection: Connection, accounts: Iterable[str], tier: str) -> set[str]:
    """These have keys with PINs now; which of them had no owner before."""
    asked = {"accounts": in_list(accounts)}
    ours = set(connection.execute(_CLAIMED, asked | {"b_tier": tier}).scalars())
    if ours:
        connection.execute(_OWNED, {"accounts": in_list(ours)})
    return ours


def ownerless(connection: Connection, accounts: Iterable[str]) -> set[str]:
    """Which of these wallets nobody has claimed."""
    return set(connection.execute(_OWNERLESS, {"accounts": in_list(accounts)}).scalars())


# ---- told

_LEAVE_UNTOLD = (
    update(_UNCLAIMED)
    .where(
        _UNCLAIMED.c.tx_hash == bindparam("b_hash"),
        _UNCLAIMED.c.command_index == bindparam("b_index"),
    )
    .values(told=False)
)
_TELL_ANEW = (
    update(_UNCLAIMED)
    .where(_UNCLAIMED.c.account_id == bindparam("b_account"), _UNCLAIMED.c.state == "waiting")
    .values(told=False)
)


def leave_untold(connection: Connection, arrivals: Sequence[tuple[str, int]]) -> None:
    """Nobody hears of these now: `invitations` tells it when the budget of a day allows."""
    if arrivals:
        rows = [{"b_hash": tx_hash, "b_index": index} for tx_hash, index in arrivals]
        connection.execute(_LEAVE_UNTOLD, rows)


# ---- going back

_BEGIN_RETURN = (
    update(_WALLET)
    .where(
        _WALLET.c.account_id == bindparam("b_account"),
        _WALLET.c.claim == "waiting",
        _WALLET.c.state == "open",  # a held one keeps what it has
        _WALLET.c.key_version == bindparam("b_version"),
    )
    .values(claim="returning")
)
_TAKE = (
    update(_UNCLAIMED)
    .where(
        _UNCLAIMED.c.tx_hash == bindparam("b_hash"),
        _UNCLAIMED.c.command_index == bindparam("b_index"),
        _UNCLAIMED.c.state == "waiting",
        _UNCLAIMED.c.due_at <= bindparam("b_now"),
    )
    .values(state="returning", ref=bindparam("b_ref"))
)
# What a return that was met in a block has returned: what nothing returns yet, before what has a
# return of its own, which then came to nothing; the oldest first.
_WENT_BACK = (
    select(*(_UNCLAIMED.c[name] for name in ("tx_hash", "command_index", "state")))
    .join(
        _RECEIPT,
        (_RECEIPT.c.tx_hash == _UNCLAIMED.c.tx_hash)
        & (_RECEIPT.c.command_index == _UNCLAIMED.c.command_index),
    )
    .where(
        _UNCLAIMED.c.account_id == bindparam("account"),
        _UNCLAIMED.c.state.in_(("waiting", "returning")),
        _RECEIPT.c.src_account == bindparam("payer"),
        _RECEIPT.c.currency == bindparam("currency"),
        _RECEIPT.c.amount == bindparam("amount", type_=BigInteger),
    )
    .order_by(_UNCLAIMED.c.state == "returning", _UNCLAIMED.c.due_at, _UNCLAIMED.c.tx_hash)
    .limit(1)
)
_TAKE_MET = (
    update(_UNCLAIMED)
    .where(
        _UNCLAIMED.c.tx_hash == bindparam("b_hash"),
        _UNCLAIMED.c.command_index == bindparam("b_index"),
        _UNCLAIMED.c.state == bindparam("b_was"),
    )
    .values(ref=bindparam("b_ref"))  # by which the same commit says that it is returned
)
_of_refs = _UNCLAIMED.c.ref.in_(select(listed("refs").c.value))
# Whatever became of it here meanwhile: a block is not argued with.
_RETURNED = update(_UNCLAIMED).where(_of_refs).values(state="returned")
_NOT_RETURNED = (
    update(_UNCLAIMED)
    .where(_of_refs, _UNCLAIMED.c.state == "returning")
    .values(
        # By a claim that the ledger took although we had given it up.
        state=case(
            (
                exists()
                .where(_WALLET.c.account_id == _UNCLAIMED.c.account_id, _WALLET.c.claim == "")
                .correlate(_UNCLAIMED),
                "claimed",
            ),
            else_="waiting",
        ),
        due_at=bindparam("b_due"),
    )
)
_END_RETURN = (
    update(_WALLET)
    .where(
        _WALLET.c.account_id.in_(*_among),
        _WALLET.c.claim == "returning",
        ~exists()
        .where(_UNCLAIMED.c.account_id == _WALLET.c.account_id, _UNCLAIMED.c.state == "returning")
        .correlate(_WALLET),
    )
    .values(claim="waiting")
)


@dataclass(frozen=True, slots=True)
class Back:
    """One arrival, and the transfer that returns it."""

    tx_hash: str
    command_index: int
    ref: str


def begin_return(
    connection: Connection, account_id: str, key_version: int, backs: Sequence[Back], now_ms: int
) -> bool:
    """Let these go back, all of them, if nobody claims the wallet; else the caller rolls back."""
    asked = {"b_account": account_id, "b_version": key_version}
    if connection.execute(_BEGIN_RETURN, asked).rowcount != 1:
        return False
    rows = [
        {"b_hash": one.tx_hash, "b_index": one.command_index, "b_ref": one.ref, "b_now": now_ms}
        for one in backs
    ]
    if connection.execute(_TAKE, rows).rowcount != len(rows):
        return False
    _withdraw(connection, account_id, now_ms)
    return True


def meet_return(
    connection: Connection, account_id: str, payer: str, amount: Money, *, ref: str, at_ms: int
) -> bool:
    """A block holds a return that no row knows: note it at what it returns; False if nothing is.

    Whoever is told False undoes what was done here.
    Whether the wallet is claimed meanwhile does not matter: the money has left it.
    """
    sent = {"payer": payer, "currency": amount.currency.value, "amount": amount.minor}
    found = connection.execute(_WENT_BACK, {"account": account_id, **sent}).first()
    if found is None:
        return False
    at = {"b_hash": found.tx_hash, "b_index": found.command_index, "b_was": found.state}
    _withdraw(connection, account_id, at_ms)
    return connection.execute(_TAKE_MET, {**at, "b_ref": ref}).rowcount == 1


def _withdraw(connection: Connection, account_id: str, now_ms: int) -> None:
    if withdraw_invitations(connection, [account_id], now_ms):
        connection.execute(_TELL_ANEW, {"b_account": account_id})  # of what still waits


def end_returns(
    connection: Connection,
    accounts: Iterable[str],
    *,
    done: Sequence[str],
    failed: Sequence[str],
    again_at: int,
) -> None:
    """Returns of these wallets have ended, by ref; what failed waits on, and may be claimed."""
    if done:
        connection.execute(_RETURNED, {"refs": in_list(done)})
    if failed:
        connection.execute(_NOT_RETURNED, {"refs": in_list(failed), "b_due": again_at})
    connection.execute(_END_RETURN, {"accounts": in_list(accounts)})
