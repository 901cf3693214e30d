"""Money paid to the wrong person: asked back with the PIN, kept or given back by who received it.

1.  Asking is one commit: the dispute, what can still be held of its amount, and the SMS to the
    receiver with the code that agrees. The PIN proves who asks; nothing is signed.
2.  Giving back is an ordinary payment whose intent is the dispute's id (`transfers.give_back`), so
    that agreeing twice pays once. The commit that stores it answers the dispute.
3.  Refusing takes no PIN, for nothing moves. The payer is told, in the same commit.
4.  What is due (`run`): a hold ends after its time, a dispute after its own; not before all blocks
    are settled, for one of them may answer it.

Nobody decides for the receiver: a stranger's word that something was a mistake moves no money.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from gateway import logs
from gateway.batch import Batcher
from gateway.clock import Clock, Entropy
from gateway.codes import Macs, fresh_code
from gateway.desk.disputable import DisputeTerms
from gateway.desk.dispute_commits import DUE_MOST, Commits, No, Refusal, Wish, look
from gateway.desk.journal import Journal
from gateway.desk.pins import Opened
from gateway.desk.receipts import Receipts
from gateway.desk.signing import MaySign, at_once
from gateway.desk.times import to_ms
from gateway.desk.transfers import OpensKeys
from gateway.origin import Origin
from gateway.stores.sql import Sql, StoreUnavailable
from menus.effects import (
    Dispute,
    DisputeOutcome,
    DisputeOver,
    KeepMoney,
    KeepMoneyOutcome,
    MoneyKept,
)
from menus.limits import business_day

LOG: Final = logs.get("disputes")
EVERY_S: Final = 30.0


class Disputes:
    """The handlers of `Dispute` and `KeepMoney`. `queued` tells the sender to look now.

    Raises `StoreUnavailable` as it comes: a commit whose fate is unknown is the turn's to tell.
    """

    def __init__(
        self,
        sql: Sql,
        guard: OpensKeys,
        receipts: Receipts,
        terms: DisputeTerms,
        *,
        journal: Journal,
        macs: Macs,
        queued: Callable[[], None],
        clock: Clock,
        entropy: Entropy,
        may_sign: MaySign = at_once,
    ) -> None:
        self._sql = sql
        self._may_sign = may_sign
        self._guard = guard
        self._queued = queued
        self._clock = clock
        self._entropy = entropy
        self._commits = commits = Commits(terms, receipts, journal, macs)
        self._look: Batcher[Wish, str | Refusal] = Batcher(partial(sql.run, partial(look, terms)))
        self._place: Batcher[Wish, Refusal] = Batcher(
            partial(sql.run, commits.place), key=lambda wish: wish.number
        )
        self._refuse: Batcher[No, MoneyKept | DisputeOver] = Batcher(
            partial(sql.run, commits.refuse), key=lambda no: no.dispute
        )

    async def dispute(self, effect: Dispute, origin: Origin) -> DisputeOutcome:
        """Ask for the money of a payment back."""
        now = self._clock.now()
        code, day = fresh_code(self._entropy), business_day(now)
        number = origin.msisdn.e164
        wish = Wish(effect.intent, effect.ref, number, code, to_ms(now), day)
        seen = await self._look(wish)
        if not isinstance(seen, str):
            return seen
        opened = await self._guard.open(seen, effect.pin, origin.turn_key)
        if not isinstance(opened, Opened):
            return opened
        placed = await self._place(wish)
        self._queued()
        return placed

    async def keep(self, effect: KeepMoney, origin: Origin) -> KeepMoneyOutcome:
        """Do not give it back."""
        now = self._clock.now()
        no = No(effect.dispute, origin.msisdn.e164, to_ms(now), business_day(now))
        done = await self._refuse(no)
        self._queued()
        return done

    async def run(self) -> None:
        """End holds and disputes when their time is over, until cancelled."""
        while True:
            try:
                while await self._may_sign(EVERY_S) and await self.end_due() == DUE_MOST:
                    pass
            except StoreUnavailable as error:
                LOG.warning("disputes that are over wait", error=error)
            await self._clock.sleep(EVERY_S)

    async def end_due(self) -> int:
        """End a few of what is due by now; how many."""
        now = self._clock.now()
        moment = (to_ms(now), business_day(now))
        (ended,) = await self._sql.run(self._commits.end_due, [moment])
        if ended:
            self._queued()
            LOG.info("disputes or their holds are over", count=ended)
        return ended
