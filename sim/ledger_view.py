"""What the ledger holds, for eyes: account balances, followed block by block.

Folded from the blocks alone, so it needs no permission beyond reading them and shows what the
ledger itself has committed, not what an application believes.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Protocol

from ledger_client.ledger import (
    AddAssetQuantity,
    Block,
    Command,
    CreateAccount,
    Doubt,
    LedgerError,
    Reached,
    SubtractAssetQuantity,
    TransferAsset,
)

CHECK_S = 2.0
ACCOUNTS_SHOWN = 60


class Followed(Protocol):
    """What is needed of a ledger client."""

    def blocks(self, after: Reached) -> AsyncIterator[Block | Doubt]: ...
    async def healthy(self) -> bool: ...


class LedgerView:
    """Balances by account, as of `height`."""

    def __init__(self) -> None:
        self.height = 0
        self.away = True
        self._held: dict[str, dict[str, Decimal]] = {}
        self._touched: dict[str, int] = {}
        self._watchers: set[Callable[[], None]] = set()

    def watch(self, watcher: Callable[[], None]) -> Callable[[], None]:
        """Tell `watcher` of every block, until what is returned is called."""
        self._watchers.add(watcher)
        return lambda: self._watchers.discard(watcher)

    async def follow(self, ledger: Followed) -> None:
        """Follow the ledger for ever, whether it is there or not."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_blocks(ledger))
            group.create_task(self._follow_health(ledger))

    async def _follow_blocks(self, ledger: Followed) -> None:
        while True:
            with contextlib.suppress(LedgerError):
                async for found in ledger.blocks(Reached(self.height)):
                    if isinstance(found, Block):
                        self.take(found)
            await asyncio.sleep(CHECK_S)

    async def _follow_health(self, ledger: Followed) -> None:
        while True:
            away = not await ledger.healthy()
            if away != self.away:
                self.away = away
                self._tell()
            await asyncio.sleep(CHECK_S)

    def take(self, block: Block) -> None:
        """Add one block; a gap or a repeat is not looked at."""
        if block.height != self.height + 1:
            return
        self.height, self.away = block.height, False
        for transaction in block.transactions:
            for command in transaction.commands:
                self._apply(transaction.creator, command)
        self._tell()

    def balances(self, account_id: str) -> dict[str, str]:
        """Decimal text by asset; empty for an unknown account."""
        return {asset: format(held, "f") for asset, held in self._held.get(account_id, {}).items()}

    def as_json(self) -> dict[str, object]:
        """The accounts that moved last, up to a screenful."""
        latest = sorted(self._touched, key=self._touched.__getitem__, reverse=True)
        return {
            "height": self.height,
            "away": self.away,
            "accounts": [
                {
                    "id": account,
                    "balances": self.balances(account),
                    "height": self._touched[account],
                }
                for account in sorted(latest[:ACCOUNTS_SHOWN])
            ],
            "more": max(0, len(latest) - ACCOUNTS_SHOWN),
        }

    def _apply(self, creator: str, command: Command) -> None:
        match command:
            case CreateAccount():
                self._held.setdefault(command.account_id, {})
                self._touched[command.account_id] = self.height
            case TransferAsset(src, dest, asset, amount):
                self._add(src, asset, -Decimal(amount))
                self._add(dest, asset, Decimal(amount))
            case AddAssetQuantity(asset, amount):
                self._add(creator, asset, Decimal(amount))
            case SubtractAssetQuantity(asset, amount):
                self._add(creator, asset, -Decimal(amount))
            case _:
                pass

    def _add(self, account: str, asset: str, amount: Decimal) -> None:
        held = self._held.setdefault(account, defaultdict(Decimal))
        held[asset] = held.get(asset, Decimal()) + amount
        self._touched[account] = self.height

    def _tell(self) -> None:
        for watcher in tuple(self._watchers):
            watcher()
