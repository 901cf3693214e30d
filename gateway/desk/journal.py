"""The key of all chains of movements (`chain`), and what rows hold from before there was one.

32 random bytes, made by the first process that writes a movement and sealed beside them as a
wallet's key without a PIN is: `kek reseal` moves it to a newer key-encryption key like the others,
and no movement need be hashed again. Losing the row loses no money, but the proof of every row.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, Select, Update, bindparam, select, update

from gateway.clock import Entropy
from gateway.desk import chain
from gateway.desk.chain import ARRIVAL, BROUGHT, MOVED, PAYMENT, RESERVED, SENT, Entry
from gateway.stores.dialects import insert_ignore
from gateway.stores.tables import (
    ChainKey,
    Counter,
    Cursor,
    Holding,
    Movement,
    Receipt,
    Submission,
    Transfer,
    table_of,
)
from gateway.vault import DoesNotOpen, Sealed, Vault

NAME: Final = "movements"  # what its seal binds it to, where a wallet's binds its account
_KEY_BYTES: Final = 32
_KEY, _CURSOR = table_of(ChainKey), table_of(Cursor)
_HOLDING, _COUNTER = table_of(Holding), table_of(Counter)
_TRANSFER, _SUBMISSION, _RECEIPT = table_of(Transfer), table_of(Submission), table_of(Receipt)
_HEIGHT = select(_CURSOR.c.height)
_ANY_MOVEMENT = select(table_of(Movement).c.number).limit(1)
_SEALED = select(_KEY.c.key_version, _KEY.c.kek_version, _KEY.c.salt, _KEY.c.sealed_key)


class ChainKeySealed(DoesNotOpen):
    """The key-encryption key at hand is not that of this database."""


class ChainKeyLost(DoesNotOpen):
    """Movements are there, and the key that proves them is not: another would prove none."""


class Journal:
    """Writes movements, and knows the key that proves them."""

    def __init__(self, vault: Vault, entropy: Entropy) -> None:
        self._vault = vault
        self._entropy = entropy
        self._known: bytes | None = None

    def write(self, connection: Connection, entries: Sequence[Entry]) -> list[int]:
        """See `chain.write`."""
        return chain.write(connection, self.key(connection), entries)

    def key(self, connection: Connection) -> bytes:
        """The key; made, with what the rows hold brought into the chains, if there is none yet.

        Raises `ChainKeySealed` and `ChainKeyLost`: nothing can be written then, nor be proved.
        """
        if self._known is None:
            found = connection.execute(_SEALED).first()
            if found is None:
                begun = connection.execute(_ANY_MOVEMENT).first() is not None
                key = None if begun else self._begin(connection)
                if key is not None:
                    return key  # of a commit that may not come: it is read when it is needed again
                found = connection.execute(_SEALED).first()  # by another process, meanwhile
            if found is None:
                raise ChainKeyLost("movements are there, and not their key")
            try:
                self._known = self._vault.open_without_pin(NAME, Sealed(*found))
            except DoesNotOpen as error:
                raise ChainKeySealed(str(error)) from None
        return self._known

    def vouches(self, connection: Connection) -> bool:
        """Is the key where it was, and the same?"""
        known, found = self.key(connection), connection.execute(_SEALED).first()
        try:
            return found is not None and known == self._vault.open_without_pin(NAME, Sealed(*found))
        except DoesNotOpen:
            return False

    def alone(self, connection: Connection) -> None:
        """Wait for others who write to a chain that no wallet's lock keeps: the recoverer's."""
        self.key(connection)
        connection.execute(_SEALED.with_for_update())

    def _begin(self, connection: Connection) -> bytes | None:
        key = self._entropy(_KEY_BYTES)
        sealed = self._vault.seal_without_pin(NAME, 1, key)
        row = {
            "account_id": NAME,
            "key_version": sealed.key_version,
            "kek_version": sealed.kek_version,
            "salt": sealed.salt,
            "sealed_key": sealed.blob,
            "height": connection.execute(_HEIGHT).scalar() or 0,
        }
        if not insert_ignore(connection, ChainKey, [row]):  # another process was first
            return None
        _bring(connection, key)
        return key


# ---- from before

_HELD, _COUNTED = select(_HOLDING), select(_COUNTER)
_PAID = (
    select(
        _TRANSFER,
        *(_SUBMISSION.c[name].label(f"s_{name}") for name in SENT),
        _SUBMISSION.c.height.label("s_height"),
    )
    .join(_SUBMISSION, _SUBMISSION.c.tx_hash == _TRANSFER.c.tx_hash)
    .order_by(_TRANSFER.c.created_at)
)
_ARRIVED = select(_RECEIPT).order_by(_RECEIPT.c.at, _RECEIPT.c.tx_hash, _RECEIPT.c.command_index)


def _bring(connection: Connection, key: bytes) -> None:
    """Begin the chains with what an older release left: figures, payments, arrivals."""
    held = list(_figures(connection, _HELD, "settled", "outgoing", "incoming"))
    counted = list(_figures(connection, _COUNTED, "amount", "count"))
    entries = [*held, *counted]
    written = chain.last_of(entries, chain.write(connection, key, entries))
    point(connection, _POINT_HOLDING, {at: n for at, n in written.items() if not at[2]})
    point(connection, _POINT_COUNTER, {at: n for at, n in written.items() if at[2]})
    _bring_payments(connection, key)
    _bring_arrivals(connection, key)


def _figures(connection: Connection, rows: Select[Any], *names: str) -> Iterator[Entry]:
    for row in connection.execute(rows).mappings():
        by = (*(row[name] for name in names), 0)[:3]
        if any(by):
            line = (row["account_id"], row.get("currency") or row["bucket"], row.get("period", ""))
            yield Entry(line, by, BROUGHT, "", None, 0)


def _bring_payments(connection: Connection, key: bytes) -> None:
    rows = connection.execute(_PAID).mappings().all()
    entries: list[Entry] = []
    pointers: list[tuple[str, int]] = []
    for row in rows:
        line = (row["src_account"], row["currency"], "")
        made = chain.bound(
            key, chain.picked(row, PAYMENT), chain.picked(row, [f"s_{name}" for name in SENT])
        )
        pointers.append((row["ref"], len(entries)))
        entries.append(
            Entry(line, (0, 0, 0), RESERVED, row["tx_hash"], None, row["created_at"], made)
        )
        if row["state"] != "signed":
            ended = (row["state"], row["tx_hash"], row["s_height"], row["settled_at"])
            entries.append(Entry(line, (0, 0, 0), *ended))
    numbers = chain.write(connection, key, entries)
    named = [{"b_ref": ref, "b_movement": numbers[index]} for ref, index in pointers]
    if named:
        connection.execute(_POINT_TRANSFER, named)
    last = chain.last_of(entries, numbers)
    point(connection, _POINT_HOLDING, last)


def _bring_arrivals(connection: Connection, key: bytes) -> None:
    together: dict[tuple[str, str, str], list[RowMapping]] = {}
    for row in connection.execute(_ARRIVED).mappings():
        together.setdefault((row["account_id"], row["currency"], row["tx_hash"]), []).append(row)
    entries = [
        Entry(
            (account, currency, ""),
            (0, 0, 0),
            MOVED,
            tx_hash,
            None,
            rows[0]["at"],
            chain.bound(key, *(chain.picked(row, ARRIVAL) for row in rows)),
        )
        for (account, currency, tx_hash), rows in together.items()
    ]
    numbers = chain.write(connection, key, entries)
    named = [
        {"b_hash": row["tx_hash"], "b_index": row["command_index"], "b_movement": number}
        for rows, number in zip(together.values(), numbers, strict=True)
        for row in rows
    ]
    if named:
        connection.execute(_POINT_RECEIPT, named)
    point(connection, _POINT_HOLDING, chain.last_of(entries, numbers))


def point(connection: Connection, statement: Update, last: Mapping[chain.Line, int]) -> None:
    """Say in each line's row which movement was its last."""
    rows = [
        {"b_account": account, "b_item": item, "b_period": period, "b_movement": number}
        for (account, item, period), number in last.items()
    ]
    if rows:
        connection.execute(statement, rows)


_POINT_HOLDING = (
    update(_HOLDING)
    .where(
        _HOLDING.c.account_id == bindparam("b_account"),
        _HOLDING.c.currency == bindparam("b_item"),
        bindparam("b_period") == "",
    )
    .values(movement=bindparam("b_movement"))
)
_POINT_COUNTER = (
    update(_COUNTER)
    .where(
        _COUNTER.c.account_id == bindparam("b_account"),
        _COUNTER.c.bucket == bindparam("b_item"),
        _COUNTER.c.period == bindparam("b_period"),
    )
    .values(movement=bindparam("b_movement"))
)
_POINT_TRANSFER = (
    update(_TRANSFER)
    .where(_TRANSFER.c.ref == bindparam("b_ref"))
    .values(movement=bindparam("b_movement"))
)
_POINT_RECEIPT = (
    update(_RECEIPT)
    .where(
        _RECEIPT.c.tx_hash == bindparam("b_hash"), _RECEIPT.c.command_index == bindparam("b_index")
    )
    .values(movement=bindparam("b_movement"))
)
