"""`ussd-gateway serve | migrate | keys | kek | ledger | recover | reconcile | seed | settings`.

Parses, prints and chooses exit codes; the work is done elsewhere. Errors an operator can mend are
one line that names the setting; anything else keeps its traceback.
"""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from gateway import ledger_commands, recovery_commands
from gateway.commands import explained, read_settings
from gateway.config import rows

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="USSD and SMS gateway for digital-currency wallets. Settings: `ussd-gateway settings`.",
)
kek = typer.Typer(
    no_args_is_help=True,
    help="Rotate the key-encryption key: `kek add`, the file to every host, `kek reseal`.",
)
app.add_typer(kek, name="kek")
app.add_typer(ledger_commands.app, name="ledger")
app.add_typer(recovery_commands.app, name="recover")
INTRODUCTION = (
    "Environment variables, or keys of the TOML file that `GATEWAY_CONFIG` names (lower case, "
    "without `GATEWAY_`). The environment wins. Generated from `config.py` by "
    "`ussd-gateway settings-page > gateway/SETTINGS.md`."
)


@app.command()
def serve() -> None:
    """Answer carriers until stopped (Ctrl-C or SIGTERM), then finish what was begun."""
    from gateway.serve import serve_forever  # noqa: PLC0415  # other commands start faster without

    with explained():
        settings = read_settings()
        settings.check_for_serving()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve_forever(settings))


@app.command()
def migrate() -> None:
    """Bring the database to this release's schema; harmless when it is there already."""
    from gateway.stores.migrate import migrate as bring  # noqa: PLC0415

    with explained():
        settings = read_settings(least="warning")  # the line below says it all
        typer.echo(f"database at revision {bring(settings.database_url)}")


@app.command()
def keys(
    folder: Annotated[Path, typer.Argument(help="where the key files go; made when missing")],
) -> None:
    """Make the key files that are missing, mode 0600; existing ones are left alone.

    Beside each NAME.key lies NAME.pub, which may be given to others: `ledger genesis` needs no
    more. recoverer_second.key signs with recoverer.key whenever a wallet's key is replaced for a
    forgotten PIN: move it to another host, to be kept by another person, and leave its .pub here.
    """
    from gateway.clock import system_entropy  # noqa: PLC0415
    from gateway.key_files import make_key_files  # noqa: PLC0415

    with explained():
        made = make_key_files(folder, system_entropy)
        typer.echo(next(made, f"{folder} has every key already: each is kept, none was made"))
        for line in made:
            typer.echo(line)


@kek.command()
def add() -> None:
    """Add a version to GATEWAY_KEK_FILE. Older ones stay: what they sealed must be opened.

    What is sealed from now on is sealed by it, in each process that has met it. So with gateways
    on several hosts, copy the file to each of them at once.
    """
    from gateway.clock import system_entropy  # noqa: PLC0415
    from gateway.kek import Kek  # noqa: PLC0415

    with explained():
        file = read_settings(least="warning").kek_file
        newest = Kek.add_version(file, system_entropy).newest
        typer.echo(f"added version {newest} to {file}: keep a copy apart from the database's")
        typer.echo("next: the same file on every host, then `ussd-gateway kek reseal`")


@kek.command()
def reseal() -> None:
    """Move every wallet's key to the newest version. No PIN is needed, and gateways may run.

    A gateway that meets a version it does not know reads its GATEWAY_KEK_FILE again: until a host
    has the new file, it cannot open keys that were moved. Cut off anywhere, run it again.

    Run it again a day later, too. If it finds nothing to move then, older versions may be deleted
    from the file, on every host: conversations and SMS codes they sealed are over.
    """
    from gateway.rekey import rekey  # noqa: PLC0415

    with explained():
        asyncio.run(rekey(read_settings(least="warning"), typer.echo))


@app.command()
def reconcile(
    *,
    with_ledger: Annotated[
        bool,
        typer.Option("--ledger/--no-ledger", help="also the ledger's blocks, balances and keys"),
    ] = True,
) -> None:
    """Compare every row of money with its movements, and with the ledger. Gateways may run.

    Each holding, counter, payment and receipt with the chain of movements that led to it; each
    movement with the ledger's blocks; each wallet's balance and key with the ledger's account. The
    exit code is 0 when all is as it should be, 1 when a row drifts, and 2 when not all could be
    compared: RECONCILIATION.md says what then. Nothing is changed.
    """
    from gateway.reconcile import reconcile as compare  # noqa: PLC0415

    with explained():
        try:
            settings = read_settings(least="error")
            as_it_should_be = asyncio.run(compare(settings, typer.echo, with_ledger=with_ledger))
        except KeyboardInterrupt:
            typer.echo("stopped before the end; nothing was changed", err=True)
            raise typer.Exit(130) from None
    if not as_it_should_be:
        raise typer.Exit(2 if as_it_should_be is None else 1)


@app.command()
def seed(
    people: Annotated[Path, typer.Argument(help="TOML file of people to start with")],
) -> None:
    """Open wallets for invented people and pay them from the treasury (development only)."""
    from gateway.serve import seed_people  # noqa: PLC0415

    with explained():
        asyncio.run(seed_people(read_settings(), people))


@app.command()
def settings() -> None:
    """List every setting with its default and meaning."""
    for name, default, text in rows():
        typer.echo(f"{name}{'=' + default if default else ''}\n    {text}")


def settings_page() -> str:
    """The same list as the Markdown page `SETTINGS.md`."""
    lines = [
        "# Settings",
        "",
        INTRODUCTION,
        "",
        "| setting | default | meaning |",
        "|---|---|---|",
        *(f"| `{name}` | {_code(default)} | {text} |" for name, default, text in rows()),
        "",
    ]
    return "\n".join(lines)


@app.command(hidden=True, name="settings-page")
def print_settings_page() -> None:
    """Print `SETTINGS.md` anew."""
    typer.echo(settings_page(), nl=False)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def main() -> None:
    """Entry point."""
    app()


if __name__ == "__main__":
    main()
