"""Reconciliation as an operator asks for it: `ussd-gateway reconcile`.

The rows beside their movements, the movements beside the ledger's blocks, and balances and keys
beside the ledger's accounts; told in plain words. What is looked at, and what is said of a row, is
decided in `desk.audit` and `desk.recount`.
"""

from collections.abc import AsyncIterator, Callable
from typing import Final

from rich.console import Console

from gateway.app import ledger_of
from gateway.clock import Clock, SystemClock, system_entropy
from gateway.config import Settings
from gateway.desk import recount
from gateway.desk.amounts import Assets
from gateway.desk.audit import Drift, Step, rounds
from gateway.desk.journal import Journal
from gateway.kek import Kek
from gateway.serve import require_schema
from gateway.stores.runners import open_sql
from gateway.stores.sql import Sql
from gateway.vault import Vault
from ledger_client.ledger import Ledger

SHOWN_MOST: Final = 100


class Telling:
    """Counts what was looked at, and says of each row that drifts which and how."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self._status = Console(stderr=True).status("")
        self._rows: set[tuple[str, str]] = set()  # each once, from whichever side it is seen

    async def all_of(self, what: str, steps: AsyncIterator[Step]) -> None:
        """Go through some steps, with progress on a terminal."""
        looked, before = 0, self.drifts
        with self._status as status:
            async for step in steps:
                looked += step.rows
                status.update(f"{looked:,} {what}")
                for drift in step.drifts:
                    self._tell(drift)
        found = self.drifts - before
        self.say(f"{looked:,} {what}: {f'{found:,} drift' if found else 'as they should be'}")

    @property
    def drifts(self) -> int:
        """How many rows."""
        return len(self._rows)

    def _tell(self, drift: Drift) -> None:
        row = (drift.table, drift.row)
        if row in self._rows:
            return
        self._rows.add(row)
        if len(self._rows) <= SHOWN_MOST:
            self.say(f"drift: {drift.table} {drift.row}: {drift.why}")


async def reconcile(
    settings: Settings, say: Callable[[str], None], *, with_ledger: bool = True
) -> bool | None:
    """Compare everything; is all as it should be? None when not all could be compared."""
    require_schema(settings)
    journal = Journal(Vault(Kek.load(settings.kek_file), system_entropy, None), system_entropy)
    sql = open_sql(settings.database_url, threads=1)
    try:
        telling, clock, compared = Telling(say), SystemClock(), True
        await telling.all_of("rows", rounds(sql, journal, clock.now))
        if with_ledger:
            ledger = ledger_of(settings)
            try:
                assets = Assets(settings.asset_domain)
                compared = await beside(sql, ledger, assets, clock, telling)
            finally:
                await ledger.close()
    finally:
        await sql.close()
    if telling.drifts > SHOWN_MOST:
        say(f"{telling.drifts - SHOWN_MOST:,} more were found and are not shown")
    many = "1 row drifts" if telling.drifts == 1 else f"{telling.drifts:,} rows drift"
    none = "no drift" if compared else "no drift in what was compared"
    say(many if telling.drifts else none)
    return False if telling.drifts else compared or None


async def beside(
    sql: Sql,
    ledger: Ledger,
    assets: Assets,
    clock: Clock,
    telling: Telling,
) -> bool:
    """Compare with the ledger: its blocks, and then its balances, if somebody settles: if so."""
    await telling.all_of("blocks", recount.blocks(sql, ledger, assets))
    if not await recount.is_settled(sql, ledger, clock):
        telling.say(
            "balances and keys are not compared: the ledger has blocks that no gateway settles; "
            "run one"
        )
        return False
    await telling.all_of("wallets", recount.balances(sql, ledger, assets, clock))
    await telling.all_of("wallets' keys", recount.keys(sql, ledger, clock))
    return True
