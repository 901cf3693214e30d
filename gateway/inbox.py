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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from functools import partial
from typing import Final

from sqlalchemy import Connection, RowMapping, bindparam, select, update

from gateway import logs
from gateway.batch import Batcher
from gateway.carriers.carrier import SmsMo, Unheard
from gateway.clock import Clock, Entropy
from gateway.codes import Macs, code_mac, fresh_code, is_code
from gateway.desk.books import read_paid
from gateway.messages import CODE_MS, Outgoing, enqueue, replies_since
from gateway.meters import Meters
from gateway.origin import Origin
from gateway.stores.dialects import in_list, insert_ignore, listed, upsert
from gateway.stores.sql import Sql
from gateway.stores.tables import Challenge as ChallengeRow
from gateway.stores.tables import Heard, table_of
from gateway.turn import FactsOf, Handle
from menus.effects import Committed
from menus.facts import Facts
from menus.sms import Asks, Challenge, Confirmation, Reply, SmsEngine

LOG = logs.get("inbox")
WRONG_CODES_MOST: Final = 3
HOUR_MS: Final = 60 * 60 * 1000

_heard, _challenge = table_of(Heard), table_of(ChallengeRow)
_KNOWN: Final = select(_heard.c.carrier, _heard.c.message_id).where(
    _heard.c.message_id.in_(select(listed("messages").c.value))
)
_alive = (
    (_challenge.c.msisdn == bindparam("b_number"))
    & (_challenge.c.expires_at > bindparam("b_now"))
    & (_challenge.c.wrong_codes < WRONG_CODES_MOST)
)
# Locked before they are compared, so that parallel guesses are judged one after another. Also those
# whose time is over, which may have paid.
_CHALLENGES: Final = (
    select(_challenge, _alive.label("alive"))
    .where(_challenge.c.msisdn == bindparam("b_number"))
    .order_by(_challenge.c.form, _challenge.c.dispute)
    .with_for_update()
)
_WRONG: Final = update(_challenge).where(_alive).values(wrong_codes=_challenge.c.wrong_codes + 1)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A challenge as it is stored."""

    intent: str
    code_mac: bytes = field(repr=False)
    form: str
    answers: str


@dataclass(frozen=True, slots=True)
class Done:
    """What one message came to, for its commit. `waiting` replaces the number's older one of it."""

    mo: SmsMo
    answer: Outgoing | None
    waiting: Waiting | None
    now_ms: int


class Stored(Enum):
    """What a commit made of a message's answer."""

    REPEAT = auto()  # acted upon before, nothing was changed
    ANSWERED = auto()  # also when there was nothing to answer
    OVER_BUDGET = auto()  # acted upon, but the number has had its answers of this hour


@dataclass(frozen=True, slots=True)
class PaidBefore:
    """What another message with the same code has paid; its ref."""

    ref: str


@dataclass(frozen=True, slots=True)
class Guess:
    """A code somebody wrote, and what they are told if it is wrong."""

    done: Done
    turn_key: str
    right: Callable[[RowMapping], bool]


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
        self._queued = queued
        self._meters = meters
        self._known: Batcher[SmsMo, bool] = Batcher(partial(sql.run, known))
        self._finish: Batcher[Done, Stored] = Batcher(
            partial(sql.run, partial(finish, replies_per_hour)), key=_number_of
        )
        self._judge: Batcher[Guess, RowMapping | PaidBefore | Stored] = Batcher(
            partial(sql.run, partial(judge, replies_per_hour)),
            key=lambda guess: _number_of(guess.done),
        )

    async def take(self, mo: SmsMo) -> None:
        """Act upon one message; returns once that is committed. Raises when it could not be."""
        if await self._known(mo):
            self._meters.texts.labels("repeat").inc()
            return
        facts = await self._facts(mo.msisdn)
        said = self._sms.hear(mo.text, facts)
        self._meters.texts.labels(type(said).__name__).inc()
        if isinstance(said, Confirmation):
            confirmed = await self._confirm(mo, said, facts)
            if confirmed is None:
                return
            said = confirmed
        done = await self._carry_out(mo, said, facts)
        self._stored(mo, await self._finish(done))

    def ignore(self, why: Unheard) -> None:
        """Count an SMS that there is no use in hearing."""
        self._meters.texts.labels(why.value).inc()
        LOG.info("sms ignored", why=why.value)

    def _stored(self, mo: SmsMo, stored: Stored) -> None:
        if stored is Stored.OVER_BUDGET:
            self._meters.texts.labels("over budget").inc()
            LOG.info("reply budget used up", number=mo.msisdn.tail)
        self._queued()

    async def _confirm(
        self, mo: SmsMo, said: Confirmation, facts: Facts
    ) -> Asks | Reply | Challenge | Confirmation | None:
        """What the code agrees to; None when it was wrong, which is then answered already."""

        def right(row: RowMapping) -> bool:
            return is_code(self._macs, mo.msisdn, row["intent_id"], said.code, row["code_mac"])

        refused = self._done(mo, self._sms.no_challenge(facts))
        judged = await self._judge(Guess(refused, self._origin(mo).turn_key, right))
        if isinstance(judged, Stored):
            self._stored(mo, judged)
            return None
        if isinstance(judged, PaidBefore):
            return self._sms.became_of(judged.ref, facts)
        answers = json.loads(judged["answers"])
        return self._sms.confirmed(judged["form"], answers, judged["intent_id"], said.pin, facts)

    async def _carry_out(
        self, mo: SmsMo, said: Asks | Reply | Challenge | Confirmation, facts: Facts
    ) -> Done:
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


