"""The PIN counter in SQL: an attempt is counted before it is tried, and judged after.

Rules, all under the lock of the wallet's row:

1.  `wallet.wrong_pins` = wrong attempts since the last right one + attempts being tried now.
2.  A reservation that brings it to a threshold locks the wallet in the same statement, so that
    no further attempt is tried meanwhile, however many turns guess in parallel; until those are
    judged, the others are told nothing certain. A right PIN lifts the lock with the count; an
    attempt given back lifts the lock that it had caused.
3.  At the last threshold the lock is short ("being judged"); the wallet is held once no attempt
    is being tried any more.
4.  An attempt belongs to its turn. Judged wrong, the same turn is answered without another count.
    Reserved by a worker that is gone (`at` is older than a lease), it is tried again under the
    same count. Anything else is a new reservation.
5.  Whoever lost its lease learns nothing from its attempt.
6.  While too many PINs of everybody's are wrong (`spraying`), nothing is reserved.

Every operation may be rerun whole. No PIN and no key is seen here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final, Literal, Protocol, TypeVar

from sqlalchemy import Connection

from gateway.desk import attempt_rows
from gateway.desk.attempt_rows import AttemptRow, Rows, WalletRow
from gateway.desk.spraying import Budget, Exhausted, Spent
from gateway.desk.times import from_ms
from gateway.messages import Outgoing, enqueue
from gateway.vault import Sealed
from menus.effects import PinLocked, PinOutcome, Unavailable, Unconfirmed, WalletHeld, WrongPin
from menus.kinds import Msisdn
from menus.receipts import HeldNotice, PinLockedNotice
from menus.text.load import Texts

LEASE_MS: Final = 5_000  # a worker that has not judged by then is gone; less than a turn's claim
JUDGING_MS: Final = 60_000  # how long the last attempt before a hold keeps others out
HELD_AT: Final = 10  # wrong PINs since the last right one


@dataclass(frozen=True, slots=True)
class PinRules:
    """How many wrong PINs since the last right one lock for how long, and when it is enough."""

    locks: tuple[tuple[int, timedelta], ...] = ((3, timedelta(minutes=30)), (5, timedelta(days=1)))
    held_at: int = HELD_AT

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
    rules: PinRules,
    budget: Budget,
    texts: Texts,
    connection: Connection,
    items: Sequence[Reserve],
) -> Sequence[Reserved | Judgement | Exhausted]:
    """Count attempts before they are tried, or say why they are not."""
    guard = _Guard(rules, texts, connection, items)
    spent = Spent(connection, budget, max(item.now_ms for item in items))
    return guard.each(items, partial(guard.reserve, spent))


def judge(
    rules: PinRules, texts: Texts, connection: Connection, items: Sequence[Judge]
) -> Sequence[Judgement | None]:
    """Record what became of attempts; None for those that were right."""
    guard = _Guard(rules, texts, connection, items)
    return guard.each(items, guard.judge)


def forgive(connection: Connection, accounts: Sequence[str], held_at: int = HELD_AT) -> None:
    """Forget what was counted against PINs that are no more; what that had held is held no longer.

    Under the wallets' lock. An operator's hold stays: it counted nothing.
    """
    if accounts:
        attempt_rows.forgive(connection, accounts, held_at)


class _Item(Protocol):
    @property
    def account_id(self) -> str: ...
    @property
    def turn_key(self) -> str: ...
    @property
    def now_ms(self) -> int: ...


T = TypeVar("T", bound=_Item)
R = TypeVar("R")


class _Guard:
    """The rules at work on locked wallets, each of them once."""

    def __init__(
        self, rules: PinRules, texts: Texts, connection: Connection, items: Sequence[_Item]
    ) -> None:
        self._rules = rules
        self._texts = texts
        self._rows = Rows(
            connection, [item.account_id for item in items], [item.turn_key for item in items]
        )

    def each(
        self, items: Sequence[T], one: Callable[[T, WalletRow, AttemptRow | None], R]
    ) -> list[R | Judgement]:
        """Decide one after the other, then write for all of them together."""
        rows = self._rows
        results: list[R | Judgement] = []
        for item in items:
            wallet, attempt = rows.wallets.get(item.account_id), rows.attempts.get(item.turn_key)
            foreign = attempt is not None and attempt.account_id != item.account_id
            if wallet is None or wallet.state == "closed" or foreign:
                results.append(Unavailable())
            else:
                results.append(one(item, wallet, attempt))
        rows.write(min(item.now_ms for item in items))
        return results

    # ---- before

    def reserve(
        self, spent: Spent, item: Reserve, wallet: WalletRow, attempt: AttemptRow | None
    ) -> Reserved | Judgement | Exhausted:
        counted = attempt is not None and attempt.state == "reserved"
        if attempt is not None and counted and attempt.at > item.now_ms - LEASE_MS:
            return Unconfirmed()  # it is being tried at this moment, and may well be right
        refusal = None if counted else self._not_tried(item, wallet, attempt)
        not_now = refusal or spent.exhausted(item.account_id)
        if not_now is not None:
            return not_now
        if attempt is None:
            self._rows.add(item.turn_key, item.account_id, item.now_ms)
        else:
            self._rows.mark(item.turn_key, "reserved", item.now_ms)
        if not counted:
            self._raise(wallet, item.now_ms)
        return _reserved(item, wallet)

    def _not_tried(
        self, item: Reserve, wallet: WalletRow, attempt: AttemptRow | None
    ) -> Judgement | None:
        judged = attempt is not None and attempt.state == "wrong"
        locked = wallet.locked_until > item.now_ms
        if locked and not judged and self._being_tried(item):
            return Unconfirmed()  # by what may be right, and then lifts the lock, and may pay this
        if judged or wallet.state == "held" or locked:
            return self._refusal(wallet, item.now_ms)
        if wallet.wrong_pins >= self._rules.held_at:  # its last attempt was never judged
            self._hold(wallet, item.now_ms)
            return WalletHeld()
        return None

    # ---- after

    def judge(self, item: Judge, wallet: WalletRow, attempt: AttemptRow | None) -> Judgement | None:
        if attempt is None or attempt.at != item.at or attempt.state in ("wrong", "right"):
            return Unconfirmed()  # its lease is another worker's now
        counted = attempt.state == "reserved"
        self._rows.mark(item.turn_key, item.verdict, item.at)
        if item.verdict == "right":
            return self._right(wallet)
        if item.verdict == "wrong":
            return self._wrong(item, wallet, counted=counted)
        if counted:
            lifts = self._rules.lock_ms(wallet.wrong_pins) > 0
            until = 0 if lifts else wallet.locked_until
            self._rows.count(wallet, wallet.wrong_pins - 1, until)
        return Unavailable()

    def _right(self, wallet: WalletRow) -> Judgement | None:
        if wallet.state == "held":  # meanwhile, by an operator
            return WalletHeld()
        # Others being tried lose their place in the count with it; judged wrong, they are
        # counted anew.
        self._rows.clear(wallet)
        return None

    def _wrong(self, item: Judge, wallet: WalletRow, *, counted: bool) -> Judgement:
        wrong, until = wallet.wrong_pins, wallet.locked_until
        if not counted:
            wrong, until = self._raise(wallet, item.now_ms)
        said = self._refuse(wallet.state, wrong, until, item.now_ms)
        if isinstance(said, WrongPin) or wallet.state == "held":
            return said
        if self._being_tried(item):
            return Unconfirmed()  # what is tried may be right, and then lifts this, and may pay
        if wrong >= self._rules.held_at:
            self._hold(wallet, item.now_ms)
            return WalletHeld()
        notice = PinLockedNotice(from_ms(until))
        self._tell(wallet, f"pin-locked/{wallet.account_id}/{until}", notice, item.now_ms)
        return said

    # ---- both

    def _being_tried(self, item: _Item) -> bool:
        """Is another turn's attempt under way?"""
        since_ms = item.now_ms - LEASE_MS
        return self._rows.being_tried(item.account_id, item.turn_key, since_ms)

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
        self._rows.count(wallet, wrong, until)
        return wrong, until

    def _hold(self, wallet: WalletRow, now_ms: int) -> None:
        if self._rows.hold(wallet):
            self._tell(wallet, f"held/{wallet.account_id}/{now_ms}", HeldNotice(), now_ms)

    def _tell(
        self, wallet: WalletRow, message_id: str, notice: PinLockedNotice | HeldNotice, now_ms: int
    ) -> None:
        """Queue an SMS; the same lock is told once."""
        text = notice.say(self._texts, self._rows.language(wallet))
        message = Outgoing(message_id, Msisdn(wallet.msisdn), "notice", text)
        enqueue(self._rows.connection, [message], now_ms)


def _reserved(item: Reserve, wallet: WalletRow) -> Reserved:
    sealed = Sealed(wallet.key_version, wallet.kek_version, wallet.salt, wallet.sealed_key)
    return Reserved(item.now_ms, wallet.public_key, sealed)
