"""Whatever people type, dial, drop and are answered: a page comes, it fits, and no PIN stays."""

import json
from dataclasses import replace
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from talk import CHAN, DOLLARS, ENGINE, NOW, OPEN, PIN, SOK, World

from menus.effects import (
    AskAgain,
    FindPayee,
    KeptExpired,
    LimitKind,
    NoWallet,
    OverLimit,
    PinLocked,
    Transfer,
    Unavailable,
    WrongPin,
)
from menus.encoding import PageSize, fits
from menus.engine import Recent, State
from menus.forms import about
from menus.kinds import Currency, Money

PINS = (PIN, "905173", "481736")
PAID = Recent(CHAN, Money(Currency.KHR, 5000), NOW - timedelta(minutes=1), settled=True, ref="R6")
WALLETS = (
    OPEN,
    OPEN,  # most people, most of the time
    DOLLARS,
    None,
    replace(OPEN, state="opening"),
    replace(OPEN, state="held"),
    replace(DOLLARS, recent=(PAID,)),
    replace(OPEN, recent=(replace(PAID, settled=False),)),
)
FAULTS = (
    Unavailable(),
    KeptExpired(),
    NoWallet(CHAN),
    WrongPin(1),
    PinLocked(NOW),
    OverLimit(LimitKind.DAY, Money(Currency.KHR, 0)),
    AskAgain("R6", Money(Currency.KHR, 5000), CHAN, NOW, settled=True),
)
likely = st.sampled_from(
    [*"0123456789", "00", "10", "012345602", "012345605", "5000", "12*50", "700000", "", *PINS]
)
inputs = st.one_of(likely, likely, likely, st.text(max_size=12), st.just("៥" * 10_000))


class Talking(RuleBasedStateMachine):
    """One number, its sessions one after another; the world is healthy or has a fault."""

    def __init__(self):
        super().__init__()
        self.world, self.facts, self.ids = World(), SOK, 0
        self.turn, self.stored, self.everything = None, "null", []

    @initialize(wallet=st.sampled_from(WALLETS), language=st.sampled_from(["en", "km", None]))
    def somebody(self, wallet, language):
        self.facts = replace(SOK, wallet=wallet, language=language)
        self.settle(ENGINE.begin(self.now()))

    def now(self):
        self.ids += 1
        return replace(self.facts, fresh_id=f"id-{self.ids}")

    def settle(self, turn, fault=None):
        for _ in range(20):
            if turn.effect is None:
                break
            outcome = self.world(turn.effect)
            form = ENGINE._forms[turn.state.form]
            if isinstance(turn.effect, FindPayee):
                fits_here = isinstance(fault, Unavailable | NoWallet)
            else:
                fits_here = turn.state.waiting == "effect" and isinstance(fault, form.outcomes)
            if fault and fits_here:
                outcome, fault = fault, None
            turn = ENGINE.heard(turn.state, outcome, self.now())
        assert turn.effect is None
        self.turn = turn
        self.stored = json.dumps(turn.state.dump() if turn.state else None)
        self.everything.append(self.stored)

    def state(self):
        return State.load(json.loads(self.stored))

    @rule(text=inputs, fault=st.none() | st.sampled_from(FAULTS))
    def type(self, text, fault):
        self.settle(ENGINE.hear(self.state(), text, self.now()), fault)

    @rule(amount=st.sampled_from(["5000", "6000"]), pin=st.sampled_from(PINS))
    def pay(self, amount, pin):
        for text in ("00", "1", "012345602", amount, pin):
            self.settle(ENGINE.hear(self.state(), text, self.now()))

    @rule(amount=st.sampled_from(["5000", "6000", "7000"]))
    def reconsider(self, amount):
        for text in ("00", "1", "012345602", "5000", PINS[1], "0", amount, PIN):
            self.settle(ENGINE.hear(self.state(), text, self.now()))

    @rule(
        dialled=st.lists(st.one_of(likely, st.text(max_size=4)), max_size=5),
        resume=st.booleans(),
        fault=st.none() | st.sampled_from(FAULTS),
    )
    def redial(self, dialled, resume, fault):
        previous = self.state() if resume else None
        turn = ENGINE.begin(self.now(), dialled=dialled, previous=previous)
        assert turn.consumed <= len(dialled)
        self.settle(turn, fault)

    @rule(wallet=st.sampled_from(WALLETS))
    def something_changes(self, wallet):
        self.facts = replace(self.facts, wallet=wallet)

    @invariant()
    def a_page_is_shown_and_fits(self):
        if self.turn:
            page = self.turn.page
            assert page
            assert page.text.strip()
            assert fits(page.text, PageSize())
            assert page.end == (self.turn.state is None)

    @invariant()
    def the_state_survives_storing(self):
        state = self.turn.state if self.turn else None
        if state:
            within_turn = {"waiting": "", "rest": (), "consumed": 0, "values": {}}
            assert self.state() == state._replace(**within_turn)
            assert not state.waiting

    @invariant()
    def answers_are_only_of_questions_before_the_one_asked(self):
        state = self.state()
        if state and state.form:
            form = about(ENGINE._forms[state.form].cls)
            assert set(state.answers) <= {q.field for q in form.before(state.asked)}

    @invariant()
    def no_pin_is_stored(self):
        if self.everything:
            assert not any(pin in self.everything[-1] for pin in PINS)

    @invariant()
    def one_intent_never_stands_for_two_payments(self):
        stands_for = {}
        for effect in self.world.done:
            if isinstance(effect, Transfer):
                assert effect.intent
                what = (effect.to, effect.amount, effect.again)
                assert stands_for.setdefault(effect.intent, what) == what


Talking.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
test_talking = Talking.TestCase
