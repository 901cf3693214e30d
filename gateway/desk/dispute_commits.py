"""What one commit does about disputes: asked, refused, or over, each with the SMS that tells it.

The wallets come first (`lock_wallets`), then the rows are read, then they change where they still
are what was read (`dispute_rows`). A batch may be rerun whole: what was done already is answered as
done. Giving back is no business of this room: that is a payment (`transfers`).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Select, bindparam, func, select

from gateway import logs
from gateway.codes import Macs, code_mac
from gateway.desk import dispute_reads, dispute_rows
from gateway.desk.books import IS_ALIVE, DisputeRow
from gateway.desk.disputable import DisputeTerms, asked_today, disputable
from gateway.desk.dispute_rows import OPEN_MOST, Asked, End
from gateway.desk.journal import Journal
from gateway.desk.locks import lock_wallets
from gateway.desk.receipts import Receipts
from gateway.desk.reservations import GuardFailed
from gateway.messages import enqueue
from gateway.stores.dialects import upsert
from gateway.stores.tables import Challenge, Transfer, Wallet, table_of
from menus.disputes import AskedBack, GivesBack
from menus.effects import (
    Disputed,
    DisputeOver,
    MoneyKept,
    NotDisputable,
    TooManyDisputes,
    Unavailable,
    WalletHeld,
)
from menus.flows.give_back import GiveBackForm
from menus.forms import about
from menus.kinds import Msisdn

LOG: Final = logs.get("disputes")
DUE_MOST: Final = 100  # in one commit
TOLD_MOST: Final = 3  # open disputes of one wallet that SMS ask about; dialling asks about each

_WALLET, _TRANSFER = table_of(Wallet), table_of(Transfer)
Refusal = Disputed | NotDisputable | TooManyDisputes | WalletHeld | Unavailable


@dataclass(frozen=True, slots=True)
class Wish:
    """A dispute as asked for; `code` agrees to give back."""

    id: str
    ref: str
    number: str  # of who asks
    code: str = field(repr=False)
    now_ms: int
    day: str


@dataclass(frozen=True, slots=True)
class No:
    """The owner of `number` keeps what is asked back."""

    dispute: str
    number: str
    now_ms: int
    day: str


class Payer(NamedTuple):
    """Who asks, and of whom."""

    account_id: str
    state: str
    has_pin: bool
    dest_account: str | None


# ---- asked


_PAYER: Select[Any] = (
    select(
        _WALLET.c.account_id,
        _WALLET.c.state,
        func.length(_WALLET.c.salt) > 0,
        select(_TRANSFER.c.dest_account)
        .where(_TRANSFER.c.ref == bindparam("ref"), _TRANSFER.c.src_account == _WALLET.c.account_id)
        .scalar_subquery(),
    )
    .where(_WALLET.c.msisdn == bindparam("number"), IS_ALIVE)
    .limit(1)
)


def _payer(connection: Connection, wish: Wish) -> Payer | None:
    row = connection.execute(_PAYER, {"number": wish.number, "ref": wish.ref}).first()
    return Payer(*row) if row else None


def look(
    terms: DisputeTerms, connection: Connection, wishes: Sequence[Wish]
) -> list[str | Refusal]:
    """The account whose PIN allows it, or why it is not asked for."""
    return [_look(terms, connection, wish) for wish in wishes]


def _look(terms: DisputeTerms, connection: Connection, wish: Wish) -> str | Refusal:
    payer = _payer(connection, wish)
    if payer is None or not payer.has_pin:
        return Unavailable()
    if payer.state != "open":
        return WalletHeld() if payer.state == "held" else Unavailable()
    return _refused(terms, connection, payer, wish) or payer.account_id


def _refused(
    terms: DisputeTerms, connection: Connection, payer: Payer, wish: Wish
) -> Disputed | NotDisputable | TooManyDisputes | None:
    before = dispute_reads.read(connection, [wish.id]).get(wish.id)
    if before is not None and before.src_account == payer.account_id:
        return Disputed()
    account = payer.account_id
    if not disputable(connection, terms, wish.ref, account, wish.now_ms):
        return NotDisputable(wish.ref)
    full = dispute_reads.open_between(connection, wish.ref, account) >= OPEN_MOST
    if full or asked_today(connection, account, wish.day) >= terms.per_day:
        return TooManyDisputes()
    return None


# ---- the commits


@dataclass(frozen=True, slots=True)
class Commits:
    """The commits, with what each of them needs."""

    terms: DisputeTerms
    receipts: Receipts
    journal: Journal
    macs: Macs

    def place(self, connection: Connection, wishes: Sequence[Wish]) -> list[Refusal]:
        """Store the disputes that may be, each with its hold, its code and its SMS."""
        payers = [_payer(connection, wish) for wish in wishes]
        lock_wallets(connection, {at for payer in payers if payer for at in payer[::3] if at})
        placed = {
            wish.id: self._place(connection, wish)
            for wish in sorted(wishes, key=lambda wish: wish.ref)
        }
        return [placed[wish.id] for wish in wishes]

    def _place(self, connection: Connection, wish: Wish) -> Refusal:
        payer = _payer(connection, wish)
        if payer is None:
            return Unavailable()
        if refusal := _refused(self.terms, connection, payer, wish):
            return refusal
        asked = Asked(wish.id, wish.ref, payer.account_id, wish.day, wish.now_ms)
        try:
            with connection.begin_nested():
                row = dispute_rows.store(self.journal, connection, self.terms, asked)
        except GuardFailed:
            LOG.error("a row changed under its lock", ref=wish.ref)
            return Unavailable()
        if row is None:
            return TooManyDisputes()
        if dispute_reads.open_against(connection, row.dest_account) <= TOLD_MOST:
            self._tell(connection, row, wish)
        return Disputed()

    def _tell(self, connection: Connection, row: DisputeRow, wish: Wish) -> None:
        """Ask the receiver by SMS, with the code that agrees."""
        asked_back = dispute_reads.shown(connection, row.id)
        if asked_back is None:
            raise AssertionError("a dispute is stored only while its payer's wallet lives")
        held_until = self.terms.held_until(wish.now_ms) if row.held else None
        told = self.receipts.of_dispute(connection, row, asked_back, wish.code, held_until)
        _challenge(connection, self.macs, row, asked_back, wish.code)
        enqueue(connection, told, wish.now_ms)

    def refuse(
        self, connection: Connection, answers: Sequence[No]
    ) -> list[MoneyKept | DisputeOver]:
        """End disputes by their receivers' word."""
        rows = _locked(connection, [no.dispute for no in answers])
        return [self._refuse(connection, no, rows.get(no.dispute)) for no in answers]

    def _refuse(
        self, connection: Connection, no: No, row: DisputeRow | None
    ) -> MoneyKept | DisputeOver:
        if row is None or not _owns(connection, no.number, row.dest_account):
            return DisputeOver()
        if row.state == "refused":
            return MoneyKept()
        refused = self._close(connection, row, "refused", now_ms=no.now_ms, day=no.day)
        return MoneyKept() if refused else DisputeOver()

    def end_due(self, connection: Connection, moments: Sequence[tuple[int, str]]) -> list[int]:
        """Give back holds whose time is over, and end what was not answered in time."""
        return [self._end_due(connection, *moment) for moment in moments]

    def _end_due(self, connection: Connection, now_ms: int, day: str) -> int:
        found = dispute_reads.due(connection, now_ms, DUE_MOST)
        rows = _locked(connection, [row.id for row in found])
        return sum(
            self._close(connection, row, "ended", now_ms=now_ms, day=day)
            if row.answer_by <= now_ms
            else dispute_rows.hold_no_longer(self.journal, connection, row, now_ms)
            for row in rows.values()
        )

    def _close(
        self, connection: Connection, row: DisputeRow, to: End, *, now_ms: int, day: str
    ) -> bool:
        """Close it, and tell the payer in the same commit that the money does not come back."""
        if not dispute_rows.close(self.journal, connection, row, to, now_ms):
            return False
        enqueue(connection, self.receipts.of_kept(connection, day, [row]), now_ms)
        return True