def _number_of(done: Done) -> str:
    return done.mo.msisdn.e164


# ---- operations


def known(connection: Connection, messages: Sequence[SmsMo]) -> Sequence[bool]:
    """Were these acted upon before?"""
    asked = {"messages": in_list({mo.message_id for mo in messages})}
    rows = {(row.carrier, row.message_id) for row in connection.execute(_KNOWN, asked)}
    return [(mo.carrier, mo.message_id) in rows for mo in messages]


def finish(
    replies_per_hour: int, connection: Connection, items: Sequence[Done]
) -> Sequence[Stored]:
    """Store what messages came to, each once; over its budget a number gets no answer."""
    in_order = sorted(range(len(items)), key=lambda index: _number_of(items[index]))
    stored = {index: _finish_one(replies_per_hour, connection, items[index]) for index in in_order}
    return [stored[index] for index in range(len(items))]


def _finish_one(replies_per_hour: int, connection: Connection, done: Done) -> Stored:
    mo = done.mo
    row = {"carrier": mo.carrier, "message_id": mo.message_id, "at": done.now_ms}
    if not insert_ignore(connection, Heard, [row]):
        return Stored.REPEAT
    if done.answer is None:
        return Stored.ANSWERED
    since_ms = done.now_ms - HOUR_MS
    if replies_since(connection, mo.msisdn, since_ms) >= replies_per_hour:
        return Stored.OVER_BUDGET
    if waiting := done.waiting:
        values = {
            "msisdn": mo.msisdn.e164,
            "intent_id": waiting.intent,
            "code_mac": waiting.code_mac,
            "form": waiting.form,
            "dispute": "",
            "answers": waiting.answers,
            "wrong_codes": 0,
            "expires_at": done.now_ms + CODE_MS,
        }
        fixed = ("msisdn", "form", "dispute")
        changing = [name for name in values if name not in fixed]
        upsert(connection, ChallengeRow, [values], update=changing)
    enqueue(connection, [done.answer], done.now_ms)
    return Stored.ANSWERED


def judge(
    replies_per_hour: int, connection: Connection, guesses: Sequence[Guess]
) -> Sequence[RowMapping | PaidBefore | Stored]:
    """The challenge of each right code; a wrong one is counted and answered in this commit."""
    # In the order of `finish`, so that two processes never wait for each other's rows.
    ordered = sorted(range(len(guesses)), key=lambda at: _number_of(guesses[at].done))
    judged = {at: _judge_one(replies_per_hour, connection, guesses[at]) for at in ordered}
    return [judged[at] for at in range(len(guesses))]


def _judge_one(
    replies_per_hour: int, connection: Connection, guess: Guess
) -> RowMapping | PaidBefore | Stored:
    done = guess.done
    asked = {"b_number": done.mo.msisdn.e164, "b_now": done.now_ms}
    rows = connection.execute(_CHALLENGES, asked).mappings().all()
    right = next((row for row in rows if guess.right(row)), None)
    intents = [right["intent_id"]] if right else []
    paid = read_paid(connection, intents, [guess.turn_key], done.now_ms)
    by_itself = guess.turn_key in paid
    if right and not by_itself and (before := paid.get(right["intent_id"])):
        return PaidBefore(before.ref)
    if right and right["alive"]:
        return right
    if by_itself:
        # Brought again because a process died after it had paid; its code may be long over.
        return _finish_one(replies_per_hour, connection, replace(done, answer=None))
    stored = _finish_one(replies_per_hour, connection, done)
    if stored is not Stored.REPEAT:
        connection.execute(_WRONG, asked)
    return stored
