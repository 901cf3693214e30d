"""A network's first block, from what an operator says on the command line.

Reads banks, peers and keys, writes the file, and shows what is in it. What a network is made of
is decided in `ledger_client.genesis`.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from gateway.config import PORT_MOST
from gateway.desk.amounts import Assets, from_decimal
from ledger_client.genesis import Bank, Peer, dump_genesis, genesis, pinned
from ledger_client.keys import MULTIHASH, KeyFileError, is_public_key, load_public_key
from ledger_client.roles import ISSUER
from ledger_client.rules import PRECISIONS
from menus.kinds import Currency, Money

TORII_PORT: Final = 50051
_HEX: Final = re.compile(r"[0-9A-Fa-f]{32,}")


def begin(
    out: Path, banks: Sequence[str], peers: Sequence[str], issuer: str, funds: Sequence[str]
) -> None:
    """Write `out`, which must not exist, and show what it holds.

    `banks` are DOMAIN=DIR, `peers` are HOST:PORT=KEY, a KEY is hex or a file, `funds` are
    CURRENCY=AMOUNT for each treasury. Raises `ValueError`
    and `LedgerError` for what is not, and `OSError` when there is such a file.
    """
    all_banks, all_peers = [_bank(told) for told in banks], [_peer(told) for told in peers]
    issuer_key = _public_key("--issuer", issuer)
    minted = dict(_fund(told) for told in funds)
    block = genesis(all_banks, all_peers, issuer=issuer_key, funds=minted)
    out.touch(exist_ok=False)
    dump_genesis(out, block)
    console = Console(highlight=False)
    console.print(_holds(all_banks, all_peers, issuer_key, minted))
    console.print(f"wrote {out}, block hash {pinned(block).genesis_hash}", soft_wrap=True)


def _bank(told: str) -> Bank:
    domain, _, folder = told.partition("=")
    if not folder:
        raise ValueError(f"--bank {told}: DOMAIN=DIR, the folder with the bank's .pub files")
    return Bank.of(domain, lambda name: _key_in(Path(folder), name))


def _key_in(folder: Path, name: str) -> str:
    secret, public = folder / f"{name}.key", folder / f"{name}.pub"
    return load_public_key(secret if secret.exists() and not public.exists() else public)


def _peer(told: str) -> Peer:
    address, _, key = told.partition("=")
    host, _, port = address.rpartition(":")
    if not (key and host and port.isdecimal() and 1 <= int(port) <= PORT_MOST):
        raise ValueError(f"--peer {told}: HOST:PORT=KEY, where other peers reach it, and its key")
    if int(port) == TORII_PORT:
        raise ValueError(
            f"--peer {told}: {port} is Torii, where clients call; a genesis block names the port "
            "where the other peers reach it (internal_port in irohad's configuration, 10001 as a "
            "rule), and it cannot be mended later"
        )
    return Peer(address, _public_key(f"--peer {address}", key))


def _public_key(option: str, told: str) -> str:
    if is_public_key(told):
        return told.lower()
    if _HEX.fullmatch(told):  # perhaps a secret, mistyped: not to be repeated
        raise ValueError(
            f"{option}: a KEY is 64 hex digits, or {MULTIHASH} and 64, or a file with it"
        )
    try:
        return load_public_key(Path(told))
    except KeyFileError as error:
        raise KeyFileError(f"{option}: {error}") from None


def _fund(told: str) -> tuple[str, int]:
    """An asset and minor units of it."""
    code, _, amount = told.partition("=")
    try:
        currency = Currency(code.upper())
        return Assets().id(currency), from_decimal(amount, currency)
    except ValueError as error:
        raise ValueError(f"--fund {told}: CURRENCY=AMOUNT, like khr=1000000 ({error})") from None


def _holds(
    banks: Sequence[Bank], peers: Sequence[Peer], issuer: str, funds: Mapping[str, int]
) -> Table:
    """What the block holds, for whoever is about to give it to others."""
    table = Table("what", "which")
    table.add_column("public key, or how much", overflow="fold")
    for number, peer in enumerate(peers, start=1):
        table.add_row(f"peer {number}", peer.address, peer.public_key)
    for asset_id, precision in PRECISIONS.items():
        currency, minor = Assets().currency(asset_id), funds.get(asset_id)
        held = f"{Money(currency, minor).show} in each treasury" if currency and minor else "none"
        much = f"{held}, {precision} decimals"
        table.add_row("currency", asset_id, much)
    table.add_row("account", ISSUER, issuer)
    for bank in banks:
        for name, keys in bank.accounts():
            signing = "" if len(keys) == 1 else f", {len(keys)} sign"
            table.add_row(f"account{signing}", f"{name}@{bank.domain}", "\n".join(keys))
    return table
