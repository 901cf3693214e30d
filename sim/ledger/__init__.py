"""A development ledger: the peers of an Iroha 1.6 network in one process, faithful in what is used.

It speaks the gRPC of real peers, so clients run unchanged against it. It knows nothing of wallets,
phones or banks; those are ordinary accounts that a genesis block or a client made.

Bottom up: `amounts`, `refusals`, `world`; the rules, stateless in `rules` and `query_rules`,
stateful in `actor` and `commands`; `pool`, `store`, `deciding`, `genesis`, then the `chain`. Each
`peer` has its `statuses`; `rounds` bring peers to a block. Questions come by `queries` to `answers`
and `tx_answers` (`answering`, `histories`). What callers see of a peer is its `face`, spoiled by
`misbehaviour` and `lies` where a test wants that; `wire` is gRPC, `server` starts and stops, and
`orders` let whoever started it spoil a peer.
"""

from sim.ledger.chain import Settings
from sim.ledger.genesis import BadGenesis
from sim.ledger.server import LedgerServer, PeerServer, PortTaken, serve

__all__ = ["BadGenesis", "LedgerServer", "PeerServer", "PortTaken", "Settings", "serve"]
