"""The first block of a network: who may do what, which currencies there are, where money starts.

Written in Iroha's own JSON form, so that an irohad and the development ledger start from the
same file. It holds public keys only. One role for each kind of account, as narrow as Iroha 1
allows:

==========  ================  ====================================================================
role        held by           may
==========  ================  ====================================================================
wallet      every wallet      receive, send, change its own keys, let the recoverer change them,
            (default role)    read its own balance
opener      opener@<bank>     create accounts, read blocks, peers, and its own bank's accounts,
                              keys and balances. Keeps the wallet role too: Iroha lets an account
                              be created only by one that itself holds all of the new account's
                              default role
recoverer   recoverer@<bank>  read keys of its own bank; what it may change, each wallet grants it
treasury    treasury@<bank>   receive, send, read its own balance
settlement  settlement@<bank> receive, send, read its own balance
issuer      issuer@nbc        mint, burn and send the currencies of `nbc`
==========  ================  ====================================================================

An opener could create accounts in another bank's domain (Iroha 1 knows no narrower right), but
not in `nbc`, whose default role it does not hold. Commands of the genesis block are applied
without permission checks; descriptions are limited to 64 bytes by a setting that is legal only
here.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from google.protobuf.json_format import MessageToDict

from ledger_client.proto import block_pb2, commands_pb2, primitive_pb2, transaction_pb2
from ledger_client.rules import (
    DESCRIPTION_BYTES_MAX,
    PRECISIONS,
    require,
    require_public_key,
)

CURRENCY_DOMAIN: Final = "nbc"
ISSUER: Final = f"issuer@{CURRENCY_DOMAIN}"
TREASURY_FUNDS: Final = {"khr#nbc": 10**12, "usd#nbc": 10**9 * 100}
"""What each bank's treasury starts with, in minor units: 10^12 riel and 10^9 dollars."""

ROLES: Final[dict[str, tuple[str, ...]]] = {
    "wallet": (
        "can_receive",
        "can_transfer",
        "can_add_signatory",
        "can_remove_signatory",
        "can_grant_can_add_my_signatory",
        "can_grant_can_remove_my_signatory",
        "can_get_my_acc_ast",
    ),
    "opener": (
        "can_create_account",
        "can_get_blocks",
        "can_get_peers",
        "can_get_domain_accounts",
        "can_get_domain_signatories",
        "can_get_domain_acc_ast",
    ),
    "recoverer": ("can_get_domain_signatories",),
    "treasury": ("can_receive", "can_transfer", "can_get_my_acc_ast"),
    "settlement": ("can_receive", "can_transfer", "can_get_my_acc_ast"),
    "issuer": (
        "can_add_domain_asset_qty",
        "can_subtract_domain_asset_qty",
        "can_receive",
        "can_transfer",
        "can_get_my_acc_ast",
    ),
}

_Command = commands_pb2.Command
_FIRST_HEIGHT: Final = 1
_NO_BLOCK_BEFORE: Final = "0" * 64


@dataclass(frozen=True, slots=True)
class Peer:
    """One node of the network: its address for other peers, and the key it signs blocks with."""

    address: str
    public_key: str


@dataclass(frozen=True, slots=True)
class Bank:
    """One member bank: its domain, and the public key of each of its own accounts."""

    domain: str
    opener: str
    recoverer: str
    treasury: str
    settlement: str

    def accounts(self) -> Iterator[tuple[str, str]]:
        """Account name, which is also the name of its role, and public key."""
        yield "opener", self.opener
        yield "recoverer", self.recoverer
        yield "treasury", self.treasury
        yield "settlement", self.settlement


def genesis(banks: Sequence[Bank], peers: Sequence[Peer], *, issuer: str) -> dict[str, Any]:
    """Return the block as JSON-able dict; `issuer` is the public key of `issuer@nbc`.

    Raises `InvalidTransaction` for a malformed name or key.
    """
    _check(banks, peers, issuer)
    payload = block_pb2.Block_v1.Payload(
        transactions=[
            _transaction(list(_constitution(banks, peers, issuer))),
            _transaction(list(_money(banks)), creator=ISSUER),
        ],
        tx_number=2,
        height=_FIRST_HEIGHT,
        prev_block_hash=_NO_BLOCK_BEFORE,
    )
    # Iroha's own files say block_v1 where protobuf's JSON would say blockV1; both are read.
    return {"block_v1": MessageToDict(block_pb2.Block_v1(payload=payload))}


def dump_genesis(path: Path, block: dict[str, Any]) -> None:
    """Write the block as a file that irohad's `--genesis_block` takes."""
    path.write_text(json.dumps(block, indent=2) + "\n", encoding="ascii")


def _check(banks: Sequence[Bank], peers: Sequence[Peer], issuer: str) -> None:
    require_public_key(issuer)
    for peer in peers:
        require_public_key(peer.public_key)
    for bank in banks:
        require("domain", "domain", bank.domain)
        for _, public_key in bank.accounts():
            require_public_key(public_key)


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
    for name, permissions in ROLES.items():
        role = commands_pb2.CreateRole(role_name=name, permissions=permissions)
        yield _Command(create_role=role)
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
    yield _domain(bank.domain, default_role="wallet")
    for name, public_key in bank.accounts():
        account_id = f"{name}@{bank.domain}"
        yield _account(name, bank.domain, public_key)
        append = commands_pb2.AppendRole(account_id=account_id, role_name=name)
        yield _Command(append_role=append)
        if name != "opener":  # which needs the wallet role to give it
            detach = commands_pb2.DetachRole(account_id=account_id, role_name="wallet")
            yield _Command(detach_role=detach)


def _money(banks: Sequence[Bank]) -> Iterator[_Command]:
    """Mint everything as the issuer, then hand each treasury its part."""
    for asset, minor in TREASURY_FUNDS.items():
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
