"""The rows behind the PIN counter: wallets and attempts, locked, read together, written together.

What is decided about them is `attempts`'s; here stands only how it is read and kept. Statements are
prepared once: a PIN costs several, and thousands come together.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import (
    Connection,
    Row,
    and_,
    bindparam,
    case,
    delete,
    func,
    literal_column,
    select,
    update,
)

from gateway.stores.dialects import in_list, insert_ignore, listed
from gateway.stores.tables import Attempt, Subscriber, Wallet, table_of

KEPT_MS: Final = 24 * 3_600_000  # no carrier repeats a turn after a day

_WALLET, _ATTEMPT, _SUBSCRIBER = table_of(Wallet), table_of(Attempt), table_of(Subscriber)

WalletRow = Row[Any]
AttemptRow = Row[Any]

_WALLETS = (
    select(_WALLET)
    .where(_WALLET.c.account_id.in_(select(listed("accounts").c.value)))
    .order_by(_WALLET.c.account_id)
    .with_for_update()
)
_ATTEMPTS = select(_ATTEMPT).where(_ATTEMPT.c.turn_key.in_(select(listed("turns").c.value)))
_MARK = (
    update(_ATTEMPT)
    .where(_ATTEMPT.c.turn_key == bindparam("b_turn"))
    .values(state=bindparam("b_state"), at=bindparam("b_at"))
)
_SET_COUNT = (
    update(_WALLET)
    .where(
        _WALLET.c.account_id == bindparam("b_account"),
        _WALLET.c.wrong_pins == bindparam("b_wrong_before"),
        _WALLET.c.locked_until == bindparam("b_until_before"),
    )
    .values(wrong_pins=bindparam("b_wrong"), locked_until=bindparam("b_until"))
)
_HOLD = (
    update(_WALLET)
    .where(_WALLET.c.account_id == bindparam("b_account"), _WALLET.c.state == "open")
    .values(state="held")
)
# In the statements' text: compared with a parameter, SQLite asks itself at every execution anew
# whether the index of wrong ones would do.
_IS_RESERVED = _ATTEMPT.c.state == literal_column("'reserved'")
_of_accounts = _ATTEMPT.c.account_id.in_(select(listed("accounts").c.value))
_SWEEP = update(_ATTEMPT).where(_of_accounts, _IS_RESERVED).values(state="given_back")
_FORGIVE = (
    update(_WALLET)
    .where(_WALLET.c.account_id.in_(select(listed("accounts").c.value)))
    .values(
        wrong_pins=0,
        locked_until=0,
        state=case(
            (
                and_(_WALLET.c.state == "held", _WALLET.c.wrong_pins >= bindparam("held_at")),
                "open",
            ),
            else_=_WALLET.c.state,
        ),
    )
)
_FORGET = delete(_ATTEMPT).where(_of_accounts, _ATTEMPT.c.at < bindparam("before"))
_BEING_TRIED = select(func.count()).where(
    _ATTEMPT.c.account_id == bindparam("account"),
    _ATTEMPT.c.turn_key != bindparam("turn"),
    _IS_RESERVED,
    _ATTEMPT.c.at > bindparam("since"),
)
_LANGUAGE = select(_SUBSCRIBER.c.language).where(_SUBSCRIBER.c.msisdn == bindparam("number"))


class Rows:
    """The wallets and attempts of one batch, under the wallets' locks, and what becomes of them."""

    def __init__(
        self, connection: Connection, accounts: Iterable[str], turns: Iterable[str]
    ) -> None:
        self.connection = connection
        ordered = sorted(accounts)  # everybody locks wallets in the order of their ids
        self.wallets = _by_first(connection.execute(_WALLETS, {"accounts": in_list(ordered)}))
        self.attempts = _by_first(connection.execute(_ATTEMPTS, {"turns": in_list(turns)}))
        self._new: list[dict[str, Any]] = []
        self._marks: list[dict[str, Any]] = []
        self._counts: list[dict[str, Any]] = []
        self._right: list[str] = []

    def add(self, turn_key: str, account_id: str, at: int) -> None:
        """An attempt of a turn that has made none."""
        row = {"turn_key": turn_key, "account_id": account_id, "state": "reserved", "at": at}
        self._new.append(row)

    def mark(self, turn_key: str, state: str, at: int) -> None:
        """What an attempt has become."""
        self._marks.append({"b_turn": turn_key, "b_state": state, "b_at": at})

    def count(self, wallet: WalletRow, wrong: int, until: int) -> None:
        """A wallet's new count and lock."""
        self._counts.append(
            {
                "b_account": wallet.account_id,
                "b_wrong_before": wallet.wrong_pins,
                "b_until_before": wallet.locked_until,
                "b_wrong": wrong,
                "b_until": until,
            }
        )

    def clear(self, wallet: WalletRow) -> None:
        """A right PIN: the count begins anew, and what is being tried loses its place in it."""
        self._right.append(wallet.account_id)
        self.count(wallet, 0, 0)

    def hold(self, wallet: WalletRow) -> bool:
        """Hold it now; False when it was not open."""
        return self.connection.execute(_HOLD, {"b_account": wallet.account_id}).rowcount > 0

    def being_tried(self, account_id: str, turn_key: str, since_ms: int) -> bool:
        """Is another turn's attempt under way?"""
        other = {"account": account_id, "turn": turn_key, "since": since_ms}
        return bool(self.connection.execute(_BEING_TRIED, other).scalar_one())

    def language(self, wallet: WalletRow) -> str | None:
        """What its owner chose."""
        number = {"number": wallet.msisdn}
        return self.connection.execute(_LANGUAGE, number).scalar_one_or_none()

    def write(self, now_ms: int) -> None:
        """Write it all; AssertionError when a row is not as it was read under its lock."""
        written = insert_ignore(self.connection, Attempt, self._new) - len(self._new)
        for statement, rows in ((_MARK, self._marks), (_SET_COUNT, self._counts)):
            if rows:
                written += self.connection.execute(statement, rows).rowcount - len(rows)
        if written:
            raise AssertionError("an attempt or a count moved under its lock")
        if self._right:
            accounts = {"accounts": in_list(self._right)}
            self.connection.execute(_SWEEP, accounts)
            self.connection.execute(_FORGET, {**accounts, "before": now_ms - KEPT_MS})


def forgive(connection: Connection, accounts: Sequence[str], held_at: int) -> None:
    """Clear counts and locks of these wallets, and open those that their count had held."""
    forgiven = {"accounts": in_list(accounts)}
    connection.execute(_SWEEP, forgiven)
    connection.execute(_FORGIVE, {**forgiven, "held_at": held_at})


def _by_first(rows: Iterable[Row[Any]]) -> dict[str, Row[Any]]:
    return {row[0]: row for row in rows}
