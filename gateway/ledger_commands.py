"""`ussd-gateway ledger genesis | key | check`: a network begun, and a network looked at.

Parses and chooses exit codes; the work is done in `ledger_genesis` and `ledger_check`, which are
imported when they are needed: other commands start faster without.
"""

import asyncio
from pathlib import Path
from typing import Annotated, Final

import typer

from gateway.commands import explained, read_settings
from gateway.config import PREFIX
from ledger_client.roles import ISSUER, network_page

app = typer.Typer(
    no_args_is_help=True,
    help="Begin a network, or see what an existing one lacks. Neither needs a database.",
)

# A paragraph is one line, or the help would be shown with these line ends.
GENESIS_HELP: Final = f"""\
Write the first block of a new network, as irohad's --genesis_block takes it.

It makes riel and dollars, {ISSUER}, and for every bank its domain, accounts and roles: who may do \
what is in ledger_client/NETWORK.md. It holds public keys only. A KEY is 64 hex digits, or ed0120 \
and 64, or a file NAME.pub that holds them; of a secret NAME.key, or NAME.priv, it takes the \
public half.

For instance, two banks on four peers. Everybody makes keys at home and gives away the .pub files:

\b
  ussd-gateway keys mekong             # at each bank: five keys
  ussd-gateway ledger key issuer.key   # at the central bank
  ussd-gateway ledger key node1.key    # at each peer

\b
  ussd-gateway ledger genesis genesis.json --issuer issuer.pub \\
    --bank mekong=mekong/ --bank tonle=tonle/ \\
    --peer 192.0.2.1:10001=node1.pub --peer 192.0.2.2:10001=node2.pub \\
    --peer 192.0.2.3:10001=node3.pub --peer 192.0.2.4:10001=node4.pub

Every peer begins with the same file, and every gateway pins it: {PREFIX}LEDGER_GENESIS_FILE.
"""


@app.command(help=GENESIS_HELP)
def genesis(
    out: Annotated[Path, typer.Argument(metavar="OUT.json", help="must not exist yet")],
    bank: Annotated[
        list[str],
        typer.Option(
            metavar="DOMAIN=DIR",
            help="a member bank, and the folder with the .pub files of its keys",
        ),
    ],
    peer: Annotated[
        list[str],
        typer.Option(
            metavar="HOST:PORT=KEY",
            help="a peer: where the other peers reach it (10001 as a rule; not Torii's 50051), "
            "and the public key that it signs blocks with",
        ),
    ],
    issuer: Annotated[
        str, typer.Option(metavar="KEY", help=f"public key of {ISSUER}, the central bank")
    ],
    fund: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CURRENCY=AMOUNT",
            help=f"money that each treasury begins with, like khr=1000000; without it {ISSUER} "
            "mints later",
        ),
    ] = None,
) -> None:
    """Write a network's first block; see `GENESIS_HELP`."""
    from gateway.ledger_genesis import begin  # noqa: PLC0415

    with explained():
        begin(out, bank, peer, issuer, fund or ())


@app.command()
def key(
    file: Annotated[Path, typer.Argument(metavar="NAME.key", help="must not exist yet")],
) -> None:
    """Make one more key, of an issuer or a peer, with its public half beside it as NAME.pub."""
    from gateway.clock import system_entropy  # noqa: PLC0415
    from gateway.key_files import make_key_pair  # noqa: PLC0415

    with explained():
        typer.echo(f"made {file}, public key {make_key_pair(file, system_entropy)}")


@app.command()
def check(
    *,
    probe: Annotated[
        bool, typer.Option("--probe", help="also send one harmless transaction, and time it")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="for machines")] = False,
) -> None:
    """Look at the network that the settings name, and say what a gateway would lack on it.

    ✓ it is so. ✗ it is not, and below is what to do. ? it cannot be found out from here. The exit
    code is 1 when there is any ✗. Nothing is changed; only --probe writes something: the time, as
    a detail of the opener's own account.
    """
    from gateway.ledger_check import is_fit, look, machine_readable  # noqa: PLC0415

    with explained():
        settings = read_settings(least="error")
        findings = asyncio.run(look(settings, probe=probe, shown=not as_json))
    if as_json:
        typer.echo(machine_readable(findings))
    if not is_fit(findings):
        raise typer.Exit(1)


@app.command(hidden=True, name="network-page")
def print_network_page() -> None:
    """Print `NETWORK.md` anew."""
    typer.echo(network_page(), nl=False)
