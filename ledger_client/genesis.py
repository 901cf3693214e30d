"""The first block of a network: who may do what, which currencies there are, where money starts.

Written in Iroha's own JSON form, so that an irohad and the development ledger start from the
same file. It holds public keys only. Which roles there are, and why they are no wider, is in
`roles`; descriptions are limited to 64 bytes by a setting that is legal only here. Commands of
the genesis block are applied without permission checks, so what makes no sense is refused here.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from hashlib import sha3_256
from pathlib import Path
from typing import Any, Final

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError

from ledger_client.ledger import InvalidTransaction, LedgerError
from ledger_client.proto import block_pb2, commands_pb2, primitive_pb2, transaction_pb2
from ledger_client.roles import CURRENCY_DOMAIN, ISSUER, ROLES, WALLET
from ledger_client.rules import (
    DESCRIPTION_BYTES_MAX,
    PRECISIONS,
    require,
    require_public_key,
)
from ledger_client.trust import GENESIS_HEIGHT, Trust

TREASURY_FUNDS: Final = {"khr#nbc": 10**12, "usd#nbc": 10**9 * 100}
"""What each treasury of a development network starts with, in minor units."""

_Command = commands_pb2.Command
_NO_BLOCK_BEFORE: Final = "0" * 64


class GenesisError(LedgerError):
    """A file that is no genesis block."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One node of the network: its address for other peers, and the key it signs blocks with."""

    address: str
    public_key: str


