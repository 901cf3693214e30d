"""Questions to a peer: signed, and never twice the same.

A peer refuses a query whose bytes it has seen. Several gateway processes ask in the name of one
account, perhaps in the same millisecond, so the counter starts at a random place in each.
"""

import itertools
from collections.abc import Callable

from google.protobuf.message import Message

from ledger_client.keys import SigningKey
from ledger_client.proto import primitive_pb2, queries_pb2

_COUNTER_BYTES = 7  # leaves room to count in 64 bits


class Questions:
    """Builds queries in the name of one account."""

    def __init__(
        self,
        account_id: str,
        key: SigningKey,
        now_ms: Callable[[], int],
        entropy: Callable[[int], bytes],
    ) -> None:
        self._account_id = account_id
        self._key = key
        self._now_ms = now_ms
        first = int.from_bytes(entropy(_COUNTER_BYTES), "big") + 1  # a peer refuses zero
        self._counter = itertools.count(first)

    def query(self, **question: Message) -> queries_pb2.Query:
        """Ask one thing, named as in the schema: `query(get_block=GetBlock(height=1))`."""
        payload = queries_pb2.Query.Payload(meta=self._meta(), **question)  # type: ignore[arg-type]
        return queries_pb2.Query(payload=payload, signature=self._sign(payload))

    def blocks(self) -> queries_pb2.BlocksQuery:
        """Ask for the stream of new blocks; here the signature covers the meta alone."""
        meta = self._meta()
        return queries_pb2.BlocksQuery(meta=meta, signature=self._sign(meta))

    def _meta(self) -> queries_pb2.QueryPayloadMeta:
        return queries_pb2.QueryPayloadMeta(
            created_time=self._now_ms(),
            creator_account_id=self._account_id,
            query_counter=next(self._counter),
        )

    def _sign(self, message: Message) -> primitive_pb2.Signature:
        signature = self._key.sign(message.SerializeToString(deterministic=True))
        return primitive_pb2.Signature(public_key=self._key.public_key, signature=signature.hex())
