"""Orders for a running ledger: one line each on standard input, such as `2 silent`.

So a developer sees what a gateway does when a peer dies or lies. The pipe belongs to whoever
started the process, and nobody else can order anything.
"""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from sim.ledger.face import Misbehaviour
from sim.ledger.lies import ForgedSignature
from sim.ledger.misbehaviour import ForgetsCommits, Silent, Slow
from sim.ledger.server import LedgerServer, PeerServer, PortTaken
from sim.manners import Manner

SLOW_MS: Final = 2000
_FAULTS: Final[Mapping[Manner, Sequence[Misbehaviour]]] = {
    Manner.SLOW: (Slow(SLOW_MS),),
    Manner.SILENT: (Silent(),),
    Manner.LYING: (ForgedSignature(), ForgetsCommits()),
}


class BadOrder(ValueError):
    """Not an order, or not one for this ledger."""


async def obey(server: LedgerServer, line: str) -> None:
    """Carry out one order; raises `BadOrder`, or `PortTaken` when a peer cannot come back."""
    try:
        number, manner = line.split()
        at, become = int(number), Manner(manner)
    except ValueError:
        raise BadOrder(f"an order is a peer's number and one of {', '.join(Manner)}") from None
    if not 1 <= at <= len(server.peers):
        raise BadOrder(f"there are {len(server.peers)} peers, counted from 1")
    await _become(server.peers[at - 1], become)


async def _become(peer: PeerServer, manner: Manner) -> None:
    peer.misbehave(*_FAULTS.get(manner, ()))
    if manner is Manner.STOPPED:
        await peer.stop()
    elif not peer.runs:
        await peer.restart()


async def take_orders(server: LedgerServer) -> None:
    """Obey standard input until it ends; what came of each order is told on standard output."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    while line := (await reader.readline()).decode(errors="replace").strip():
        try:
            await obey(server, line)
            sys.stdout.write(f"peer {line}\n")
        except (BadOrder, PortTaken) as error:
            sys.stdout.write(f"{line}: {error}\n")
        sys.stdout.flush()
