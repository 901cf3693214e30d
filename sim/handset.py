"""What one phone knows: its screen, its session, its messages. No I/O and no clock."""

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from menus.encoding import Encoding, encoding_of, segments, size
from sim.services import Service
from sim.wire import MASK, asks_secret, secrets_in, without

# What phones and networks really say; the application's own fault is told in `Screen.problem`.
NETWORK_PROBLEM = "Connection problem or invalid MMI code."
SEPTETS_MAX, UNITS_MAX = 182, 80  # 160 octets of a USSD string
MESSAGES_KEPT = 200

# Operator, MCC+MNC as Africa's Talking sends it, mobile prefixes without the leading zero.
NETWORKS = (
    ("Cellcard", "45601", "11 12 14 17 61 76 77 78 79 85 89 92 95 99"),
    ("Smart", "45606", "10 15 16 69 70 81 86 87 93 96 98"),
    ("Metfone", "45608", "31 60 66 67 68 71 88 90 97"),
    ("qb", "45604", "13"),
    ("Seatel", "45611", "18"),
)
SANDBOX = ("Sandbox", "99999")


def network_of(msisdn: str) -> tuple[str, str]:
    """Name and networkCode of a number's operator; Africa's Talking's sandbox when unknown."""
    if msisdn.startswith("+855"):
        for name, code, prefixes in NETWORKS:
            if msisdn[4:6] in prefixes.split():
                return name, code
    return SANDBOX


@dataclass(frozen=True, slots=True)
class Screen:
    """What the phone shows. `problem` tells a developer what the application did wrong."""

    kind: Literal["idle", "wait", "menu", "end", "error"]
    text: str = ""
    problem: str = ""

    @property
    def secret(self) -> bool:
        """Must what is typed next be hidden?"""
        return self.kind == "menu" and asks_secret(self.text)

    def as_json(self) -> dict[str, object]:
        return {
            "kind": self.kind,
            "text": self.text,
            "problem": self.problem,
            "secret": self.secret,
            "size": measure(self.text),
        }


IDLE = Screen("idle")
WAITING = Screen("wait", "USSD code running…")


def measure(text: str) -> dict[str, object]:
    """How much of a USSD page a text takes, in its own encoding."""
    encoding = encoding_of(text)
    room = SEPTETS_MAX if encoding is Encoding.GSM7 else UNITS_MAX
    return {"encoding": encoding.value, "used": size(text), "room": room}


@dataclass(slots=True)
class Session:
    """One USSD session as the network keeps it: everything typed so far."""

    id: str
    service: Service
    opened_at: float
    heard_at: float
    inputs: list[str] = field(default_factory=list)
    secrets: list[bool] = field(default_factory=list)
    hops: list[str] = field(default_factory=list)
    hop_metadata: str | None = None
    last_reply: str = ""
    turns: int = 0

    @property
    def text(self) -> str:
        """Everything since the first answer, joined as Africa's Talking joins it."""
        return "*".join(self.inputs)

    @property
    def masked(self) -> str:
        """The same for eyes: no PIN in it, also where the same digits were typed elsewhere."""
        pairs = zip(self.inputs, self.secrets, strict=True)
        return "*".join(MASK if secret else self.hide(text) for text, secret in pairs)

    def hide(self, text: str) -> str:
        """A text without what must not be seen of this session's answers."""
        pairs = zip(self.inputs, self.secrets, strict=True)
        hidden = (secrets_in(typed, asked=secret) for typed, secret in pairs)
        return without(set().union(*hidden), text)

    def say(self, text: str, *, secret: bool) -> None:
        self.inputs.append(text)
        self.secrets.append(secret)


@dataclass(slots=True)
class Sms:
    """A message in the phone. `state` of one sent: sending | sent | waiting | failed."""

    id: str
    peer: str
    text: str
    at: float
    outgoing: bool = False
    read: bool = False
    state: str = "sent"

    def as_json(self) -> dict[str, object]:
        return {
            "id": self.id,
            "outgoing": self.outgoing,
            "peer": self.peer,
            "text": self.text,
            "at": self.at,
            "read": self.read,
            "state": self.state,
            "segments": len(segments(self.text)),
        }


@dataclass(slots=True)
class Handset:
    """A phone on the network; `shown` ones appear on the web page.

    `service_code` and `shortcode` are those it suggests, if any: it may use others.
    """

    msisdn: str
    name: str = ""
    about: str = ""
    service_code: str = ""
    shortcode: str = ""
    shown: bool = False
    screen: Screen = IDLE
    session: Session | None = None
    messages: deque[Sms] = field(default_factory=lambda: deque(maxlen=MESSAGES_KEPT))

    def as_json(self) -> dict[str, object]:
        return {
            "msisdn": self.msisdn,
            "name": self.name,
            "about": self.about,
            "service_code": self.service_code,
            "shortcode": self.shortcode,
            "network": network_of(self.msisdn)[0],
            "screen": self.screen.as_json(),
            "in_session": self.session is not None,
            "messages": [sms.as_json() for sms in self.messages],
            "unread": sum(not sms.read and not sms.outgoing for sms in self.messages),
        }
