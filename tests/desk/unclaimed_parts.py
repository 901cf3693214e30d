"""People paid before they have a wallet, on a ledger in memory that keeps accounts and batches."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from clocks import FakeClock, seeded
from custody_parts import WALLET
from money_parts import MESSAGE, Desk, account, fetch, khr, person
from replacement_parts import OPENER, Custody, KeyedLedger

from gateway.desk.blocks import start_cursor
from gateway.desk.directory import Directory
from gateway.desk.keep import Keeper
from gateway.desk.making import Maker
from gateway.desk.openings import Bank
from gateway.desk.returns import Returns
from gateway.desk.times import to_ms
from gateway.desk.unclaimed import Terms
from gateway.desk.wallets import Wallets
from gateway.stores.runners import open_sql
from gateway.stores.sql import Sql
from gateway.stores.tables import Unclaimed, table_of
from ledger_client.keys import SigningKey
from ledger_client.ledger import (
    Block,
    BlockTransaction,
    Command,
    CreateAccount,
    Reached,
    TransferAsset,
)
from ledger_client.proto.transaction_pb2 import Transaction
from ledger_client.transaction import hash_of
from menus.effects import FindPayee
from menus.kinds import Msisdn

UNCLAIMED = table_of(Unclaimed)
BOPHA, SREY = Msisdn("+85512345605"), Msisdn("+85512345606")  # have none


class TownLedger(KeyedLedger):
    """Knows who has an account, and takes all of an atomic batch or nothing.

    `closed` are accounts that take no money.
    """

    def __init__(self, *, auto: bool = False) -> None:
        super().__init__(auto=auto)
        self.closed: set[str] = set()
        self._batch_of: dict[str, tuple[str, ...]] = {}
        self._doomed: set[tuple[str, ...]] = set()

    async def submit(self, transactions: Sequence[bytes], *, again: bool = False) -> None:
        for data in transactions:
            payload = Transaction.FromString(data).payload
            self._batch_of[hash_of(payload)] = tuple(payload.batch.reduced_hashes)
        await super().submit(transactions, again=again)

    def block(self, *extra: tuple[str, Sequence[Command]]) -> Block:
        queue = self._queue.values()
        self._doomed = {self._batch_of[tx.tx_hash] for tx in queue if not self._may(tx)} - {()}
        return super().block(*extra)

    def _may(self, tx: BlockTransaction) -> bool:
        paid = [command for command in tx.commands if isinstance(command, TransferAsset)]
        made = [command for command in tx.commands if isinstance(command, CreateAccount)]
        return not (
            self.refuse_all
            or any(one.dest in self.closed for one in paid)
            or any(self.held[one.src, one.asset_id] < Decimal(one.amount) for one in paid)
            or any(self.keys.get(one.account_id) for one in made)
        )

    def _apply(self, tx: BlockTransaction, *, checked: bool = True) -> bool:
        batch = self._batch_of.get(tx.tx_hash, ())
        if checked and (batch in self._doomed or (not batch and not self._may(tx))):
            return False
        for command in tx.commands:
            if isinstance(command, CreateAccount):
                self.keys[command.account_id] = {command.public_key}
        return super()._apply(tx, checked=checked)


class Town(Custody):
    """One gateway process in which strangers can be paid, and what they do not claim goes back."""

    def __init__(
        self,
        sql: Sql,
        ledger: Any,
        clock: Any,
        name: str = "one",
        *,
        terms: Terms = Terms(),  # noqa: B008 - frozen
        opener: SigningKey = OPENER,
        desk: type[Desk] = Desk,
    ) -> None:
        bank = Bank("bank", opener)
        chance = seeded(f"made/{name}")
        super().__init__(
            sql,
            ledger,
            clock,
            name,
            maker=lambda vault: Maker(bank, vault, chance, terms),
            desk=desk,
            opener=opener,
        )
        self.directory = Directory(sql, clock, unclaimed=terms.days > 0)
        self.wallets = Wallets(
            sql,
            bank,
            vault=self.vault,
            keeper=Keeper(self.vault, clock),
            directory=self.directory,
            waiters=self.desk.waiters,
            poke=self.desk.outbox.poke,
            clock=clock,
            entropy=seeded(f"opened/{name}"),
        )
        self.returns = Returns(
            sql,
            self.vault,
            self.desk.limits,
            journal=self.desk.journal,
            poke=self.desk.outbox.poke,
            clock=clock,
            entropy=seeded(f"returns/{name}"),
            meters=self.desk.meters,
            settled=lambda: self.desk.follower.settled,
        )

    async def look_up(self, asker: Msisdn, number: Msisdn) -> Any:
        return await self.directory.find_payee(FindPayee(number), self.at(asker))

    async def go_back(self) -> None:
        """What is due is begun, sent, held in a block, and settled."""
        await self.returns.sweep()
        await self.through()

    async def begin(self, *people: Msisdn) -> None:
        """Each of them has 400,000 riel, and the ledger's blocks are followed."""
        self.ledger.now_ms = to_ms(self.clock.now())
        for number in people:
            await person(self.sql, number, self.ledger, riel=400_000)
        await self.sql.run(start_cursor, [Reached(0)])

    async def send(self, src: Msisdn, to: Msisdn, amount: int, **how: Any) -> Any:
        """Pay somebody who was shown to have no wallet; the turn does not wait for the ledger."""
        return await self.desk.pay(src, to, khr(amount), dest="", wait_s=0.001, **how)

    async def claim(self, number: Msisdn) -> Any:
        """The number dials and chooses a PIN; the turn does not wait for the ledger."""
        return await self.renewals.first_pin(await self.kept(), self.at(number, wait_s=0.0))

    async def wallet(self, number: Msisdn) -> dict[str, Any]:
        (row,) = await fetch(self.sql, WALLET, account_id=account(number))
        return row

    async def inbox(self, number: Msisdn) -> list[str]:
        """What it was told, the earliest first."""
        rows = await fetch(self.sql, MESSAGE, msisdn=number.e164)
        return [row["text"] for row in sorted(rows, key=lambda row: row["queued_at"])]

    async def states(self) -> list[str]:
        return sorted(row["state"] for row in await fetch(self.sql, UNCLAIMED))

    async def later(self, *, days: float) -> None:
        """Time passes, for the ledger too."""
        await self.clock.advance(days * 24 * 60 * 60)
        self.ledger.now_ms = to_ms(self.clock.now())


@asynccontextmanager
async def two_processes(
    url: str,
    clock: FakeClock,
    terms: Terms = Terms(),  # noqa: B008 - frozen
) -> AsyncIterator[tuple[Town, Town]]:
    """Two gateways on one database and one ledger."""
    ledger, sqls = TownLedger(), [open_sql(url, timeout_s=30.0) for _ in range(2)]
    try:
        one, two = (
            Town(sql, ledger, clock, name, terms=terms)
            for sql, name in zip(sqls, ("one", "two"), strict=True)
        )
        yield one, two
    finally:
        for sql in sqls:
            await sql.close()
