"""SMS out: persisted with the fact they tell, sent after.

`enqueue` is called inside the commit that makes the fact true; nothing here runs before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, insert

from gateway.stores.tables import Message
from menus.kinds import Msisdn

Kind = Literal["code", "receipt", "reply", "notice"]
PRIORITY: dict[Kind, int] = {"code": 3, "reply": 2, "receipt": 1, "notice": 0}


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One SMS to write; `id` is ours and makes a second enqueue of the same fact a no-op."""

    id: str
    to: Msisdn
    kind: Kind
    text: str


def enqueue(connection: Connection, messages: Sequence[Outgoing], now_ms: int) -> None:
    """Queue messages inside the caller's transaction."""
    if messages:
        connection.execute(
            insert(Message),
            [
                {
                    "id": message.id,
                    "msisdn": message.to.e164,
                    "kind": message.kind,
                    "text": message.text,
                    "priority": PRIORITY[message.kind],
                    "next_try_at": now_ms,
                    "queued_at": now_ms,
                }
                for message in messages
            ],
        )
