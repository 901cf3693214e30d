"""Stored transactions into the bodies of `ListTorii` calls, byte for byte.

A call's body is a protobuf list of transactions, so stored bytes are framed, never parsed and
written again: what was signed is what travels. A batch is never cut between two calls, because
a peer drops a batch of which a member is missing.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

from google.protobuf.message import DecodeError

from ledger_client.ledger import InvalidTransaction
from ledger_client.proto.transaction_pb2 import Transaction

_MEMBER = b"\x0a"  # field 1, length-delimited: `transactions` of TxList


def calls(transactions: Sequence[bytes], *, most: int) -> Iterator[bytes]:
    """Yield bodies of about `most` transactions each, whole batches together."""
    body, count = bytearray(), 0
    for _, group in groupby(transactions, key=_batch):
        members = list(group)
        if count and count + len(members) > most:
            yield bytes(body)
            body, count = bytearray(), 0
        for member in members:
            body += _MEMBER + _varint(len(member)) + member
        count += len(members)
    if count:
        yield bytes(body)


def _batch(transaction: bytes) -> object:
    """Equal for members of one batch, and for them only."""
    try:
        payload = Transaction.FromString(transaction).payload
    except DecodeError:
        raise InvalidTransaction("these bytes are no transaction") from None
    return tuple(payload.batch.reduced_hashes) or transaction


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
