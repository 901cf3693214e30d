"""The straight line of one USSD turn: claim it, hear it, do what it asks, finish it, answer.

A turn is claimed in the session store before any effect runs, so that of any number of equal
callbacks, on any number of processes, one does the work and the others get its page. A claim past
its deadline is taken over: safe, because every effect and every PIN attempt is unique in SQL on
(carrier, session, turn). No raw text is stored or logged: see accepted.py.

A page can reach the phone although its record was lost (the store was away at that moment). What
is typed at it answers a question that nobody here knows, so it is not read: the last page that has
a record is shown again, and answered anew.
"""

import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from typing import Final, Literal, NamedTuple, Protocol

from gateway import logs
from gateway.accepted import SEPARATOR, Accepted, Fresh, Mac
from gateway.batch import Overloaded
from gateway.carriers.carrier import UssdMo, UssdMt
from gateway.clock import Clock, Entropy, fresh_id
from gateway.meters import Meters
from gateway.origin import Origin
from gateway.stores.sessions import Claim, SessionKey, Sessions, SessionsUnavailable
from gateway.stores.sql import StoreUnavailable
from menus.effects import (
    Compare,
    Effect,
    FindPayee,
    Keep,
    Outcome,
    ReadBalance,
    ReadLastPayment,
)
from menus.engine import Engine, Facts, State, Turn
from menus.kinds import Msisdn

RESUME_S: Final = 600.0  # a dropped conversation is offered again for ten minutes
ENDED_S: Final = 180.0  # a finished session keeps its page for repeats
FACTS_S: Final = 1.2  # turns that move no money answer within 1.5 s
GRACE_S: Final = 2.0  # a claim outlives the turn's own deadline by this much
LOOKS: Final = (Compare, FindPayee, Keep, ReadBalance, ReadLastPayment)  # change no facts
DUMPED_MOST: Final = 8192  # sessions whose next turn need not read what this process wrote
WORST_EFFECTS: Final = 8  # a turn that asks for more than this is a mistake in the core

LOG = logs.get("turn")

Handle = Callable[[Effect, Origin], Awaitable[Outcome]]


class FactsOf(Protocol):
    """What the gateway knows of a number at this moment; an answer or a fault within FACTS_S."""

    async def __call__(self, msisdn: Msisdn) -> Facts: ...


_encode = json.JSONEncoder(separators=(",", ":")).encode  # dumps would make one each time


class Record(NamedTuple):
    """A session as it is stored between two turns."""

    turn: int
    state: State | None
    page: str
    end: bool
    secret: bool
    accepted: Accepted
    at: float  # seconds since 1970

    def dump(self) -> bytes:
        accepted = self.accepted
        state = self.state.dump() if self.state else None
        so_far = (self.turn, state, self.page, self.end, self.secret, self.at)
        return _encode((*so_far, accepted.length, accepted.masks, accepted.mac)).encode()

    @classmethod
    def load(cls, record: bytes) -> "Record":
        turn, state, page, end, secret, at, length, masks, mac = json.loads(record)
        accepted = Accepted(length, tuple((start, stop) for start, stop in masks), mac)
        return cls(turn, State.load(state), page, end, secret, accepted, at)

    @property
    def mt(self) -> UssdMt:
        return UssdMt(self.page, self.end)


