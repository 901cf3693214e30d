"""Signed questions: who asks, and whether they are heard at all.

A query is refused without a look when it is malformed or asked twice with the same bytes; then by
signature, then by permission, then by what is asked for (`answers`). A kind of query that this
ledger does not know is answered `NOT_SUPPORTED`, as a peer does.
"""

from collections.abc import Callable
from hashlib import sha3_256
from typing import Any

from ledger_client.proto import primitive_pb2 as may
from ledger_client.proto import qry_responses_pb2 as pb
from ledger_client.proto import queries_pb2 as ask
from sim.ledger.answering import BAD_PAGE, NoAnswer, Unreadable
from sim.ledger.answers import Answers
from sim.ledger.peer import Peer
from sim.ledger.query_rules import query_fault, question_fault
from sim.ledger.world import Account

BAD_SIGNATURE = 3
REMEMBERED = 100_000  # hashes of queries, the oldest forgotten first

_Error = pb.ErrorResponse


class Desk:
    """Where one peer answers queries."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._answers = Answers(peer)
        self._asked: dict[bytes, None] = {}

    def answer(self, query: ask.Query) -> pb.QueryResponse | bytes:
        """The answer, or the error that is one, or bytes that no client can read."""
        payload = query.payload.SerializeToString()
        query_hash = sha3_256(payload).digest()
        try:
            response = self._find(query, payload, query_hash)
        except NoAnswer as no:
            response = pb.QueryResponse(
                error_response=_Error(reason=no.reason, message=no.message, error_code=no.code)
            )
        except Unreadable as unreadable:
            return _garbled(unreadable.tx_hash, query_hash)
        response.query_hash = query_hash.hex()
        return response

    def _find(self, query: ask.Query, payload: bytes, query_hash: bytes) -> pb.QueryResponse:
        if query_hash in self._asked:
            raise NoAnswer(_Error.STATELESS_INVALID)
        self._check(query.payload.meta, query, payload)
        fault = question_fault(query.payload)
        if fault:
            raise NoAnswer(_Error.STATELESS_INVALID, fault)
        self._remember(query_hash)
        creator = self._signed_by(query.payload.meta, query)
        kind = query.payload.WhichOneof("query")
        find = _ANSWERS.get(kind or "")
        if find is None:
            raise NoAnswer(_Error.NOT_SUPPORTED, f"unsupported query: {kind}")
        return find(self._answers, creator, getattr(query.payload, str(kind)))

    def refuse_follower(self, query: ask.BlocksQuery) -> str | None:
        """Why this asker gets no stream of blocks, or None."""
        try:
            self._check(query.meta, query, query.meta.SerializeToString())
            self._answers.need(self._signed_by(query.meta, query), may.can_get_blocks)
        except NoAnswer as no:
            return no.message
        return None

    def _check(
        self, meta: ask.QueryPayloadMeta, query: ask.Query | ask.BlocksQuery, signed: bytes
    ) -> None:
        ursa = self._peer.chain.settings.ursa
        fault = query_fault(meta, query.signature, signed, self._peer.clock(), ursa=ursa)
        if fault:
            raise NoAnswer(_Error.STATELESS_INVALID, fault)

    def _remember(self, query_hash: bytes) -> None:
        self._asked[query_hash] = None
        if len(self._asked) > REMEMBERED:
            del self._asked[next(iter(self._asked))]

    def _signed_by(self, meta: ask.QueryPayloadMeta, query: ask.Query | ask.BlocksQuery) -> Account:
        creator = self._peer.chain.world.accounts[meta.creator_account_id]
        if creator is None or query.signature.public_key.lower() not in creator.signatories:
            raise NoAnswer(
                _Error.STATEFUL_INVALID, "query signatories did not pass validation", BAD_SIGNATURE
            )
        return creator


def _garbled(tx_hash: bytes, query_hash: bytes) -> bytes:
    """An error whose text holds the raw bytes of a hash, as no protobuf library would write it."""
    room = "?" * len(tx_hash)
    error = _Error(reason=_Error.STATEFUL_INVALID, message=f"Hash: [{room}]", error_code=BAD_PAGE)
    response = pb.QueryResponse(error_response=error, query_hash=query_hash.hex())
    return response.SerializeToString().replace(room.encode(), tx_hash)


_ANSWERS: dict[str, Callable[[Answers, Account, Any], pb.QueryResponse]] = {
    field.name: getattr(Answers, field.name)
    for field in ask.Query.Payload.DESCRIPTOR.fields
    if hasattr(Answers, field.name)
}
