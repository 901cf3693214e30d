"""The ledger as one process of the simulated world reaches it: on lines that break."""

from simulated_ledger import SimulatedLedger

from ledger_client.ledger import LedgerUnreachable

PEERS = 3


class LedgerLine:
    """The `Ledger` of one process: its own connections to the one network."""

    def __init__(self, town, process) -> None:
        self._town, self._process = town, process
        self._chance = town.chances.stream("ledger line", process.name)

    @property
    def _ledger(self) -> SimulatedLedger:
        return self._town.ledger

    async def submit(self, transactions, *, again=False) -> None:
        await self._reach()
        weather, chance = self._town.weather, self._chance
        if chance.random() < weather.submit_lost:
            raise LedgerUnreachable("lost on the way")
        self._ledger.take(transactions, alone=again)
        await self._process.moment("ledger")
        if chance.random() < weather.submit_unanswered:
            raise LedgerUnreachable("arrived, and no answer")

    async def statuses(self, hashes):
        await self._reach()
        return [self._ledger.word(tx_hash) for tx_hash in hashes]

    async def opinions(self, hashes):
        """Of three peers one may lie."""
        await self._reach()
        return [
            [
                self._ledger.word(tx_hash),
                *(self._ledger.word(tx_hash, honest=True) for _ in range(PEERS - 1)),
            ]
            for tx_hash in hashes
        ]

    async def blocks(self, after):
        height = after.height
        while True:
            ledger = self._ledger
            if height < len(ledger.blocks):
                await self._process.moment("ledger")
                yield ledger.blocks[height]
                height += 1
            else:
                grown = ledger.grown
                await grown.wait()
                await self._process.moment("ledger")

    async def is_last(self, last) -> bool:
        await self._reach()
        return last.height == len(self._ledger.blocks)

    async def healthy(self) -> bool:
        await self._process.moment("ledger")
        return not self._ledger.away

    async def signatories(self, account_id):
        raise NotImplementedError

    async def balances(self, account_id):
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing is open."""

    async def _reach(self) -> None:
        await self._process.moment("ledger")
        if self._ledger.away:
            raise LedgerUnreachable("away")
