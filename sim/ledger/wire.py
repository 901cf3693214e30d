"""Iroha's two gRPC services in front of a face.

The reply to a transaction is always empty, whatever was sent. Which face answers is looked up at
each call, so that a peer can change its manners while it runs.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import grpc
import grpc.aio
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from ledger_client.proto import endpoint_pb2, queries_pb2, transaction_pb2
from ledger_client.proto import qry_responses_pb2 as answers
from sim.ledger.face import CallRefused, Face
from sim.ledger.statuses import Status

_MESSAGE_BYTES = 64 * 1024 * 1024
OPTIONS = [
    ("grpc.so_reuseport", 0),  # else a second server would quietly share the port
    ("grpc.max_receive_message_length", _MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MESSAGE_BYTES),
]

_Context = grpc.aio.ServicerContext[Any, Any]


class Wire:
    """The methods of both services; `face` gives whoever answers now."""

    def __init__(self, face: Callable[[], Face]) -> None:
        self._face = face

    async def torii(self, request: transaction_pb2.Transaction, context: _Context) -> Empty:
        return await self._receive([request], context)

    async def list_torii(self, request: endpoint_pb2.TxList, context: _Context) -> Empty:
        return await self._receive(list(request.transactions), context)

    async def _receive(
        self, transactions: list[transaction_pb2.Transaction], context: _Context
    ) -> Empty:
        try:
            await self._face().receive(transactions)
        except CallRefused as refusal:
            await context.abort(refusal.code, refusal.said)
        return Empty()

    async def status(
        self, request: endpoint_pb2.TxStatusRequest, context: _Context
    ) -> endpoint_pb2.ToriiResponse:
        tx_hash = request.tx_hash.lower()
        try:
            return _told(await self._face().status(tx_hash))
        except CallRefused as refusal:
            await context.abort(refusal.code, refusal.said)
        except ValueError:  # no hexadecimal text: never received
            return _told(Status(tx_hash, endpoint_pb2.NOT_RECEIVED))

    async def status_stream(
        self, request: endpoint_pb2.TxStatusRequest, context: _Context
    ) -> AsyncIterator[endpoint_pb2.ToriiResponse]:
        try:
            async with aclosing(self._face().watch(request.tx_hash.lower())) as statuses:
                async for status in statuses:
                    yield _told(status)
        except CallRefused as refusal:
            await context.abort(refusal.code, refusal.said)
        except ValueError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "tx_hash is no hexadecimal text")

    async def find(
        self, request: queries_pb2.Query, context: _Context
    ) -> answers.QueryResponse | bytes:
        try:
            return await self._face().find(request)
        except CallRefused as refusal:
            await context.abort(refusal.code, refusal.said)

    async def fetch_commits(
        self, request: queries_pb2.BlocksQuery, context: _Context
    ) -> AsyncIterator[answers.BlockQueryResponse]:
        try:
            async with aclosing(self._face().commits(request)) as commits:
                async for commit in commits:
                    yield commit
        except CallRefused as refusal:
            await context.abort(refusal.code, refusal.said)

    async def healthcheck(self, _: Empty, context: _Context) -> answers.HealthcheckData:
        try:
            return await self._face().health()
        except CallRefused as refusal:
            await context.abort(refusal.code, refusal.said)


def _told(status: Status) -> endpoint_pb2.ToriiResponse:
    return endpoint_pb2.ToriiResponse(
        tx_status=status.kind,
        tx_hash=status.tx_hash,
        err_or_cmd_name=status.text,
        failed_cmd_index=status.command_index,
        error_code=status.code,
    )


def _written(message: Message | bytes) -> bytes:
    return message if isinstance(message, bytes) else message.SerializeToString()


def handlers(wire: Wire) -> list[grpc.GenericRpcHandler]:
    """Both services. Not the generated registration: one answer must be no message at all."""
    one, many = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
    services: dict[str, dict[str, grpc.RpcMethodHandler[Any, Any]]] = {
        "CommandService_v1": {
            "Torii": one(wire.torii, transaction_pb2.Transaction.FromString, _written),
            "ListTorii": one(wire.list_torii, endpoint_pb2.TxList.FromString, _written),
            "Status": one(wire.status, endpoint_pb2.TxStatusRequest.FromString, _written),
            "StatusStream": many(
                wire.status_stream, endpoint_pb2.TxStatusRequest.FromString, _written
            ),
        },
        "QueryService_v1": {
            "Find": one(wire.find, queries_pb2.Query.FromString, _written),
            "FetchCommits": many(wire.fetch_commits, queries_pb2.BlocksQuery.FromString, _written),
            "Healthcheck": one(wire.healthcheck, Empty.FromString, _written),
        },
    }
    return [
        grpc.method_handlers_generic_handler(f"iroha.protocol.{service}", methods)
        for service, methods in services.items()
    ]
