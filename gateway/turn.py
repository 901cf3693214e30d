"""The straight line of one USSD turn: claim it, hear it, do what it asks, finish it, answer.

A turn is claimed in the session store before any effect runs, so that of any number of equal
callbacks, on any number of processes, one does the work and the others get its page. A claim past
its deadline is taken over: safe, because every effect and every PIN attempt is unique in SQL on
(carrier, session, turn). A turn that only shows the next page has nothing to be claimed for: it is
stored in one step, if nobody else was faster. No raw text is stored or logged: see accepted.py.

A page can reach the phone although its record was lost (the store was away at that moment). What
is typed at it answers a question that nobody here knows, so it is not read: the last page that has
a record is shown again, and answered anew.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from typing import Final, NamedTuple, Protocol

from gateway import logs
from gateway.accepted import SEPARATOR, Accepted, Fresh, Mac
from gateway.admission import Admission
from gateway.batch import Overloaded
from gateway.carriers.carrier import UssdMo, UssdMt
from gateway.clock import Clock, Entropy, fresh_id
from gateway.meters import Meters
from gateway.origin import Origin
from gateway.record import RESUME_S, Kept, KeptRecords, Record
from gateway.stores.sessions import Claim, SessionKey, Sessions, SessionsUnavailable
from gateway.stores.sql import StoreUnavailable
from menus.effects import (
    Committed,
    Compare,
    Effect,
    FindPayee,
    GiveBack,
    InProgress,
    Keep,
    Outcome,
    PayBank,
    ReadBalance,
    ReadLastPayment,
    Rejected,
    Transfer,
    WrongPin,
)
from menus.engine import Apology, Engine, Facts, State, Turn
from menus.kinds import Msisdn

FACTS_S: Final = 1.2  # turns that move no money answer within 1.5 s
GRACE_S: Final = 2.0  # a claim outlives the turn's own deadline by this much
LOOKS: Final = (Compare, FindPayee, Keep, ReadBalance, ReadLastPayment)  # change no facts
PAYMENTS: Final = (Transfer, PayBank, GiveBack)
STORED: Final = (Committed, InProgress, Rejected, WrongPin)  # what SQL says of a turn again
NOT_TAKEN: Final = (StoreUnavailable, Overloaded, TimeoutError)  # before any effect
WORST_EFFECTS: Final = 8  # a turn that asks for more than this is a mistake in the core

LOG = logs.get("turn")

Handle = Callable[[Effect, Origin], Awaitable[Outcome]]


class FactsOf(Protocol):
    """What the gateway knows of a number at this moment; an answer or a fault within FACTS_S."""

    async def __call__(self, msisdn: Msisdn) -> Facts: ...


class Coming(NamedTuple):
    """A callback on its way to its page, the session it names, and who takes it."""

    mo: UssdMo
    key: SessionKey
    worker: str


class Ahead(NamedTuple):
    """What the core says to a text, if it is asked after this very record."""

    dumped: bytes
    facts: Facts
    turn: Turn


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
        self._admission = Admission(clock)
        # Looked up once: finding a child by its labels takes as long as a page's texts.
        seconds = meters.turn_seconds
        self._turn_seconds = {True: seconds.labels("yes"), False: seconds.labels("no")}
        self._kept = KeptRecords()
        self._name, self._claims = fresh_id(entropy), count()

    async def take(self, mo: UssdMo) -> UssdMt:
        """The page for one callback; always a page, whatever is stuck or broken."""
        key = SessionKey(mo.msisdn.e164, mo.carrier, mo.session)
        if not mo.text and self._admission.full and not self._kept.get(key):
            self._meters.sent_away.inc()
            return self._apology("crowded")
        coming = Coming(mo, key, f"{self._name}/{next(self._claims)}")
        began = self._admission.begin(coming.worker)
        try:
            mt = await self._page(coming)
        finally:
            self._admission.end(coming.worker)
        self._turn_seconds[mt.end].observe(self._clock.monotonic() - began)
        return mt

    async def _page(self, coming: Coming) -> UssdMt:
        """The page, or an apology.

        "Nothing was done" is said only of faults that came before any effect (`_effects` lets
        none out), and not to who has typed a PIN, since a repeat of that callback may do it yet;
        of anything else the page says to look at *Last payment*.
        """
        kept = self._kept.get(coming.key)
        try:
            return await self._claimed(coming, kept)
        except SessionsUnavailable as error:
            # Not claimed. A further turn may be under way elsewhere, or have paid already.
            LOG.warning("turn not claimed", error=error)
            return self._apology("lost" if coming.mo.text else "unavailable")
        except NOT_TAKEN as error:
            LOG.warning("turn not taken", error=error)
            # It may be a PIN, and a repeat of it under way: see `_answer`.
            return self._apology("lost" if kept and kept.record.secret else "unavailable")
        except Exception as error:  # noqa: BLE001  # a phone needs a page, whatever happened
            self._meters.faults.labels("turn").inc()
            LOG.error("turn failed", error=error)
            return self._apology("busy")

    async def _claimed(self, coming: Coming, kept: Kept | None) -> UssdMt:
        """Claim the turn and answer it, or wait for the page of who has it."""
        mo, key, worker = coming
        ahead = await self._ahead(mo, kept) if kept else None
        if kept and ahead and (mt := await self._at_once(coming, kept, ahead)):
            return mt
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
                    return await self._answer(coming, claim, ahead)
                case "missing":
                    # Unknown, with a text: a deep dial, or a session that was lost on the way.
                    if create:
                        return self._apology("lost")
                    if refused := await self._undialable(mo):
                        return refused
                    create = True
                case "busy":
                    self._admission.waits(worker)
                    left_s = patience - self._clock.monotonic()
                    record = await self._sessions.wait(
                        key, version=claim.version, timeout_s=max(left_s, 0.0)
                    )
                    if record:
                        return Record.load(record).mt
                    if left_s <= 0:
                        return self._apology("busy")
                    # Nobody is at work on it any longer, and nothing new came of it: perhaps ours.

    async def _ahead(self, mo: UssdMo, kept: Kept) -> Ahead | None:
        """What comes of the turn if nobody else had one since; nothing of it has happened yet."""
        new = kept.record.accepted.read(mo.text, self._mac)
        # Two inputs tell of a turn that another process had meanwhile: the second may be a PIN.
        if new is None or SEPARATOR in new.text:
            return None
        facts = await self._facts(mo.msisdn)
        return Ahead(kept.dumped, facts, self._engine.hear(kept.record.state, new.text, facts))

    async def _at_once(self, coming: Coming, kept: Kept, ahead: Ahead) -> UssdMt | None:
        """The page of a turn that only shows one, in one trip to the store; None for any other.

        Most sessions stay with one process, and most turns have no effect.
        """
        if ahead.turn.effect is not None:
            return None
        mo, key, worker = coming
        after = self._after(mo, kept.record, ahead.turn)
        dumped = after.dump()
        taken = await self._sessions.advance(
            key,
            after=kept.worker,
            worker=worker,
            length=len(mo.text),
            record=dumped,
            ttl_s=after.ttl_s,
        )
        if not taken:
            return None
        self._kept.keep(key, Kept(worker, dumped, after))
        return after.mt

    async def _undialable(self, mo: UssdMo) -> UssdMt | None:
        """Why the text of an unknown session begins none; None if it was dialled at once.

        No session is begun for a mistake: what looks like one may be in the middle of a session
        that was lost, and later callbacks of that may be repeated, too.
        """
        try:
            facts = await self._facts(mo.msisdn)
        except NOT_TAKEN as error:
            # Perhaps the history of a session that has paid: not to be told that nothing was done.
            LOG.warning("turn not taken", error=error)
            return self._apology("lost")
        parts = mo.text.split(SEPARATOR)
        if self._engine.dialable(parts, facts):
            return None
        if self._engine.may_have_paid(parts, facts):
            return self._apology("lost_or_pin", facts)
        return self._apology("mistyped", facts)

    async def _answer(self, coming: Coming, claim: Claim, ahead: Ahead | None) -> UssdMt:
        """Our turn: repeat the last page, or take what is new and finish."""
        mo, key, worker = coming
        record = self._kept.load(key, claim.record) if claim.record else None
        new = record.accepted.read(mo.text, self._mac) if record else None
        if record and (record.end or not new):
            with suppress(SessionsUnavailable):
                await self._sessions.release(key, worker=worker)
            return record.mt
        denied = False
        try:
            if not record or not new:
                after = await self._begin(coming, claim)
            elif claim.torn:
                after = self._again(mo, record)
            else:
                known = ahead if ahead and ahead.dumped == claim.record else None
                after, denied = await self._go_on(coming, record, new, known)
        except BaseException as error:
            with suppress(SessionsUnavailable):
                await self._sessions.release(key, worker=worker)
            if record and record.secret and isinstance(error, NOT_TAKEN):
                # A repeat of this callback may be under way, and pay what this one could not.
                LOG.warning("turn not taken", error=error)
                return self._apology("lost")
            raise
        dumped, kept = after.dump(), False
        with suppress(SessionsUnavailable):
            kept = await self._sessions.finish(key, worker=worker, record=dumped, ttl_s=after.ttl_s)
        if kept:
            self._kept.keep(key, Kept(worker, dumped, after))
        # Not kept (the store is away, the claim taken over, the session ended by a redial), what
        # the page says is true all the same; but a payment not made a repeat may make yet.
        return after.mt if kept or not denied else self._apology("lost")

    async def _begin(self, coming: Coming, claim: Claim) -> Record:
        """A session's first turn; what was dialled at once is a deep dial.

        When the first turn's record was lost, the text holds answers too: none of it is read.
        """
        mo = coming.mo
        facts = await self._facts(mo.msisdn)
        dialled = mo.text.split(SEPARATOR) if mo.text and not claim.torn else []
        previous = self._resumable(claim.previous)
        turn = self._engine.begin(facts, dialled=dialled, previous=previous)
        turn, _ = await self._effects(coming, turn, facts, 0)
        return self._record(turn, 0, Accepted.first(mo.text, turn.consumed, self._mac))

    async def _go_on(
        self, coming: Coming, record: Record, new: Fresh, ahead: Ahead | None
    ) -> tuple[Record, bool]:
        """A further turn of a known session; does it say that a payment was not made?"""
        if ahead is None:
            facts = await self._facts(coming.mo.msisdn)
            turn = self._engine.hear(record.state, new.text, facts)
        else:
            _, facts, turn = ahead
        turn, denied = await self._effects(coming, turn, facts, record.turn + 1)
        return self._after(coming.mo, record, turn), denied

    def _after(self, mo: UssdMo, record: Record, turn: Turn) -> Record:
        accepted = record.accepted.then(mo.text, secret=record.secret, mac=self._mac)
        return self._record(turn, record.turn + 1, accepted)

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

    async def _effects(
        self, coming: Coming, turn: Turn, facts: Facts, number: int
    ) -> tuple[Turn, bool]:
        """Do what the core asks for until it shows a page; was a payment not made?"""
        denied = False
        if turn.effect is None:
            return turn, denied
        origin = self._origin(coming.mo, number)
        for _ in range(WORST_EFFECTS):
            if turn.effect is None:
                return turn, denied
            changes = not isinstance(turn.effect, LOOKS)
            if changes:
                self._admission.waits(coming.worker)
            outcome = await self._handle(turn.effect, origin)
            denied = isinstance(turn.effect, PAYMENTS) and not isinstance(outcome, STORED)
            if changes and self._clock.monotonic() < origin.deadline:
                # It may have changed what is known (language, wallet): look again. But it has
                # happened, so what cannot be looked up in time must not hide what came of it.
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

    def _apology(self, kind: Apology, facts: Facts | None = None) -> UssdMt:
        screen = self._engine.apology(kind, facts)
        return UssdMt(screen.text, screen.end)
