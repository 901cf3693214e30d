"""A development ledger: one Iroha 1.6 peer in one process, faithful in what this project uses.

It speaks the gRPC of a real peer, so clients run unchanged against it. It knows nothing of wallets,
phones or banks; those are ordinary accounts that a genesis block or a client made.

Bottom up: `amounts`, `refusals`, `world`; the rules, stateless in `rules`, stateful in `commands`;
`store`, `pool`, `statuses`; `genesis`, then `chain`, where rounds make blocks; `answers` to
`queries`; `server`.
"""

from sim.ledger.chain import Settings
from sim.ledger.genesis import BadGenesis
from sim.ledger.server import LedgerServer, PortTaken, serve

__all__ = ["BadGenesis", "LedgerServer", "PortTaken", "Settings", "serve"]
