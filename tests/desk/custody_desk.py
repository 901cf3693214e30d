"""One process's custody on a real store: wallets opened, PINs changed."""

from dataclasses import dataclass

from clocks import FakeClock, seeded
from custody_parts import TEXTS, WALLET, change, make_guard, make_vault, origin, rows

from gateway.desk.directory import Directory
from gateway.desk.keep import Keeper
from gateway.desk.openings import Bank
from gateway.desk.pin_change import PinChanges
from gateway.desk.waiters import Waiters
from gateway.desk.wallets import Wallets
from gateway.origin import Origin
from gateway.stores.sql import Sql
from gateway.stores.tables import Submission, table_of
from ledger_client.keys import SigningKey
from menus.effects import Keep, Kept
from menus.kinds import Pin

SUBMISSION = table_of(Submission)
OPENER = SigningKey.generate(seeded("opener"))
NEW = Pin("864209")


@dataclass
class Desk:
    """One process's custody on a store."""

    sql: Sql
    clock: FakeClock
    name: str = "one"

    def __post_init__(self) -> None:
        self.vault = make_vault(seed=f"vault/{self.name}")
        self.keeper = Keeper(self.vault, self.clock)
        self.guard = make_guard(self.sql, self.clock, self.vault)
        self.waiters = Waiters()
        self.poked = 0
        directory = Directory(self.sql, self.clock)
        self.wallets = Wallets(
            self.sql,
            Bank("bank", OPENER),
            vault=self.vault,
            keeper=self.keeper,
            directory=directory,
            waiters=self.waiters,
            poke=self._poke,
            clock=self.clock,
            entropy=seeded(f"keys/{self.name}"),
        )
        self.pins = PinChanges(
            self.sql,
            TEXTS,
            vault=self.vault,
            keeper=self.keeper,
            guard=self.guard,
            directory=directory,
            queued=lambda: None,
            clock=self.clock,
        )

    def _poke(self) -> None:
        self.poked += 1

    async def keep(self, pin: Pin, where: Origin) -> str:
        kept = await self.keeper.keep(Keep("pin", pin), where)
        assert isinstance(kept, Kept)
        return kept.token

    async def opened_by_ledger(self, state: str = "open") -> None:
        """What the follower does when a block holds the batch."""
        await change(self.sql, WALLET, state=state)
        for row in await rows(self.sql, SUBMISSION):
            self.waiters.wake(row["tx_hash"], "committed" if state == "open" else "rejected")


def late(turn: int = 3, **changes: object) -> Origin:
    """A turn that can wait no longer."""
    return origin(turn, deadline=0.0, **changes)
