"""Moving every wallet to the newest key-encryption key, without anybody's PIN.

Only the outer layer is replaced. May run beside a working gateway and be cut off anywhere: each row
changes only while its sealed key is the one that was re-wrapped, so a PIN changed meanwhile wins,
and the next run finds what is left. A KEK version may be deleted once no row names it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from sqlalchemy import Connection, select, update

from gateway.stores.sql import Sql
from gateway.stores.tables import Wallet, table_of
from gateway.vault import DoesNotOpen, Sealed, Vault

PAGE: Final = 256
_WALLET = table_of(Wallet)


class Rotated(NamedTuple):
    """How many wallets were moved, and which could not be: damaged, or their KEK version lost."""

    moved: int
    stuck: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Wallets after this account that an older version than `newest` has sealed."""

    after: str
    newest: int


@dataclass(frozen=True, slots=True)
class Rewrapped:
    """One wallet's key before and after."""

    account_id: str
    old: Sealed = field(repr=False)
    new: Sealed = field(repr=False)


async def rotate(sql: Sql, vault: Vault) -> Rotated:
    """Re-wrap every wallet's key that an older version has sealed."""
    moved, after = 0, ""
    stuck: list[str] = []
    while True:
        (page,) = await sql.run(read_page, [Page(after, vault.kek_version)])
        if not page:
            return Rotated(moved, tuple(stuck))
        done = []
        for account_id, old in page:
            try:
                done.append(Rewrapped(account_id, old, vault.rewrap(account_id, old)))
            except DoesNotOpen:
                stuck.append(account_id)
        moved += sum(await sql.run(replace_outer, done))
        after = page[-1][0]


def read_page(
    connection: Connection, items: Sequence[Page]
) -> Sequence[Sequence[tuple[str, Sealed]]]:
    """One page for each item, in order of accounts."""
    columns = ("account_id", "key_version", "kek_version", "salt", "sealed_key")
    return [
        [
            (account_id, Sealed(*sealed))
            for account_id, *sealed in connection.execute(
                select(*(_WALLET.c[name] for name in columns))
                .where(_WALLET.c.account_id > item.after, _WALLET.c.kek_version < item.newest)
                .order_by(_WALLET.c.account_id)
                .limit(PAGE)
            )
        ]
        for item in items
    ]


def replace_outer(connection: Connection, items: Sequence[Rewrapped]) -> Sequence[bool]:
    """Put the new outer layers where the old ones still are; which were put."""
    return [
        connection.execute(
            update(_WALLET)
            .where(_WALLET.c.account_id == item.account_id, _WALLET.c.sealed_key == item.old.blob)
            .values(sealed_key=item.new.blob, kek_version=item.new.kek_version)
        ).rowcount
        == 1
        for item in items
    ]
