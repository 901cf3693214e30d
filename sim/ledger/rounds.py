"""How peers come to a block: a round every so often, among those that can hear each other.

Every round the waiting batches of all connected peers are tried in order of arrival, then one
commit stores the block with all it changed, and only then does any peer hear of it. A round
without transactions makes no block. Fewer peers than a supermajority decide nothing, say nothing,
and forget nothing: what was sent to them waits.

Whoever takes part in a round is a peer of the ledger then: `AddPeer` and `RemovePeer` count from
the next block on. A peer that was removed hears of no later block, and of all of them when it is
added again. One that does not run here is missed like one that is down; if too few are left to
decide anything, that is logged, since nobody could tell it from a network that is slow.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

from ledger_client.proto import endpoint_pb2 as pb
from sim.ledger.chain import Chain
from sim.ledger.deciding import Draft, decide
from sim.ledger.peer import Peer
from sim.ledger.pool import Batch
from sim.ledger.statuses import Status
from sim.ledger.store import Sealed

_AT_ONCE = 16  # batches decided before others get their turn on the loop

log = logging.getLogger(__name__)


class Rounds:
    """The rounds of all peers that share one chain."""

    def __init__(self, chain: Chain, full: asyncio.Event) -> None:
        self._chain = chain
        self.peers: Sequence[Peer] = ()
        self._full = full  # a block's worth of transactions waits somewhere
        self._deciding = asyncio.Lock()

    async def run(self) -> None:
        """A round every so often, sooner when a block's worth of transactions waits."""
        if self._chain.settings.block_ms is None:
            return
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._full.wait(), self._chain.settings.block_ms / 1000)
            self._full.clear()
            await self.round()

    async def round(self) -> int | None:
        """One round; the height of the block it made, if any."""
        async with self._deciding:
            voters = [peer for peer in self._named() if peer.connected]
            enough = len(voters) >= self._chain.majority
            for peer in self.peers:
                peer.is_deciding = enough
            if not enough:
                return None
            taken = self._take(voters)
            sealed = await self._decide(taken, voters) if taken else None
        for peer in voters:
            peer.statuses.round_passed()
            if peer.pool.size >= self._chain.settings.block_most:
                self._full.set()
        return sealed.height if sealed else None

    def _named(self) -> list[Peer]:
        """Those of the ledger's peers that run here."""
        return [peer for peer in self.peers if self._chain.names(peer.key)]

    def check_reach(self) -> None:
        """Say so if the peers that run here can never decide anything."""
        here = len(self._named())
        if here < self._chain.majority:
            log.warning(
                "no block can be made: %d of the ledger's peers must take part and %d run here",
                self._chain.majority,
                here,
            )

    def _take(self, voters: Sequence[Peer]) -> list[Batch]:
        """What the voters propose, each batch once; every round another peer is asked first."""
        room = self._chain.settings.block_most
        first = self._chain.height % len(voters)
        taken: list[Batch] = []
        seen: set[str] = set()
        for peer in [*voters[first:], *voters[:first]]:
            for batch in peer.propose(room) if room > 0 else ():
                if seen.isdisjoint(batch.hashes):
                    seen.update(batch.hashes)
                    taken.append(batch)
                    room -= len(batch.txs)
        return taken

    async def _decide(self, taken: Sequence[Batch], voters: Sequence[Peer]) -> Sealed:
        draft = Draft(self._chain.world.above())
        for count, batch in enumerate(taken, start=1):
            decide(batch, draft, self._chain.settings.profile)
            if not count % _AT_ONCE:
                await asyncio.sleep(0)
        _tell(draft, voters)
        sealed = await self._chain.append(draft, [peer.key for peer in voters])
        for peer in self.peers:
            if peer.connected and (peer in voters or self._chain.names(peer.key)):
                self.catch_up(peer, below=sealed.height)
                peer.hear(sealed)
        if draft.changes.peers.own:
            self.check_reach()
        return sealed

    def catch_up(self, peer: Peer, *, below: int | None = None) -> None:
        """Tell a peer of the blocks it missed while it heard nothing."""
        beyond = self._chain.height + 1 if below is None else below
        for height in range(peer.height + 1, beyond):
            peer.hear(self._chain.sealed(height))


def _tell(draft: Draft, voters: Sequence[Peer]) -> None:
    told = [Status(tx.tx_hash, pb.STATEFUL_VALIDATION_SUCCESS) for tx in draft.committed]
    told += [
        Status(tx.tx_hash, pb.STATEFUL_VALIDATION_FAILED, why.text, why.command_index, why.code)
        for tx, why in draft.rejected
    ]
    for status in told:
        for peer in voters:
            peer.consider(status.tx_hash, status)
