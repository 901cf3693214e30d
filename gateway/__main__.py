"""The command line: `ussd-gateway serve | migrate | keys | seed | settings`.

Parses, prints and chooses exit codes; the work is done elsewhere. Errors an operator can mend are
one line that names the setting; anything else keeps its traceback.
"""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer
import uvloop

from gateway import logs
from gateway.config import (
    PREFIX,
    Settings,
    SettingsError,
    load_settings,
    rows,
    unknown_variables,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="USSD and SMS gateway for digital-currency wallets. Settings: `ussd-gateway settings`.",
)
INTRODUCTION = (
    "Environment variables, or keys of the TOML file that `GATEWAY_CONFIG` names (lower case, "
    "without `GATEWAY_`). The environment wins. Generated from `config.py` by "
    "`ussd-gateway settings-page > gateway/SETTINGS.md`."
)
BANK_ACCOUNTS = ("opener", "recoverer", "treasury", "settlement")


@app.command()
def serve() -> None:
    """Answer carriers until stopped (Ctrl-C or SIGTERM), then finish what was begun."""
    from gateway.serve import serve_forever  # noqa: PLC0415  # other commands start faster without

    with _explained():
        settings = _settings()
        settings.check_for_serving()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve_forever(settings))


@app.command()
def migrate() -> None:
    """Bring the database to this release's schema; harmless when it is there already."""
    from gateway.stores.migrate import migrate as bring  # noqa: PLC0415

    with _explained():
        settings = _settings(least="warning")  # the line below says it all
        typer.echo(f"database at revision {bring(settings.database_url)}")


@app.command()
def keys(
    folder: Annotated[Path, typer.Argument(help="where the key files go; made when missing")],
) -> None:
    """Make the key files that are missing, mode 0600; existing ones are left alone."""
    from gateway.clock import system_entropy  # noqa: PLC0415
    from gateway.kek import Kek  # noqa: PLC0415
    from ledger_client.keys import SigningKey, save_key  # noqa: PLC0415

    with _explained():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for account in BANK_ACCOUNTS:
            file = folder / f"{account}.key"
            if not file.exists():
                save_key(file, SigningKey.generate(system_entropy))
                typer.echo(f"made {file}")
        kek = folder / "kek.toml"
        if not kek.exists():
            Kek.create(kek, system_entropy)
            typer.echo(f"made {kek}: keep a copy of it apart from the database's backups")


@app.command()
def seed(
    people: Annotated[Path, typer.Argument(help="TOML file of people to start with")],
) -> None:
    """Open wallets for invented people and pay them from the treasury (development only)."""
    from gateway.serve import seed_people  # noqa: PLC0415

    with _explained():
        asyncio.run(seed_people(_settings(), people))


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


def _settings(*, least: str | None = None) -> Settings:
    settings = load_settings()
    logs.set_up(least or settings.log_level)
    for name in unknown_variables():
        logs.get("settings").warning("unknown setting", name=name)
    return settings


@contextmanager
def _explained() -> Iterator[None]:
    """One line each, and exit code 2, for what an operator can mend."""
    from gateway.stores.sessions import SessionsUnavailable  # noqa: PLC0415
    from gateway.stores.sql import StoreUnavailable  # noqa: PLC0415
    from ledger_client.ledger import LedgerError  # noqa: PLC0415
    from menus.text.load import TextError  # noqa: PLC0415

    try:
        yield
    except SettingsError as error:
        _refuse(*str(error).splitlines())
    except StoreUnavailable as error:
        _refuse(_of_database(error))
    except OSError as error:
        _refuse(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except (SessionsUnavailable, LedgerError, TextError, ValueError) as error:
        _refuse(str(error))


def _refuse(*reasons: str) -> NoReturn:
    for reason in reasons:
        typer.echo(f"ussd-gateway: {' '.join(reason.split())}", err=True)
    sys.exit(2)


def _of_database(error: Exception) -> str:
    """What the driver said first: no more, for what follows may quote a row."""
    driver: BaseException | None = getattr(error.__cause__, "orig", None)
    said = str(driver).strip().splitlines() if driver else []
    if not said:
        return str(error)
    return f"the database of {PREFIX}DATABASE_URL is not available: {said[0]}"


def main() -> None:
    """Entry point."""
    app()


if __name__ == "__main__":
    main()
