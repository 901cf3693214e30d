"""Stateless validation: what a peer can say of a transaction or query without looking anything up.

`FIELDS` is the table of rules, one check per field of each command; a check returns None or what
is wrong. Verdicts are texts as they travel in `err_or_cmd_name`; none of this needs the world.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ledger_client.keys import verify
from ledger_client.proto import commands_pb2, primitive_pb2, queries_pb2, transaction_pb2
from sim.ledger.amounts import well_formed

FUTURE_MS = 5 * 60 * 1000
PAST_MS = 24 * 60 * 60 * 1000
DETAIL_BYTES = 4 * 1024 * 1024
DESCRIPTION_BYTES = 100 * 1024
RAW_KEY_DIGITS = 64

_NAME = r"[a-z_0-9]{1,32}"
_LABEL = r"[a-zA-Z](?:[a-zA-Z0-9\-]{0,61}[a-zA-Z0-9])?"
_DOMAIN = rf"(?:{_LABEL}\.)*{_LABEL}"
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+", re.ASCII)

Check = Callable[[Any], str | None]


def _shaped(pattern: str) -> Check:
    compiled = re.compile(pattern, re.ASCII)

    def check(value: str) -> str | None:
        if compiled.fullmatch(value):
            return None
        return f"passed value: '{value}'. Field should match regex '{pattern}'"

    return check


def _no_longer(limit_bytes: int) -> Check:
    def check(value: str) -> str | None:
        size = len(value.encode())
        return None if size <= limit_bytes else f"size {size} is over the limit of {limit_bytes}"

    return check


def _amount(value: str) -> str | None:
    if not well_formed(value):
        return f"Invalid number format: '{value}'"
    if not value.strip("0."):
        return f"Amount must be greater than 0, passed value: {value}"
    return None


def _quorum(value: int) -> str | None:
    return None if 0 < value <= 128 else "Quorum should be within range (0, 128]"  # noqa: PLR2004


def _precision(value: int) -> str | None:
    return None if value <= 255 else f"Precision value ({value}) is out of range [0; 255]"  # noqa: PLR2004


def _permissions(values: Iterable[int]) -> str | None:
    known = primitive_pb2.RolePermission.values()
    return None if all(value in known for value in values) else "No such role permission"


def _grantable(value: int) -> str | None:
    known = primitive_pb2.GrantablePermission.values()
    return None if value in known else "No such grantable permission"


def _peer(value: primitive_pb2.Peer) -> str | None:
    return _key(value.peer_key)


_account = _shaped(rf"{_NAME}@{_DOMAIN}")
_asset = _shaped(rf"{_NAME}#{_DOMAIN}")
_name = _shaped(_NAME)
_domain = _shaped(_DOMAIN)
_key = _shaped(r"(?:[0-9a-fA-F]{2}){1,68}")
_detail_key = _shaped(r"[A-Za-z0-9_]{1,64}")
_detail = _no_longer(DETAIL_BYTES)
_description = _no_longer(DESCRIPTION_BYTES)

FIELDS: dict[str, dict[str, Check]] = {
    "transfer_asset": {
        "src_account_id": _account,
        "dest_account_id": _account,
        "asset_id": _asset,
        "amount": _amount,
        "description": _description,
    },
    "add_asset_quantity": {"asset_id": _asset, "amount": _amount, "description": _description},
    "subtract_asset_quantity": {"asset_id": _asset, "amount": _amount, "description": _description},
    "create_account": {"account_name": _name, "domain_id": _domain, "public_key": _key},
    "add_signatory": {"account_id": _account, "public_key": _key},
    "remove_signatory": {"account_id": _account, "public_key": _key},
    "set_account_quorum": {"account_id": _account, "quorum": _quorum},
    "set_account_detail": {"account_id": _account, "key": _detail_key, "value": _detail},
    "compare_and_set_account_detail": {
        "account_id": _account,
        "key": _detail_key,
        "value": _detail,
        "old_value": _detail,
    },
    "grant_permission": {"account_id": _account, "permission": _grantable},
    "revoke_permission": {"account_id": _account, "permission": _grantable},
    "create_role": {"role_name": _name, "permissions": _permissions},
    "append_role": {"account_id": _account, "role_name": _name},
    "detach_role": {"account_id": _account, "role_name": _name},
    "create_domain": {"domain_id": _domain, "default_role": _name},
    "create_asset": {"asset_name": _name, "domain_id": _domain, "precision": _precision},
    "add_peer": {"peer": _peer},
    "remove_peer": {"public_key": _key},
    "set_setting_value": {},
    "call_engine": {},
}


def _command_faults(command: commands_pb2.Command) -> Iterator[str]:
    name = command.WhichOneof("command")
    if name is None:
        yield "Undefined command is found"
        return
    body = getattr(command, name)
    for field, check in FIELDS[name].items():
        fault = check(getattr(body, field))
        if fault:
            yield f"{type(body).__name__}: Wrongly formed {field}, {fault}"
    if name == "transfer_asset" and body.src_account_id == body.dest_account_id:
        yield "TransferAsset: Source and destination accounts cannot be the same"


def created_time_fault(created_time: int, now_ms: int) -> str | None:
    """Is it too old or too far ahead of this peer's clock?"""
    if created_time > now_ms + FUTURE_MS:
        return f"bad timestamp: sent from future, timestamp: {created_time}, now: {now_ms}"
    if created_time + PAST_MS < now_ms:
        return f"bad timestamp: too old, timestamp: {created_time}, now: {now_ms}"
    return None


