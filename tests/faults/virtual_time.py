"""An event loop whose time is a number and whose order is chance: what makes a world replayable.

Time stands while anything can run, and then leaps to the next timer. Which of several ready
callbacks runs next is drawn from the seed, so that every order that asyncio does not promise
happens some day. Sockets and threads are refused: nothing outside may have a say. Tasks and futures
hash by number and not by address, so that a set of them is walked alike in every run.

A task belongs to whom its parent belongs to (`owner`): that is how a simulated process dies whole.
"""

import asyncio
import heapq
import threading
from random import Random


class Dry(Exception):
    """Nothing is ready and no timer is set, but the world has not ended."""


class VirtualTask(asyncio.Task):
    """A task that knows its number and its owner."""

    def __init__(self, coroutine, *, loop, number, owner, **rest) -> None:
        self.number = number
        self.owner = owner
        super().__init__(coroutine, loop=loop, **rest)

    def __hash__(self) -> int:
        return self.number


class VirtualFuture(asyncio.Future):
    """A future that knows its number."""

    def __init__(self, *, loop, number) -> None:
        self._number = number
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self._number


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs callbacks in an order drawn from `chance`, at times that nobody waits for."""

    def __init__(self, chance: Random) -> None:
        super().__init__()
        self._chance = chance
        self._elapsed_s = 0.0
        self._made = 0
        self._thread = threading.get_ident()
        self.steps = 0

    def time(self) -> float:
        return self._elapsed_s

    def leap(self, seconds: float) -> None:
        """Time passes in which nobody could do anything: a machine asleep."""
        self._elapsed_s += seconds

    def create_task(self, coro, *, name=None, context=None) -> VirtualTask:
        parent = asyncio.current_task(self)
        owner = parent.owner if parent is not None else None
        return VirtualTask(
            coro, loop=self, number=self._next(), owner=owner, name=name, context=context
        )

    def create_future(self) -> VirtualFuture:
        return VirtualFuture(loop=self, number=self._next())

    def call_soon(self, callback, *args, context=None):
        """As asyncio's, without its looking for mistakes: most of a world is calls soon."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_soon_threadsafe(self, callback, *args, context=None):
        if threading.get_ident() != self._thread:
            raise RuntimeError("a thread has a say in the simulated world")
        return self.call_soon(callback, *args, context=context)

    def run_in_executor(self, executor, func, *args):
        raise RuntimeError("no threads in the simulated world")

    def _run_once(self) -> None:
        ready, timers = self._ready, self._scheduled
        while timers and timers[0]._cancelled:
            heapq.heappop(timers)._scheduled = False
        if not ready:
            if not timers:
                if self._stopping:
                    return
                raise Dry
            self._elapsed_s = max(self._elapsed_s, timers[0]._when)
        while timers and timers[0]._when <= self._elapsed_s:
            timer = heapq.heappop(timers)
            timer._scheduled = False
            if not timer._cancelled:
                ready.append(timer)
        if ready:
            if len(ready) > 1:
                ready.rotate(-self._chance.randrange(len(ready)))
            handle = ready.popleft()
            self.steps += 1
            if not handle._cancelled:
                handle._run()

    def tasks(self) -> list[VirtualTask]:
        """All that have not ended, in the order in which they were made."""
        return sorted(asyncio.all_tasks(self), key=lambda task: task.number)

    def _next(self) -> int:
        self._made += 1
        return self._made

    def _timer_handle_cancelled(self, handle) -> None:
        """Cancelled timers are dropped when their time comes."""

    def _process_events(self, event_list) -> None:
        raise RuntimeError("no sockets in the simulated world")

    def _write_to_self(self) -> None:
        """Nobody sleeps in a selector."""
