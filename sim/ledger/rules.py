"""Stateless validation: what a peer can say of a transaction without looking anything up.

`FIELDS` is the table of rules, one check per field of each command; a check returns None or what
is wrong. Verdicts are texts as they travel in `err_or_cmd_name`: nested, the outermost first, with
commands and signatures counted from one. None of this needs the world; queries have their own
rules, in `query_rules`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from ledger_client import keys
from ledger_client.proto import commands_pb2, primitive_pb2, transaction_pb2
from sim.ledger.amounts import well_formed

FUTURE_MS = 5 * 60 * 1000
PAST_MS = 24 * 60 * 60 * 1000
DETAIL_BYTES = 4 * 1024 * 1024
DESCRIPTION_BYTES = 100 * 1024
RAW_KEY_DIGITS = 64
_QUORUM_MOST = 128
_PRECISION_MOST = 255

_NAME = r"[a-z_0-9]{1,32}"
_LABEL = r"[a-zA-Z]([a-zA-Z0-9\-]{0,61}[a-zA-Z0-9])?"
_DOMAIN = rf"({_LABEL}\.)*{_LABEL}"
_HOST_PORT = rf"(([0-9]{{1,3}}\.){{3}}[0-9]{{1,3}}|{_DOMAIN}):[0-9]{{1,5}}"
_KEY = r"[A-Fa-f0-9]{1,136}"

Check = Callable[[Any], str | None]

# Sent again, to this peer or to another, a transaction need not be checked again.
verify = lru_cache(maxsize=20_000)(keys.verify)


def nested(name: str, errors: Sequence[str] = (), children: Sequence[str] = ()) -> str:
    """One level of what is wrong, as a peer words it."""
    parts = [f"Errors=[{', '.join(errors)}]"] if errors else []
    parts += [f"Child errors=[{', '.join(children)}]"] if children else []
    return f"{name}: [{', '.join(parts)}]"


def _shaped(name: str, pattern: str, hint: str = "") -> Check:
    fits = re.compile(pattern, re.ASCII).fullmatch

    def check(value: str) -> str | None:
        if fits(value):
            return None
        return nested(name, [f"passed value: '{value}' does not match regex '{pattern}'.{hint}"])

    return check


def _no_longer(name: str, limit_bytes: int) -> Check:
    def check(value: str) -> str | None:
        if len(value.encode()) <= limit_bytes:
            return None
        return nested(name, [f"Size should be less or equal '{limit_bytes}'."])

    return check


def _known(name: str, numbers: Iterable[int]) -> Check:
    there_are = frozenset(numbers)

    def check(values: int | Iterable[int]) -> str | None:
        asked = {values} if isinstance(values, int) else set(values)
        return None if asked <= there_are else nested(name, ["Provided one does not exist"])

    return check


def _amount(value: str) -> str | None:
    if well_formed(value) and value.strip("0."):
        return None
    return nested("Amount", ["Invalid number, amount must be greater than 0"])


def _quorum(value: int) -> str | None:
    if 1 <= value <= _QUORUM_MOST:
        return None
    return nested("Quorum", [f"Quorum should be within range [1, {_QUORUM_MOST}]"])


def _precision(value: int) -> str | None:
    if value <= _PRECISION_MOST:
        return None
    return nested("Precision", [f"Value ({value}) is out of range [0, {_PRECISION_MOST}]"])


def _peer(value: primitive_pb2.Peer) -> str | None:
    wrong = [it for it in (_address(value.address), key(value.peer_key)) if it]
    return nested("Peer", children=wrong) if wrong else None


account = _shaped("AccountId", rf"{_NAME}\@{_DOMAIN}")
asset = _shaped("AssetId", rf"{_NAME}\#{_DOMAIN}")
role = _shaped("RoleId", _NAME)
key = _shaped("PublicKeyHex", _KEY)
detail_key = _shaped("DetailKey", r"[A-Za-z0-9_]{1,64}")
_account_name = _shaped("AccountName", _NAME)
_asset_name = _shaped("AssetName", _NAME)
_domain = _shaped("Domain", _DOMAIN)
_address = _shaped("PeerAddress", _HOST_PORT, " Field should have a valid 'host:port' format")
_detail = _no_longer("AccountDetailValue", DETAIL_BYTES)
_description = _no_longer("Description", DESCRIPTION_BYTES)
_permissions = _known("RolePermission", primitive_pb2.RolePermission.values())
_grantable = _known("GrantablePermission", primitive_pb2.GrantablePermission.values())
_signature = _shaped("SignatureHex", r"[A-Fa-f0-9]{1,256}")

FIELDS: dict[str, dict[str, Check]] = {
    "transfer_asset": {
        "src_account_id": account,
        "dest_account_id": account,
        "asset_id": asset,
        "amount": _amount,
        "description": _description,
    },
    "add_asset_quantity": {"asset_id": asset, "amount": _amount},
    "subtract_asset_quantity": {"asset_id": asset, "amount": _amount},
    "create_account": {"public_key": key, "account_name": _account_name, "domain_id": _domain},
    "add_signatory": {"account_id": account, "public_key": key},
    "remove_signatory": {"account_id": account, "public_key": key},
    "set_account_quorum": {"account_id": account, "quorum": _quorum},
    "set_account_detail": {"account_id": account, "key": detail_key, "value": _detail},
    "compare_and_set_account_detail": {
        "account_id": account,
        "key": detail_key,
        "value": _detail,
        "old_value": _detail,
    },
    "grant_permission": {"account_id": account, "permission": _grantable},
    "revoke_permission": {"account_id": account, "permission": _grantable},
    "create_role": {"role_name": role, "permissions": _permissions},
    "append_role": {"account_id": account, "role_name": role},
    "detach_role": {"account_id": account, "role_name": role},
    "create_domain": {"domain_id": _domain, "default_role": role},
    "create_asset": {"asset_name": _asset_name, "domain_id": _domain, "precision": _precision},
    "add_peer": {"peer": _peer},
    "remove_peer": {"public_key": key},
    "set_setting_value": {},
    "call_engine": {"caller": account},
}


def _command_fault(command: commands_pb2.Command) -> str | None:
    name = command.WhichOneof("command")
    if name is None:
        return "Undefined command is found"
    body = getattr(command, name)
    wrong = [it for field, check in FIELDS[name].items() if (it := check(getattr(body, field)))]
    if name == "transfer_asset" and body.src_account_id == body.dest_account_id:
        return nested("TransferAsset", ["Source and destination accounts are the same."], wrong)
    return nested(type(body).__name__, children=wrong) if wrong else None


def created_time_fault(created_time: int, now_ms: int) -> str | None:
    """Is it too old or too far ahead of this peer's clock?"""
    if created_time > now_ms + FUTURE_MS:
        said = "sent from future"
    elif created_time + PAST_MS < now_ms:
        said = "too old"
    else:
        return None
    return nested("CreatedTime", [f"{said}, timestamp: {created_time}, now: {now_ms}"])