class Turns:
    """Answers USSD turns. `wait_s` is the longest wait for the ledger (GATEWAY_LEDGER_WAIT_S)."""

    def __init__(
        self,
        engine: Engine,
        sessions: Sessions,
        facts: FactsOf,
        handle: Handle,
        *,
        mac: Mac,
        clock: Clock,
        entropy: Entropy,
        wait_s: float,
        meters: Meters,
    ) -> None:
        self._engine = engine
        self._sessions = sessions
        self._facts = facts
        self._handle = handle
        self._mac = mac
        self._clock = clock
        self._wait_s = wait_s
        self._meters = meters
        # Looked up once: finding a child by its labels takes as long as a page's texts.
        self._turns = {True: meters.turns.labels("yes"), False: meters.turns.labels("no")}
        self._turn_seconds = meters.turn_seconds
        self._dumped: dict[bytes, Record] = {}  # what this process finished last, by what it stored
        self._name, self._claims = fresh_id(entropy), count()

    async def take(self, mo: UssdMo) -> UssdMt:
        """The page for one callback; always a page, whatever is stuck or broken."""
        began = self._clock.monotonic()
        mt = await self._page(mo)
        self._turn_seconds.observe(self._clock.monotonic() - began)
        self._turns[mt.end].inc()
        return mt

    async def _page(self, mo: UssdMo) -> UssdMt:
        """The page, or an apology.

        "Nothing was done" is said only of faults that came before any effect (`_effects` lets
        none out); of anything else the page says to look at *Last payment*.
        """
        try:
            return await self._claimed(mo)
        except SessionsUnavailable as error:
            # Not claimed. A further turn may be under way elsewhere, or have paid already.
            LOG.warning("turn not claimed", error=error)
            return self._apology("lost" if mo.text else "unavailable")
        except (StoreUnavailable, Overloaded, TimeoutError) as error:
            LOG.warning("turn not taken", error=error)
            return self._apology("unavailable")
        except Exception as error:  # noqa: BLE001  # a phone needs a page, whatever happened
            self._meters.faults.labels("turn").inc()
            LOG.error("turn failed", error=error)
            return self._apology("busy")

    async def _claimed(self, mo: UssdMo) -> UssdMt:
        """Claim the turn and answer it, or wait for the page of who has it."""
        key = SessionKey(mo.msisdn.e164, mo.carrier, mo.session)
        worker = f"{self._name}/{next(self._claims)}"
        create = not mo.text
        patience = self._clock.monotonic() + self._wait_s + FACTS_S
        while True:
            claim = await self._sessions.claim(
                key,
                worker=worker,
                length=len(mo.text),
                lease_s=self._wait_s + FACTS_S + GRACE_S,
                create=create,
            )
            match claim.state:
                case "fresh" | "claimed":
                    return await self._answer(mo, key, worker, claim)
                case "missing":
                    # Unknown, with a text: a deep dial, or a session that was lost on the way.
                    if create or not await self._dialable(mo):
                        return self._apology("lost")
                    create = True
                case "busy":
                    left_s = patience - self._clock.monotonic()
                    record = await self._sessions.wait(
                        key, version=claim.version, timeout_s=max(left_s, 0.0)
                    )
                    if record:
                        return Record.load(record).mt
                    if left_s <= 0:
                        return self._apology("busy")
                    # Nobody is at work on it any longer, and nothing new came of it: perhaps ours.

    async def _dialable(self, mo: UssdMo) -> bool:
        parts = mo.text.split(SEPARATOR)
        return self._engine.dialable(parts, await self._facts(mo.msisdn))

    async def _answer(self, mo: UssdMo, key: SessionKey, worker: str, claim: Claim) -> UssdMt:
        """Our turn: repeat the last page, or take what is new and finish."""
        record = self._load(claim.record) if claim.record else None
        new = record.accepted.read(mo.text, self._mac) if record else None
        if record and (record.end or not new):
            with suppress(SessionsUnavailable):
                await self._sessions.release(key, worker=worker)
            return record.mt
        try:
            if record and new:
                torn = claim.torn
                after = self._again(mo, record) if torn else await self._go_on(mo, record, new)
            else:
                after = await self._begin(mo, claim)
        except BaseException:
            with suppress(SessionsUnavailable):
                await self._sessions.release(key, worker=worker)
            raise
        ttl_s = ENDED_S if after.end else RESUME_S
        # When this fails, or is refused because the claim was taken over or the session ended by
        # a redial, what the page says is true all the same.
        with suppress(SessionsUnavailable):
            await self._sessions.finish(key, worker=worker, record=self._dump(after), ttl_s=ttl_s)
        return after.mt

    def _dump(self, record: Record) -> bytes:
        """What is stored of it; remembered, so that this process need not read it again.

        Most sessions stay with one process. Another process's record is other bytes, and read.
        """
        dumped = record.dump()
        if not record.end:
            if len(self._dumped) >= DUMPED_MOST:
                self._dumped.clear()
            self._dumped[dumped] = record
        return dumped

    def _load(self, dumped: bytes) -> Record:
        return self._dumped.pop(dumped, None) or Record.load(dumped)

    async def _begin(self, mo: UssdMo, claim: Claim) -> Record:
        """A session's first turn; what was dialled at once is a deep dial.

        When the first turn's record was lost, the text holds answers too: none of it is read.
        """
        origin, facts = self._origin(mo, 0), await self._facts(mo.msisdn)
        dialled = mo.text.split(SEPARATOR) if mo.text and not claim.torn else []
        previous = self._resumable(claim.previous)
        turn = self._engine.begin(facts, dialled=dialled, previous=previous)
        turn = await self._effects(turn, facts, origin)
        return self._record(turn, 0, Accepted.first(mo.text, turn.consumed, self._mac))

    async def _go_on(self, mo: UssdMo, record: Record, new: Fresh) -> Record:
        """A further turn of a known session."""
        number = record.turn + 1
        origin, facts = self._origin(mo, number), await self._facts(mo.msisdn)
        turn = self._engine.hear(record.state, new.text, facts)
        turn = await self._effects(turn, facts, origin)
        accepted = record.accepted.then(mo.text, secret=record.secret, mac=self._mac)
        return self._record(turn, number, accepted)

    def _again(self, mo: UssdMo, record: Record) -> Record:
        """The last page once more, since what came of the turn after it was lost.

        The lost turn may have had effects under its number, so that is used up. What was typed
        meanwhile may hold a PIN.
        """
        LOG.warning("a turn's record was lost: the page before it is shown again")
        return record._replace(
            turn=record.turn + 1,
            accepted=record.accepted.then(mo.text, secret=True, mac=self._mac),
            at=self._clock.now().timestamp(),
        )

    def _origin(self, mo: UssdMo, number: int) -> Origin:
        deadline = self._clock.monotonic() + self._wait_s
        return Origin(mo.msisdn, "ussd", mo.carrier, mo.session, number, deadline)

    def _record(self, turn: Turn, number: int, accepted: Accepted) -> Record:
        page = turn.page
        if page is None:
            raise AssertionError("the core ended a turn without a page")
        return Record(
            turn=number,
            state=None if page.end else turn.state,
            page=page.text,
            end=page.end,
            secret=turn.secret,
            accepted=accepted,
            at=self._clock.now().timestamp(),
        )

    async def _effects(self, turn: Turn, facts: Facts, origin: Origin) -> Turn:
        """Do what the core asks for until it shows a page."""
        for _ in range(WORST_EFFECTS):
            if turn.effect is None:
                return turn
            outcome = await self._handle(turn.effect, origin)
            if not isinstance(turn.effect, LOOKS):
                # It may have changed what is known (language, wallet): look again. But it has
                # happened, so what cannot be looked up now must not hide what came of it.
                with suppress(SessionsUnavailable, StoreUnavailable, Overloaded, TimeoutError):
                    facts = await self._facts(origin.msisdn)
            turn = self._engine.heard(turn.state, outcome, facts)
        raise AssertionError("the core asks for effects without end")

    def _resumable(self, previous: bytes | None) -> State | None:
        if previous is None:
            return None
        record = Record.load(previous)
        old = self._clock.now().timestamp() - record.at > RESUME_S
        return None if record.end or old else record.state

    def _apology(self, kind: Literal["lost", "busy", "unavailable"]) -> UssdMt:
        screen = self._engine.apology(kind, None)
        return UssdMt(screen.text, screen.end)
