"""Load on a USSD callback in Africa's Talking's form: many phones, few connections, no waste.

    python -m sim.load URL --phones 1000 --connections 64 --seconds 10 --script ,1,012345602

Each connection plays whole sessions, one after another: a new session id, then the script's
inputs as accumulated text (the first one empty: the dial). A hand-written keep-alive client on
asyncio's bare transports, so that what is measured is the application and not the client: a
stream reader and a timer for every turn would cost more than a fast application does.
"""

import asyncio
import secrets
import time
from dataclasses import dataclass
from functools import cache
from typing import Annotated
from urllib.parse import quote, urlsplit

import typer
import uvloop

TIMEOUT_S = 10.0
FIRST_NUMBER = 85510_000_000


@dataclass(frozen=True, slots=True)
class Load:
    """What to play. `script` holds what is typed at each turn; the first entry is a deep dial."""

    url: str
    script: tuple[str, ...] = ("",)
    phones: int = 1000
    connections: int = 64
    seconds: float = 10.0
    service_code: str = "*855#"


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it. A turn is good when it was 200 and `CON ` or `END `."""

    turns: int
    bad: int
    ended: int  # good turns that were `END `: their session was over
    seconds: float
    latencies_ms: tuple[float, ...]  # sorted

    @property
    def turns_per_s(self) -> float:
        return self.turns / self.seconds if self.seconds else 0.0

    def percentile(self, percent: float) -> float:
        """Milliseconds; nearest rank."""
        if not self.latencies_ms:
            return 0.0
        rank = round(percent / 100 * (len(self.latencies_ms) - 1))
        return self.latencies_ms[rank]

    def __str__(self) -> str:
        marks = "  ".join(f"p{mark:g} {self.percentile(mark):.1f} ms" for mark in (50, 95, 99, 100))
        return f"{self.turns_per_s:,.0f} turns/s  {marks}  {self.turns} turns, {self.bad} bad"


class Caller(asyncio.Protocol):
    """One keep-alive connection; one request at a time."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._head = (
            f"POST {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: "
        ).encode()
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._asked = 0.0
        self._received = b""

    async def post(self, body: bytes) -> tuple[int, bytes]:
        """Status and body; OSError when the other side hung up, or was silent for too long."""
        loop = asyncio.get_running_loop()
        if self._transport is None:
            self._transport, _ = await loop.create_connection(lambda: self, self._host, self._port)
        self._answer, self._asked, self._received = loop.create_future(), loop.time(), b""
        self._transport.write(b"%s%d\r\n\r\n%s" % (self._head, len(body), body))
        return await self._answer

    def give_up(self, now: float) -> None:
        """Hang up if the answer is overdue; whoever made the caller asks now and then."""
        if self._answer and not self._answer.done() and now - self._asked > TIMEOUT_S:
            self.close()

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._received = received = self._received + data if self._received else data
        end = received.find(b"\r\n\r\n") + 4
        if end < 4 or self._answer is None or self._answer.done():  # noqa: PLR2004  # not found
            return
        head = received[:end].lower()
        if len(received) < end + _length(head):
            return
        if b"\r\nconnection: close" in head:
            self.close()
            self._transport = None
        self._answer.set_result((int(head[9:12]), received[end:]))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None and not self._transport.is_closing():
            return  # that was the connection before this one
        self._transport = None
        if self._answer and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("hung up"))


def _length(head: bytes) -> int:
    """The content length that a head in lower case tells."""
    at = head.find(b"\r\ncontent-length:")
    return int(head[at + 17 : head.index(b"\r\n", at + 2)]) if at >= 0 else 0


def bodies(load: Load, phone: int) -> list[bytes]:
    """The forms of one session of one phone, turn by turn."""
    fixed = (
        f"sessionId=ATUid_{secrets.token_hex(16)}&phoneNumber=%2B{FIRST_NUMBER + phone}"
        f"&networkCode=99999&serviceCode={quote(load.service_code, safe='')}&text="
    ).encode()
    return [fixed + text for text in _texts(load.script)]


@cache
def _texts(script: tuple[str, ...]) -> list[bytes]:
    """What the carrier accumulates, turn by turn."""
    dialled, *typed = script
    inputs = [dialled] if dialled else []
    texts = ["*".join(inputs)]
    for text in typed:
        inputs.append(text)
        texts.append("*".join(inputs))
    return [quote(text, safe="").encode() for text in texts]


async def run_load(load: Load) -> Report:
    """Play until the time is over; sessions under way are played to their end."""
    started = time.perf_counter()
    stop = started + load.seconds
    callers = [Caller(load.url) for _ in range(load.connections)]
    latencies: list[float] = []
    bad = ended = next_phone = 0

    async def call(caller: Caller) -> None:
        nonlocal bad, ended, next_phone
        while time.perf_counter() < stop:
            phone, next_phone = next_phone % load.phones, next_phone + 1
            for body in bodies(load, phone):
                begin = time.perf_counter()
                try:
                    status, answer = await caller.post(body)
                except OSError:
                    status, answer = 0, b""
                latencies.append((time.perf_counter() - begin) * 1000)
                good = status == 200 and answer[:4] in (b"CON ", b"END ")  # noqa: PLR2004
                bad += not good
                ended += good and answer[:4] == b"END "
        caller.close()

    async def watch() -> None:
        while True:
            await asyncio.sleep(1.0)
            for caller in callers:
                caller.give_up(asyncio.get_running_loop().time())

    watching = asyncio.ensure_future(watch())
    try:
        await asyncio.gather(*map(call, callers))
    finally:
        watching.cancel()
    took = time.perf_counter() - started
    return Report(len(latencies), bad, ended, took, tuple(sorted(latencies)))


def main(
    url: Annotated[str, typer.Argument(help="The USSD callback URL.")],
    *,
    script: Annotated[str, typer.Option(help="What is typed, turn by turn, by commas.")] = ",1",
    phones: Annotated[int, typer.Option(help="How many numbers take turns.")] = 1000,
    connections: Annotated[int, typer.Option(help="How many at the same time.")] = 64,
    seconds: Annotated[float, typer.Option(help="For how long.")] = 10.0,
) -> None:
    """Measure turns per second and how long they take."""
    load = Load(url, tuple(script.split(",")), phones, connections, seconds)
    typer.echo(str(uvloop.run(run_load(load))))


if __name__ == "__main__":
    typer.run(main)
