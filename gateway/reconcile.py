"""Reconciliation as an operator asks for it: `ussd-gateway reconcile`.

The rows beside their movements, the movements beside the ledger's blocks, and the balances beside
the ledger's accounts; told in plain words. What is looked at, and what is said of a row, is decided
in `desk.audit` and `desk.recount`.
"""

from collections.abc import AsyncIterator, Callable
from typing import Final

from rich.console import Console

from gateway.app import certificates_of, key_of, trust_of
from gateway.clock import Clock, SystemClock, system_entropy
from gateway.config import Settings
from gateway.desk import recount
from gateway.desk.amounts import Assets
from gateway.desk.audit import Step, rounds
from gateway.desk.journal import Journal
from gateway.kek import Kek
from gateway.serve import require_schema
from gateway.stores.runners import open_sql
from gateway.stores.sql import Sql
from gateway.vault import Vault
from ledger_client.iroha1 import Iroha1
from ledger_client.ledger import Ledger

SHOWN_MOST: Final = 100


class Telling:
    """Counts what was looked at, and says of each row that drifts which and how."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self._status = Console(stderr=True).status("")
        self.drifts = 0

    async def all_of(self, what: str, steps: AsyncIterator[Step]) -> None:
        """Go through some steps, with progress on a terminal."""
        looked, before = 0, self.drifts
        with self._status as status:
            async for step in steps:
                looked += step.rows
                status.update(f"{looked:,} {what}")
                for drift in step.drifts:
                    self.drifts += 1
                    if self.drifts <= SHOWN_MOST:
                        self.say(f"drift: {drift.table} {drift.row}: {drift.why}")
        found = self.drifts - before
        self.say(f"{looked:,} {what}: {f'{found:,} drift' if found else 'as they should be'}")


async def reconcile(
    settings: Settings, say: Callable[[str], None], *, with_ledger: bool = True
) -> bool:
    """Compare everything; is all as it should be?"""
    require_schema(settings)
    journal = Journal(Vault(Kek.load(settings.kek_file), system_entropy, None), system_entropy)
    sql = open_sql(settings.database_url, threads=1)
    try:
        telling, clock = Telling(say), SystemClock()
        await telling.all_of("rows", rounds(sql, journal, clock.now))
        if with_ledger:
            ledger = Iroha1(
                settings.ledger_peers,
                f"opener@{settings.bank_domain}",
                key_of("OPENER_KEY_FILE", settings.opener_key_file),
                tls_ca=certificates_of(settings.ledger_ca_file),
                trust=trust_of(settings),
            )
            try:
                await beside(sql, ledger, Assets(settings.asset_domain), clock, telling)
            finally:
                await ledger.close()
    finally:
        await sql.close()
    if telling.drifts > SHOWN_MOST:
        say(f"{telling.drifts - SHOWN_MOST:,} more were found and are not shown")
    say("no drift" if not telling.drifts else f"{telling.drifts:,} rows drift")
    return not telling.drifts


async def beside(
    sql: Sql,
    ledger: Ledger,
    assets: Assets,
    clock: Clock,
    telling: Telling,
) -> None:
    """Compare with the ledger: its blocks, and then its balances, if somebody settles."""
    await telling.all_of("blocks", recount.blocks(sql, ledger, assets))
    if await recount.is_settled(sql, ledger, clock):
        await telling.all_of("wallets", recount.balances(sql, ledger, assets, clock))
    else:
        telling.say(
            "balances are not compared: the ledger has blocks that no gateway settles; run one"
        )
