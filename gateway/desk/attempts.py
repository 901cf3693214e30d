"""The PIN counter in SQL: an attempt is counted before it is tried, and judged after.

Rules, all under the lock of the wallet's row:

1.  `wallet.wrong_pins` = wrong attempts since the last right one + attempts being tried now.
2.  A reservation that brings it to a threshold locks the wallet in the same statement, so that
    no further attempt is tried meanwhile, however many turns guess in parallel. A right PIN lifts
    the lock with the count; an attempt given back lifts the lock that it had caused.
3.  At the last threshold the lock is short ("being judged"); the wallet is held once no attempt
    is being tried any more.
4.  An attempt belongs to its turn. Judged wrong, the same turn is answered without another count.
    Reserved by a worker that is gone (`at` is older than a lease), it is tried again under the
    same count. Anything else is a new reservation.
5.  Whoever lost its lease learns nothing from its attempt.

Every operation may be rerun whole. No PIN and no key is seen here.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal, Protocol, TypeVar

from sqlalchemy import Connection, Row, bindparam, delete, func, select, update

from gateway.desk.times import from_ms
from gateway.messages import Outgoing, enqueue
from gateway.stores.sql import insert_ignore
from gateway.stores.tables import Attempt, Subscriber, Wallet, table_of
from gateway.vault import Sealed
from menus.effects import PinLocked, PinOutcome, Unavailable, Unconfirmed, WalletHeld, WrongPin
from menus.kinds import Msisdn
from menus.receipts import HeldNotice, PinLockedNotice
from menus.text.load import Texts

LEASE_MS: Final = 5_000  # a worker that has not judged by then is gone; less than a turn's claim
JUDGING_MS: Final = 60_000  # how long the last attempt before a hold keeps others out
KEPT_MS: Final = 24 * 3_600_000  # no carrier repeats a turn after a day

_WALLET, _ATTEMPT, _SUBSCRIBER = table_of(Wallet), table_of(Attempt), table_of(Subscriber)


@dataclass(frozen=True, slots=True)
class PinRules:
    """How many wrong PINs since the last right one lock for how long, and when it is enough."""

    locks: tuple[tuple[int, timedelta], ...] = ((3, timedelta(minutes=30)), (5, timedelta(days=1)))
    held_at: int = 10

    def lock_ms(self, wrong: int) -> int:
        """What reaching exactly `wrong` locks for; 0 when it is no threshold."""
        if wrong == self.held_at:
            return JUDGING_MS
        locks = dict(self.locks)
        return locks.get(wrong, timedelta()) // timedelta(milliseconds=1)

    def tries_left(self, wrong: int) -> int:
        """Attempts until the next threshold, of which there must be one."""
        thresholds = (*dict(self.locks), self.held_at)
        return min(at for at in thresholds if at > wrong) - wrong


@dataclass(frozen=True, slots=True)
class Reserve:
    """One attempt, about to be tried."""

    account_id: str
    turn_key: str
    now_ms: int


@dataclass(frozen=True, slots=True)
class Reserved:
    """It is counted: try it, then judge it. `at` is the lease."""

    at: int
    public_key: str
    sealed: Sealed


Verdict = Literal["right", "wrong", "given_back"]


@dataclass(frozen=True, slots=True)
class Judge:
    """What became of a reserved attempt; `given_back` when the PIN itself was not tried."""

    account_id: str
    turn_key: str
    at: int
    verdict: Verdict
    now_ms: int


Judgement = PinOutcome | Unconfirmed | Unavailable


def reserve(
    rules: PinRules, texts: Texts, connection: Connection, items: Sequence[Reserve]
) -> Sequence[Reserved | Judgement]:
    """Count attempts before they are tried, or say why they are not."""
    guard = _Guard(rules, texts, connection)
    return guard.each(items, guard.reserve)


def judge(
    rules: PinRules, texts: Texts, connection: Connection, items: Sequence[Judge]
) -> Sequence[Judgement | None]:
    """Record what became of attempts; None for those that were right."""
    guard = _Guard(rules, texts, connection)
    return guard.each(items, guard.judge)


# ---- statements, prepared once: a PIN costs several, and thousands come together


_WALLETS = (
    select(_WALLET)
    .where(_WALLET.c.account_id.in_(bindparam("accounts", expanding=True)))
    .order_by(_WALLET.c.account_id)
    .with_for_update()
)
_ATTEMPTS = select(_ATTEMPT).where(_ATTEMPT.c.turn_key.in_(bindparam("turns", expanding=True)))
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
_of_accounts = _ATTEMPT.c.account_id.in_(bindparam("accounts", expanding=True))
_SWEEP = (
    update(_ATTEMPT).where(_of_accounts, _ATTEMPT.c.state == "reserved").values(state="given_back")
)
_FORGET = delete(_ATTEMPT).where(_of_accounts, _ATTEMPT.c.at < bindparam("before"))
_BEING_TRIED = select(func.count()).where(
    _ATTEMPT.c.account_id == bindparam("account"),
    _ATTEMPT.c.turn_key != bindparam("turn"),
    _ATTEMPT.c.state == "reserved",
    _ATTEMPT.c.at > bindparam("since"),
)
_LANGUAGE = select(_SUBSCRIBER.c.language).where(_SUBSCRIBER.c.msisdn == bindparam("number"))


class _Item(Protocol):
    @property
    def account_id(self) -> str: ...
    @property
    def turn_key(self) -> str: ...
    @property
    def now_ms(self) -> int: ...


T = TypeVar("T", bound=_Item)
R = TypeVar("R")
WalletRow = Row[Any]
AttemptRow = Row[Any]


class _Guard:
    """The rules at work on locked wallets, each of them once; writes for all of them together."""

    def __init__(self, rules: PinRules, texts: Texts, connection: Connection) -> None:
        self._rules = rules
        self._texts = texts
        self._connection = connection
        self._new: list[dict[str, Any]] = []
        self._marks: list[dict[str, Any]] = []
        self._counts: list[dict[str, Any]] = []
        self._right_accounts: list[str] = []

    def each(
        self, items: Sequence[T], one: Callable[[T, WalletRow, AttemptRow | None], R]
    ) -> list[R | Judgement]:
        """Lock the wallets in order of their ids, decide one after the other, then write."""
        accounts = sorted(item.account_id for item in items)
        turns = [item.turn_key for item in items]
        wallets = _by_first(self._connection.execute(_WALLETS, {"accounts": accounts}))
        attempts = _by_first(self._connection.execute(_ATTEMPTS, {"turns": turns}))
        results: list[R | Judgement] = []
        for item in items:
            wallet, attempt = wallets.get(item.account_id), attempts.get(item.turn_key)
            foreign = attempt is not None and attempt.account_id != item.account_id
            if wallet is None or wallet.state == "closed" or foreign:
                results.append(Unavailable())
            else:
                results.append(one(item, wallet, attempt))
        self._write(min(item.now_ms for item in items))
        return results

    def _write(self, now_ms: int) -> None:
        written = insert_ignore(self._connection, Attempt, self._new) - len(self._new)
        for statement, rows in ((_MARK, self._marks), (_SET_COUNT, self._counts)):
            if rows:
                written += self._connection.execute(statement, rows).rowcount - len(rows)
        if written:
            raise AssertionError("an attempt or a count moved under its lock")
        if self._right_accounts:
            accounts = {"accounts": self._right_accounts}
            self._connection.execute(_SWEEP, accounts)
            self._connection.execute(_FORGET, {**accounts, "before": now_ms - KEPT_MS})

    # ---- before

    def reserve(
        self, item: Reserve, wallet: WalletRow, attempt: AttemptRow | None
    ) -> Reserved | Judgement:
        state = None if attempt is None else attempt.state
        if state == "wrong":
            return self._refusal(wallet, item.now_ms)
        if attempt is not None and state == "reserved":
            if attempt.at > item.now_ms - LEASE_MS:
                return Unconfirmed()  # it is being tried at this moment, and may well be right
            self._mark(item.turn_key, "reserved", item.now_ms)
            return _reserved(item, wallet)
        if wallet.state == "held" or wallet.locked_until > item.now_ms:
            return self._refusal(wallet, item.now_ms)
        if wallet.wrong_pins >= self._rules.held_at:  # its last attempt was never judged
            self._hold(wallet, item.now_ms)
            return WalletHeld()
        if attempt is None:
            key = {"turn_key": item.turn_key, "account_id": item.account_id}
            self._new.append({**key, "state": "reserved", "at": item.now_ms})
        else:
            self._mark(item.turn_key, "reserved", item.now_ms)
        self._raise(wallet, item.now_ms)
        return _reserved(item, wallet)

    # ---- after

    def judge(self, item: Judge, wallet: WalletRow, attempt: AttemptRow | None) -> Judgement | None:
        if attempt is None or attempt.at != item.at or attempt.state in ("wrong", "right"):
            return Unconfirmed()  # its lease is another worker's now
        counted = attempt.state == "reserved"
        self._mark(item.turn_key, item.verdict, item.at)
        match item.verdict:
            case "given_back":
                if counted:
                    lifts = self._rules.lock_ms(wallet.wrong_pins) > 0
                    until = 0 if lifts else wallet.locked_until
                    self._count(wallet, wallet.wrong_pins - 1, until)
                return Unavailable()
            case "right":
                return self._right(wallet)
            case "wrong":
                return self._wrong(item, wallet, counted=counted)

    def _right(self, wallet: WalletRow) -> Judgement | None:
        if wallet.state == "held":  # meanwhile, by an operator
            return WalletHeld()
        # Others being tried lose their place in the count with it; judged wrong, they are
        # counted anew.
        self._right_accounts.append(wallet.account_id)
        self._count(wallet, 0, 0)
        return None

    def _wrong(self, item: Judge, wallet: WalletRow, *, counted: bool) -> Judgement:
        wrong, until = wallet.wrong_pins, wallet.locked_until
        if not counted:
            wrong, until = self._raise(wallet, item.now_ms)
        if not self._being_tried(item):
            if wrong >= self._rules.held_at:
                self._hold(wallet, item.now_ms)
                return WalletHeld()
            if wallet.state != "held" and until > item.now_ms:
                notice = PinLockedNotice(from_ms(until))
                self._tell(wallet, f"pin-locked/{wallet.account_id}/{until}", notice, item.now_ms)
        return self._refuse(wallet.state, wrong, until, item.now_ms)

    # ---- both

    def _refusal(self, wallet: WalletRow, now_ms: int) -> PinOutcome:
        return self._refuse(wallet.state, wallet.wrong_pins, wallet.locked_until, now_ms)

    def _refuse(self, state: str, wrong: int, until: int, now_ms: int) -> PinOutcome:
        """What a wallet says that has judged a PIN wrong, or tries none now."""
        if state == "held":
            return WalletHeld()
        if until > now_ms:
            return PinLocked(from_ms(until))
        if wrong >= self._rules.held_at:
            return WalletHeld()
        return WrongPin(self._rules.tries_left(wrong))

    def _raise(self, wallet: WalletRow, now_ms: int) -> tuple[int, int]:
        """Count one more; the new count and lock."""
        wrong = wallet.wrong_pins + 1
        lock_ms = self._rules.lock_ms(wrong)
        until = max(wallet.locked_until, now_ms + lock_ms) if lock_ms else wallet.locked_until
        self._count(wallet, wrong, until)
        return wrong, until

    def _count(self, wallet: WalletRow, wrong: int, until: int) -> None:
        self._counts.append(
            {
                "b_account": wallet.account_id,
                "b_wrong_before": wallet.wrong_pins,
                "b_until_before": wallet.locked_until,
                "b_wrong": wrong,
                "b_until": until,
            }
        )

    def _mark(self, turn_key: str, state: str, at: int) -> None:
        self._marks.append({"b_turn": turn_key, "b_state": state, "b_at": at})

    def _hold(self, wallet: WalletRow, now_ms: int) -> None:
        if self._connection.execute(_HOLD, {"b_account": wallet.account_id}).rowcount:
            self._tell(wallet, f"held/{wallet.account_id}/{now_ms}", HeldNotice(), now_ms)

    def _being_tried(self, item: Judge) -> bool:
        other = {"account": item.account_id, "turn": item.turn_key}
        found = self._connection.execute(_BEING_TRIED, {**other, "since": item.now_ms - LEASE_MS})
        return bool(found.scalar_one())

    def _tell(
        self, wallet: WalletRow, message_id: str, notice: PinLockedNotice | HeldNotice, now_ms: int
    ) -> None:
        """Queue an SMS; the same lock is told once."""
        number = {"number": wallet.msisdn}
        language = self._connection.execute(_LANGUAGE, number).scalar_one_or_none()
        text = notice.say(self._texts, language)
        message = Outgoing(message_id, Msisdn(wallet.msisdn), "notice", text)
        enqueue(self._connection, [message], now_ms)


def _by_first(rows: Iterable[Row[Any]]) -> dict[str, Row[Any]]:
    return {row[0]: row for row in rows}


def _reserved(item: Reserve, wallet: WalletRow) -> Reserved:
    sealed = Sealed(wallet.key_version, wallet.kek_version, wallet.salt, wallet.sealed_key)
    return Reserved(item.now_ms, wallet.public_key, sealed)
