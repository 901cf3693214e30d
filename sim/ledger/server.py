"""Iroha's two gRPC services in front of one `Chain`, and starting and stopping them.

`serve` is for tests and for `ussd-sim up`; `python -m sim.ledger` is the same as a process. The
reply to a transaction is always empty, whatever was sent.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import grpc.aio
from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import ParseDict, ParseError

from ledger_client.keys import SigningKey
from ledger_client.proto import endpoint_pb2, endpoint_pb2_grpc, queries_pb2, transaction_pb2
from ledger_client.proto import qry_responses_pb2 as answers
from ledger_client.proto.block_pb2 import Block
from sim.ledger.chain import Chain, Settings
from sim.ledger.genesis import BadGenesis
from sim.ledger.queries import Desk
from sim.ledger.statuses import Status
from sim.ledger.store import Store

GRACE_S = 0.2
_MESSAGE_BYTES = 64 * 1024 * 1024
_OPTIONS = [
    ("grpc.so_reuseport", 0),  # else a second server would quietly share the port
    ("grpc.max_receive_message_length", _MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MESSAGE_BYTES),
]

_Context = grpc.aio.ServicerContext[Any, Any]


class PortTaken(Exception):
    """Somebody else listens there already."""


def system_ms() -> int:
    """Milliseconds since 1970 by the machine's clock."""
    return time.time_ns() // 1_000_000


class _Commands(endpoint_pb2_grpc.CommandService_v1Servicer):
    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    async def Torii(self, request: transaction_pb2.Transaction, _: _Context) -> Empty:  # noqa: N802
        await self._chain.receive([request])
        return Empty()

    async def ListTorii(self, request: endpoint_pb2.TxList, _: _Context) -> Empty:  # noqa: N802
        await self._chain.receive(request.transactions)
        return Empty()

    async def Status(  # noqa: N802
        self, request: endpoint_pb2.TxStatusRequest, _: _Context
    ) -> endpoint_pb2.ToriiResponse:
        tx_hash = request.tx_hash.lower()
        try:
            return _told(self._chain.statuses.of(tx_hash))
        except ValueError:  # no hexadecimal text: never received
            return _told(Status(tx_hash, endpoint_pb2.NOT_RECEIVED))

    async def StatusStream(  # noqa: N802
        self, request: endpoint_pb2.TxStatusRequest, context: _Context
    ) -> AsyncIterator[endpoint_pb2.ToriiResponse]:
        try:
            async with aclosing(self._chain.statuses.watch(request.tx_hash.lower())) as statuses:
                async for status in statuses:
                    yield _told(status)
        except ValueError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "tx_hash is no hexadecimal text")


def _told(status: Status) -> endpoint_pb2.ToriiResponse:
    return endpoint_pb2.ToriiResponse(
        tx_status=status.kind,
        tx_hash=status.tx_hash,
        err_or_cmd_name=status.text,
        failed_cmd_index=status.command_index,
        error_code=status.code,
    )


class _Queries(endpoint_pb2_grpc.QueryService_v1Servicer):
    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._desk = Desk(chain)

    async def Find(  # noqa: N802
        self, request: queries_pb2.Query, _: _Context
    ) -> answers.QueryResponse:
        return self._desk.answer(request)

    async def FetchCommits(  # noqa: N802
        self, request: queries_pb2.BlocksQuery, _: _Context
    ) -> AsyncIterator[answers.BlockQueryResponse]:
        refusal = self._desk.refuse_follower(request)
        if refusal is not None:
            error = answers.BlockErrorResponse(message=refusal)
            yield answers.BlockQueryResponse(block_error_response=error)
            return
        async with aclosing(self._chain.new_blocks()) as blocks:
            async for block in blocks:
                response = answers.BlockResponse(block=block)
                yield answers.BlockQueryResponse(block_response=response)

    async def Healthcheck(self, _: Empty, __: _Context) -> answers.HealthcheckData:  # noqa: N802
        return answers.HealthcheckData(
            is_healthy=True, is_syncing=False, last_block_height=self._chain.height
        )


class LedgerServer:
    """A running peer: `port` is where it listens, `chain` what it decides."""

    def __init__(self, chain: Chain, server: "grpc.aio.Server", port: int) -> None:
        self.chain = chain
        self.port = port
        self._server = server
        self._rounds = asyncio.create_task(chain.run(), name="ledger-rounds")

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def pause(self) -> None:
        """Answer calls, but decide nothing: a network without its quorum."""
        self.chain.pause()

    def resume(self) -> None:
        """Decide again, beginning with what arrived meanwhile."""
        self.chain.resume()

    async def round(self) -> int | None:
        """Hold a round now; the height of the block it made, if any transaction waited."""
        return await self.chain.round()

    async def failure(self) -> None:
        """Wait for as long as it runs; raises what ended it, such as a full disk."""
        await asyncio.shield(self._rounds)

    async def stop(self) -> None:
        """Close the port and the files; what was not in a block is lost."""
        await self._server.stop(GRACE_S)
        self._rounds.cancel()
        await asyncio.gather(self._rounds, return_exceptions=True)
        self.chain.close()


async def serve(
    folder: Path,
    genesis: Mapping[str, Any],
    peer_key: SigningKey,
    *,
    port: int = 0,
    settings: Settings | None = None,
    now_ms: Callable[[], int] = system_ms,
) -> LedgerServer:
    """Start a peer on loopback whose ledger is kept in `folder`; port 0 takes a free one.

    `genesis` is the first block in Iroha's own JSON form. Raises `BadGenesis` and `PortTaken`.
    """
    try:
        block = ParseDict(dict(genesis), Block())
    except ParseError as error:
        raise BadGenesis(f"the genesis block is not in Iroha's JSON form: {error}") from None
    store = Store(folder)
    try:
        chain = Chain(store, block, peer_key, now_ms, settings or Settings())
    except BaseException:
        store.close()
        raise
    server = grpc.aio.server(options=_OPTIONS)
    endpoint_pb2_grpc.add_CommandService_v1Servicer_to_server(_Commands(chain), server)  # type: ignore[no-untyped-call]
    endpoint_pb2_grpc.add_QueryService_v1Servicer_to_server(_Queries(chain), server)  # type: ignore[no-untyped-call]
    try:
        bound = server.add_insecure_port(f"127.0.0.1:{port}")
    except RuntimeError:
        chain.close()
        raise PortTaken(f"port {port} of 127.0.0.1 is taken") from None
    await server.start()
    return LedgerServer(chain, server, bound)
