"""`ussd-gateway recover begin | sign | finish`: a new key for an owner who has lost the PIN.

Three steps of two people on two hosts. Parses, shows and asks; the work is done in
`desk.recovery`, what a signer is shown comes from `desk.recovery_request`. `sign` needs neither
settings nor a database, for the second signer's host has none.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gateway.commands import explained, read_settings

if TYPE_CHECKING:
    from gateway.config import Settings
    from gateway.desk.recovery import Recovery
    from gateway.desk.recovery_request import Request
    from ledger_client.keys import SigningKey
    from ledger_client.ledger import Ledger

app = typer.Typer(
    no_args_is_help=True,
    help="Replace a wallet's key for its owner: `begin`, then `sign` by another person on another "
    "host, then `finish`, all within 23 hours. The owner chooses a PIN at the next dial.",
)
BECAUSE = {"forgotten": "the PIN is forgotten", "theft": "key or PIN may be stolen"}
KeyFile = Annotated[Path, typer.Option(help="your own key of recoverer@<bank>")]


@app.command()
def begin(
    out: Annotated[Path, typer.Argument(metavar="OUT.json", help="must not exist yet")],
    number: Annotated[str, typer.Option(help="whose wallet, like +85512345678")],
    key_file: KeyFile,
    reason: Annotated[Literal["forgotten", "theft"], typer.Option()] = "forgotten",
) -> None:
    """Ask for a new key, with the first signature. Nothing has changed for the wallet yet.

    The ledger is asked which keys the wallet has there: all of them are to go.
    OUT.json holds no secret; carry it to the second person. It is good for 23 hours.
    """
    from gateway.desk.recovery_request import RecoveryError  # noqa: PLC0415  # as in __main__
    from ledger_client.keys import load_key  # noqa: PLC0415
    from menus.kinds import Msisdn  # noqa: PLC0415

    async def ask(msisdn: Msisdn) -> "Request":
        key = load_key(key_file)
        settings = read_settings(least="warning")
        async with _recovery(settings) as recovery, _ledger(settings, key) as ledger:
            return await recovery.begin(msisdn, reason, key, ledger)

    with explained():
        whose = Msisdn.read(number)
        if not isinstance(whose, Msisdn):
            raise RecoveryError("--number: a mobile number like +85512345678")
        if out.exists():
            raise RecoveryError(f"{out} exists and is not overwritten")
        request = asyncio.run(ask(whose))
        _write(out, request)
        _show(request)
        typer.echo(f"wrote {out}; next: `ussd-gateway recover sign {out.name}` on another host")


@app.command()
def sign(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="what `recover begin` wrote")],
    out: Annotated[Path, typer.Argument(metavar="OUT.json", help="must not exist yet")],
    key_file: KeyFile,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Show what is asked for, and add the second signature. Needs no database and no settings.

    You answer for it: look at the owner's papers yourself.
    """
    from gateway.clock import SystemClock  # noqa: PLC0415
    from ledger_client.keys import load_key  # noqa: PLC0415

    with explained():
        now = SystemClock().now()
        request = _read(file)
        request.check_time(now)
        _show(request)
        if not yes:
            typer.confirm("Have you seen the owner's papers yourself, and do you sign?", abort=True)
        _write(out, request.signed_by(load_key(key_file), now))
        typer.echo(f"wrote {out}; next: `ussd-gateway recover finish` on the first host")


@app.command()
def finish(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="what `recover sign` wrote")],
) -> None:
    """Prove both signatures and hand the request to the gateways. Running it again is harmless.

    At most GATEWAY_RECOVERIES_PER_DAY wallets a day.
    """

    async def hand_over(request: "Request") -> None:
        async with _recovery(read_settings(least="warning")) as recovery:
            await recovery.finish(request)

    with explained():
        request = _read(file)
        asyncio.run(hand_over(request))
        typer.echo(
            "handed over: a running gateway sends it at once, and an SMS tells the owner to dial "
            "and choose a PIN. Until a block holds it the old key stays as it is"
        )


@asynccontextmanager
async def _recovery(settings: "Settings") -> AsyncIterator["Recovery"]:
    """The room itself, on the database of the settings."""
    from gateway.clock import SystemClock, system_entropy  # noqa: PLC0415
    from gateway.desk.journal import Journal  # noqa: PLC0415
    from gateway.desk.recovery import Recovery  # noqa: PLC0415
    from gateway.kek import Kek  # noqa: PLC0415
    from gateway.serve import require_schema  # noqa: PLC0415
    from gateway.stores.runners import open_sql  # noqa: PLC0415
    from gateway.vault import Vault  # noqa: PLC0415

    require_schema(settings)
    vault = Vault(Kek.load(settings.kek_file), system_entropy, None)
    sql = open_sql(settings.database_url, threads=1)
    try:
        yield Recovery(
            sql,
            vault,
            settings.bank_domain,
            per_day=settings.recoveries_per_day,
            journal=Journal(vault, system_entropy),
            clock=SystemClock(),
            entropy=system_entropy,
        )
    finally:
        await sql.close()


@asynccontextmanager
async def _ledger(settings: "Settings", key: "SigningKey") -> AsyncIterator["Ledger"]:
    """The network of the settings, asked in the recoverer's name."""
    from gateway.app import ledger_of  # noqa: PLC0415

    ledger = ledger_of(settings, "recoverer", key)
    try:
        yield ledger
    finally:
        await ledger.close()


def _read(file: Path) -> "Request":
    from gateway.desk.recovery_request import Request  # noqa: PLC0415

    return Request.read(file.read_text(encoding="utf-8"))


def _write(file: Path, request: "Request") -> None:
    """For its owner only: it says who has lost a PIN."""
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as content:
        content.write(request.text())


def _show(request: "Request") -> None:
    """Say what is asked for, in words; all but the reason is read from what is signed."""
    from menus.kinds import shown_time  # noqa: PLC0415

    number = request.account_id.partition("@")[0].partition("_")[0]
    signers = " and ".join(f"{key[:16]}…" for key in request.signers)
    asked, until = shown_time(request.asked_at), shown_time(request.good_until)
    for name, value in (
        ("wallet", f"{request.account_id}, phone number +{number}"),
        ("because", BECAUSE[request.reason]),
        ("asked at", f"{asked}, good until {until}"),
        ("signed by", f"{signers}, of the 2 keys that {request.recoverer} needs"),
        *(("old key", f"{key}, of no use afterwards") for key in request.old_keys),
        ("new key", f"{request.new_key}, without a PIN until the owner chooses one"),
    ):
        typer.echo(f"{name:>9}  {value}")
