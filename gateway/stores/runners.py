"""Who runs operations: a thread of SQLite's, a few of PostgreSQL's, or the caller itself.

PostgreSQL is driven by psycopg in threads and not by asyncpg: an asynchronous driver would need
every operation written twice, could not be replayed inline from a seed, and hops once per statement
where a thread hops once per batch, which costs more than the threads do. Concurrency comes from
batches (`gateway.batch`), not from connections.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from gateway.stores.engines import TIMEOUT_S, Reader, open_engine
from gateway.stores.sql import I, Operation, R, Sql, StoreUnavailable, lost_a_race, unavailable

RERUNS_MOST = 5


def open_sql(url: str, *, threads: int = 4, timeout_s: float = TIMEOUT_S) -> Sql:
    """The store of a URL, `sqlite:///path` or `postgresql://…`. `threads` is PostgreSQL's."""
    engine = open_engine(url, threads=threads, timeout_s=timeout_s)
    if engine.dialect.name != "sqlite":
        return ThreadedSql(engine, threads, timeout_s)
    reader = Reader(engine.url) if engine.url.database not in (None, "", ":memory:") else None
    return ThreadedSql(engine, 1, timeout_s, reader)


class ThreadedSql:
    """Operations on threads of their own: one for SQLite, a few for PostgreSQL.

    With a `reader`, what only reads runs on the caller's thread: a few pages of a local file,
    mostly in memory, take microseconds. On the writer's thread the same would wait for its commits
    to reach the disk, and then for the interpreter's lock at every row, since `sqlite3` lets go of
    it there: a turn took ten times as long.
    """

    def __init__(
        self,
        engine: Engine,
        threads: int,
        timeout_s: float = TIMEOUT_S,
        reader: Reader | None = None,
    ) -> None:
        self._engine = engine
        self._timeout_s = timeout_s
        self._reader = reader
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="sql")

    async def run(
        self,
        operation: Operation[I, R],
        items: Sequence[I],
        *,
        timeout_s: float | None = None,
        only_reads: bool = False,
    ) -> Sequence[R]:
        if only_reads and self._reader is not None:
            return run_once(self._reader, operation, items)
        try:
            running = self._threads.submit(run_once, self._engine, operation, items)
        except RuntimeError as error:
            raise StoreUnavailable("closed") from error
        answer = asyncio.wrap_future(running)
        answer.add_done_callback(_noted)
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        try:
            await asyncio.wait({answer}, timeout=limit_s)
        except asyncio.CancelledError:
            running.cancel()
            raise
        if answer.done():
            return answer.result()
        # Not begun: it can still be taken back. Begun: it goes on, and may yet commit.
        begun = not running.cancel()
        raise StoreUnavailable(f"no answer within {limit_s:g} s", maybe_committed=begun)

    async def close(self) -> None:
        """Finish what was begun, then let go of the database."""
        await asyncio.to_thread(self._threads.shutdown)
        if self._reader is not None:
            self._reader.close()
        self._engine.dispose()


class InlineSql:
    """Operations on the caller's own thread, for the simulated world: replayable from a seed."""

    def __init__(self, url: str = "sqlite://") -> None:
        self._engine = open_engine(url)

    async def run(
        self,
        operation: Operation[I, R],
        items: Sequence[I],
        *,
        timeout_s: float | None = None,  # noqa: ARG002 - no other thread, nothing to wait for
        only_reads: bool = False,  # noqa: ARG002 - likewise
    ) -> Sequence[R]:
        return run_once(self._engine, operation, items)

    async def close(self) -> None:
        self._engine.dispose()


def run_once(
    engine: Engine | Reader, operation: Operation[I, R], items: Sequence[I]
) -> Sequence[R]:
    """One operation in one committed transaction, on this thread; rerun whole after a deadlock."""
    reruns = 0
    while True:
        committing = False
        try:
            with engine.connect() as connection:
                results = operation(connection, items)
                committing = True
                connection.commit()
                return results
        except DBAPIError as error:
            why = type(error.orig).__name__  # never the statement or its values
            if lost_a_race(error):
                reruns += 1
                if reruns > RERUNS_MOST:
                    raise StoreUnavailable(why) from error
            elif unavailable(error):
                raise StoreUnavailable(why, maybe_committed=committing) from error
            else:
                raise


def _noted(answer: asyncio.Future[Any]) -> None:
    """Whoever gave up on this answer does not want to hear that it failed."""
    if not answer.cancelled():
        answer.exception()
