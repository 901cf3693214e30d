"""Messages: the SMS we owe to phones, each written in the commit that makes its fact true.

Nothing is sent here: `enqueue` is called inside other rooms' commits, so that no fact goes untold
and none is told that was rolled back; the `sender` takes it from there.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    ScalarSelect,
    bindparam,
    func,
    select,
    update,
)

from gateway.stores.dialects import in_list, insert_ignore, listed
from gateway.stores.tables import Message, Wallet, table_of
from menus.kinds import Msisdn

Kind = Literal["code", "receipt", "reply", "notice", "invitation"]
PRIORITY: dict[Kind, int] = {"code": 3, "reply": 2, "receipt": 1, "notice": 0, "invitation": 0}

CODE_MS: Final = 5 * 60_000  # how long a one-time code is good for
LIFE_MS: dict[Kind, int] = {  # how long after its fact a message is worth sending
    "code": CODE_MS,
    "reply": 60 * 60_000,  # later, nobody remembers having asked
    "receipt": 3 * 24 * 60 * 60_000,  # a weekend on which the account at the carrier ran dry
    "notice": 3 * 24 * 60 * 60_000,
    "invitation": 3 * 24 * 60 * 60_000,
}
DAY_MS: Final = 24 * 60 * 60_000

State = Literal["queued", "sending", "sent", "failed", "dropped", "unknown"]
FINAL: tuple[State, ...] = ("sent", "failed", "dropped", "unknown")
_message, _wallet = table_of(Message), table_of(Wallet)
_INVITED: Final = (
    select(_message.c.msisdn, func.count())
    .where(
        _message.c.msisdn.in_(select(listed("numbers").c.value)),
        _message.c.kind == "invitation",
        _message.c.queued_at > bindparam("since"),
    )
    .group_by(_message.c.msisdn)
)
_REPLIES: Final = select(func.count()).where(
    _message.c.msisdn == bindparam("number"),
    _message.c.kind.in_(("reply", "code")),
    _message.c.queued_at >= bindparam("since"),
)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One SMS to write; `id` is ours and makes a second enqueue of the same fact a no-op."""

    id: str
    to: Msisdn
    kind: Kind
    text: str


def enqueue(connection: Connection, messages: Sequence[Outgoing], now_ms: int) -> None:
    """Queue messages inside the caller's transaction."""
    insert_ignore(
        connection,
        Message,
        [
            {
                "id": message.id,
                "msisdn": message.to.e164,
                "kind": message.kind,
                "text": message.text,
                "priority": PRIORITY[message.kind],
                "state": "queued",
                "tries": 0,
                "unsure": 0,
                "next_try_at": now_ms,
                "queued_at": now_ms,
            }
            for message in messages
        ],
    )


def invited_within(
    connection: Connection, messages: Sequence[Outgoing], per_day: int, now_ms: int
) -> list[Outgoing]:
    """Without the invitations that are more than `per_day` to one number within a day.

    People who never asked for our SMS get them because somebody pays: else that somebody could
    have any phone texted all day. Counted inside the commit that queues them, one block at a time.
    """
    numbers = {message.to.e164 for message in messages if message.kind == "invitation"}
    if not numbers:
        return list(messages)
    rows = connection.execute(_INVITED, {"numbers": in_list(numbers), "since": now_ms - DAY_MS})
    had = Counter({number: count for number, count in rows})  # noqa: C416 - rows are not pairs to mypy
    allowed = []
    for message in messages:
        if message.kind == "invitation":
            had[message.to.e164] += 1
            if had[message.to.e164] > per_day:
                continue
        allowed.append(message)
    return allowed


def invited_since(number: ColumnElement[str]) -> ScalarSelect[int]:
    """How many invitations a number of the outer query has had since `:since`."""
    return (
        select(func.count())
        .where(
            _message.c.msisdn == number,
            _message.c.kind == "invitation",
            _message.c.queued_at > bindparam("since", type_=BigInteger),
        )
        .scalar_subquery()
    )


_WITHDRAW = (
    update(_message)
    .where(
        _message.c.msisdn.in_(
            select(_wallet.c.msisdn).where(
                _wallet.c.account_id.in_(select(listed("accounts").c.value))
            )
        ),
        _message.c.kind == "invitation",
        # An expression, or SQLite would read all that waits for the carrier.
        _message.c.state + "" == "queued",
    )
    .values(state="dropped", text="", next_try_at=bindparam("now", type_=BigInteger))
)


def withdraw_invitations(connection: Connection, accounts: Iterable[str], now_ms: int) -> int:
    """Do not send those that wait for the carrier: what they tell of is claimed, or goes back."""
    asked = {"accounts": in_list(accounts), "now": now_ms}
    return connection.execute(_WITHDRAW, asked).rowcount


def replies_since(connection: Connection, msisdn: Msisdn, since_ms: int) -> int:
    """How many answers this number has caused since then: the budget against pumping."""
    asked = {"number": msisdn.e164, "since": since_ms}
    return int(connection.execute(_REPLIES, asked).scalar_one())
