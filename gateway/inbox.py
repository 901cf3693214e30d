"""The straight line of one SMS: hear it, do what it asks, store what it came to, acknowledge.

The carrier is told to forget a message only after the commit that holds its effect and, beside
it, its id: brought again, in parallel or hours later, it changes nothing. Until then everything
may be done again, because effects are unique by message id and intents pay once. Nothing of the
text is stored: a payment asked for waits as parsed answers, its code as a keyed hash.

An SMS can be forged, so it pays nothing by itself: the code goes to the real number, and only
`YES <code> <PIN>` pays. The code is judged before the PIN, three times at most, and a wrong one
costs no PIN attempt. An SMS that its carrier cannot hand over (`Unheard`) is counted by kind only.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from sqlalchemy import RowMapping

from gateway import logs
from gateway.batch import Batcher
from gateway.carriers.carrier import SmsMo, Unheard
from gateway.clock import Clock, Entropy
from gateway.codes import Macs, code_mac, fresh_code, is_code
from gateway.inbox_rows import (
    Agreed,
    Done,
    Guess,
    Judged,
    PaidBefore,
    Stored,
    Waiting,
    finish,
    judge,
    known,
    number_of,
)
from gateway.messages import Outgoing
from gateway.meters import Meters
from gateway.origin import Origin
from gateway.stores.sql import Sql
from gateway.turn import FACTS_S, GRACE_S, FactsOf, Handle
from menus.effects import Committed
from menus.facts import Facts
from menus.kinds import Pin
from menus.sms import Asks, Challenge, Confirmation, Reply, Said, SmsEngine

LOG = logs.get("inbox")
LOOK_AGAIN_S: Final = 0.5  # while another is at work on the same message


class Inbox:
    """Hears SMS. `wait_s` is the longest wait for the ledger."""

    def __init__(
        self,
        sms: SmsEngine,
        sql: Sql,
        facts: FactsOf,
        handle: Handle,
        macs: Macs,
        *,
        clock: Clock,
        entropy: Entropy,
        wait_s: float,
        replies_per_hour: int,
        queued: Callable[[], None],
        meters: Meters,
    ) -> None:
        self._sms = sms
        self._facts = facts
        self._handle = handle
        self._macs = macs
        self._clock = clock
        self._entropy = entropy
        self._wait_s = wait_s
        self._lease_ms = int((wait_s + FACTS_S + GRACE_S) * 1000)
        self._queued = queued
        self._meters = meters
        self._known: Batcher[SmsMo, bool] = Batcher(partial(sql.run, known))
        self._finish: Batcher[Done, Stored] = Batcher(
            partial(sql.run, partial(finish, replies_per_hour)), key=number_of
        )
        self._judge: Batcher[Guess, Judged] = Batcher(
            partial(sql.run, partial(judge, replies_per_hour)),
            key=lambda guess: number_of(guess.refused),
        )

    async def take(self, mo: SmsMo) -> None:
        """Act upon one message; returns once that is committed. Raises when it could not be."""
        if await self._known(mo):
            self._meters.texts.labels("repeat").inc()
            return
        facts = await self._facts(mo.msisdn)
        said = self._sms.hear(mo.text, facts)
        self._meters.texts.labels(type(said).__name__).inc()
        lease = None
        if isinstance(said, Confirmation):
            judged = await self._judged(mo, said, facts)
            if isinstance(judged, Stored):
                self._stored(mo, judged)
                return
            said, lease = self._agreed(judged, said.pin, facts), judged.lease
        done = await self._carry_out(mo, said, facts)
        self._stored(mo, await self._finish(replace(done, lease=lease)))

    def ignore(self, why: Unheard) -> None:
        """Count an SMS that there is no use in hearing."""
        self._meters.texts.labels(why.value).inc()
        LOG.info("sms ignored", why=why.value)

    def _stored(self, mo: SmsMo, stored: Stored) -> None:
        if stored is Stored.OVER_BUDGET:
            self._meters.texts.labels("over budget").inc()
            LOG.info("reply budget used up", number=mo.msisdn.tail)
        self._queued()

    async def _judged(self, mo: SmsMo, said: Confirmation, facts: Facts) -> Judged:
        """What the code agrees to; what is stored already is answered, too."""

        def right(row: RowMapping) -> bool:
            return is_code(self._macs, mo.msisdn, row["intent_id"], said.code, row["code_mac"])

        while True:
            refused = self._done(mo, self._sms.no_challenge(facts))
            until_ms = refused.now_ms + self._lease_ms
            guess = Guess(refused, self._origin(mo).turn_key, right, until_ms)
            if (judged := await self._judge(guess)) is not Stored.BUSY:
                return judged
            await self._clock.sleep(LOOK_AGAIN_S)

    def _agreed(self, judged: Agreed | PaidBefore, pin: Pin, facts: Facts) -> Said:
        if isinstance(judged, PaidBefore):
            return self._sms.became_of(judged.ref, facts)
        row = judged.challenge
        answers = json.loads(row["answers"])
        return self._sms.confirmed(row["form"], answers, row["intent_id"], pin, facts)

    async def _carry_out(self, mo: SmsMo, said: Said, facts: Facts) -> Done:
        origin, committed = self._origin(mo), False
        while isinstance(said, Asks):
            outcome = await self._handle(said.effect, origin)
            committed = isinstance(outcome, Committed)
            said = self._sms.heard(said, outcome, facts)
        if isinstance(said, Challenge):
            return self._challenged(mo, said)
        if not isinstance(said, Reply):
            raise TypeError("a code cannot be asked to confirm itself")
        # The receipt, queued by the settling commit, is the answer to a payment that went through.
        return self._done(mo, None if committed else said)

    def _origin(self, mo: SmsMo) -> Origin:
        deadline = self._clock.monotonic() + self._wait_s
        return Origin(mo.msisdn, "sms", mo.carrier, mo.message_id, 0, deadline)

    def _challenged(self, mo: SmsMo, said: Challenge) -> Done:
        code = fresh_code(self._entropy)
        mac = code_mac(self._macs, mo.msisdn, said.intent, code)
        waiting = Waiting(said.intent, mac, said.form, json.dumps(said.answers))
        done = self._done(mo, said.reply(code), waiting)
        return replace(done, answer=done.answer and replace(done.answer, kind="code"))

    def _done(self, mo: SmsMo, reply: Reply | None, waiting: Waiting | None = None) -> Done:
        now_ms = int(self._clock.now().timestamp() * 1000)
        answer = Outgoing(_id_of(mo), mo.msisdn, "reply", reply.text) if reply else None
        return Done(mo, answer, waiting, now_ms)


def _id_of(mo: SmsMo) -> str:
    return f"re/{mo.carrier}/{mo.message_id}"
