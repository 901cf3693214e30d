"""The first block: carried out without asking anybody's permission, stored, and never another.

Which accounts it makes is not decided here; `ledger_client.genesis` writes such blocks.
"""

from collections.abc import Sequence
from hashlib import sha3_256

from ledger_client.proto.block_pb2 import Block
from sim.ledger.commands import Act
from sim.ledger.pool import Tx
from sim.ledger.refusals import Refused
from sim.ledger.store import Sealed, Store
from sim.ledger.world import World

_HEIGHT = 1


class BadGenesis(Exception):
    """The genesis block cannot start this ledger; the message says why."""


def begin(store: Store, genesis: Block, peer_keys: Sequence[str]) -> World:
    """The world of a stored ledger, or of a new one after its genesis block."""
    payload = genesis.block_v1.payload
    block_hash = sha3_256(payload.SerializeToString()).hexdigest()
    begun = store.block_hash(_HEIGHT)
    if begun not in (None, block_hash):
        raise BadGenesis("the stored ledger was begun from another genesis block")
    world = store.load() if begun else _first_world(genesis)
    for peer_key in peer_keys:
        if peer_key not in world.peers.own:  # one that was removed is there still, as None
            raise BadGenesis(f"the peer key {peer_key} is not a peer of the genesis block")
    if not begun:
        txs = [Tx(tx) for tx in payload.transactions]
        store.append(Sealed(_HEIGHT, block_hash, genesis.SerializeToString(), txs, ()), world)
    return store.load()


def _first_world(genesis: Block) -> World:
    world = World()
    for tx in genesis.block_v1.payload.transactions:
        reduced = tx.payload.reduced_payload
        act = Act(world, reduced.creator_account_id, "rocksdb", genesis=True)
        for index, command in enumerate(reduced.commands):
            try:
                act.do(command)
            except Refused as refusal:
                name = command.WhichOneof("command")
                raise BadGenesis(f"command {index}, {name}: {refusal}") from refusal
    return world
