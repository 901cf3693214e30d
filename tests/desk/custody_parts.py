"""Wallets with cheap PINs on a real store, for the tests of custody."""

from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any

from clocks import FakeClock, seeded
from sqlalchemy import Connection, Table, delete, insert, select, update
from sqlmodel import SQLModel

from gateway.desk.journal import Journal
from gateway.desk.pins import PinGuard
from gateway.desk.spraying import Budget
from gateway.desk.times import to_ms
from gateway.kek import Kek
from gateway.meters import Meters
from gateway.origin import Origin
from gateway.stores.sql import Sql, StoreUnavailable
from gateway.stores.tables import Attempt, Message, Subscriber, Wallet, table_of
from gateway.vault import Cost, Vault
from ledger_client.keys import SigningKey
from menus.kinds import Msisdn, Pin
from menus.text.load import load_texts

LEAST = Cost(passes=1, kib=8)
PIN, OTHER = Pin("730264"), Pin("519348")
DARA = Msisdn("+85512345601")
ACCOUNT = "85512345601@bank"
TEXTS = load_texts()

WALLET, ATTEMPT = table_of(Wallet), table_of(Attempt)
MESSAGE, SUBSCRIBER = table_of(Message), table_of(Subscriber)


def make_vault(executor: Executor | None = None, seed: str = "vault", **settings: int) -> Vault:
    kek = Kek({1: b"k" * 32})
    return Vault(kek, seeded(seed), executor, cost=LEAST, **settings)


def make_journal(seed: str = "journal") -> Journal:
    return Journal(make_vault(seed=f"{seed}/vault"), seeded(seed))


def make_guard(
    sql: Sql,
    clock: FakeClock,
    vault: Vault | None = None,
    *,
    wrong_pins: int = 1000,
    meters: Meters | None = None,
) -> PinGuard:
    return PinGuard(
        sql,
        vault or make_vault(),
        clock,
        TEXTS,
        meters=meters or Meters(),
        budget=Budget(wrong_pins),
    )


def origin(
    turn: int = 0, *, msisdn: Msisdn = DARA, session: str = "s1", deadline: float = 3.0
) -> Origin:
    return Origin(msisdn, "ussd", "africastalking", session, turn, deadline)


async def make_wallet(sql: Sql, number: Msisdn = DARA, **changes: Any) -> SigningKey:
    """An open wallet whose PIN is `PIN`; its signing key."""
    account = f"{number.e164[1:]}@bank"
    vault = make_vault(seed=account)
    key = SigningKey.generate(seeded(f"key/{account}"))
    sealed = vault.seal(account, 1, key.seed, await vault.derive(PIN))
    row = {
        "account_id": account,
        "msisdn": number.e164,
        "name": "Sok Dara",
        "tier": "basic",
        "role": "subscriber",
        "till": None,
        "dollars": False,
        "state": "open",
        "public_key": key.public_key,
        "key_version": sealed.key_version,
        "kek_version": sealed.kek_version,
        "salt": sealed.salt,
        "sealed_key": sealed.blob,
        "wrong_pins": 0,
        "locked_until": 0,
        "opened_at": 0,
        **changes,
    }

    def add(connection: Connection, _items: Sequence[None]) -> Sequence[None]:
        connection.execute(insert(WALLET), [row])
        return [None]

    await sql.run(add, [None])
    return key


async def rows(sql: Sql, table: Table, **where: Any) -> list[dict[str, Any]]:
    def read(connection: Connection, _items: Sequence[None]) -> Sequence[list[dict[str, Any]]]:
        statement = select(table).where(*(table.c[name] == value for name, value in where.items()))
        return [[dict(row._mapping) for row in connection.execute(statement)]]

    return (await sql.run(read, [None]))[0]


async def change(sql: Sql, table: Table, **values: Any) -> None:
    """Set columns of every row, as an operator or a thief might."""

    def write(connection: Connection, _items: Sequence[None]) -> Sequence[None]:
        connection.execute(update(table).values(values))
        return [None]

    await sql.run(write, [None])


async def begin_anew(sql: Sql) -> None:
    """Delete every row."""

    def write(connection: Connection, _items: Sequence[None]) -> Sequence[None]:
        for table in SQLModel.metadata.sorted_tables:
            connection.execute(delete(table))
        return [None]

    await sql.run(write, [None])


async def only(sql: Sql, table: Table, **where: Any) -> dict[str, Any]:
    (row,) = await rows(sql, table, **where)
    return row


def ms(clock: FakeClock, minutes: float = 0) -> int:
    return to_ms(clock.now()) + round(minutes * 60_000)


class DyingSql:
    """A store whose process dies at the n-th operation, before or after its commit."""

    def __init__(self, sql: Sql, at: int, *, after_commit: bool) -> None:
        self._sql, self._at, self._after = sql, at, after_commit

    async def run(self, operation, items, *, timeout_s=None, only_reads=False):  # noqa: ARG002 - the seam's shape
        self._at -= 1
        if self._at < 0 or (self._at == 0 and not self._after):
            raise StoreUnavailable("died")
        results = await self._sql.run(operation, items)
        if self._at == 0:
            raise StoreUnavailable("died", maybe_committed=True)
        return results

    async def close(self) -> None:
        pass
