"""Each part stopped in turn, as by `SIGSTOP`, while people go on dialling and paying.

A stopped part takes connections and answers nothing: the worst that a part can do. What people saw
is kept; once all goes on, all must settle and all receipts come.
"""

import asyncio
import contextlib
import os
import random
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from afterwards import Found, judged
from callers import Town
from payers import Payer, payers
from ports import quiet_port
from process import Process
from servers import postgres
from stack import HOST, LEDGER_WAIT_S
from stands import Ground, Standing

PARTS = ("ledger", "SMS", "Valkey", "PostgreSQL")
PAGE_S = 1.5  # of a hundred pages that move no money, 99 come within it
PAYMENT_S = LEDGER_WAIT_S + 1.5  # likewise of those that do
ANSWER_S = 5.0  # any page
PHONES, PAYING = 10, 4
PAUSE_S = 0.1  # in which people read
WARM_S = 0.5
STILL_S = 1.0
RELAY = Path(__file__).with_name("relay.py")
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Seen:
    """How people were answered while a part stood still."""

    part: str
    turns: int
    page_s: float  # the 99th of a hundred that move no money
    payment_s: float
    most_s: float
    broken: tuple[str, ...]  # answers that were no pages

    @property
    def kept(self) -> bool:
        in_time = self.page_s <= PAGE_S and self.payment_s <= PAYMENT_S
        return in_time and self.most_s <= ANSWER_S and not self.broken


@dataclass(frozen=True, slots=True)
class Stoppable:
    """A running stack, and the processes of each part of it."""

    stack: Standing
    server: Path  # PostgreSQL's folder
    relay: Process

    def pids(self, part: str) -> list[int]:
        match part:
            case "ledger":
                return [self.stack.ledger.pid]
            case "SMS":
                return [self.relay.pid]
            case "Valkey":
                assert self.stack.valkey_pid is not None
                return [self.stack.valkey_pid]
            case _:
                first = int((self.server / "cluster/data/postmaster.pid").read_text().split()[0])
                return [first, *_children(first)]

    @contextlib.contextmanager
    def stopped(self, part: str) -> Iterator[None]:
        pids = self.pids(part)
        try:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            _wait_until_still(pids)
            yield
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


def _children(parent: int) -> Iterator[int]:
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(_status(int(path.name))[1]) == parent:
                yield int(path.name)


def _wait_until_still(pids: Sequence[int]) -> None:
    """A process of several threads takes a moment to stop."""
    deadline = time.monotonic() + STILL_S
    while not all(_status(pid)[0] == "T" for pid in pids):
        assert time.monotonic() < deadline, "it goes on"
        time.sleep(0.001)


def _status(pid: int) -> list[str]:
    """What the kernel says of a process: its state, its parent …"""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


@contextlib.contextmanager
def stoppable(ground: Ground) -> Iterator[Stoppable]:
    """A stack on servers that nobody else uses, running."""
    port = quiet_port()
    with contextlib.ExitStack() as standing:
        server = Path(standing.enter_context(tempfile.TemporaryDirectory(prefix="ussd-stopped-")))
        server.chmod(0o755)  # PostgreSQL may run as somebody else
        own = Ground(ground.world, standing.enter_context(postgres(server)), ground.folder)
        sms = {"GATEWAY_AFRICASTALKING_URL": f"http://{HOST}:{port}"}
        stack = standing.enter_context(own.stack("postgres", **sms))
        relay = Process("relay", [str(RELAY), str(port), str(stack.rest_port)], {}, stack.folder)
        relay.start()
        standing.callback(relay.stop)
        relay.ready(lambda: _listens(port))
        stack.start()
        yield Stoppable(stack, server, relay)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


async def stop_each(
    town: Town,
    stoppable: Stoppable,
    seconds: float,
    *,
    hurried: bool = False,
    say: Say = lambda _: None,
) -> tuple[list[Seen], Found]:
    """Stop the parts one after the other, each so long; what was seen and found."""
    people, seen = payers(town, PHONES), list[Seen]()
    for part in PARTS:
        say(f"{part} is stopped")
        over, begun = asyncio.Event(), [len(payer.answers) for payer in people]
        going_on = [
            asyncio.create_task(_go_on(payer, people, over, pays=at < PAYING))
            for at, payer in enumerate(people)
        ]
        await asyncio.sleep(WARM_S)
        with stoppable.stopped(part):
            await asyncio.sleep(seconds)
            over.set()
            await asyncio.gather(*going_on)  # the last answers, too, come while it is stopped
        seen.append(_seen(part, people, begun))
    for payer in people:
        await payer.repeat()
    return seen, await judged(town, people, hurried=hurried)


async def _go_on(payer: Payer, people: Sequence[Payer], over: asyncio.Event, *, pays: bool) -> None:
    chance = random.Random(payer.phone.number)
    while not over.is_set():
        payee = chance.choice([other for other in people if other is not payer]).person
        if pays:
            await payer.pay(payee)
        else:
            await payer.look(*chance.choice([("2",), ("3",), ("1", payee.national, "500")]))
        await asyncio.sleep(PAUSE_S)


def _seen(part: str, people: Sequence[Payer], begun: Sequence[int]) -> Seen:
    answers = [one for payer, at in zip(people, begun, strict=True) for one in payer.answers[at:]]
    pages, payments = (
        sorted(answer.seconds for answer, moves in answers if moves is money)
        for money in (False, True)
    )
    return Seen(
        part,
        len(answers),
        _percentile(pages),
        _percentile(payments),
        max(answer.seconds for answer, _ in answers),
        tuple(
            f"{part}: {answer.status} {answer.body[:40]}"
            for answer, _ in answers
            if answer.status != 200 or not answer.body.startswith(("CON ", "END "))
        ),
    )


def _percentile(ordered: Sequence[float]) -> float:
    """The 99th of a hundred; the longest of fewer."""
    return ordered[int(0.99 * len(ordered))] if ordered else 0.0
