"""The first block of a world, made once: from the banks' public keys, and keys of its own.

The keys of peers and issuer are made beside it; who has a bank's is none of our business here.
"""

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from google.protobuf.json_format import ParseDict, ParseError

from ledger_client.charter import read_charter
from ledger_client.genesis import Bank, Peer, dump_genesis, genesis, pinned
from ledger_client.keys import SigningKey, load_key, load_public_key, save_key
from ledger_client.ledger import LedgerError
from ledger_client.proto.block_pb2 import Block
from ledger_client.roles import CURRENCY_DOMAIN

_FIRST_PORT = 10001  # between peers; ours are one process, and listen on no such port


class CannotStart(Exception):
    """Something a person must mend first; the message says what."""


def found(first_block: Path, banks: Mapping[str, Path], peer_keys: Sequence[Path]) -> None:
    """Make the block, and the keys it needs; raises `CannotStart` where there is another one.

    `banks`: by domain, the folder with its public keys.
    """
    if first_block.exists():
        _check(first_block, len(peer_keys), len(banks))
        return
    first_block.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    members = [_bank(domain, keys) for domain, keys in banks.items()]
    peers = [
        Peer(f"127.0.0.1:{port}", _own(path)) for port, path in enumerate(peer_keys, _FIRST_PORT)
    ]
    block = genesis(members, peers, issuer=_own(first_block.with_name("issuer.key")))
    unfinished = first_block.with_suffix(".new")
    dump_genesis(unfinished, block)
    unfinished.rename(first_block)


def _bank(domain: str, keys: Path) -> Bank:
    return Bank.of(domain, lambda name: load_public_key(keys / f"{name}.pub"))


def _own(path: Path) -> str:
    if not path.exists():
        save_key(path, SigningKey.generate(os.urandom))
    return load_key(path).public_key


def _check(first_block: Path, peers: int, banks: int) -> None:
    """A ledger keeps the peers and the banks that its first block names."""
    # What is wrong with a spoilt block is said by the ledger itself.
    with contextlib.suppress(LedgerError, ValueError, ParseError):
        block = json.loads(first_block.read_text())
        domains = read_charter(ParseDict(block, Block())).default_roles.keys()
        begun = len(pinned(block).peers), len(domains - {CURRENCY_DOMAIN})
        if begun != (peers, banks):
            old, new = _words(*begun), _words(peers, banks)
            raise CannotStart(
                f"the ledger in {first_block.parent} was begun with {old}: start it so again"
                f" (make run {old}), keep another beside it (make run {new}"
                f" STATE=.state{peers}x{banks}), or forget it with `make reset`"
            )


def _words(peers: int, banks: int) -> str:
    """How `make run` is told of them."""
    return f"PEERS={peers} BANKS={banks}" if banks > 1 else f"PEERS={peers}"
