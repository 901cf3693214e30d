"""What all commands of `ussd-gateway` share: reading the settings, and refusing in one line.

An error that an operator can mend is one line that names the setting, and exit code 2; anything
else keeps its traceback. No command lives here.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

from gateway import logs
from gateway.config import PREFIX, Settings, SettingsError, load_settings, unknown_variables


def read_settings(*, least: str | None = None) -> Settings:
    """Read the settings and set up logs by them; `least` is the least level logged instead."""
    settings = load_settings()
    logs.set_up(least or settings.log_level)
    for name, hint in unknown_variables().items():
        logs.get("settings").warning("unknown setting", name=name, hint=hint)
    return settings


@contextmanager
def explained() -> Iterator[None]:
    """One line each, and exit code 2, for what an operator can mend."""
    try:
        yield
    except SettingsError as error:
        refuse(*str(error).splitlines())
    except OSError as error:
        refuse(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except Exception as error:
        reason = _mendable(error)
        if reason is None:
            raise
        refuse(reason)


def _mendable(error: Exception) -> str | None:
    """Tell how, or None for a fault of ours. Commands that go well start faster without these."""
    from gateway.desk.journal import ChainKeyLost, ChainKeySealed  # noqa: PLC0415
    from gateway.stores.sessions import SessionsUnavailable  # noqa: PLC0415
    from gateway.stores.sql import StoreUnavailable  # noqa: PLC0415
    from ledger_client.ledger import LedgerError, QueryRefused  # noqa: PLC0415
    from menus.text.load import TextError  # noqa: PLC0415

    match error:
        case ChainKeySealed():
            return f"{PREFIX}KEK_FILE does not open this database's chain key"
        case ChainKeyLost():
            return "the database has movements, and not their key: bring back its row of chain_key"
        case StoreUnavailable():
            return _of_database(error)
        case QueryRefused():
            asked = f"is {PREFIX}OPENER_KEY_FILE a key that this ledger knows?"
            return f"{error}; {asked} `ussd-gateway ledger check` tells"
        case SessionsUnavailable() | LedgerError() | TextError() | ValueError():
            return str(error)
        case _:
            return None


def refuse(*reasons: str) -> NoReturn:
    """Say why, a line each, and end."""
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
