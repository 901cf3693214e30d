"""What every world begins with: people, their wallets and money, limits, settings, a database.

Made once for a process and shared by all its worlds, since it is the same in each.
"""

import contextlib
import functools
import gc
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

import pytest
import structlog
from histories import DECIMALS, Sum
from short_way import ShortWay
from sqlalchemy import Connection, StaticPool, create_engine, insert
from sqlmodel import SQLModel
from virtual_time import VirtualLoop

from gateway import app, sender, vault
from gateway.config import Settings
from gateway.desk import outbox, returns
from gateway.desk.journal import Journal
from gateway.kek import Kek
from gateway.key_files import make_key_files
from gateway.stores.engines import open_engine
from gateway.stores.migrate import migrate
from gateway.stores.tables import Holding, Listing, Subscriber, Wallet, table_of
from gateway.vault import Cost, Vault
from ledger_client.keys import SigningKey
from menus.kinds import Pin


@dataclass(frozen=True, slots=True)
class Person:
    """A number with a wallet: its PIN, and what is in it at the start."""

    number: str
    pin: str
    riel: int
    cents: int = 0  # dollars are switched on where there are some

    @property
    def account(self) -> str:
        return f"{self.number[1:]}@bank"

    @property
    def local(self) -> str:
        return f"0{self.number[4:]}"


PEOPLE = (
    Person("+85512345601", "730264", 9_000),
    Person("+85512345602", "519348", 3_300),
    Person("+85512345603", "846153", 14_000, 11_000),
)
# Without a wallet, until they open one or somebody pays them.
STRANGERS = (
    Person("+85512345606", "284617", 0),
    Person("+85512345607", "617395", 0),
)
ELSEWHERE = Person("+85512345609", "", 0)  # with a wallet at another bank
GIVER = "giver@wing"
IDLE_S = 4.0  # an outbox that is not poked looks so often what others have left …
SENDER_IDLE_S = 15.0  # … and a sender
SWEEP_S = 4.0  # and who looks for unclaimed money looks more often, so that he meets its owner
# So little that a few payments reach every one of them; in riel, and as many cents.
CAPS = {
    "least": 100,
    "most": 4_000,
    "day": 4_500,
    "month": 8_000,
    "count_per_day": 4,
    "held": 16_000,
    "sms_most": 2_000,
}
# Of wallets that nobody has claimed: how much they are sent, and when it goes back; and how many
# of them one sender may have made in a day.
UNCLAIMED = {"most": 3_000, "held": 5_000, "days": 1, "wallets": 1}
UNCLAIMED_CAPS = {**CAPS, "most": UNCLAIMED["most"], "held": UNCLAIMED["held"]}
# What each process reads of its files, and never changes; and what the same PIN comes to.
SAME = (
    *((app, "load_texts"), (app, "load_limits"), (app, "load_key"), (Kek, "load")),
    (vault, "_argon2"),
)
Held = dict[tuple[str, str], int]
"""Minor units by account and asset."""


def opening() -> Held:
    """What the ledger holds at the start."""
    return {
        **{(person.account, "khr#nbc"): person.riel for person in PEOPLE},
        **{(person.account, "usd#nbc"): person.cents for person in PEOPLE if person.cents},
        (GIVER, "khr#nbc"): 1_000_000,
    }


@cache
def settings() -> Settings:
    """Of every gateway process."""
    folder = _folder()
    return Settings(
        env="development",
        callback_secret="faults",
        opener_key_file=folder / "keys" / "opener.key",
        kek_file=folder / "keys" / "kek.toml",
        limits_file=folder / "limits.toml",
        member_banks=("wing=Wing",),
        unclaimed_days=UNCLAIMED["days"],
        unclaimed_wallets_per_day=UNCLAIMED["wallets"],
        argon2_ops=1,
        argon2_mib=1,
    )


def journal() -> Journal:
    """Of a world's movements, read by nobody who lives in it."""
    chance = Random("audit").randbytes
    return Journal(Vault(Kek.load(settings().kek_file), chance, None, cost=Cost(1, 8)), chance)


