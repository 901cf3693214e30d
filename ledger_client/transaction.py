"""Commands into signed bytes, and blocks back into commands.

A transaction is built, hashed and signed once; from then on only its bytes travel. Its hash is
SHA3-256 of the serialised payload whatever the key's form, so two transactions that agree in
creator, commands and millisecond are one: put something unique into the description.

No network and no clock here. protobuf types stay in this package.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from hashlib import sha3_256
from operator import attrgetter
from typing import Final

from google.protobuf.message import DecodeError, Message

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


@dataclass(frozen=True, slots=True)
class Draft:
    """A transaction that may still lack signatures, read back from its bytes."""

    tx_hash: str
    creator: str
    created_time: int  # ms
    quorum: int
    commands: tuple[Command, ...]
    signers: tuple[str, ...]  # public keys whose signatures verify, none twice


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


def read_draft(data: bytes) -> Draft:
    """Read what somebody is asked to sign; raises `InvalidTransaction` for anything doubtful.

    It is built anew from what was read and compared byte by byte, so that nothing is signed or
    carried that is not shown; and every signature on it must be right already.
    """
    transaction = _parse(data)
    reduced = transaction.payload.reduced_payload
    said = (reduced.creator_account_id, commands_of(transaction), reduced.created_time)
    payload = _payload(*said, reduced.quorum)
    signatures = [
        primitive_pb2.Signature(public_key=given.public_key, signature=given.signature)
        for given in transaction.signatures
    ]
    shown = transaction_pb2.Transaction(payload=payload, signatures=signatures)
    if shown.SerializeToString(deterministic=True) != data:
        raise InvalidTransaction("transaction: it holds more than can be shown")
    blob = payload.SerializeToString(deterministic=True)
    signers = [signature.public_key.lower() for signature in signatures]
    right = all(_is_right(signature, blob) for signature in signatures)
    if not right or len(set(signers)) != len(signers):
        raise InvalidTransaction("signatures: each of another key, and over these very bytes")
    creator, commands, created_time = said
    return Draft(hash_of(payload), creator, created_time, reduced.quorum, commands, tuple(signers))


def add_signature(data: bytes, key: SigningKey) -> bytes:
    """Sign a transaction that others have signed; its hash stays. Raises `InvalidTransaction`."""
    if key.public_key in read_draft(data).signers:
        raise InvalidTransaction("signatures: this key has signed already")
    transaction = _parse(data)
    blob = transaction.payload.SerializeToString(deterministic=True)
    transaction.signatures.append(_signature(blob, key))
    return transaction.SerializeToString(deterministic=True)


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
    transaction = transaction_pb2.Transaction(payload=payload, signatures=[_signature(blob, key)])
    return Signed(
        tx_hash=sha3_256(blob).hexdigest(),
        reduced_hash=_reduced_hash(payload),
        created_time=payload.reduced_payload.created_time,
        data=transaction.SerializeToString(deterministic=True),
    )


def _signature(blob: bytes, key: SigningKey) -> primitive_pb2.Signature:
    signature = key.sign(blob)
    # A faulty signature can give the key away; looking once costs 0.1 to 0.3 ms, far less than
    # opening the key did.
    if not verify(key.public_key, blob, signature):
        raise SigningFailed("our own signature does not verify")
    return primitive_pb2.Signature(public_key=key.public_key, signature=signature.hex())


def _is_right(signature: primitive_pb2.Signature, blob: bytes) -> bool:
    try:
        return verify(signature.public_key, blob, bytes.fromhex(signature.signature))
    except ValueError:
        return False


def _parse(data: bytes) -> transaction_pb2.Transaction:
    try:
        return transaction_pb2.Transaction.FromString(data)
    except DecodeError:
        raise InvalidTransaction("these bytes are no transaction") from None


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
    values: tuple[str | int, ...] = kind.values_of(getattr(command, name))
    if name == "grant_permission":  # the only one that is not all text
        values = (values[0], _granted(values[1]))
    return kind.value(*values)


def _granted(value: str | int) -> str:
    grants = primitive_pb2.GrantablePermission
    return grants.Name(int(value)) if value in grants.values() else str(value)


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one command of ours is written in the schema; `fields` are in our own order."""

    name: str
    value: Callable[..., Command]
    fields: Mapping[str, str]
    values_of: Callable[[Message], tuple[str | int, ...]]  # a follower reads thousands a second


def _kind(name: str, value: type[Command], **other_names: str) -> tuple[type[Command], _Kind]:
    wired = {f.name: other_names.get(f.name, f.name) for f in fields(value)}
    return value, _Kind(name, value, wired, attrgetter(*wired.values()))


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
