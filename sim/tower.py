"""What every part of the network shares: its phones, its wire log, its watchers, its time."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

from sim.callbacks import Reply
from sim.handset import Handset, Screen
from sim.services import Service
from sim.wire import Exchange, Kind, Wire

Change = Handset | Exchange


class NetworkError(Exception):
    """The phone cannot do that now; the message says why, for a person."""


class Tower:
    """All phones of one network. Clock (seconds since 1970) and chance are arguments."""

    def __init__(self, *, now: Callable[[], float], entropy: Callable[[int], bytes]) -> None:
        self.now = now
        self.entropy = entropy
        self.wire = Wire()
        self.handsets: dict[str, Handset] = {}
        self._watchers: set[Callable[[Change], None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, service: Service) -> None:
        """Give everyone of a service a phone; who has one already is there with both."""
        for person in service.people:
            handset = self.handset(person.msisdn)
            if handset.name:
                handset.about += f" · also {person.about}"
            else:
                handset.name, handset.about = person.name, person.about
                handset.service_code, handset.shortcode = service.service_code, service.shortcode
            self.put(handset)

    def put(self, handset: Handset) -> None:
        """Show a phone on the page."""
        handset.shown = True
        self.tell(handset)

    def handset(self, msisdn: str) -> Handset:
        """The phone of a number; every number has one."""
        return self.handsets.setdefault(msisdn, Handset(msisdn))

    def show(self, handset: Handset, screen: Screen) -> Screen:
        """Put something on a phone's screen."""
        handset.screen = screen
        self.tell(handset)
        return screen

    # --- watching ----------------------------------------------------------------------------

    def watch(self, watcher: Callable[[Change], None]) -> Callable[[], None]:
        """Tell `watcher` of every change, until what is returned is called."""
        self._watchers.add(watcher)
        return lambda: self._watchers.discard(watcher)

    def tell(self, change: Change) -> None:
        """Something about a phone or on the wire is new."""
        for watcher in tuple(self._watchers):
            watcher(change)

    def log(self, kind: Kind, phone: str, sent: str, reply: Reply, problem: str = "") -> None:
        """Write an exchange to the wire log; `sent` is masked already."""
        exchange = self.wire.add(
            kind,
            phone,
            sent,
            at=self.now(),
            status=reply.status,
            reply=reply.body,
            ms=reply.ms,
            problem=problem or reply.problem,
        )
        self.tell(exchange)

    # --- work in the background ----------------------------------------------------------------

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Let something happen while nobody waits for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self) -> None:
        """Wait until nothing happens in the background any more."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    async def close(self) -> None:
        """Drop what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def date(self) -> str:
        """Now, as Africa's Talking writes it."""
        return datetime.fromtimestamp(self.now(), UTC).strftime("%Y-%m-%d %H:%M:%S")
