"""The one batching primitive: what arrives while a flush is under way leaves with the next.

It stands at every edge (session store, SQL, ledger), because one trip, one commit or one call for
many items is what separates sixty transfers a second from a thousand. It never waits for company:
an item that finds the batcher idle leaves at once, together with whatever else was asked in the
same tick of the event loop.

Rules:
1.  Items leave in order of arrival. With `key`, at most one item per key is in one flush, and
    items of one key keep their order.
2.  A flush answers each item: a result, or an Exception that is raised to that caller alone.
    A flush that itself raises fails all the items it carried, and no others.
3.  A caller who gives up takes its item along if that has not left yet; if it has, the flush goes
    on for the others. Who must not be interrupted shields the call.
4.  At most one flush is under way, and nothing is retried here: only the flush knows what is safe.

No I/O, clock or logging here: those belong to the flush.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextvars import Context
from typing import Generic, NamedTuple, TypeVar

I = TypeVar("I")  # noqa: E741 - an item; R is its result
R = TypeVar("R")


class Overloaded(Exception):
    """More items wait than allowed: refused at once, nothing was done."""


class BatchError(Exception):
    """The flush broke its contract, was interrupted, or the batcher is closed."""


class _Waiting(NamedTuple, Generic[I, R]):
    item: I
    key: Hashable
    answer: asyncio.Future[R]


class Batcher(Generic[I, R]):
    """Call it with an item; get that item's own result.

    `most` bounds one flush, `waiting_most` what may wait for the next one.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[I]], Awaitable[Sequence[R | Exception]]],
        *,
        most: int = 128,
        key: Callable[[I], Hashable] | None = None,
        waiting_most: int = 8192,
    ) -> None:
        if most < 1 or waiting_most < 1:
            raise ValueError("a batch carries at least one item")
        self._flush = flush
        self._most = most
        self._key = key
        self._waiting_most = waiting_most
        self._waiting: deque[_Waiting[I, R]] = deque()
        self._pump: asyncio.Task[None] | None = None
        self._closed = False

    async def __call__(self, item: I) -> R:
        if self._closed:
            raise BatchError("closed: no further items")
        if len(self._waiting) >= self._waiting_most:
            raise Overloaded(f"{self._waiting_most} items are waiting already")
        loop = asyncio.get_running_loop()
        key = None if self._key is None else self._key(item)
        waiting: _Waiting[I, R] = _Waiting(item, key, loop.create_future())
        self._waiting.append(waiting)
        if self._pump is None:
            # An empty context: the pump outlives the caller who happened to start it, and must
            # not log under that caller's request id.
            self._pump = loop.create_task(self._run(), context=Context())
        return await waiting.answer

    async def drain(self) -> None:
        """Wait until nothing waits and nothing is under way."""
        while self._pump is not None:
            await asyncio.wait({self._pump})

    async def close(self) -> None:
        """Refuse further items, and wait for those already accepted."""
        self._closed = True
        await self.drain()

    async def _run(self) -> None:
        try:
            while batch := self._take():
                await self._carry(batch)
        except asyncio.CancelledError:
            _fail(self._waiting, BatchError("interrupted before leaving"))
            self._waiting.clear()
            raise
        finally:
            self._pump = None

    def _take(self) -> list[_Waiting[I, R]]:
        batch: list[_Waiting[I, R]] = []
        postponed: list[_Waiting[I, R]] = []
        keys: set[Hashable] = set()
        while self._waiting and len(batch) < self._most:
            waiting = self._waiting.popleft()
            if waiting.answer.done():  # its caller gave up
                continue
            if self._key is not None and waiting.key in keys:
                postponed.append(waiting)
                continue
            keys.add(waiting.key)
            batch.append(waiting)
        self._waiting.extendleft(reversed(postponed))
        return batch

    async def _carry(self, batch: Sequence[_Waiting[I, R]]) -> None:
        try:
            results = await self._flush([waiting.item for waiting in batch])
            if len(results) != len(batch):
                raise BatchError(f"{len(results)} results for {len(batch)} items")  # noqa: TRY301 - fails them all alike
        except asyncio.CancelledError:
            # Never passed on as a cancellation: the callers were not the ones cancelled.
            _fail(batch, BatchError("interrupted under way: the outcome is unknown"))
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
        except Exception as error:  # noqa: BLE001 - whatever went wrong goes to those it concerns
            _fail(batch, error)
        else:
            for waiting, result in zip(batch, results, strict=True):
                if waiting.answer.done():
                    continue
                if isinstance(result, Exception):
                    waiting.answer.set_exception(result)
                else:
                    waiting.answer.set_result(result)


def _fail(batch: Sequence[_Waiting[I, R]] | deque[_Waiting[I, R]], error: Exception) -> None:
    for waiting in batch:
        if not waiting.answer.done():
            waiting.answer.set_exception(error)
