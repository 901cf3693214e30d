"""Starting and stopping: several peers of one chain, each on its own port, in one process.

`serve` is for tests and for `ussd-sim up`; `python -m sim.ledger` is the same as a process. A peer
that stops loses its memory as if it had crashed; its port and its key stay its own.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc.aio
from google.protobuf.json_format import ParseDict, ParseError

from ledger_client.keys import SigningKey
from ledger_client.proto.block_pb2 import Block
from sim.ledger.chain import Chain, Settings
from sim.ledger.face import Face, Honest, Misbehaviour, Veil
from sim.ledger.genesis import BadGenesis
from sim.ledger.peer import Peer
from sim.ledger.rounds import Rounds
from sim.ledger.store import Store
from sim.ledger.wire import OPTIONS, Wire, handlers

HOST = "127.0.0.1"
GRACE_S = 0.2


class PortTaken(Exception):
    """Somebody else listens there already."""


def system_ms() -> int:
    """Milliseconds since 1970 by the machine's clock."""
    return time.time_ns() // 1_000_000


class PeerServer:
    """One running peer: where it listens, who it is, and what a test does to it."""

    def __init__(self, peer: Peer, rounds: Rounds) -> None:
        self.port = 0
        self._peer = peer
        self._rounds = rounds
        self._server: grpc.aio.Server | None = None
        self._manners: tuple[Misbehaviour, ...] = ()
        self._face: Face = Honest(peer)
        self._cut_off = False

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def key(self) -> SigningKey:
        return self._peer.key

    @property
    def runs(self) -> bool:
        """Does it listen? Not before `start`, nor after `stop`."""
        return self._server is not None

    @property
    def height(self) -> int:
        """How far it has heard of the chain."""
        return self._peer.height

    def misbehave(self, *manners: Misbehaviour) -> None:
        """From the next call on be like this, the first nearest the truth; nothing: be honest."""
        self._manners = manners
        face: Face = Honest(self._peer)
        for how in manners:
            face = Veil(face, how)
        self._face = face
        self._peer.clock = self._clock

    def pause(self) -> None:
        """Cut it off from its fellows: it answers calls, decides nothing, hears of no block."""
        self._cut_off = True
        self._peer.connected = False

    def resume(self) -> None:
        """Let it hear its fellows again, beginning with the blocks it missed."""
        self._cut_off = False
        if self._server:
            self._peer.connected = True
            if self._peer.chain.names(self.key):
                self._rounds.catch_up(self._peer)

    async def stop(self) -> None:
        """Crash: the port closes, and what it had in memory is lost."""
        server, self._server = self._server, None
        self._peer.connected = False
        if server:
            await server.stop(GRACE_S)
        self._peer.forget()

    async def restart(self) -> None:
        """Come back on the same port, with an empty memory and the whole chain."""
        await self.stop()
        await self.start(self.port)

    async def start(self, port: int) -> None:
        """Listen; port 0 takes a free one. Raises `PortTaken`."""
        server = grpc.aio.server(options=OPTIONS)
        server.add_generic_rpc_handlers(handlers(Wire(lambda: self._face)))
        try:
            self.port = server.add_insecure_port(f"{HOST}:{port}")
        except RuntimeError:
            raise PortTaken(f"port {port} of {HOST} is taken") from None
        await server.start()
        self._server = server
        self.misbehave(*self._manners)  # a restart also forgets which queries were asked
        self._peer.forget()
        self._peer.connected = not self._cut_off

    def _clock(self) -> int:
        now_ms = self._peer.chain.now_ms()
        for how in self._manners:
            now_ms = how.clock(now_ms)
        return now_ms


class LedgerServer:
    """A running network: `peers` of one `chain`. With one peer it is simply that peer."""

    def __init__(self, chain: Chain, keys: Sequence[SigningKey]) -> None:
        self.chain = chain
        full = asyncio.Event()
        rounds = Rounds(chain, full)
        rounds.peers = [Peer(chain, number, key, full.set) for number, key in enumerate(keys)]
        self.peers = [PeerServer(peer, rounds) for peer in rounds.peers]
        self._rounds = rounds
        self._running: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The first peer's."""
        return self.peers[0].port

    @property
    def address(self) -> str:
        """The first peer's."""
        return self.peers[0].address

    @property
    def addresses(self) -> list[str]:
        return [peer.address for peer in self.peers]

    def pause(self) -> None:
        """Answer calls, but decide nothing: a network without its quorum."""
        for peer in self.peers:
            peer.pause()

    def resume(self) -> None:
        """Decide again, beginning with what arrived meanwhile."""
        for peer in self.peers:
            peer.resume()

    async def round(self) -> int | None:
        """Hold a round now; the height of the block it made, if any transaction waited."""
        return await self._rounds.round()

    async def start(self, port: int) -> None:
        """Listen on `port` and those above it, one for each peer; 0 takes free ones."""
        for offset, peer in enumerate(self.peers):
            await peer.start(port + offset if port else 0)
        self._rounds.check_reach()
        self._running = asyncio.create_task(self._rounds.run(), name="ledger-rounds")

    async def failure(self) -> None:
        """Wait for as long as it runs; raises what ended it, such as a full disk."""
        if self._running:
            await asyncio.shield(self._running)

    async def stop(self) -> None:
        """Close ports and files; what was not in a block is lost."""
        await asyncio.gather(*(peer.stop() for peer in self.peers))
        if self._running:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        self.chain.close()


async def serve(
    folder: Path,
    genesis: Mapping[str, Any],
    *peer_keys: SigningKey,
    port: int = 0,
    settings: Settings | None = None,
    now_ms: Callable[[], int] = system_ms,
) -> LedgerServer:
    """Start one peer on loopback for each key; their ledger is kept in `folder`.

    `genesis` is the first block in Iroha's own JSON form and names every key. The peers listen on
    `port` and the ports after it; 0 takes free ones. Raises `BadGenesis` and `PortTaken`.
    """
    try:
        block = ParseDict(dict(genesis), Block())
    except ParseError as error:
        raise BadGenesis(f"the genesis block is not in Iroha's JSON form: {error}") from None
    store = Store(folder)
    try:
        chain = Chain(store, block, peer_keys, now_ms, settings or Settings())
    except BaseException:
        store.close()
        raise
    server = LedgerServer(chain, peer_keys)
    try:
        await server.start(port)
    except PortTaken:
        await server.stop()
        raise
    return server
