"""`python -m sim.ledger`: the development ledger as a process, until Ctrl-C or SIGTERM."""

import asyncio
import gc
import json
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop

from ledger_client.keys import SigningKey, load_key
from ledger_client.ledger import LedgerError
from sim.ledger import BadGenesis, PortTaken, Settings, serve
from sim.ledger.orders import take_orders
from sim.ledger.refusals import Profile


def main(
    data: Annotated[Path, typer.Option(help="Folder of the ledger's database; made if missing.")],
    genesis: Annotated[Path, typer.Option(help="First block, in Iroha's JSON form.")],
    peer_key: Annotated[
        list[Path],
        typer.Option(metavar="FILE", help="Key that signs blocks, raw form; one for each peer."),
    ],
    *,
    port: Annotated[
        int, typer.Option(help="Port on 127.0.0.1, the first of several; 0 takes free ones.")
    ] = 50051,
    block_ms: Annotated[int, typer.Option(min=1, help="Milliseconds between rounds.")] = 200,
    block_most: Annotated[int, typer.Option(min=1, help="Transactions per block.")] = 1000,
    profile: Annotated[Profile, typer.Option(help="Whose error codes to speak.")] = "rocksdb",
    orders: Annotated[
        bool, typer.Option("--orders", help="Take orders like `2 silent` on standard input.")
    ] = False,
    ursa: Annotated[bool, typer.Option(help="Take ed0120… keys too, unlike a stock peer.")] = False,
) -> None:
    """Run an Iroha 1.6 network for development: one peer, or several of one chain."""
    _collect_seldom()
    settings = Settings(block_ms=block_ms, block_most=block_most, profile=profile, ursa=ursa)
    try:
        block = json.loads(genesis.read_text())
        keys = [load_key(it) for it in peer_key]
        uvloop.run(_run(data, block, keys, port, settings, orders=orders))
    except PortTaken as error:
        sys.exit(f"{error}; choose another with --port")
    except BadGenesis as error:
        sys.exit(f"--genesis {genesis}: {error}")
    except (OSError, ValueError, LedgerError) as error:
        sys.exit(str(error))


def _collect_seldom() -> None:
    """A transfer leaves no cycles; looking for them often costs 7 % of it."""
    gc.freeze()
    gc.set_threshold(50_000)


async def _run(
    data: Path,
    genesis: dict[str, Any],
    keys: list[SigningKey],
    port: int,
    settings: Settings,
    *,
    orders: bool,
) -> None:
    server = await serve(data, genesis, *keys, port=port, settings=settings)
    where = ", ".join(server.addresses)
    sys.stdout.write(f"development ledger on {where}, height {server.chain.height}\n")
    sys.stdout.flush()
    asked_to_stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, asked_to_stop.set)
    stopping = asyncio.create_task(asked_to_stop.wait())
    failing = asyncio.create_task(server.failure())
    obeying = asyncio.create_task(take_orders(server)) if orders else None
    try:
        await asyncio.wait((stopping, failing), return_when=asyncio.FIRST_COMPLETED)
        if failing.done():
            failing.result()
    finally:
        stopping.cancel()
        failing.cancel()
        if obeying:
            obeying.cancel()
        await server.stop()


if __name__ == "__main__":
    typer.run(main)
