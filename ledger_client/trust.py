"""Which blocks are believed: those that link to the last one and that enough known peers signed.

A follower moves money by what blocks say, so a peer's word alone is not enough. A block is
believed when

1. its height follows the last one's, and it names that one's hash;
2. a supermajority of the pinned peers signed its payload: all but (n - 1) / 2 of n, which is
   what Iroha 1's consensus (crash fault tolerant by default) collects before it commits;
3. or, for the genesis block, which carries no signatures, its hash is the pinned one.

Peers of one network may store different signatures with the same block, each of them enough.
Without pinned keys only links are checked. No network here, and no clock.
"""

from dataclasses import dataclass
from typing import Final

from ledger_client.keys import verify
from ledger_client.ledger import Block, Reached

GENESIS_HEIGHT: Final = 1


@dataclass(frozen=True, slots=True)
class Trust:
    """What an operator pinned: peers' public keys (lower-case hex), and the first block's hash."""

    peers: frozenset[str] = frozenset()
    genesis_hash: str = ""

    @property
    def supermajority(self) -> int:
        """How many of the pinned peers must have signed a block."""
        return len(self.peers) - (len(self.peers) - 1) // 2 if self.peers else 0

    def doubt(self, block: Block, last: Reached) -> str | None:
        """Say in a few words why `block` cannot follow `last`; None when it can."""
        if block.height != last.height + 1:
            return f"height {block.height} was told for {last.height + 1}"
        if last.block_hash and block.prev_hash != last.block_hash:
            return "it does not link to the block before it"
        if block.height == GENESIS_HEIGHT:
            if self.genesis_hash and block.block_hash != self.genesis_hash:
                return "this ledger began with another genesis block"
            return None
        signed = self._signed(block)
        if signed < self.supermajority:
            return f"{signed} pinned peers signed it, not {self.supermajority}"
        return None

    def _signed(self, block: Block) -> int:
        """How many pinned peers signed; each is tried once, and no more of them than is enough."""
        signed = 0
        # One entry a key: a liar's thousands would keep us busy for a minute.
        for public_key, signature in dict(block.signatures).items():
            if signed >= self.supermajority:
                break
            if public_key not in self.peers:
                continue
            try:
                signed += verify(public_key, block.payload, bytes.fromhex(signature))
            except ValueError:
                continue
        return signed
