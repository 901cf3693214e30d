"""Turns that were answered although their record was lost: nothing is guessed or done twice."""

import asyncio
from dataclasses import replace

import pytest
from clocks import FakeClock, seeded
from hypothesis import given, settings
from hypothesis import strategies as st
from test_turn import DARA, PIN, STEPS, WALLET, AwaySessions, Desk, World

from gateway.record import Record
from gateway.stores.sessions import SessionKey, open_sessions
from gateway.stores.sessions_memory import MemorySessions
from gateway.stores.sql import StoreUnavailable
from menus.disputes import AskedBack
from menus.effects import (
    Effect,
    GiveBack,
    LimitKind,
    Outcome,
    OverLimit,
    PayeeFull,
    Transfer,
    WrongPin,
)
from menus.kinds import Currency, Money

KEY = SessionKey(DARA.e164, "africastalking", "s1")
OTHER_PIN = "582913"
DOLLARS = replace(
    WALLET, dollars=True, sendable=dict.fromkeys(Currency, WALLET.sendable[Currency.KHR])
)


@pytest.fixture(params=["memory", "redis"])
async def world(request, entropy):
    url = request.getfixturevalue("redis_url") if request.param == "redis" else None
    clock = FakeClock(skipping=True)
    sessions = open_sessions(url, clock)
    yield World(sessions, clock, entropy, Desk())
    await sessions.close()


async def lost(world, text):
    """A turn that is answered while the store is away, by a process that was not there before."""
    world.turns._kept.forget()
    kept, world.turns._sessions = world.turns._sessions, AwaySessions(world.sessions, "finish")
    page = await world.post(text)
    world.turns._sessions = kept
    return page


async def stored(world) -> Record:
    """What the next turn finds."""
    claim = await world.sessions.claim(KEY, worker="looks", length=9999, lease_s=9, create=False)
    await world.sessions.release(KEY, worker="looks")
    return Record.load(claim.record)


async def test_what_was_typed_at_a_lost_page_is_not_read_and_the_page_before_comes_again(world):
    asked = await world.walk(*STEPS[:2])
    assert "How much" in asked.text
    assert "PIN" in (await lost(world, "1*012345602*5000")).text
    text = f"1*012345602*5000*{PIN}"
    assert await world.post(text) == asked
    assert await world.post(text) == asked, "and so does its repeat"
    text += "*7000"
    assert "7,000 KHR" in (await world.post(text)).text
    assert "REF12345" in (await world.post(f"{text}*{PIN}")).text
    (transfer,) = world.desk.transfers
    assert (transfer.amount, transfer.pin.digits) == (Money(Currency.KHR, 7000), PIN)


@pytest.mark.parametrize("begun", ["1*012345602", ""])
async def test_a_pin_that_was_typed_at_a_lost_page_leaves_no_trace(begun):
    kept = []
    for pin in (PIN, OTHER_PIN):
        clock = FakeClock()
        world = World(open_sessions(None, clock), clock, seeded(), Desk())
        if begun:
            await world.walk(*begun.split("*"))
        await lost(world, "1*012345602*5000")
        await world.post(f"1*012345602*5000*{pin}")
        kept.append(await stored(world))
    assert kept[0] == kept[1]


async def test_what_may_be_two_inputs_is_kept_as_a_secret():
    """A store that fails over may forget a turn without knowing that it did."""
    kept = []
    for pin in (PIN, OTHER_PIN):
        clock = FakeClock()
        world = World(open_sessions(None, clock), clock, seeded(), Desk())
        await world.walk(*STEPS[:2])
        assert "How much" in (await world.post(f"1*012345602*5000*{pin}")).text
        kept.append(await stored(world))
    assert kept[0] == kept[1]


async def test_a_typed_star_at_a_lost_page_is_no_separator(world):
    world.known = replace(world.known, wallet=DOLLARS)
    asked = await world.walk("1", "012345602", "2")
    assert "12.50 USD" in (await lost(world, "1*012345602*2*12*50")).text
    text = f"1*012345602*2*12*50*{PIN}"
    assert await world.post(text) == asked
    text += "*12*50"
    assert "12.50 USD" in (await world.post(text)).text
    assert "REF12345" in (await world.post(f"{text}*{PIN}")).text


