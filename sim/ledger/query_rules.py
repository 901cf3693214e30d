"""Stateless validation of queries: when and by whom asked, and whether the question is one.

The rules of fields are those of commands (`rules`); the verdict is the message of a query response
with the reason `STATELESS_INVALID`.
"""

from collections.abc import Iterable

from ledger_client.proto import primitive_pb2
from ledger_client.proto import queries_pb2 as ask
from sim.ledger.rules import (
    Check,
    account,
    asset,
    created_time_fault,
    detail_key,
    nested,
    role,
    signatures_fault,
)

_HASH_DIGITS = 64


def _hash(value: str) -> str | None:
    if len(value) == _HASH_DIGITS and not value.lower().strip("0123456789abcdef"):
        return None
    return nested("Hash", [f"Invalid size: {len(value) // 2}, should be {_HASH_DIGITS // 2}."])


def _hashes(values: Iterable[str]) -> str | None:
    found = [_hash(value) for value in values]
    if not found:
        return nested("TxHashes", ["tx_hashes cannot be empty"])
    return next(filter(None, found), None)


def _height(value: int) -> str | None:
    return None if value else nested("Height", ["Should be > 0, passed value: 0."])


_Meta = ask.TxPaginationMeta | ask.AssetPaginationMeta | ask.AccountDetailPaginationMeta


def _page(meta: _Meta) -> str | None:
    """Check a page of any kind: how large, and where it begins."""
    if not meta.page_size:
        return nested("PageSize", ["Passed value is 0, while it must be > 0."])
    if isinstance(meta, ask.TxPaginationMeta) and meta.HasField("first_tx_hash"):
        return _hash(meta.first_tx_hash)
    return None


# A field that may be left out is checked only where it is present.
_FIELDS: dict[str, dict[str, Check]] = {
    "get_account": {"account_id": account},
    "get_signatories": {"account_id": account},
    "get_account_transactions": {"account_id": account, "pagination_meta": _page},
    "get_account_asset_transactions": {
        "account_id": account,
        "asset_id": asset,
        "pagination_meta": _page,
    },
    "get_transactions": {"tx_hashes": _hashes},
    "get_account_assets": {"account_id": account, "pagination_meta": _page},
    "get_account_detail": {
        "account_id": account,
        "key": detail_key,
        "pagination_meta": _page,
    },
    "get_asset_info": {"asset_id": asset},
    "get_role_permissions": {"role_id": role},
    "get_pending_transactions": {"pagination_meta": _page},
    "get_block": {"height": _height},
}
_ALWAYS = {"get_account_transactions", "get_account_asset_transactions"}  # have pages


def question_fault(query: ask.Query.Payload) -> str | None:
    """What is wrong with the question itself, or None; an unknown kind has no rules."""
    kind = query.WhichOneof("query")
    if kind is None:
        return None
    body = getattr(query, kind)
    wrong = []
    for field, check in _FIELDS.get(kind, {}).items():
        optional = body.DESCRIPTOR.fields_by_name[field].has_presence and kind not in _ALWAYS
        if optional and not body.HasField(field):
            continue
        fault = check(getattr(body, field))
        wrong += [fault] if fault else []
    return nested(type(body).__name__, children=wrong) if wrong else None


def query_fault(
    meta: ask.QueryPayloadMeta,
    signature: primitive_pb2.Signature,
    signed: bytes,
    now_ms: int,
    *,
    ursa: bool,
) -> str | None:
    """Why a query is not even looked at, or None."""
    counter = None if meta.query_counter else "Counter should be > 0, passed value: 0"
    faults = [
        account(meta.creator_account_id),
        created_time_fault(meta.created_time, now_ms),
        counter and nested("Counter", [counter]),
    ]
    wrong = [it for it in faults if it]
    parts = [nested("Query", children=wrong)] if wrong else []
    fault = signatures_fault([signature], signed, ursa=ursa)
    parts += [fault] if fault else []
    return nested("SignedData", children=parts) if parts else None
