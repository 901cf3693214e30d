"""Moving every sealed key to the newest key-encryption key, without anybody's PIN.

Only the outer layer is replaced: of wallets, of keys that wait to become a wallet's, and of the key
that proves movements. May run beside working gateways and be cut off anywhere: each row changes
only while its sealed key is the one that was re-wrapped, so a PIN changed meanwhile wins, and the
next pass finds what is left. A KEK version may be deleted once no row names it.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from sqlalchemy import Column, ColumnElement, Connection, Table, func, select, true, update

from gateway.stores.sql import Sql
from gateway.stores.tables import ChainKey, Replacement, Wallet, table_of
from gateway.vault import DoesNotOpen, Sealed, Vault

PAGE: Final = 256


class Home(NamedTuple):
    """A table that holds sealed keys: what identifies its rows, and which of them hold one."""

    table: Table
    id: "Column[str]"
    holds: ColumnElement[bool]


_WALLET, _REPLACEMENT = table_of(Wallet), table_of(Replacement)
_CHAIN_KEY = table_of(ChainKey)
# A wallet whose key is lost with a database holds none. A replacement that failed may be in a
# block all the same; only what is done holds no key.
HOMES: Final = (
    Home(_WALLET, _WALLET.c.account_id, _WALLET.c.sealed_key != b""),
    Home(_REPLACEMENT, _REPLACEMENT.c.tx_hash, _REPLACEMENT.c.state != "done"),
    Home(_CHAIN_KEY, _CHAIN_KEY.c.account_id, true()),
)


class Rotated(NamedTuple):
    """How many keys were moved, and whose could not be: damaged, or their KEK version lost."""

    moved: int
    stuck: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Keys of one home, after this id, that an older version than `newest` has sealed."""

    home: Home
    after: str
    newest: int


class Found(NamedTuple):
    """A sealed key where it lies."""

    id: str
    account_id: str
    sealed: Sealed


@dataclass(frozen=True, slots=True)
class Rewrapped:
    """One key before and after."""

    home: Home
    id: str
    old: Sealed = field(repr=False)
    new: Sealed = field(repr=False)


async def rotate(
    sql: Sql, vault: Vault, told: Callable[[int], None] = lambda _moved: None
) -> Rotated:
    """Re-wrap every key that an older version has sealed. `told` hears how many so far.

    Pass after pass until one moves nothing: others seal keys meanwhile, perhaps not yet with the
    newest version.
    """
    moved = 0
    while True:
        before, stuck = moved, list[str]()
        for home in HOMES:
            async for page in _pages(sql, home, vault.kek_version):
                done = []
                for found in page:
                    try:
                        new = vault.rewrap(found.account_id, found.sealed)
                        done.append(Rewrapped(home, found.id, found.sealed, new))
                    except DoesNotOpen:
                        stuck.append(found.account_id)
                moved += sum(await sql.run(replace_outer, done))
                told(moved)
        if moved == before:
            return Rotated(moved, tuple(stuck))


async def _pages(sql: Sql, home: Home, newest: int) -> AsyncIterator[Sequence[Found]]:
    after = ""
    while True:
        (page,) = await sql.run(read_page, [Page(home, after, newest)], only_reads=True)
        if not page:
            return
        yield page
        after = page[-1].id


def count_older(connection: Connection, items: Sequence[int]) -> Sequence[int]:
    """How many keys older versions than each of these have sealed."""
    return [
        sum(
            connection.execute(
                select(func.count()).where(home.holds, home.table.c.kek_version < newest)
            ).scalar_one()
            for home in HOMES
        )
        for newest in items
    ]


def read_page(connection: Connection, items: Sequence[Page]) -> Sequence[Sequence[Found]]:
    """One page for each item, in order of ids."""
    columns = ("account_id", "key_version", "kek_version", "salt", "sealed_key")
    return [
        [
            Found(row_id, account_id, Sealed(*sealed))
            for row_id, account_id, *sealed in connection.execute(
                select(item.home.id.label("id"), *(item.home.table.c[name] for name in columns))
                .where(item.home.id > item.after, item.home.holds)
                .where(item.home.table.c.kek_version < item.newest)
                .order_by(item.home.id)
                .limit(PAGE)
            )
        ]
        for item in items
    ]


def replace_outer(connection: Connection, items: Sequence[Rewrapped]) -> Sequence[bool]:
    """Put the new outer layers where the old ones still are; which were put."""
    return [
        connection.execute(
            update(item.home.table)
            .where(item.home.id == item.id, item.home.table.c.sealed_key == item.old.blob)
            .values(sealed_key=item.new.blob, kek_version=item.new.kek_version)
        ).rowcount
        == 1
        for item in items
    ]