def _challenge(
    connection: Connection, macs: Macs, row: DisputeRow, asked_back: AskedBack, code: str
) -> None:
    """Let the code of the SMS agree, for as long as there is a question."""
    challenge = {
        "msisdn": row.dest_msisdn,
        "form": about(GiveBackForm).name,
        "dispute": row.id,
        "intent_id": row.id,
        "code_mac": code_mac(macs, Msisdn(row.dest_msisdn), row.id, code),
        "answers": json.dumps({"asked": asked_back.dump(), "answer": GivesBack.agreed().dump()}),
        "wrong_codes": 0,
        "expires_at": row.answer_by,
    }
    fixed = {"msisdn", "form", "dispute"}
    upsert(connection, Challenge, [challenge], update=[*challenge.keys() - fixed])


def _locked(connection: Connection, ids: Sequence[str]) -> dict[str, DisputeRow]:
    """The disputes as they are now that nobody else can change them."""
    accounts = [row.dest_account for row in dispute_reads.read(connection, ids).values()]
    lock_wallets(connection, accounts)
    return dispute_reads.read(connection, ids)


_OWNS = select(_WALLET.c.account_id).where(
    _WALLET.c.msisdn == bindparam("number"), _WALLET.c.account_id == bindparam("account"), IS_ALIVE
)


def _owns(connection: Connection, number: str, account_id: str) -> bool:
    asked = {"number": number, "account": account_id}
    return connection.execute(_OWNS, asked).first() is not None
