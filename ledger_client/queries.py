"""Questions to a peer: signed, and never twice the same.

A peer refuses a query whose bytes it has seen. Several gateway processes ask in the name of one
account, perhaps in the same millisecond, so the counter starts at a random place in each.
"""

import itertools
from collections.abc import Callable
from typing import Final

from google.protobuf.message import Message

from ledger_client.keys import SigningKey
from ledger_client.ledger import QueryRefused
from ledger_client.peers import Peer, PeerTrouble
from ledger_client.proto import primitive_pb2, qry_responses_pb2, queries_pb2

_COUNTER_BYTES: Final = 7  # leaves room to count in 64 bits
_INTERNAL: Final = 1  # of PostgreSQL's queries
_INTERNAL_FROM: Final = 1000  # of RocksDB's: an exception is 1001, a failed read 1010
_ANSWERS: Final = {
    "get_account": "account_response",
    "get_account_assets": "account_assets_response",
    "get_asset_info": "asset_response",
    "get_block": "block_response",
    "get_peers": "peers_response",
    "get_role_permissions": "role_permissions_response",
    "get_signatories": "signatories_response",
}
_Error = qry_responses_pb2.ErrorResponse


async def answer(
    peer: Peer, query: queries_pb2.Query, *, deadline_s: float
) -> qry_responses_pb2.QueryResponse:
    """One peer's answer. Raises `QueryRefused`, or `PeerTrouble` when another may know better.

    A peer whose database is away answers with nothing in it: that is no empty list.
    """
    reply = await peer.find(query, timeout=deadline_s)
    if reply is None:  # what gRPC makes of bytes that cannot be parsed
        raise PeerTrouble("unreadable reply")
    told, asked = reply.WhichOneof("response"), query.payload.WhichOneof("query")
    if told == "error_response":
        raise _refusal(reply.error_response)
    if asked is None or told != _ANSWERS[asked]:
        raise PeerTrouble(f"no answer to {asked}: {told}")
    return reply


def _refusal(error: _Error) -> QueryRefused | PeerTrouble:
    if error.reason not in _Error.Reason.values():
        return PeerTrouble(f"unknown error {error.reason}: {error.message}")
    code, stateful = error.error_code, error.reason == _Error.STATEFUL_INVALID
    if stateful and (code == _INTERNAL or code >= _INTERNAL_FROM):
        return PeerTrouble(f"internal error {code}: {error.message}")
    return QueryRefused(_Error.Reason.Name(error.reason), code, error.message)


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
        return self.dated(self._now_ms(), **question)

    def dated(self, created_time: int, /, **question: Message) -> queries_pb2.Query:
        """Ask it with another time than now."""
        meta = self._meta(created_time)
        payload = queries_pb2.Query.Payload(meta=meta, **question)  # type: ignore[arg-type]
        return queries_pb2.Query(payload=payload, signature=self._sign(payload))

    def blocks(self) -> queries_pb2.BlocksQuery:
        """Ask for the stream of new blocks; here the signature covers the meta alone."""
        meta = self._meta(self._now_ms())
        return queries_pb2.BlocksQuery(meta=meta, signature=self._sign(meta))

    def _meta(self, created_time: int) -> queries_pb2.QueryPayloadMeta:
        return queries_pb2.QueryPayloadMeta(
            created_time=created_time,
            creator_account_id=self._account_id,
            query_counter=next(self._counter),
        )

    def _sign(self, message: Message) -> primitive_pb2.Signature:
        signature = self._key.sign(message.SerializeToString(deterministic=True))
        return primitive_pb2.Signature(public_key=self._key.public_key, signature=signature.hex())
