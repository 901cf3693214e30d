"""What follows when submissions have ended: reservations, wallets, keys, SMS, in one commit.

So does what has gone back, or could not: unclaimed money, and money that a dispute asked for.

Shared by the follower (blocks) and the outbox (what can never enter a block). Both lock the
wallets, `settlement.end` what ended, and then hand it here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from gateway.desk import dispute_reads, dispute_rows, replacement, settlement, unclaimed
from gateway.desk.books import DisputeRow
from gateway.desk.chain import Line
from gateway.desk.changes import Changes
from gateway.desk.directory import OPENING
from gateway.desk.journal import Journal
from gateway.desk.receipts import Arrival, Receipts, received_id
from gateway.desk.replacement import REPLACEMENT
from gateway.desk.reservations import RETURN
from gateway.desk.settlement import Ended, EndedPayment
from gateway.desk.unclaimed import AGAIN_MS, Terms
from gateway.messages import Outgoing, enqueue, invited_within, withdraw_invitations
from gateway.stores.dialects import insert_ignore
from gateway.stores.tables import Receipt, Unclaimed
from menus.kinds import Currency
from menus.receipts import PaidBack

SEED = "seed"  # money for people of a development machine: a receipt row, but no SMS


@dataclass(slots=True)
class Endings:
    """One commit's endings, gathered, then written."""

    day: str  # today, in Phnom Penh
    now_ms: int
    at_ms: int  # when it happened: the block's time
    height: int | None = None  # of the block, if one it was
    committed: list[Ended] = field(default_factory=list)
    failed: list[Ended] = field(default_factory=list)
    movements: list[tuple[str, Currency, int, str]] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    unasked: list[str] = field(default_factory=list)  # replacements that others have sent
    keyless: list[tuple[str, str]] = field(default_factory=list)  # see `rebuilding_wallets`
    stranded: list[str] = field(default_factory=list)  # see `settlement.reopen`; set by `write`

    def write(self, journal: Journal, connection: Connection, receipts: Receipts) -> int:
        """Write what follows; how many SMS were queued."""
        arrived = self._arrived(connection, receipts.terms)
        numbers = self._reservations(journal, connection, arrived)
        for row in arrived:
            line = (row["account_id"], row["currency"], "")
            row["movement"] = numbers[line, row["tx_hash"]]
        insert_ignore(connection, Receipt, arrived)
        opened = self._opened(connection)
        closed = settlement.end_openings(connection, _openings(self.failed), "closed", self.at_ms)
        self._unclaimed(connection, arrived)
        seeded = {ended.tx_hash for ended in self.committed if ended.purpose == SEED}
        told = receipts.of_openings(connection, opened, closed, self.keyless)
        replaced = replacement.install(connection, [*_replacements(self.committed), *self.unasked])
        claimed = [one.account_id for one in replaced if one.claimed]
        withdraw_invitations(connection, claimed, self.now_ms)
        told += receipts.of_replacements(
            connection,
            self.day,
            self.at_ms,
            done=replaced,
            failed=replacement.give_up(connection, _replacements(self.failed)),
        )
        given_back, kept = self._disputes(journal, connection)
        paid_back = self._paid_back(journal, connection)
        told += receipts.of_payments(
            connection,
            self.day,
            self.at_ms,
            sent=_payments(self.committed),
            not_sent=_payments(self.failed),
            arrived=[arrival for arrival in self.arrivals if arrival.tx_hash not in seeded],
            returned=_payments(self.committed, RETURN),
            given_back=given_back,
        )
        told += receipts.of_kept(connection, self.day, kept)
        told += receipts.of_kept(connection, self.day, paid_back, PaidBack)
        told = self._within_budget(connection, receipts.terms, told, arrived)
        enqueue(connection, told, self.now_ms)
        return len(told)

    def _within_budget(
        self,
        connection: Connection,
        terms: Terms,
        told: Sequence[Outgoing],
        arrived: Sequence[Mapping[str, Any]],
    ) -> list[Outgoing]:
        """Without invitations over the budget: of that money their numbers hear later."""
        allowed = invited_within(connection, told, terms.sms_per_day, self.now_ms)
        later = {message.id for message in told} - {message.id for message in allowed}
        keys = [(row["tx_hash"], row["command_index"]) for row in arrived if later]
        unclaimed.leave_untold(connection, [key for key in keys if received_id(*key) in later])
        return allowed

    def _reservations(
        self, journal: Journal, connection: Connection, arrived: Sequence[Mapping[str, Any]]
    ) -> dict[tuple[Line, str], int]:
        changes = Changes()
        for moved in self.movements:
            changes.move(*moved)
        for row in arrived:
            changes.arrive(row)
        for ended in self.committed:
            changes.end(ended, committed=True)
        for ended in self.failed:
            changes.end(ended, committed=False)
        return changes.write(journal, connection, at_ms=self.at_ms, height=self.height)

    def _arrived(self, connection: Connection, terms: Terms) -> list[dict[str, Any]]:
        """Rows of `Receipt`, each with its time if it came for nobody and can go back."""
        waiting = unclaimed.ownerless(connection, {one.account_id for one in self.arrivals})
        due_at = terms.due_at(self.at_ms)
        return [
            _receipt_row(one, due_at if one.account_id in waiting and one.src_account else None)
            for one in self.arrivals
        ]

    def _unclaimed(self, connection: Connection, arrived: Sequence[Mapping[str, Any]]) -> None:
        """Note what came for nobody, and what of it has gone back or could not."""
        waiting = [_unclaimed_row(row) for row in arrived if row["due_at"] is not None]
        insert_ignore(connection, Unclaimed, waiting)
        done, failed = _payments(self.committed, RETURN), _payments(self.failed, RETURN)
        if done or failed:
            unclaimed.end_returns(
                connection,
                {payment.src_account for payment in (*done, *failed)},
                done=[payment.ref for payment in done],
                failed=[payment.ref for payment in failed],
                again_at=self.at_ms + AGAIN_MS,
            )

    def _disputes(
        self, journal: Journal, connection: Connection
    ) -> tuple[set[str], list[DisputeRow]]:
        """Hashes of payments that have given money back, and the disputes where that failed."""
        paid = {one.intent_id: one.tx_hash for one in _returning(self.committed)}
        unpaid = [one.intent_id for one in _returning(self.failed)]
        if not paid and not unpaid:
            return set(), []
        rows = dispute_reads.read(connection, [*paid, *unpaid])
        for intent in rows.keys() & paid.keys():
            dispute_rows.returned_after_all(journal, connection, rows[intent], self.at_ms)
        failed = [rows[intent] for intent in sorted(rows.keys() & set(unpaid))]
        kept = [
            row for row in failed if dispute_rows.not_returned(journal, connection, row, self.at_ms)
        ]
        return {paid[intent] for intent in rows.keys() & paid.keys()}, kept

    def _paid_back(self, journal: Journal, connection: Connection) -> list[DisputeRow]:
        """End disputes whose money an ordinary payment has brought back."""
        payers = {one.src_account for one in _payments(self.committed) if one.bucket}
        found = dispute_reads.paid_back(connection, payers) if payers else []
        return [
            row
            for row in found
            if dispute_rows.close(journal, connection, row, "ended", self.at_ms)
        ]

    def _opened(self, connection: Connection) -> list[tuple[str, str]]:
        """Open the wallets that are on the ledger, also those that were thought not to be."""
        made = _openings(self.committed)
        opened = settlement.end_openings(connection, made, "open", self.at_ms)
        given_up = _openings(one for one in self.committed if one.before != "signed")
        reopened, self.stranded = settlement.reopen(connection, given_up, self.at_ms)
        return [*opened, *reopened]


def _openings(ended: Iterable[Ended]) -> list[str]:
    return sorted({one.account_id for one in ended if one.purpose == OPENING})


def _payments(ended: Sequence[Ended], purpose: str = "transfer") -> list[EndedPayment]:
    return [one.payment for one in ended if one.payment is not None and one.purpose == purpose]


def _returning(ended: Sequence[Ended]) -> list[EndedPayment]:
    """What was asked back: of payments by somebody, only that uses no counter."""
    return [payment for payment in _payments(ended) if not payment.bucket]


def _replacements(ended: Sequence[Ended]) -> list[str]:
    return [one.tx_hash for one in ended if one.purpose == REPLACEMENT]


def _receipt_row(arrival: Arrival, due_at: int | None) -> dict[str, Any]:
    row = arrival._asdict()
    row["at"] = row.pop("at_ms")
    return row | {"due_at": due_at}


def _unclaimed_row(receipt: Mapping[str, Any]) -> dict[str, Any]:
    same = ("tx_hash", "command_index", "account_id", "due_at")
    return {name: receipt[name] for name in same} | {"state": "waiting", "ref": None}