async def test_a_turn_that_was_lost_may_have_had_effects_under_its_number(world):
    """Else the PIN that is typed next would be answered as the one before it was."""
    asked = await world.walk(*STEPS[:3])
    desk = world.turns._handle

    async def refuses(effect: Effect, origin) -> Outcome:
        await desk(effect, origin)
        return WrongPin(2)

    world.turns._handle = refuses
    text = f"1*012345602*5000*{OTHER_PIN}"
    assert "wrong" in (await lost(world, text)).text.lower()
    world.turns._handle = desk
    text += f"*{PIN}"
    assert await world.post(text) == asked
    assert "REF12345" in (await world.post(f"{text}*{PIN}")).text
    first, second = (origin for effect, origin in desk.asked if isinstance(effect, Transfer))
    assert first.turn_key != second.turn_key
    wrong, right = world.desk.transfers
    assert wrong.intent == right.intent, "one payment, whatever became of the first attempt"


async def test_a_payment_not_made_is_not_told_of_when_that_is_lost(clock, entropy):
    """A repeat of the callback is heard anew, and may be in time to pay."""
    clock.skipping = True
    world = World(open_sessions(None, clock), clock, entropy, Desk())
    await world.walk(*STEPS[:3])
    desk = world.turns._handle

    async def refuses(_effect: Effect, _origin) -> Outcome:
        return PayeeFull()

    world.turns._handle = refuses
    page = await lost(world, "*".join(STEPS))
    assert "Last payment" in page.text
    assert "Nothing" not in page.text
    world.turns._handle = desk
    await clock.sleep(7)
    assert "REF12345" in (await world.post("*".join(STEPS))).text


async def test_money_not_given_back_is_not_told_of_when_that_is_lost(clock, entropy):
    """Giving back is a payment, and its callback may be repeated, too."""
    world = World(open_sessions(None, clock), clock, entropy, Desk())
    asked = AskedBack("dispute-1", "R7", Money(Currency.KHR, 5000), "C***", DARA, "a@bank")
    world.known = replace(world.known, wallet=replace(WALLET, asked_back=asked))
    assert "PIN" in (await world.walk("1")).text

    async def refuses(effect: Effect, _origin) -> Outcome:
        assert isinstance(effect, GiveBack)
        return OverLimit(LimitKind.BALANCE, Money(Currency.KHR, 7))

    world.turns._handle = refuses
    page = await lost(world, f"1*{PIN}")
    assert "Last payment" in page.text
    assert page.end
    assert "Nothing" not in page.text


async def test_a_repeat_that_cannot_be_taken_says_nothing_of_what_the_first_has_done(world):
    """The first has paid and ended the session while the repeat waited for its facts."""
    await world.walk(*STEPS[:3])
    facts, waits = world.turns._facts, asyncio.Event()

    async def late(_msisdn):
        await waits.wait()
        raise StoreUnavailable("gone")

    world.turns._facts = late
    repeat = asyncio.ensure_future(world.post("*".join(STEPS)))
    await asyncio.sleep(0)
    world.turns._facts = facts
    assert "REF12345" in (await world.post("*".join(STEPS))).text
    waits.set()
    page = await repeat
    assert "Last payment" in page.text
    assert "Nothing" not in page.text


async def test_the_lost_turn_itself_once_more_is_taken_up_where_it_was(clock, entropy):
    clock.skipping = True  # the claim that nobody ended runs out while we wait
    world = World(open_sessions(None, clock), clock, entropy, Desk())
    await world.walk(*STEPS[:3])
    text = "*".join(STEPS)
    page = await lost(world, text)
    await clock.sleep(7)
    assert await world.post(text) == page
    first, again = (origin for effect, origin in world.desk.asked if isinstance(effect, Transfer))
    assert first.turn_key == again.turn_key, "which the desk does once"


async def test_a_lost_first_turn_makes_no_deep_dial_of_what_is_typed_next(world):
    menu = await lost(world, "")
    assert await world.post("1") == menu
    assert "number" in (await world.post("1*1")).text
    assert "How much" in (await world.post("1*1*012345602")).text


async def test_a_lost_deep_dial_begins_at_the_menu(world):
    assert "PIN" in (await lost(world, "1*012345602*5000")).text
    text = f"1*012345602*5000*{PIN}"
    assert (await world.post(text)).text.startswith("1 Send money")
    assert world.desk.transfers == []
    assert "number" in (await world.post(f"{text}*1")).text


