"""Turns that wait for the ledger's word.

In this process's memory only: who waits here is woken by this process's follower. Nothing that
must survive lives here; whoever is not woken in time reads SQL, the only truth.
"""

import asyncio
from collections import OrderedDict

REMEMBERED_MOST = 8192


class Waiters:
    """Who waits for which transaction hash; a verdict that came a moment earlier is remembered."""

    def __init__(self, remembered_most: int = REMEMBERED_MOST) -> None:
        self._waiting: dict[str, set[asyncio.Future[str]]] = {}
        self._recent: OrderedDict[str, str] = OrderedDict()
        self._recent_most = remembered_most

    async def settled(self, tx_hash: str, timeout_s: float) -> str | None:
        """The final state of this hash, or None when it was not heard in time."""
        if tx_hash in self._recent:
            return self._recent[tx_hash]
        future = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tx_hash, set()).add(future)
        try:
            await asyncio.wait({future}, timeout=max(0.0, timeout_s))
            return future.result() if future.done() else None
        finally:
            others = self._waiting.get(tx_hash, set())
            others.discard(future)
            if not others:
                self._waiting.pop(tx_hash, None)

    def wake(self, tx_hash: str, state: str) -> None:
        """This hash is final; called after the commit that says so, by any process's follower."""
        # Between a turn's commit and its wait the loop may already have heard the block.
        self._recent[tx_hash] = state
        self._recent.move_to_end(tx_hash)
        if len(self._recent) > self._recent_most:
            self._recent.popitem(last=False)
        for future in self._waiting.get(tx_hash, ()):
            if not future.done():
                future.set_result(state)
