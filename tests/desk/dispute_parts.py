"""A desk where payments are asked back: `ask`, `agree` and `keep` are turns of one person."""

from typing import Any

from clocks import FakeClock, seeded
from custody_parts import PIN, make_vault
from money_parts import Desk, fetch

from gateway.desk.disputable import DisputeTerms
from gateway.desk.disputes import Disputes
from gateway.desk.reads import Reads
from gateway.stores.sql import Sql
from gateway.stores.tables import Challenge, table_of
from gateway.stores.tables import Dispute as DisputeTable
from menus.disputes import AskedBack
from menus.effects import Dispute, GiveBack, KeepMoney, ReadLastPayment
from menus.kinds import Msisdn, Pin

TERMS = DisputeTerms()
DISPUTE, CHALLENGE = table_of(DisputeTable), table_of(Challenge)


class DisputeDesk(Desk):
    """A process's money rooms, and the one that asks for money back."""

    def __init__(
        self, sql: Sql, ledger: Any, clock: FakeClock, terms: DisputeTerms = TERMS, **rooms: Any
    ) -> None:
        super().__init__(sql, ledger, clock, **rooms)
        self.vault = make_vault()
        self.disputes = Disputes(
            sql,
            self.pins,
            self.receipts,
            terms,
            journal=self.journal,
            macs=self.vault,
            queued=lambda: None,
            clock=clock,
            entropy=seeded(f"{self._seed}/codes"),
        )
        self.reads = Reads(sql, self.limits, clock, lambda: None, terms=terms)

    async def last(self, number: Msisdn) -> Any:
        return await self.reads.read_last_payment(ReadLastPayment(), self.origin(number))

    async def ask(self, number: Msisdn, ref: str, *, intent: str = "", pin: Pin = PIN) -> Any:
        effect = Dispute(intent or f"dispute of {ref}", ref, pin)
        return await self.disputes.dispute(effect, self.origin(number))

    async def asked(self, number: Msisdn) -> AskedBack | None:
        """What the next dial of this number begins with."""
        known = await self.reads.facts(number)
        return known.wallet.asked_back if known.wallet else None

    async def agree(
        self, number: Msisdn, to: AskedBack, *, pin: Pin = PIN, wait_s: float = 3.0
    ) -> Any:
        effect = GiveBack(to.dispute, to.payer, to.account_id, to.amount, pin)
        return await self.transfers.give_back(effect, self.origin(number, wait_s=wait_s))

    async def keep(self, number: Msisdn, dispute: str) -> Any:
        return await self.disputes.keep(KeepMoney(dispute), self.origin(number))


async def the_dispute(sql: Sql) -> dict[str, Any]:
    (row,) = await fetch(sql, DISPUTE)
    return row
