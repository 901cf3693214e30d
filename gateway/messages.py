"""Messages: the SMS we owe to phones, each written in the commit that makes its fact true.

Nothing is sent here: `enqueue` is called inside other rooms' commits, so that no fact goes untold
and none is told that was rolled back; the `sender` takes it from there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import Connection, func, select

from gateway.stores.dialects import insert_ignore
from gateway.stores.tables import Message, table_of
from menus.kinds import Msisdn

Kind = Literal["code", "receipt", "reply", "notice"]
PRIORITY: dict[Kind, int] = {"code": 3, "reply": 2, "receipt": 1, "notice": 0}

CODE_MS: Final = 5 * 60_000  # how long a one-time code is good for
LIFE_MS: dict[Kind, int] = {  # how long after its fact a message is worth sending
    "code": CODE_MS,
    "reply": 60 * 60_000,  # later, nobody remembers having asked
    "receipt": 3 * 24 * 60 * 60_000,  # a weekend on which the account at the carrier ran dry
    "notice": 3 * 24 * 60 * 60_000,
}

State = Literal["queued", "sending", "sent", "failed", "dropped", "unknown"]
FINAL: tuple[State, ...] = ("sent", "failed", "dropped", "unknown")
_message = table_of(Message)


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


def replies_since(connection: Connection, msisdn: Msisdn, since_ms: int) -> int:
    """How many answers this number has caused since then: the budget against pumping."""
    query = select(func.count()).where(
        _message.c.msisdn == msisdn.e164,
        _message.c.kind.in_(("reply", "code")),
        _message.c.queued_at >= since_ms,
    )
    return int(connection.execute(query).scalar_one())
