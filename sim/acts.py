"""What a person can do with a phone, by name: the same for the page, the terminal and scenarios."""

import re
from typing import Any

from sim.network import Network

ACTS = ("dial", "reply", "end", "expire", "sms", "read")
CODE = re.compile(r"[*#0-9]{1,160}")
TEXT_MAX = 1600


class BadAct(ValueError):
    """Nobody can do that with a phone; the message says why."""


async def act(
    network: Network, msisdn: str, name: str, fields: dict[str, Any]
) -> dict[str, object]:
    """Do it and return the phone as JSON; raises `BadAct`, or `NetworkError` when not now."""
    match name:
        case "dial":
            code = _text(fields, "code")
            if not CODE.fullmatch(code):
                raise BadAct("a phone dials digits, * and #")
            await network.ussd.dial(msisdn, code)
        case "reply":
            await network.ussd.reply(msisdn, _text(fields, "text"))
        case "end":
            network.ussd.end(msisdn)
        case "expire":
            network.ussd.expire(msisdn)
        case "sms":
            network.sms.send(msisdn, _text(fields, "text"), _text({"to": "", **fields}, "to"))
        case "read":
            network.sms.read(msisdn, _text({"id": "", **fields}, "id"))
        case _:
            raise BadAct(f"`{name}` is nothing a phone does")
    return network.tower.handset(msisdn).as_json()


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or len(value) > TEXT_MAX:
        raise BadAct(f"`{name}` is text of at most {TEXT_MAX} characters")
    return value