def signature_faults(
    signatures: Iterable[primitive_pb2.Signature], signed: bytes, *, ursa: bool
) -> Iterator[str]:
    """What is wrong with these signatures over these bytes; a stock peer takes raw keys only."""
    for it in signatures:
        if not _HEX.fullmatch(it.public_key) or not _HEX.fullmatch(it.signature):
            yield f"Wrongly formed signature [{it.signature};{it.public_key}]"
        elif len(it.public_key) != RAW_KEY_DIGITS and not _multihash(it.public_key, ursa=ursa):
            yield "Unimplemented signature algorithm."
        elif not verify(it.public_key, signed, bytes.fromhex(it.signature)):
            yield f"Bad signature: Wrong signature [{it.signature};{it.public_key}]"


def _multihash(public_key: str, *, ursa: bool) -> bool:
    return ursa and public_key.lower().startswith("ed0120")


def transaction_fault(
    transaction: transaction_pb2.Transaction, payload: bytes, now_ms: int, *, ursa: bool
) -> str | None:
    """Why a transaction can enter no block, or None. A batch may leave members unsigned."""
    reduced = transaction.payload.reduced_payload
    faults = [] if reduced.commands else ["Transaction should contain at least one command"]
    for index, command in enumerate(reduced.commands):
        faults += [f"Command #{index}: {fault}" for fault in _command_faults(command)]
    for fault in (
        _account(reduced.creator_account_id),
        _quorum(reduced.quorum),
        created_time_fault(reduced.created_time, now_ms),
    ):
        faults += [fault] if fault else []
    if not transaction.signatures and not transaction.payload.HasField("batch"):
        faults.append("Signatures cannot be empty")
    faults += signature_faults(transaction.signatures, payload, ursa=ursa)
    return f"Transaction validation failed: [{'; '.join(faults)}]" if faults else None


def query_fault(
    meta: queries_pb2.QueryPayloadMeta,
    signature: primitive_pb2.Signature,
    signed: bytes,
    now_ms: int,
    *,
    ursa: bool,
) -> str | None:
    """Why a query is not even looked at, or None."""
    faults = [
        _account(meta.creator_account_id),
        created_time_fault(meta.created_time, now_ms),
        None if meta.query_counter else "Counter should be > 0, passed value: 0",
        *signature_faults([signature], signed, ursa=ursa),
    ]
    said = "; ".join(fault for fault in faults if fault)
    return f"Query validation failed: [{said}]" if said else None
