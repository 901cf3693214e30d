"""What this peer can say about a transaction's hash, and who is listening.

A peer remembers in memory what is under way, and the last few thousand final words it told. Older
ones are asked of the block store, which knows no reasons: why something was rejected is told once,
live, to whoever listens (`STATEFUL_VALIDATION_FAILED`), and never again.

The first final word on a hash stays, as long as it is remembered: bytes found malformed (a bad
signature, a clock ahead) are not taken again by this peer, and hide a commit of the same hash.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import NamedTuple

from ledger_client.proto import endpoint_pb2 as pb
from sim.ledger.store import Place

STALE_ROUNDS = 2
REMEMBERED = 20_000  # final words, the oldest forgotten first

_FINAL = (pb.STATELESS_VALIDATION_FAILED, pb.REJECTED, pb.COMMITTED)


class Status(NamedTuple):
    """One word on one hash; a tuple, since each transfer makes four for each peer."""

    tx_hash: str
    kind: pb.TxStatus
    text: str = ""
    command_index: int = 0
    code: int = 0

    @property
    def final(self) -> bool:
        """Does a stream end with it?"""
        return self.kind in _FINAL


class StatusBoard:
    """The latest word per hash, and its listeners."""

    def __init__(self, place: Callable[[str], Place | None]) -> None:
        self._place = place
        self._under_way: dict[str, Status] = {}
        self._final: dict[str, Status] = {}
        self._listeners: dict[str, set[asyncio.Queue[Status | None]]] = {}

    def of(self, tx_hash: str) -> Status:
        """The word on this hash now."""
        told = self._final.get(tx_hash) or self._under_way.get(tx_hash)
        if told:
            return told
        place = self._place(tx_hash)
        if place is None:
            return Status(tx_hash, pb.NOT_RECEIVED)
        return Status(tx_hash, pb.REJECTED if place.position is None else pb.COMMITTED)

    def has_ended(self, tx_hash: str) -> bool:
        """Was a final word told lately? Older ones are in the store only."""
        return tx_hash in self._final

    def tell(self, status: Status) -> None:
        """Remember a word as long as a peer would, and pass it on."""
        tx_hash = status.tx_hash
        if not status.final:
            self._under_way[tx_hash] = status
        else:
            if status.kind != pb.STATELESS_VALIDATION_FAILED:
                self._under_way.pop(tx_hash, None)
            self._final.setdefault(tx_hash, status)
            while len(self._final) > REMEMBERED:
                del self._final[next(iter(self._final))]
        for listener in self._listeners.get(tx_hash, ()):
            listener.put_nowait(status)

    def round_passed(self) -> None:
        """Streams that hear nothing for some rounds end; this counts for them."""
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.put_nowait(None)

    async def watch(self, tx_hash: str) -> AsyncGenerator[Status, None]:
        """The word now and each new one, until a final one or too many rounds without any."""
        heard: asyncio.Queue[Status | None] = asyncio.Queue()
        self._listeners.setdefault(tx_hash, set()).add(heard)
        try:
            last = self.of(tx_hash)
            yield last
            quiet_rounds = 0
            while not last.final and quiet_rounds <= STALE_ROUNDS:
                status = await heard.get()
                if status is None:
                    quiet_rounds += 1
                elif status != last:
                    quiet_rounds, last = 0, status
                    yield last
        finally:
            listeners = self._listeners[tx_hash]
            listeners.discard(heard)
            if not listeners:
                del self._listeners[tx_hash]