@dataclass(frozen=True, slots=True)
class Bank:
    """One member bank: its domain, and the public keys of its own accounts."""

    domain: str
    opener: str
    recoverer: str
    recoverer_second: str
    treasury: str
    settlement: str

    @classmethod
    def of(cls, domain: str, public_key: Callable[[str], str]) -> "Bank":
        """Ask for each of `BANK_KEYS` by its name."""
        return cls(domain, *(public_key(name) for name in BANK_KEYS))

    def accounts(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Account name, which is also the name of its role, and the keys that sign together."""
        yield "opener", (self.opener,)
        yield "recoverer", (self.recoverer, self.recoverer_second)
        yield "treasury", (self.treasury,)
        yield "settlement", (self.settlement,)


BANK_KEYS: Final = tuple(each.name for each in fields(Bank) if each.name != "domain")
"""A bank's keys by name: those of its accounts, and the recoverer's second."""


def genesis(
    banks: Sequence[Bank],
    peers: Sequence[Peer],
    *,
    issuer: str,
    funds: Mapping[str, int] = TREASURY_FUNDS,
) -> dict[str, Any]:
    """Return the block as JSON-able dict; `issuer` is the public key of `issuer@nbc`.

    `funds` is what each treasury starts with, minor units by asset; a real network starts with
    nothing, and its issuer mints.

    Raises `InvalidTransaction` for a malformed name or key, or one that is there twice.
    """
    _check(banks, peers, issuer)
    transactions = [_transaction(list(_constitution(banks, peers, issuer)))]
    if funds:
        transactions.append(_transaction(list(_money(banks, funds)), creator=ISSUER))
    payload = block_pb2.Block_v1.Payload(
        transactions=transactions,
        tx_number=len(transactions),
        height=GENESIS_HEIGHT,
        prev_block_hash=_NO_BLOCK_BEFORE,
    )
    # Iroha's own files say block_v1 where protobuf's JSON would say blockV1; both are read.
    return {"block_v1": MessageToDict(block_pb2.Block_v1(payload=payload))}


def pinned(block: Mapping[str, Any]) -> Trust:
    """Read off a genesis block whose signatures its network's blocks carry, and its own hash.

    A peer that only follows (`syncing_peer`) signs nothing.
    Raises `GenesisError` for what is no genesis block in Iroha's JSON form.
    """
    try:
        payload = ParseDict(dict(block), block_pb2.Block()).block_v1.payload
    except (ParseError, TypeError, ValueError) as error:
        raise GenesisError(f"no block in Iroha's JSON form: {error}") from None
    commands = (
        command
        for transaction in payload.transactions
        for command in transaction.payload.reduced_payload.commands
    )
    peers = frozenset(
        command.add_peer.peer.peer_key.lower()
        for command in commands
        if command.HasField("add_peer") and not command.add_peer.peer.syncing_peer
    )
    if payload.height != GENESIS_HEIGHT or not peers:
        raise GenesisError("not the first block of a network: it adds no peers")
    return Trust(peers, sha3_256(payload.SerializeToString(deterministic=True)).hexdigest())


def dump_genesis(path: Path, block: dict[str, Any]) -> None:
    """Write the block as a file that irohad's `--genesis_block` takes."""
    path.write_text(json.dumps(block, indent=2) + "\n", encoding="ascii")


def _check(banks: Sequence[Bank], peers: Sequence[Peer], issuer: str) -> None:
    require_public_key(issuer)
    for peer in peers:
        require_public_key(peer.public_key)
    for bank in banks:
        require("domain", "domain", bank.domain)
        for name, public_keys in bank.accounts():
            for public_key in public_keys:
                require_public_key(public_key)
            _no_two_equal(f"keys of {name}@{bank.domain}", [key.lower() for key in public_keys])
    held = ({key.lower() for _, keys in bank.accounts() for key in keys} for bank in banks)
    _no_two_equal("keys of different banks", [key for keys in held for key in keys])
    _no_two_equal("domains", [CURRENCY_DOMAIN, *(bank.domain for bank in banks)])
    _no_two_equal("peers' keys", [peer.public_key.lower() for peer in peers])
    _no_two_equal("peers' addresses", [peer.address for peer in peers])


def _no_two_equal(what: str, values: Sequence[str]) -> None:
    if len(set(values)) < len(values):
        raise InvalidTransaction(f"{what}: no two may be equal")


def _transaction(commands: list[_Command], creator: str = "") -> transaction_pb2.Transaction:
    payload = transaction_pb2.Transaction.Payload
    reduced = payload.ReducedPayload(commands=commands, creator_account_id=creator, quorum=1)
    return transaction_pb2.Transaction(payload=payload(reduced_payload=reduced))


def _constitution(banks: Sequence[Bank], peers: Sequence[Peer], issuer: str) -> Iterator[_Command]:
    """Peers, settings, roles, currencies and accounts; has no creator, as in Iroha's example."""
    for peer in peers:
        node = primitive_pb2.Peer(address=peer.address, peer_key=peer.public_key)
        yield _Command(add_peer=commands_pb2.AddPeer(peer=node))
    limit = commands_pb2.SetSettingValue(key="MaxDescriptionSize", value=str(DESCRIPTION_BYTES_MAX))
    yield _Command(set_setting_value=limit)
    for name, role in ROLES.items():
        made = commands_pb2.CreateRole(role_name=name, permissions=role.permissions)
        yield _Command(create_role=made)
    yield _domain(CURRENCY_DOMAIN, default_role="issuer")
    for asset, precision in PRECISIONS.items():
        name = asset.removesuffix(f"#{CURRENCY_DOMAIN}")
        currency = commands_pb2.CreateAsset(
            asset_name=name, domain_id=CURRENCY_DOMAIN, precision=precision
        )
        yield _Command(create_asset=currency)
    yield _account("issuer", CURRENCY_DOMAIN, issuer)
    for bank in banks:
        yield from _bank(bank)


def _bank(bank: Bank) -> Iterator[_Command]:
    yield _domain(bank.domain, default_role=WALLET)
    for name, (first, *others) in bank.accounts():
        account_id = f"{name}@{bank.domain}"
        yield _account(name, bank.domain, first)
        for public_key in others:
            more = commands_pb2.AddSignatory(account_id=account_id, public_key=public_key)
            yield _Command(add_signatory=more)
        if others:
            quorum = commands_pb2.SetAccountQuorum(account_id=account_id, quorum=1 + len(others))
            yield _Command(set_account_quorum=quorum)
        append = commands_pb2.AppendRole(account_id=account_id, role_name=name)
        yield _Command(append_role=append)
        if name != "opener":  # which needs the wallet role to give it
            detach = commands_pb2.DetachRole(account_id=account_id, role_name=WALLET)
            yield _Command(detach_role=detach)


def _money(banks: Sequence[Bank], funds: Mapping[str, int]) -> Iterator[_Command]:
    """Mint everything as the issuer, then hand each treasury its part."""
    for asset, minor in funds.items():
        mint = commands_pb2.AddAssetQuantity(
            asset_id=asset, amount=_decimal(minor * len(banks), PRECISIONS[asset])
        )
        yield _Command(add_asset_quantity=mint)
        for bank in banks:
            part = commands_pb2.TransferAsset(
                src_account_id=ISSUER,
                dest_account_id=f"treasury@{bank.domain}",
                asset_id=asset,
                amount=_decimal(minor, PRECISIONS[asset]),
            )
            yield _Command(transfer_asset=part)


def _domain(name: str, default_role: str) -> _Command:
    domain = commands_pb2.CreateDomain(domain_id=name, default_role=default_role)
    return _Command(create_domain=domain)


def _account(name: str, domain: str, public_key: str) -> _Command:
    account = commands_pb2.CreateAccount(account_name=name, domain_id=domain, public_key=public_key)
    return _Command(create_account=account)


def _decimal(minor: int, precision: int) -> str:
    if not precision:
        return str(minor)
    whole, part = divmod(minor, 10**precision)
    return f"{whole}.{part:0{precision}d}"
