"""Where an effect comes from: which number, over which channel, in which turn."""

from dataclasses import dataclass
from typing import Literal

from menus.kinds import Msisdn

Channel = Literal["ussd", "sms"]


@dataclass(frozen=True, slots=True)
class Origin:
    """One turn of one conversation.

    `session` is the carrier's session id (for an SMS: its message id); `turn` counts from 0.
    `deadline` is on `Clock.monotonic`: a handler answers before it, whatever is stuck.
    """

    msisdn: Msisdn
    channel: Channel
    carrier: str
    session: str
    turn: int
    deadline: float

    @property
    def turn_key(self) -> str:
        """Unique over all carriers, numbers, sessions and turns: an effect happens once for it.

        With the number, because some carriers count their sessions from zero again. Not for logs.
        """
        return f"{self.carrier}/{self.msisdn.e164}/{self.session}/{self.turn}"