def signatures_fault(
    signatures: Sequence[primitive_pb2.Signature], signed: bytes, *, ursa: bool
) -> str | None:
    """What is wrong with these signatures over these bytes; a stock peer takes raw keys only."""
    if not signatures:
        return nested("Signatures list", ["Signatures are empty."])
    wrong = []
    for count, it in enumerate(signatures, start=1):
        reasons = list(_signature_faults(it, signed, ursa=ursa))
        if reasons:
            said = f"[publicKey={it.public_key}, signedData={it.signature}]"
            wrong.append(nested(f"Signature #{count} (Signature: {said})", reasons))
    return nested("Signatures list", children=wrong) if wrong else None


def _signature_faults(it: primitive_pb2.Signature, signed: bytes, *, ursa: bool) -> Iterator[str]:
    malformed = [fault for fault in (_signature(it.signature), key(it.public_key)) if fault]
    if malformed:
        yield from malformed
    elif len(it.public_key) != RAW_KEY_DIGITS and not _multihash(it.public_key, ursa=ursa):
        yield "Unimplemented signature algorithm."
    elif len(it.signature) % 2 or not verify(it.public_key, signed, bytes.fromhex(it.signature)):
        yield "Bad signature."


def _multihash(public_key: str, *, ursa: bool) -> bool:
    return ursa and public_key.lower().startswith(keys.MULTIHASH)


def transaction_fault(
    transaction: transaction_pb2.Transaction, payload: bytes, now_ms: int, *, ursa: bool
) -> str | None:
    """Why a transaction can enter no block, or None. A batch may leave members unsigned."""
    reduced = transaction.payload.reduced_payload
    errors = [] if reduced.commands else ["Transaction must contain at least one command."]
    children = [
        account(reduced.creator_account_id),
        created_time_fault(reduced.created_time, now_ms),
        _quorum(reduced.quorum),
    ]
    for count, command in enumerate(reduced.commands, start=1):
        fault = _command_fault(command)
        children.append(fault and nested(f"Command #{count}", children=[fault]))
    wrong = [it for it in children if it]
    parts = [nested("Transaction", errors, wrong)] if errors or wrong else []
    if transaction.signatures or not transaction.payload.HasField("batch"):
        fault = signatures_fault(transaction.signatures, payload, ursa=ursa)
        parts += [fault] if fault else []
    return nested("SignedData", children=parts) if parts else None
