"""A whole world in one process: people, carrier, gateways, database and ledger, from one seed.

`live(seed)` runs one to its end and gives back its history. First comes the seed's weather; then it
clears up, what is under way may end, everybody looks at what became of it, and that is the end.
With a seed below zero the database goes back meanwhile, as when a standby takes over that lacks
the last commits. In such a world nobody opens a wallet or chooses a PIN, since keys that are lost
are an operator's to recover; and nobody asks for money back, since who is forgotten asks again.
"""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from beginnings import (
    CAPS,
    ELSEWHERE,
    PEOPLE,
    STRANGERS,
    UNCLAIMED,
    database,
    journal,
    opening,
    settings,
    thrift,
)
from chances import Chances, Habits, Weather
from errands import errands_of, get_wallet
from histories import History, Sum
from judging import WRONG_PINS_MOST
from promises_of_money import rest
from simulated_carrier import Network
from simulated_ledger import SimulatedLedger
from simulated_phone import Phone
from simulated_process import Process
from virtual_time import VirtualLoop

from gateway.desk.audit import rounds
from gateway.stores.runners import run_once
from gateway.stores.sessions_memory import MemorySessions

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STARTS = (
    datetime(2026, 11, 22, 3, 0, tzinfo=UTC),
    datetime(2026, 11, 22, 20, 0, tzinfo=UTC),  # another day in Phnom Penh than in Greenwich
    datetime(2026, 11, 22, 16, 59, 57, tzinfo=UTC),  # the business day ends at 17:00 UTC
    datetime(2026, 11, 22, 16, 59, 58, tzinfo=UTC),
    datetime(2026, 11, 30, 16, 59, 58, tzinfo=UTC),  # and with it a month
)
GIFTS = 0.3  # of worlds
MEETS = 0.4  # of worlds have people without a wallet …
WAITS = 0.7  # … and in most of these their money waits until it goes back
NIGHTS = 0.04
RESTS = 0.3  # of worlds end with somebody who sends all that may still be sent
DOLLARS = 0.5  # of those who have some
CLOCKS_AGREE_S = 6.0  # by then all of them agree on the day
TIDY = 0.1  # of worlds have housekeeping and reconciliation, which are dear
FORGETS_FROM_S = 12.0  # or earlier …
FORGETS_S = 0.1, 20.0  # … what is done in so long a time
DAY_S = 24 * 3600 + 11 * 60  # longer than a transaction lives
BEFORE_DUE_S = 5.0  # so long before money goes back, somebody may yet claim it
CALM_S = 60.0
# After the weather has cleared up everything must have ended by then: a message may wait for 15
# minutes, and an idle ledger must make a dozen blocks before what it never took is expired.
SETTLED_S = 1_100.0
TABLES = (
    *("transfer", "submission", "holding", "counter", "dispute", "unclaimed"),
    *("receipt", "message", "wallet", "attempt"),
)


def live(seed: int) -> History:
    """One world from its seed to its end."""
    chances = Chances(seed)
    loop = VirtualLoop(chances.stream("order"))
    with thrift():
        town = Town(seed, loop, chances)
        try:
            loop.run_until_complete(town.live())
        finally:
            loop.run_until_complete(_bury(loop))
            loop.close()
    return town.end()


async def _bury(loop: VirtualLoop) -> None:
    """Cancel whatever goes on, until nothing does."""
    me = asyncio.current_task()
    while others := [task for task in loop.tasks() if task is not me]:
        for task in others:
            if task.owner is not None:
                task.owner.dead = True
            task.cancel()
        await asyncio.wait(others, timeout=1.0)


