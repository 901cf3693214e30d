"""Reconciliation, always on: every row is compared with its movements, again and again.

Each process looks at all rows by itself, `GATEWAY_RECONCILED_ROWS_PER_S` of them a second, and
begins anew as soon as it has seen the last, at most three times a minute. So whatever is edited,
deleted or put in is found within a minute while there are fewer rows than in half a minute can be
looked at; `gateway_reconciliation_seconds` tells how long a round takes. What processes remember of
a round is in their memory, where nobody who writes to the database can change it.

Each row that drifts is told once, and counted in every round until it is mended. What the ledger
itself says is compared block by block as the follower settles, and by `ussd-gateway reconcile`.

Stopped by cancelling `run`, at any moment.
"""

from typing import Final

from gateway import logs
from gateway.clock import Clock
from gateway.desk.audit import Drift, rounds
from gateway.desk.journal import Journal
from gateway.meters import Meters
from gateway.stores.sql import Sql, StoreUnavailable

LOG = logs.get("reconciler")
ROUND_LEAST_S: Final = 20.0
RETRY_S: Final = 1.0
TOLD_MOST: Final = 1000  # rows by name; beyond it they are counted only


class Reconciler:
    """Looks at all rows, in rounds, for as long as `run` runs."""

    def __init__(
        self, sql: Sql, journal: Journal, *, clock: Clock, meters: Meters, rows_per_s: int
    ) -> None:
        self._sql = sql
        self._journal = journal
        self._clock = clock
        self._meters = meters
        self._rows_per_s = rows_per_s
        self._told: set[tuple[str, str]] = set()
        self._last = 0  # how many drifted in the last whole round

    async def run(self) -> None:
        """Round after round, whatever goes away meanwhile."""
        while True:
            began = self._clock.monotonic()
            try:
                await self.round()
            except StoreUnavailable as error:
                LOG.warning("reconciliation waits for the database", error=error)
                await self._clock.sleep(RETRY_S)
                continue
            took_s = self._clock.monotonic() - began
            self._meters.round_seconds.set(took_s)
            await self._clock.sleep(max(0.0, ROUND_LEAST_S - took_s))

    async def round(self) -> None:
        """Look at every row once; tell of each that drifts as soon as it is seen."""
        adrift: set[tuple[str, str]] = set()  # a row may be seen from both of its sides
        async for step in rounds(self._sql, self._journal, self._clock.now):
            for drift in step.drifts:
                adrift.add((drift.table, drift.row))
                self._tell(drift)
            # Until the round is over, what the last one found may be there still.
            self._meters.adrift.set(max(len(adrift), self._last))
            await self._clock.sleep(step.rows / self._rows_per_s)
        self._last = len(adrift)
        self._meters.adrift.set(self._last)
        self._told &= adrift  # mended: the same row may drift again

    def _tell(self, drift: Drift) -> None:
        row = (drift.table, drift.row)
        if row in self._told or len(self._told) >= TOLD_MOST:
            return
        self._told.add(row)
        self._meters.drifts.labels(drift.table).inc()
        LOG.error("drift", table=drift.table, row=drift.row, why=drift.why)
