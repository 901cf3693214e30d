"""The first block of a world, made once: from the bank's public keys, and keys of its own.

The keys of peers and issuer are made beside it; who has the bank's is none of our business here.
"""

import contextlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from ledger_client.genesis import Bank, Peer, dump_genesis, genesis, pinned
from ledger_client.keys import SigningKey, load_key, load_public_key, save_key
from ledger_client.ledger import LedgerError

BANK = "bank"
_FIRST_PORT = 10001  # between peers; ours are one process, and listen on no such port


class CannotStart(Exception):
    """Something a person must mend first; the message says what."""


def found(first_block: Path, bank_keys: Path, peer_keys: Sequence[Path]) -> None:
    """Make the block, and the keys it needs; raises `CannotStart` where there is another one."""
    if first_block.exists():
        _check_peers(first_block, len(peer_keys))
        return
    first_block.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    bank = Bank.of(BANK, lambda name: load_public_key(bank_keys / f"{name}.pub"))
    peers = [
        Peer(f"127.0.0.1:{port}", _own(path)) for port, path in enumerate(peer_keys, _FIRST_PORT)
    ]
    block = genesis([bank], peers, issuer=_own(first_block.with_name("issuer.key")))
    unfinished = first_block.with_suffix(".new")
    dump_genesis(unfinished, block)
    unfinished.rename(first_block)


def _own(path: Path) -> str:
    if not path.exists():
        save_key(path, SigningKey.generate(os.urandom))
    return load_key(path).public_key


def _check_peers(first_block: Path, wanted: int) -> None:
    """A ledger keeps the peers that its first block names."""
    with contextlib.suppress(LedgerError, ValueError):  # the ledger itself says what is wrong
        begun = len(pinned(json.loads(first_block.read_text())).peers)
        if begun != wanted:
            raise CannotStart(
                f"the ledger in {first_block.parent} was begun with --peers {begun}: start it so"
                f" again (make run PEERS={begun}), keep another beside it (make run PEERS={wanted}"
                f" STATE=.state{wanted}), or forget it with `make reset`"
            )