class Database:
    """Real SQLite in memory, on one connection that stays open; `run_once` works on it.

    Shared by all worlds, since it remembers how each statement is written.
    """

    def __init__(self) -> None:
        how = {"isolation_level": None, "check_same_thread": False, "cached_statements": 512}
        engine = create_engine("sqlite://", poolclass=StaticPool, connect_args=how)
        self._kept = ShortWay(engine)
        self.driver = self._kept.driver
        _template().backup(self.driver)
        self.driver.execute("PRAGMA foreign_keys=ON")
        self._first_rows = list(self._read_first_rows())

    def connect(self) -> "Database":
        return self

    def __enter__(self) -> Connection:
        return self._kept

    def __exit__(self, *_: object) -> None:
        self._kept.rollback()

    def begin_anew(self) -> None:
        """As it is at the start of every world.

        Row by row: after a copy of the whole, or a pragma, SQLite prepares all statements anew.
        """
        self.driver.execute("BEGIN")
        for table in reversed(SQLModel.metadata.sorted_tables):
            self.driver.execute(f"DELETE FROM {table.name}")  # noqa: S608 - our own
        for said, rows in self._first_rows:
            self.driver.executemany(said, rows)
        self.driver.commit()

    def copied(self) -> Callable[[], None]:
        """Copy all of it; what is given back puts the copy in its place."""
        copy = sqlite3.connect(":memory:")
        self.driver.backup(copy)

        def put_back() -> None:
            with contextlib.closing(copy):
                copy.backup(self.driver)

        return put_back

    def _read_first_rows(self) -> Iterator[tuple[str, list[tuple]]]:
        for table in SQLModel.metadata.sorted_tables:
            rows = self.driver.execute(f"SELECT * FROM {table.name}").fetchall()  # noqa: S608 - our own
            if rows:
                marks = ", ".join("?" for _ in rows[0])
                yield f"INSERT INTO {table.name} VALUES ({marks})", rows  # noqa: S608 - likewise


@cache
def database() -> Database:
    """The one of this process."""
    made = Database()
    gc.collect()
    gc.freeze()  # what all worlds share need not be looked through for garbage again
    return made


@contextlib.contextmanager
def thrift():
    """Thousands of worlds are dear: no logs, nothing read or derived twice, fewer idle looks."""
    logs = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    try:
        with pytest.MonkeyPatch.context() as patch:
            for room, name in SAME:
                patch.setattr(room, name, _kept(getattr(room, name)))
            patch.setattr(outbox, "IDLE_S", IDLE_S)
            patch.setattr(sender, "IDLE_S", SENDER_IDLE_S)
            patch.setattr(returns, "EVERY_S", SWEEP_S)
            yield
    finally:
        structlog.configure(**logs)


@cache
def _kept(answer):
    return functools.cache(answer)


@cache
def _folder() -> Path:
    kept = tempfile.TemporaryDirectory(prefix="ussd-faults-")
    _folder.kept = kept  # until this process ends
    folder = Path(kept.name)
    for _ in make_key_files(folder / "keys", Random("keys").randbytes):
        pass
    (folder / "limits.toml").write_text(
        "\n".join(
            f"[{tier}.{currency}]\n{_limits(caps, currency)}"
            for tier, caps in (("basic", CAPS), ("unclaimed", UNCLAIMED_CAPS))
            for currency in DECIMALS
        )
    )
    return folder


def _limits(caps: dict[str, int], currency: str) -> str:
    counts = {"count_per_day": str(caps["count_per_day"])}
    written = {name: f'"{Sum(cap, currency).typed}"' for name, cap in caps.items()} | counts
    return "".join(f"{name} = {cap}\n" for name, cap in written.items())


@cache
def _template() -> sqlite3.Connection:
    """A migrated database with everybody's wallet in it."""
    path = _folder() / "template.db"
    with thrift():
        migrate(f"sqlite:///{path}")
    rows = [(table_of(model), row) for person in PEOPLE for model, row in _rows(person)]
    elsewhere = {"bank": "wing", "account_id": f"{ELSEWHERE.number[1:]}@wing"}
    rows.append((table_of(Listing), {"msisdn": ELSEWHERE.number, **elsewhere}))
    rows += [(table_of(Subscriber), {"msisdn": one.number, "language": "en"}) for one in STRANGERS]
    engine = open_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        for table, row in rows:
            connection.execute(insert(table), [row])
    engine.dispose()
    template = sqlite3.connect(":memory:")
    with contextlib.closing(sqlite3.connect(path)) as source:
        source.backup(template)
    return template


def _rows(person: Person):
    chance = Random(person.number)
    vault = Vault(Kek.load(settings().kek_file), chance.randbytes, None, cost=Cost(1, 8))
    key = SigningKey.generate(chance.randbytes)
    under = _at_once(vault.derive(Pin(person.pin)))
    sealed = vault.seal(person.account, 1, key.seed, under)
    yield (
        Wallet,
        {
            "account_id": person.account,
            "msisdn": person.number,
            "name": "Sok Dara",
            "state": "open",
            "public_key": key.public_key,
            "key_version": 1,
            "kek_version": sealed.kek_version,
            "salt": sealed.salt,
            "sealed_key": sealed.blob,
            "dollars": bool(person.cents),
        },
    )
    yield Subscriber, {"msisdn": person.number, "language": "en"}
    for currency, minor in (("KHR", person.riel), ("USD", person.cents)):
        yield Holding, {"account_id": person.account, "currency": currency, "settled": minor}


def _at_once(coroutine):
    """The result of a coroutine that waits for nothing."""
    with contextlib.closing(VirtualLoop(Random(0))) as loop:
        return loop.run_until_complete(coroutine)
