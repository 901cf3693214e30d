"""The peers of one network: their channels, and fail-over.

The peers stand in a ring, in the order of the settings.

1. Every call goes to the current peer first, so calls, and the block stream, stay together.
2. When a call to it fails, the next in the ring is current from then on, and gets the same call.
   So the failed one is tried last: a dead peer costs one deadline, once, not one for each call.
3. A call is tried once with each peer; then the caller is told `LedgerUnreachable`. Nothing here
   retries, and nothing returns to a favourite: all peers of a ledger are equal.

Knows Iroha's method names and nothing of what is sent.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

import grpc
from google.protobuf.empty_pb2 import Empty

from ledger_client.ledger import LedgerUnreachable
from ledger_client.proto import endpoint_pb2, qry_responses_pb2, queries_pb2

T = TypeVar("T")

_COMMANDS: Final = "/iroha.protocol.CommandService_v1/"
_QUERIES: Final = "/iroha.protocol.QueryService_v1/"
_OPTIONS: Final = (
    # A peer that is back must be noticed in seconds; the library's own back-off grows to minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A peer sends blocks of any size, and anybody with an account can make a large one.
    ("grpc.max_receive_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),  # peers are ours, whatever the environment says of proxies
)


class PeerTrouble(Exception):
    """A peer answered what no healthy peer answers: try the next one."""


class Peer:
    """One peer and its methods."""

    def __init__(self, address: str, channel: grpc.aio.Channel) -> None:
        self.address = address
        self.channel = channel
        # Without a serialiser the bytes go as they are: exactly what was signed and stored.
        self.list_torii: grpc.aio.UnaryUnaryMultiCallable[bytes, Empty] = channel.unary_unary(
            _COMMANDS + "ListTorii",
            request_serializer=None,
            response_deserializer=Empty.FromString,
        )
        self.status = channel.unary_unary(
            _COMMANDS + "Status",
            request_serializer=endpoint_pb2.TxStatusRequest.SerializeToString,
            response_deserializer=endpoint_pb2.ToriiResponse.FromString,
        )
        self.status_stream = channel.unary_stream(
            _COMMANDS + "StatusStream",
            request_serializer=endpoint_pb2.TxStatusRequest.SerializeToString,
            response_deserializer=endpoint_pb2.ToriiResponse.FromString,
        )
        self.find = channel.unary_unary(
            _QUERIES + "Find",
            request_serializer=queries_pb2.Query.SerializeToString,
            response_deserializer=qry_responses_pb2.QueryResponse.FromString,
        )
        self.fetch_commits = channel.unary_stream(
            _QUERIES + "FetchCommits",
            request_serializer=queries_pb2.BlocksQuery.SerializeToString,
            response_deserializer=qry_responses_pb2.BlockQueryResponse.FromString,
        )
        self.healthcheck = channel.unary_unary(
            _QUERIES + "Healthcheck",
            request_serializer=Empty.SerializeToString,
            response_deserializer=qry_responses_pb2.HealthcheckData.FromString,
        )


class Peers:
    """All peers, in the order of the settings."""

    def __init__(self, addresses: Sequence[str], *, tls_ca: bytes | None) -> None:
        if not addresses:
            raise ValueError("a ledger client needs at least one peer")
        self._addresses = addresses
        self._tls_ca = tls_ca
        self._ring: list[Peer] = []
        self._current = 0
        self.closed = False

    def __len__(self) -> int:
        return len(self._addresses)

    def in_order(self) -> list[Peer]:
        """Every peer, the current one first."""
        if self.closed:
            raise LedgerUnreachable("the ledger client is closed")
        if not self._ring:  # not earlier: a channel belongs to the running event loop
            self._ring = [Peer(address, self._channel(address)) for address in self._addresses]
        return self._ring[self._current :] + self._ring[: self._current]

    async def ask(self, call: Callable[[Peer], Awaitable[T]], *, turn: int = 0) -> T:
        """Await `call` with one peer after another until one answers; `turn` begins further on."""
        reasons = []
        order = self.in_order()
        first = turn % len(order)
        for peer in order[first:] + order[:first]:
            try:
                return await call(peer)
            except (grpc.aio.AioRpcError, PeerTrouble) as error:
                self.leave(peer)
                reasons.append(reason(peer, error))
            except asyncio.CancelledError:
                if self._is_cancelled():
                    raise
            if self.closed:
                raise LedgerUnreachable("the ledger client was closed")
        raise LedgerUnreachable("; ".join(reasons))

    def leave(self, peer: Peer) -> None:
        """Go on to the next peer, unless somebody already did."""
        if self._ring[self._current] is peer:
            self._current = (self._current + 1) % len(self._ring)

    async def close(self) -> None:
        """Close every channel; calls under way end at once."""
        self.closed = True
        for peer in self._ring:
            await peer.channel.close()

    def _is_cancelled(self) -> bool:
        """Is it our task that is cancelled? Closing a channel cancels its calls likewise."""
        task = asyncio.current_task()
        return not self.closed or (task is not None and task.cancelling() > 0)

    def _channel(self, address: str) -> grpc.aio.Channel:
        if self._tls_ca is None:
            return grpc.aio.insecure_channel(address, options=_OPTIONS)
        credentials = grpc.ssl_channel_credentials(root_certificates=self._tls_ca)
        return grpc.aio.secure_channel(address, credentials, options=_OPTIONS)


def reason(peer: Peer, error: grpc.aio.AioRpcError | PeerTrouble) -> str:
    """Say what went wrong with which peer, for an operator."""
    if isinstance(error, grpc.aio.AioRpcError):
        return f"{peer.address}: {error.code().name} {error.details() or ''}".strip()
    return f"{peer.address}: {error}"
