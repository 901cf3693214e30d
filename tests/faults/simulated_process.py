"""One gateway process of the simulated world: the real `Gateway`, behind seams that can fail.

Whatever it asks of a store, the ledger, the carrier or the clock passes `Process.moment`: there it
may wait, and there it may die. Dying cancels every task that it owns; what they still try while
they unwind reaches nothing, as after `kill -9`. What it leaves is in SQL, in the session store and
on its way.
"""

import asyncio
from datetime import timedelta

from simulated_ledger_line import LedgerLine

from gateway.app import Gateway, World
from gateway.carriers.carrier import SendFailed, SendUncertain
from gateway.serve import Background
from gateway.stores.engines import TIMEOUT_S
from gateway.stores.runners import run_once
from gateway.stores.sessions import SessionsUnavailable
from gateway.stores.sql import StoreUnavailable


class Process:
    """A process from its start to its crash."""

    def __init__(self, town, name: str) -> None:
        self.town, self.name = town, name
        self.dead = False
        self._chance = town.chances.stream("process", name)
        self.skew = timedelta(seconds=town.chances.stream("skew", name).choice((0, 0, -2, 1)))
        entropy = town.chances.stream("entropy", name).randbytes
        line = LedgerLine(town, self)
        world = World(
            ProcessSql(self),
            ProcessSessions(self),
            line,
            ProcessClock(self),
            entropy,
            None,
            line.is_last if town.goes_back else None,
        )
        self.gateway = Gateway(town.settings, world, [SimulatedCarrier(self)])
        if not town.tidies:
            self.gateway.housekeeping = self.gateway.reconciler = Resting()
        if not town.strangers:
            self.gateway.returns = Resting()
        self.gateway.invitations = Resting()  # what is told a day later is tried at the desk
        self.background = Background(self.gateway)

    def start(self) -> None:
        self.run(self._begin())

    async def _begin(self) -> None:
        self.background.start()

    def run(self, coroutine) -> asyncio.Task:
        """A task that dies with this process."""
        task = self.town.loop.create_task(coroutine)
        task.owner = self
        return task

    async def moment(self, where: str) -> None:
        """Where this process can be seen from outside: it may wait here, or crash."""
        if self.dead:
            raise asyncio.CancelledError
        chance = self._chance.random()
        await asyncio.sleep(0.1 * chance if chance < 0.3 else 0)
        if self._chance.random() < self.town.weather.crash:
            self.crash(where)
        if self.dead:
            raise asyncio.CancelledError

    def crash(self, where: str) -> None:
        """As `kill -9` would, at this moment."""
        self.town.note("crash", self.name, where)
        self.dead = True
        me = asyncio.current_task()
        for task in self.town.loop.tasks():
            if task.owner is self and task is not me:
                task.cancel()
        self.town.crashed(self)


class Resting:
    """What is dear and has nothing to do: housekeeping and reconciliation in most worlds."""

    async def run(self) -> None:
        await asyncio.Event().wait()


class ProcessClock:
    """The clock of its host: a little wrong, and the same for all who wait."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def now(self):
        return self._process.town.now() + self._process.skew

    def monotonic(self) -> float:
        return self._process.town.loop.time()

    async def sleep(self, seconds: float) -> None:
        if self._process.dead:
            raise asyncio.CancelledError
        await asyncio.sleep(seconds)


class ProcessSql:
    """Real operations on the one real database, inline; each may be refused, or end unknown."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._chance = process.town.chances.stream("sql", process.name)

    async def run(self, operation, items, *, timeout_s=None, only_reads=False):
        process, weather = self._process, self._process.town.weather
        await process.moment("before sql")
        if self._chance.random() < weather.sql_slow:
            await self._slowly(timeout_s)
        if self._chance.random() < weather.sql_refuses:
            raise StoreUnavailable("simulated")
        results = run_once(process.town.database, operation, items)
        await process.moment("after sql")
        if not only_reads and self._chance.random() < weather.sql_unknown:
            process.town.note("unheard", process.name, _name_of(operation))
            raise StoreUnavailable("simulated", maybe_committed=True)
        return results

    async def _slowly(self, timeout_s: float | None) -> None:
        slow_s, patience_s = 3 * self._chance.random(), timeout_s or TIMEOUT_S
        await asyncio.sleep(min(slow_s, patience_s))
        if slow_s > patience_s:
            raise StoreUnavailable("simulated: too slow")

    async def close(self) -> None:
        """The database is the town's."""


def _name_of(operation) -> str:
    return getattr(operation, "func", operation).__name__


class ProcessSessions:
    """The one session store, as this process reaches it."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._chance = process.town.chances.stream("sessions", process.name)

    async def claim(self, key, **how):
        await self._reach()
        return await self._store.claim(key, **how)

    async def finish(self, key, **how):
        await self._reach()
        return await self._store.finish(key, **how)

    async def advance(self, key, **how):
        await self._reach()
        taken = await self._store.advance(key, **how)
        if self._chance.random() < self._process.town.weather.sessions_refuse:
            raise SessionsUnavailable("simulated: its answer was lost")
        return taken

    async def release(self, key, **how) -> None:
        await self._reach()
        await self._store.release(key, **how)

    async def wait(self, key, **how):
        await self._reach()
        return await self._store.wait(key, **how)

    async def close(self) -> None:
        """The store is the town's."""

    @property
    def _store(self):
        return self._process.town.sessions

    async def _reach(self) -> None:
        await self._process.moment("sessions")
        weather = self._process.town.weather
        if self._chance.random() < weather.sessions_lost:
            self._process.town.lose_sessions()
        if self._chance.random() < weather.sessions_refuse:
            raise SessionsUnavailable("simulated")


class SimulatedCarrier:
    """The carrier's API for SMS, as this process calls it."""

    name = "africastalking"

    def __init__(self, process: Process) -> None:
        self._process = process
        self._chance = process.town.chances.stream("sms", process.name)

    async def send(self, to, text: str) -> str:
        process, chance, weather = self._process, self._chance, self._process.town.weather
        await process.moment("sms")
        if chance.random() < weather.sms_slow:
            await asyncio.sleep(10 * chance.random())
        if chance.random() < weather.sms_fails:
            raise SendFailed("simulated")
        town = process.town
        if chance.random() < weather.sms_uncertain:
            arrives = chance.random() < 0.5
            town.doubt(to.e164, text, arrives=arrives)
            raise SendUncertain("simulated")
        town.deliver(to.e164, text)
        await process.moment("sms sent")
        return f"at-{town.count()}"

    def routes(self, lines):
        return ()

    async def close(self) -> None:
        """Nothing is open."""
