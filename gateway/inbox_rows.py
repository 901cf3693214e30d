"""The rows of SMS: which were acted upon, who is at work on which, and the codes that wait.

One commit for all that a message came to, guarded in the statements that make it. A `YES` may pay,
so whoever acts upon it has it alone, until a time: brought again meanwhile, to whichever process,
it waits, for two who ask at once could be told different things. Past that time another may take
it over, and who was late then stores nothing. Nothing of a text comes in here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Final

from sqlalchemy import Connection, RowMapping, bindparam, select, update

from gateway.carriers.carrier import SmsMo
from gateway.desk.books import read_paid
from gateway.messages import CODE_MS, Outgoing, enqueue, replies_since
from gateway.stores.dialects import in_list, insert_ignore, listed, upsert
from gateway.stores.tables import Challenge as ChallengeRow
from gateway.stores.tables import Heard, table_of

WRONG_CODES_MOST: Final = 3
HOUR_MS: Final = 60 * 60 * 1000

_heard, _challenge = table_of(Heard), table_of(ChallengeRow)
_KNOWN: Final = select(_heard.c.carrier, _heard.c.message_id).where(
    _heard.c.carrier.in_(select(listed("carriers").c.value)),
    _heard.c.message_id.in_(select(listed("messages").c.value)),
    _heard.c.leased_until == 0,
)
_one = (_heard.c.carrier == bindparam("b_carrier")) & (_heard.c.message_id == bindparam("b_id"))
_LEASED: Final = select(_heard.c.leased_until).where(_one, _heard.c.leased_until > 0)
_TAKE_OVER: Final = (
    update(_heard)
    .where(_one, _heard.c.leased_until > 0, _heard.c.leased_until < bindparam("b_now"))
    .values(leased_until=bindparam("b_until"))
)
_END: Final = (
    update(_heard).where(_one, _heard.c.leased_until == bindparam("b_lease")).values(leased_until=0)
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
    """What one message came to, for its commit. `waiting` replaces the number's older one of it.

    `lease`, if the message was had alone, is until when: the commit is refused to anybody else.
    """

    mo: SmsMo
    answer: Outgoing | None
    waiting: Waiting | None
    now_ms: int
    lease: int | None = None


class Stored(Enum):
    """What a commit made of a message's answer."""

    BUSY = auto()  # somebody else is at work on it
    REPEAT = auto()  # acted upon before, or taken over: nothing was changed
    ANSWERED = auto()  # also when there was nothing to answer
    OVER_BUDGET = auto()  # acted upon, but the number has had its answers of this hour


@dataclass(frozen=True, slots=True)
class PaidBefore:
    """What another message with the same code has paid; its ref."""

    ref: str
    lease: int


@dataclass(frozen=True, slots=True)
class Agreed:
    """The challenge that a right code agrees to."""

    challenge: RowMapping
    lease: int


Judged = Agreed | PaidBefore | Stored


@dataclass(frozen=True, slots=True)
class Guess:
    """A code somebody wrote, and what they are told if it is wrong.

    Who acts upon it has it alone until `until_ms`.
    """

    refused: Done
    turn_key: str
    right: Callable[[RowMapping], bool]
    until_ms: int


def number_of(done: Done) -> str:
    """In whose order rows are locked."""
    return done.mo.msisdn.e164


def known(connection: Connection, messages: Sequence[SmsMo]) -> Sequence[bool]:
    """Were these acted upon before?"""
    asked = {
        "carriers": in_list({mo.carrier for mo in messages}),
        "messages": in_list({mo.message_id for mo in messages}),
    }
    rows = {(row.carrier, row.message_id) for row in connection.execute(_KNOWN, asked)}
    return [(mo.carrier, mo.message_id) in rows for mo in messages]


def finish(
    replies_per_hour: int, connection: Connection, items: Sequence[Done]
) -> Sequence[Stored]:
    """Store what messages came to, each once; over its budget a number gets no answer."""
    in_order = sorted(range(len(items)), key=lambda index: number_of(items[index]))
    stored = {index: _finish_one(replies_per_hour, connection, items[index]) for index in in_order}
    return [stored[index] for index in range(len(items))]


def _finish_one(replies_per_hour: int, connection: Connection, done: Done) -> Stored:
    mo = done.mo
    if not _ended(connection, done):
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


def _ended(connection: Connection, done: Done) -> bool:
    """Is it us who have acted upon this message?"""
    if done.lease is None:
        return bool(insert_ignore(connection, Heard, [_row(done, leased_until=0)]))
    return bool(connection.execute(_END, _named(done) | {"b_lease": done.lease}).rowcount)


def judge(
    replies_per_hour: int, connection: Connection, guesses: Sequence[Guess]
) -> Sequence[Judged]:
    """The challenge of each right code; a wrong one is counted and answered in this commit."""
    # In the order of `finish`, so that two processes never wait for each other's rows.
    ordered = sorted(range(len(guesses)), key=lambda at: number_of(guesses[at].refused))
    judged = {at: _judge_one(replies_per_hour, connection, guesses[at]) for at in ordered}
    return [judged[at] for at in range(len(guesses))]


def _judge_one(replies_per_hour: int, connection: Connection, guess: Guess) -> Judged:
    refused = guess.refused
    asked = {"b_number": refused.mo.msisdn.e164, "b_now": refused.now_ms}
    rows = connection.execute(_CHALLENGES, asked).mappings().all()
    lease = _taken(connection, refused, guess.until_ms)
    if isinstance(lease, Stored):
        return lease
    right = next((row for row in rows if guess.right(row)), None)
    intents = [right["intent_id"]] if right else []
    paid = read_paid(connection, intents, [guess.turn_key], refused.now_ms)
    if guess.turn_key in paid:
        # Brought again because a process died after it had paid; its code may be long over.
        silent = replace(refused, answer=None, lease=lease)
        return _finish_one(replies_per_hour, connection, silent)
    if right and (before := paid.get(right["intent_id"])):
        return PaidBefore(before.ref, lease)
    if right and right["alive"]:
        return Agreed(right, lease)
    connection.execute(_WRONG, asked)
    return _finish_one(replies_per_hour, connection, replace(refused, lease=lease))


def _taken(connection: Connection, done: Done, until_ms: int) -> int | Stored:
    """Have a message alone; its lease."""
    taking = _named(done) | {"b_now": done.now_ms, "b_until": until_ms}
    if insert_ignore(connection, Heard, [_row(done, leased_until=until_ms)]):
        return until_ms
    if connection.execute(_TAKE_OVER, taking).rowcount:
        return until_ms
    leased = connection.execute(_LEASED, _named(done)).first()
    return Stored.BUSY if leased else Stored.REPEAT


def _row(done: Done, *, leased_until: int) -> dict[str, str | int]:
    mo, at = done.mo, done.now_ms
    named = {"carrier": mo.carrier, "message_id": mo.message_id}
    return {**named, "at": at, "leased_until": leased_until}


def _named(done: Done) -> dict[str, str | int]:
    return {"b_carrier": done.mo.carrier, "b_id": done.mo.message_id}
