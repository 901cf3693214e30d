"""Wallets whose keys are replaced, on a ledger in memory that asks who signed."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from clocks import seeded
from custody_parts import OTHER, PIN, WALLET, make_vault
from money_parts import DARA, Desk, MemoryLedger, account, fetch, person

from gateway.desk.keep import Keeper, KeptPin
from gateway.desk.making import Maker
from gateway.desk.openings import Bank
from gateway.desk.recovery import Recovery
from gateway.desk.renewal import Renewals
from gateway.origin import Origin
from gateway.stores.sql import Sql
from gateway.stores.tables import Cursor, Replacement, table_of
from gateway.vault import Sealed, Vault, WrongPinKey
from ledger_client.keys import SigningKey
from ledger_client.ledger import (
    AddSignatory,
    BlockTransaction,
    LedgerUnreachable,
    RemoveSignatory,
)
from ledger_client.proto.transaction_pb2 import Transaction
from ledger_client.transaction import hash_of
from menus.kinds import Msisdn, Pin

REPLACEMENT, CURSOR = table_of(Replacement), table_of(Cursor)
NEW = Pin("864209")
RECOVERER = "recoverer@bank"
OPENER = SigningKey.generate(seeded("opener"))
FIRST, SECOND, THIRD = (SigningKey.generate(seeded(f"recoverer/{n}")) for n in (1, 2, 3))


class KeyedLedger(MemoryLedger):
    """Commits what enough of its creator's keys have signed, and keeps each account's keys.

    `drop_reply` takes a call, and its caller never hears so.
    """

    def __init__(self, *, auto: bool = False) -> None:
        super().__init__(auto=auto)
        self.keys: defaultdict[str, set[str]] = defaultdict(set)
        self.keys[RECOVERER] = {FIRST.public_key, SECOND.public_key}
        self.drop_reply = False
        self._signed: dict[str, set[str]] = {}

    async def submit(self, transactions: Sequence[bytes], *, again: bool = False) -> None:
        for data in transactions:
            one = Transaction.FromString(data)
            self._signed[hash_of(one.payload)] = {each.public_key for each in one.signatures}
        await super().submit(transactions, again=again)
        if self.drop_reply:
            raise LedgerUnreachable("the reply was lost")

    async def signatories(self, account_id: str) -> Sequence[str] | None:
        return sorted(self.keys.get(account_id, ())) or None

    def _apply(self, tx: BlockTransaction, *, checked: bool = True) -> bool:
        keys = self.keys[tx.creator]
        signed = self._signed.get(tx.tx_hash, set())
        wanted = 2 if tx.creator == RECOVERER else 1
        if checked and keys and not (signed <= keys and len(signed) >= wanted):
            return False
        changes = [c for c in tx.commands if isinstance(c, AddSignatory | RemoveSignatory)]
        if any(
            (one.public_key in self.keys[one.account_id]) == isinstance(one, AddSignatory)
            for one in changes
        ):
            return False
        if not super()._apply(tx, checked=checked):
            return False
        for one in changes:
            held = self.keys[one.account_id]
            (held.add if isinstance(one, AddSignatory) else held.remove)(one.public_key)
        return True


class Custody:
    """One gateway process: the desk, and the rooms where owners and the bank get new keys."""

    def __init__(
        self,
        sql: Sql,
        ledger: Any,
        clock: Any,
        name: str = "one",
        *,
        recoveries: int = 20,
        maker: Callable[[Vault], Maker] | None = None,
        desk: type[Desk] = Desk,
        opener: SigningKey = OPENER,
    ) -> None:
        self.sql, self.ledger, self.clock, self.name = sql, ledger, clock, name
        self.vault = make_vault(seed=f"vault/{name}")
        made_by = maker(self.vault) if maker else None
        self.desk = desk(sql, ledger, clock, seed=name, maker=made_by)
        self.renewals = Renewals(
            sql,
            Bank("bank", opener),
            vault=self.vault,
            keeper=Keeper(self.vault, clock),
            guard=self.desk.pins,
            waiters=self.desk.waiters,
            poke=self.desk.outbox.poke,
            clock=clock,
            entropy=seeded(f"keys/{name}"),
        )
        self.recovery = Recovery(
            sql,
            self.vault,
            "bank",
            per_day=recoveries,
            journal=self.desk.journal,
            clock=clock,
            entropy=seeded(f"recovery/{name}"),
        )

    async def kept(self, pin: Pin = NEW, *, expired: bool = False) -> KeptPin:
        return KeptPin(await self.vault.derive(pin), expired=expired)

    def at(self, number: Msisdn = DARA, *, wait_s: float = 0.0) -> Origin:
        """A turn; by default one that can wait no longer."""
        return self.desk.origin(number, wait_s=wait_s)

    async def settle(self, most: int = 1000) -> None:
        """The blocks that were made and are not settled."""
        (cursor,) = await fetch(self.sql, CURSOR)
        done = cursor["height"]
        for block in self.ledger.blocks_made[done : done + most]:
            assert await self.desk.follower._settle(block)

    async def through(self) -> None:
        """Sent, held in a block, and settled."""
        await self.desk.outbox.round()
        self.ledger.block()
        await self.settle()


async def dara(sql: Sql, ledger: KeyedLedger, **wallet: Any) -> None:
    await person(sql, DARA, ledger, riel=400_000, **wallet)
    (row,) = await fetch(sql, WALLET, account_id=account(DARA))
    ledger.keys[account(DARA)] = {row["public_key"]}


async def pinless(sql: Sql, ledger: KeyedLedger, **wallet: Any) -> None:
    """Dara's wallet as receiving, or the bank, has made it."""
    key = SigningKey.generate(seeded(f"key/{account(DARA)}"))
    sealed = make_vault(seed="pinless").seal_without_pin(account(DARA), 1, key.seed)
    await dara(sql, ledger, salt=b"", sealed_key=sealed.blob, **wallet)


def sealed_of(row: dict[str, Any]) -> Sealed:
    return Sealed(row["key_version"], row["kek_version"], row["salt"], row["sealed_key"])


async def opens(vault: Vault, row: dict[str, Any]) -> bool:
    """Does what is sealed in this row open, and is it the key that the row names?"""
    sealed, account_id = sealed_of(row), row["account_id"]
    if not sealed.has_pin:
        seed = vault.open_without_pin(account_id, sealed)
        return SigningKey.from_seed(seed).public_key == row["public_key"]
    for pin in (PIN, OTHER, NEW):
        try:
            seed = await vault.open(account_id, sealed, pin)
        except WrongPinKey:
            continue
        return SigningKey.from_seed(seed).public_key == row["public_key"]
    return False


async def check_keys(custody: Custody, number: Msisdn = DARA, *, at_rest: bool = False) -> None:
    """The ledger knows one key of the wallet, and we can open it, if only after its block."""
    (on_ledger,) = custody.ledger.keys[account(number)]
    rows = await fetch(custody.sql, WALLET, account_id=account(number))
    if not at_rest:
        rows += await fetch(custody.sql, REPLACEMENT, account_id=account(number))
    (row,) = (row for row in rows if row["public_key"] == on_ledger and row["sealed_key"])
    assert await opens(custody.vault, row)
