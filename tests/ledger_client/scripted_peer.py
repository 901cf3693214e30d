"""A peer that plays a script over real gRPC: for what a healthy peer never does.

It answers from `blocks`, `statuses` and `replies`, and counts what it was asked.
`deaf` makes it take calls and never answer; `streams` are what it says on each new block stream.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import cache
from hashlib import sha3_256
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty

from ledger_client.keys import SigningKey
from ledger_client.proto import endpoint_pb2, qry_responses_pb2, queries_pb2
from ledger_client.proto.block_pb2 import Block

UNREADABLE = b"\x0a\x05\xff"  # cut in the middle of a field
ENDS, BREAKS = "ends", "breaks"


def block(height: int, *signers: SigningKey, **payload: Any) -> Block:
    """The block of a height in the one plain chain of these tests, signed by `signers`."""
    before = {"prev_block_hash": hash_at(height - 1)} if height > 1 else {}
    told = {"height": height, "created_time": 1000 + height, **before, **payload}
    made = Block(block_v1={"payload": told})
    signed = made.block_v1.payload.SerializeToString()
    for key in signers:
        made.block_v1.signatures.add(public_key=key.public_key, signature=key.sign(signed).hex())
    return made


@cache
def hash_at(height: int) -> str:
    return sha3_256(block(height).block_v1.payload.SerializeToString()).hexdigest()


def refusal(reason: str, code: int, message: str = "") -> qry_responses_pb2.QueryResponse:
    error = qry_responses_pb2.ErrorResponse(reason=reason, error_code=code, message=message)
    return qry_responses_pb2.QueryResponse(error_response=error)


def _written(message: Any) -> bytes:
    return message if isinstance(message, bytes) else message.SerializeToString()


class ScriptedPeer:
    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.statuses: dict[str, endpoint_pb2.ToriiResponse] = {}
        self.replies: list[Any] = []  # to the next queries; then from `blocks`
        self.courses: list[list[Any]] = []  # what each next status stream says; then it waits
        self.deaf = False
        self.takes_s = 0.0  # to answer a query
        self.refuses = False
        self.health: Any = qry_responses_pb2.HealthcheckData(is_healthy=True)
        self.sent: list[bytes] = []
        self.queries: list[queries_pb2.Query] = []
        self.listeners: list[asyncio.Queue] = []
        self.asked: dict[str, int] = {}
        self.address = ""

    def tell(self, *what: Any) -> None:
        """Say this on every open block stream: blocks, raw answers, ENDS or BREAKS."""
        for listener in self.listeners:
            for each in what:
                listener.put_nowait(each)

    def commit(self, *blocks: Block) -> None:
        self.blocks += blocks
        self.tell(*blocks)

    async def start(self, address: str = "127.0.0.1:0", credentials: Any = None) -> None:
        self.server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        handlers = {
            "ListTorii": (self._list, lambda body: body),
            "Status": (self._status, endpoint_pb2.TxStatusRequest.FromString),
            "Find": (self._find, queries_pb2.Query.FromString),
            "Healthcheck": (self._health, Empty.FromString),
        }
        for service, names in (
            ("CommandService_v1", ("ListTorii", "Status", "StatusStream")),
            ("QueryService_v1", ("Find", "Healthcheck", "FetchCommits")),
        ):
            methods: dict[str, Any] = {}
            for name in names:
                if name == "StatusStream":
                    methods[name] = grpc.unary_stream_rpc_method_handler(
                        self._watch, endpoint_pb2.TxStatusRequest.FromString, _written
                    )
                    continue
                if name == "FetchCommits":
                    methods[name] = grpc.unary_stream_rpc_method_handler(
                        self._fetch, queries_pb2.BlocksQuery.FromString, _written
                    )
                    continue
                method, read = handlers[name]
                methods[name] = grpc.unary_unary_rpc_method_handler(
                    self._counted(name, method), read, _written
                )
            handler = grpc.method_handlers_generic_handler(f"iroha.protocol.{service}", methods)
            self.server.add_generic_rpc_handlers([handler])
        if credentials is None:
            port = self.server.add_insecure_port(address)
        else:
            port = self.server.add_secure_port(address, credentials)
        self.address = f"127.0.0.1:{port}"
        await self.server.start()

    async def stop(self) -> None:
        self.tell(BREAKS)
        await self.server.stop(None)

    def _counted(self, name: str, method: Callable) -> Callable:
        async def call(request: Any, context: grpc.aio.ServicerContext) -> Any:
            self.asked[name] = self.asked.get(name, 0) + 1
            if self.deaf:
                await asyncio.Event().wait()
            if self.refuses:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
            return await method(request, context)

        return call

    async def _list(self, body: bytes, _: Any) -> Empty:
        self.sent.append(body)
        return Empty()

    async def _status(self, request: endpoint_pb2.TxStatusRequest, _: Any) -> Any:
        unknown = endpoint_pb2.ToriiResponse(tx_status="NOT_RECEIVED", tx_hash=request.tx_hash)
        return self.statuses.get(request.tx_hash, unknown)

    async def _find(self, query: queries_pb2.Query, _: Any) -> Any:
        self.queries.append(query)
        await asyncio.sleep(self.takes_s)
        if self.replies:
            return self.replies.pop(0)
        height = query.payload.get_block.height
        for each in self.blocks:
            if each.block_v1.payload.height == height:
                return qry_responses_pb2.QueryResponse(block_response={"block": each})
        return refusal("STATEFUL_INVALID", 3, "no such height")

    async def _health(self, _: Empty, context: grpc.aio.ServicerContext) -> Any:
        if isinstance(self.health, grpc.StatusCode):
            await context.abort(self.health, "no such method")
        return self.health

    async def _watch(self, _: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
        if self.refuses:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        for what in self.courses.pop(0) if self.courses else ():
            if what == ENDS:
                return
            yield what
        await asyncio.Event().wait()

    async def _fetch(self, _: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
        self.asked["FetchCommits"] = self.asked.get("FetchCommits", 0) + 1
        listener: asyncio.Queue = asyncio.Queue()
        self.listeners.append(listener)
        try:
            while (what := await listener.get()) != ENDS:
                if what == BREAKS:
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
                if isinstance(what, Block):
                    what = qry_responses_pb2.BlockQueryResponse(block_response={"block": what})
                yield what
        finally:
            self.listeners.remove(listener)
