"""Commands into signed bytes, and blocks back into commands.

A transaction is built, hashed and signed once; from then on only its bytes travel. Its hash is
SHA3-256 of the serialised payload whatever the key's form, so two transactions that agree in
creator, commands and millisecond are one: put something unique into the description.

No network and no clock here. protobuf types stay in this package.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from hashlib import sha3_256
from typing import Final

from google.protobuf.message import Message

from ledger_client.keys import SigningKey, verify
from ledger_client.ledger import (
    AddAssetQuantity,
    AddSignatory,
    Command,
    CreateAccount,
    GrantPermission,
    InvalidTransaction,
    LedgerError,
    OtherCommand,
    RemoveSignatory,
    SetAccountDetail,
    Signed,
    SubtractAssetQuantity,
    TransferAsset,
)
from ledger_client.proto import commands_pb2, primitive_pb2, transaction_pb2
from ledger_client.rules import check_transaction

Member = tuple[str, Sequence[Command], int, SigningKey]
"""One transaction of a batch: creator, commands, created_time, key."""

_Payload = transaction_pb2.Transaction.Payload
_BATCH_MIN: Final = 2


class SigningFailed(LedgerError):
    """Our own signature does not verify: the machine is not to be trusted with keys now."""


def build(
    creator: str,
    commands: Sequence[Command],
    created_time: int,
    *,
    key: SigningKey,
    quorum: int = 1,
) -> Signed:
    """Check, build and sign one transaction; raises `InvalidTransaction` before signing."""
    return _sign(_payload(creator, commands, created_time, quorum), key)


def build_batch(members: Sequence[Member], *, atomic: bool = True) -> list[Signed]:
    """Build transactions that commit together (`atomic`) or at least in this order.

    Every member names every other by its reduced hash, and all must be submitted in one call,
    next to each other and in this order.
    """
    if len(members) < _BATCH_MIN:
        raise InvalidTransaction(f"batch: at least {_BATCH_MIN} transactions")
    payloads = [_payload(creator, commands, time, 1) for creator, commands, time, _ in members]
    reduced = [_reduced_hash(payload) for payload in payloads]
    if len(set(reduced)) != len(reduced):
        raise InvalidTransaction("batch: no two equal transactions")
    meta = _Payload.BatchMeta
    for payload in payloads:
        payload.batch.type = meta.ATOMIC if atomic else meta.ORDERED
        payload.batch.reduced_hashes.extend(reduced)
    return [_sign(payload, member[-1]) for payload, member in zip(payloads, members, strict=True)]


def commands_of(transaction: transaction_pb2.Transaction) -> tuple[Command, ...]:
    """Read the commands back; what this project never sends becomes `OtherCommand`."""
    reduced = transaction.payload.reduced_payload
    return tuple(_read(command) for command in reduced.commands)


def hash_of(payload: transaction_pb2.Transaction.Payload) -> str:
    """Tell the identity of a transaction, as every peer computes it."""
    return sha3_256(payload.SerializeToString(deterministic=True)).hexdigest()


def _payload(
    creator: str, commands: Sequence[Command], created_time: int, quorum: int
) -> transaction_pb2.Transaction.Payload:
    check_transaction(creator, commands, created_time, quorum)
    return _Payload(
        reduced_payload=_Payload.ReducedPayload(
            commands=[_write(command) for command in commands],
            creator_account_id=creator,
            created_time=created_time,
            quorum=quorum,
        )
    )


def _reduced_hash(payload: transaction_pb2.Transaction.Payload) -> str:
    return sha3_256(payload.reduced_payload.SerializeToString(deterministic=True)).hexdigest()


def _sign(payload: transaction_pb2.Transaction.Payload, key: SigningKey) -> Signed:
    blob = payload.SerializeToString(deterministic=True)
    signature = key.sign(blob)
    # A faulty signature can give the key away; looking once costs 0.1 to 0.3 ms, far less than
    # opening the key did.
    if not verify(key.public_key, blob, signature):
        raise SigningFailed("our own signature does not verify")
    transaction = transaction_pb2.Transaction(
        payload=payload,
        signatures=[primitive_pb2.Signature(public_key=key.public_key, signature=signature.hex())],
    )
    return Signed(
        tx_hash=sha3_256(blob).hexdigest(),
        reduced_hash=_reduced_hash(payload),
        created_time=payload.reduced_payload.created_time,
        data=transaction.SerializeToString(deterministic=True),
    )


def _write(command: Command) -> commands_pb2.Command:
    kind = _KINDS[type(command)]
    wired: dict[str, str] = {}
    for own, wire in kind.fields.items():
        value: str = getattr(command, own)
        if value:  # an optional field that is present and empty would be another hash
            wired[wire] = value
    try:
        return commands_pb2.Command(**{kind.name: wired})
    except ValueError as error:  # a grant by a name that the schema does not have
        raise InvalidTransaction(f"{kind.name}: {error}") from None


def _read(command: commands_pb2.Command) -> Command:
    name = command.WhichOneof("command") or "unknown"
    kind = _KINDS_BY_NAME.get(name)
    if kind is None:
        return OtherCommand(name)
    part = getattr(command, name)
    return kind.value(*(_text(part, wire) for wire in kind.fields.values()))


def _text(part: Message, wire: str) -> str:
    value: str | int = getattr(part, wire)
    if isinstance(value, str):
        return value
    grants = primitive_pb2.GrantablePermission  # the only field here that is no text
    return grants.Name(value) if value in grants.values() else str(value)


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one command of ours is written in the schema; `fields` are in our own order."""

    name: str
    value: Callable[..., Command]
    fields: Mapping[str, str]


def _kind(name: str, value: type[Command], **other_names: str) -> tuple[type[Command], _Kind]:
    return value, _Kind(
        name, value, {f.name: other_names.get(f.name, f.name) for f in fields(value)}
    )


_KINDS: Final = dict(
    (
        _kind("transfer_asset", TransferAsset, src="src_account_id", dest="dest_account_id"),
        _kind("create_account", CreateAccount),
        _kind("add_signatory", AddSignatory),
        _kind("remove_signatory", RemoveSignatory),
        _kind("grant_permission", GrantPermission),
        _kind("set_account_detail", SetAccountDetail),
        _kind("add_asset_quantity", AddAssetQuantity),
        _kind("subtract_asset_quantity", SubtractAssetQuantity),
    )
)
_KINDS_BY_NAME: Final = {kind.name: kind for kind in _KINDS.values()}