async def test_the_page_that_comes_again_may_be_lost_too(world):
    asked = await world.walk(*STEPS[:2])
    await lost(world, "1*012345602*5000")
    text = f"1*012345602*5000*{PIN}"
    assert await lost(world, text) == asked
    assert await world.post("1*012345602*5000") == asked, "a late repeat changes nothing"
    text += "*6000"
    assert await world.post(text) == asked
    assert "7,000 KHR" in (await world.post(f"{text}*7000")).text


async def test_another_text_than_the_one_that_was_heard_changes_nothing(world):
    asked = await world.walk(*STEPS[:2])
    await lost(world, "1*012345602*5000")
    before = await stored(world)
    assert await world.post(f"2*012345602*5000*{PIN}") == asked
    assert await stored(world) == before


async def test_the_history_of_a_session_that_is_gone_is_told_to_dial_again(world):
    for wallet in (WALLET, DOLLARS):
        world.known = replace(world.known, wallet=wallet)
        page = await world.post(f"1*012345602*5000*{PIN}")
        assert page.end
        assert "dial again" in page.text.lower()
    assert world.desk.asked == []


async def test_who_typed_a_pin_is_not_told_that_nothing_was_done_by_a_process_that_was_not_there(
    world, entropy
):
    """It has kept an older page of the session, at which no PIN was asked for."""
    other = World(world.sessions, world.clock, entropy, world.desk)
    await other.walk(*STEPS[:2])
    await world.post("*".join(STEPS[:3]))
    other.fault = StoreUnavailable("gone")
    page = await other.post("*".join(STEPS))
    assert "Last payment" in page.text
    assert "Nothing" not in page.text
    assert "REF12345" in (await world.post("*".join(STEPS))).text


async def test_the_history_of_a_lost_session_is_not_told_that_nothing_was_done(world):
    """It may have paid before it was lost."""
    world.fault = StoreUnavailable("gone")
    page = await world.post(f"1*012345602*5000*{PIN}")
    assert "Last payment" in page.text
    assert "Nothing" not in page.text


# ---- whatever is lost, and whatever comes twice


class Phone:
    """Answers the page it sees; the carrier adds what it types to the text of the session."""

    def __init__(self, pin: str) -> None:
        clock = FakeClock()
        self.world = World(MemorySessions(clock), clock, seeded(), Desk())
        self.pin, self.texts, self.pages = pin, [""], []

    async def turn(self, *, kept: bool, repeats: int | None) -> None:
        if self.pages:
            self.texts.append("*".join(filter(None, (self.texts[-1], self._typed()))))
        text = self.texts[-1]
        self.pages.append(await (self.world.post(text) if kept else lost(self.world, text)))
        older = self.texts if kept else self.texts[:-1]  # an equal one would wait for the lease
        if repeats is not None and older:
            await self.world.post(older[repeats % len(older)])

    def _typed(self) -> str:
        answers = {"1 Send money": "1", "number?": "012345602", "How much": "5000", "PIN": self.pin}
        return next(typed for line, typed in answers.items() if line in self.pages[-1].text)

    @property
    def done(self) -> bool:
        return bool(self.pages) and self.pages[-1].end

    @property
    def record(self) -> bytes | None:
        return self.world.sessions._of_number[DARA.e164].record


turns = st.tuples(st.booleans(), st.none() | st.integers(0, 9))


async def _played(plan) -> tuple[Phone, Phone]:
    """Two phones whose owners differ in their PIN only."""
    phones = Phone(PIN), Phone(OTHER_PIN)
    async with asyncio.timeout(30):
        for kept, repeats in (*plan, *[(True, None)] * 6):
            for phone in phones:
                if not phone.done:
                    await phone.turn(kept=kept, repeats=repeats)
            assert phones[0].record == phones[1].record, "nothing stored depends on a PIN"
    return phones


@given(st.lists(turns, max_size=9))
@settings(max_examples=25)
def test_whatever_is_lost_or_repeated_nothing_is_misread_and_one_payment_is_made(plan):
    (undisturbed, _), phones = asyncio.run(_played([])), asyncio.run(_played(plan))
    for phone in phones:
        assert phone.done
        assert set(phone.pages) == set(undisturbed.pages), "every answer fits what was asked"
        transfers = phone.world.desk.transfers
        assert len({transfer.intent for transfer in transfers}) == 1
        assert {(t.to.e164, t.amount.minor, t.pin.digits) for t in transfers} == {
            ("+85512345602", 5000, phone.pin)
        }