class Town:
    """One world. It is also the clock that all of it goes by."""

    def __init__(self, seed: int, loop: VirtualLoop, chances: Chances) -> None:
        self.chances, self.loop = chances, loop
        self._chance = chances.stream("town")
        self.weather, self.habits = Weather.of(self._chance), Habits.of(self._chance)
        self._start = self._chance.choice(STARTS)
        self.tidies = self._chance.random() < TIDY
        self.strangers = STRANGERS if self._chance.random() < MEETS else ()
        self.goes_back = seed < 0
        if self.goes_back:
            self.strangers, self.habits = (), replace(self.habits, new_pin=0.0, regret=0.0)
        accounts = {person.number: person.account for person in PEOPLE}
        self.history = History(seed, self._start, CAPS, UNCLAIMED, accounts, opening())
        self.settings = settings()
        self.database = database()
        self.database.begin_anew()
        self.sessions = MemorySessions(self)
        self.ledger = SimulatedLedger(self, opening())
        self.carrier = Network(self)
        everybody = (*PEOPLE, *self.strangers)
        self.phones = {person.number: Phone(self, person) for person in everybody}
        self._counted = self._born = 0
        self._lost: set[tuple[str, str]] = set()
        self._processes: list[Process] = []

    # ---- time, and what is noted of it

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.loop.time())

    def now_ms(self) -> int:
        return (self.now() - EPOCH) // timedelta(milliseconds=1)

    def monotonic(self) -> float:
        return self.loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def note(self, *event: object) -> None:
        self.history.events.append((self.loop.time(), *event))

    def count(self) -> int:
        """Another number in each call."""
        self._counted += 1
        return self._counted

    def spawn(self, coroutine) -> asyncio.Task:
        """Something that the world does by itself, whoever asked for it."""
        task = self.loop.create_task(coroutine)
        task.owner = None
        return task

    # ---- processes

    def some_process(self, chance) -> Process | None:
        alive = [one for one in self._processes if not one.dead]
        return chance.choice(alive) if alive else None

    def crashed(self, process: Process) -> None:
        self.spawn(self._begin_again(process))

    async def _begin_again(self, process: Process) -> None:
        await asyncio.sleep(5 * self._chance.random())
        self._processes.remove(process)
        self._bear()

    def _bear(self) -> None:
        self._born += 1
        process = Process(self, f"g{self._born}")
        self._processes.append(process)
        process.start()

    def lose_sessions(self) -> None:
        self.note("sessions lost")
        self.sessions = MemorySessions(self)

    # ---- SMS on their way to phones

    def deliver(self, number: str, text: str) -> None:
        self.note("sms", number, text)
        if number in self.phones:
            self.phones[number].receive(text)

    def doubt(self, number: str, text: str, *, arrives: bool) -> None:
        """An SMS whose fate its sender is not told; the same is lost once at most."""
        if arrives or (number, text) in self._lost:
            self.deliver(number, text)
        else:
            self._lost.add((number, text))
            self.note("sms lost", number, text)

    # ---- its life

    async def live(self) -> None:
        for _ in range(self._chance.choice((1, 2, 2))):
            self._bear()
        self.spawn(self.ledger.run())
        away = self.spawn(self.ledger.stay_away())
        people = [phone.live(errands_of(self, phone)) for phone in self.phones.values()]
        going_back = [self._go_back()] if self.goes_back else []
        await self._all([*people, self._gifts(), self._night(), *going_back])
        if self.strangers and self._chance.random() < WAITS:
            await self._time_runs_out()
        away.cancel()
        self.weather, self.ledger.away = Weather.fine(), False
        self.note("fine weather")
        self.history.ended = await self._settled(SETTLED_S)
        await self._all(phone.look("Last payment") for phone in self.phones.values())
        if self._chance.random() < RESTS:
            await self._try_the_rest(self.phones[self._chance.choice(PEOPLE).number])
            self.history.ended &= await self._settled(SETTLED_S)
        self._look_for_faults()
        await self._audit()

    async def _try_the_rest(self, phone: Phone) -> None:
        """Somebody sends all that may still be sent."""
        await asyncio.sleep(CLOCKS_AGREE_S)
        self._read_rows()
        number = phone.person.number
        currency = "USD" if phone.person.cents and self._chance.random() < DOLLARS else "KHR"
        amount = Sum(rest(self.history, number, currency, self.now()), currency)
        wrong = {row["msisdn"]: row["wrong_pins"] for row in self.history.rows["wallet"]}
        if amount.minor and phone.sure and wrong[number] < WRONG_PINS_MOST:
            page = await phone.send(ELSEWHERE.local, amount)
            self.note("tried the rest", number, amount, page)

    async def _all(self, coroutines) -> None:
        tasks = [self.spawn(one) for one in coroutines]
        await asyncio.wait(tasks)
        for task in tasks:
            task.result()

    async def _gifts(self) -> None:
        """Money comes from another bank."""
        if self._chance.random() < GIFTS:
            await asyncio.sleep(4 * self._chance.random())
            self.ledger.give(self._chance.choice(PEOPLE).account, self._chance.randint(1, 9_000))

    async def _night(self) -> None:
        """Nobody can do anything for a while: longer than what is unsent may wait, or a day."""
        if self._chance.random() < NIGHTS:
            await asyncio.sleep(3 * self._chance.random())
            seconds = self._chance.choice((11 * 60, 11 * 60, DAY_S))
            self.note("night", seconds)
            self.loop.leap(seconds)

    async def _go_back(self) -> None:
        """The database forgets what was done in a while."""
        chance, (least_s, most_s) = self.chances.stream("goes back"), FORGETS_S
        run_once(self.database, lambda connection, _: [journal().key(connection)], [None])
        await asyncio.sleep(FORGETS_FROM_S * chance.random())
        put_back = self.database.copied()
        self.note("copied")
        await asyncio.sleep(least_s * (most_s / least_s) ** chance.random())
        put_back()
        self.note("went back")

    async def _time_runs_out(self) -> None:
        """What nobody has claimed is about to go back, and perhaps somebody claims it now."""
        calm = await self._settled(CALM_S)
        (due_ms,) = self.database.driver.execute("SELECT min(due_at) FROM unclaimed").fetchone()
        if not calm or due_ms is None:
            return
        self.note("days")
        self.loop.leap(max(0.0, (due_ms - self.now_ms()) / 1000 - BEFORE_DUE_S))
        claims = [
            get_wallet(self.phones[one.number], BEFORE_DUE_S * self._chance.random())
            for one in self.strangers
            if self._chance.random() < self.habits.newcomer
        ]
        await self._all([*claims, asyncio.sleep(2 * BEFORE_DUE_S)])

    async def _settled(self, patience_s: float) -> bool:
        """Until nothing is under way; False when something never ends."""
        until_s = self.loop.time() + patience_s
        while self.loop.time() < until_s:
            await asyncio.sleep(1.5)
            if not self._under_way():
                return True
        return False

    def _under_way(self) -> bool:
        (count,) = self.database.driver.execute(
            "SELECT (SELECT count(*) FROM cursor WHERE height < ?)"
            " + (SELECT count(*) FROM submission WHERE state = 'signed')"
            " + (SELECT count(*) FROM message WHERE state IN ('queued', 'sending'))"
            " + (SELECT count(*) FROM unclaimed JOIN wallet USING (account_id)"
            "    WHERE unclaimed.state = 'waiting' AND due_at <= ? AND claim = 'waiting')",
            [len(self.ledger.blocks) if self.goes_back else 0, self.now_ms()],
        ).fetchone()
        return bool(count)

    def _look_for_faults(self) -> None:
        for process in self._processes:
            for metric in process.gateway.meters.faults.collect():
                self.history.strange.extend(
                    f"a fault in {sample.labels['room']}"
                    for sample in metric.samples
                    if sample.value and sample.labels["room"] in {"turn", "handlers"}
                )

    async def _audit(self) -> None:
        """As `ussd-gateway reconcile` does: is every row what its movements say?"""
        async for step in rounds(self, journal(), self.now):
            self.history.adrift += map(str, step.drifts)

    async def run(self, operation, items, **_how):
        """The database, for who audits it: nothing goes wrong any more."""
        return run_once(self.database, operation, items)

    def end(self) -> History:
        """Close the books."""
        self.history.closing = dict(self.ledger.held)
        self._read_rows()
        return self.history

    def _read_rows(self) -> None:
        for table in TABLES:
            cursor = self.database.driver.execute(f"SELECT * FROM {table}")  # noqa: S608 - our own
            names = [column[0] for column in cursor.description]
            self.history.rows[table] = [dict(zip(names, row, strict=True)) for row in cursor]
