"""One USSD turn: claimed once, answered always, whatever is repeated, late, lost or broken."""

import asyncio
import hashlib
from dataclasses import replace

import pytest
from clocks import FakeClock

from gateway.carriers.carrier import UssdMo, UssdMt
from gateway.meters import Meters
from gateway.origin import Origin
from gateway.record import ENDED_S, RESUME_S
from gateway.stores.sessions import SessionKey, SessionsUnavailable, open_sessions
from gateway.stores.sql import StoreUnavailable
from gateway.turn import Turns
from menus.effects import Committed, Effect, FindPayee, Outcome, PayeeFound, Transfer
from menus.engine import Engine
from menus.facts import Facts, Service, WalletFacts
from menus.kinds import Currency, Money, Msisdn
from menus.limits import Caps, Used, sendable
from menus.text.load import load_texts

DARA = Msisdn("+85512345601")
PIN = "730264"
CAPS = Caps(100, 2_000_000, 2_000_000, 20_000_000, 20, 4_000_000, 200_000)
WALLET = WalletFacts("open", sendable={Currency.KHR: sendable(CAPS, Used(), 400_000)})
STEPS = ("1", "012345602", "5000", PIN)


class Desk:
    """Everybody has a wallet and every PIN is right; pays when `go_on` is set."""

    def __init__(self) -> None:
        self.asked: list[tuple[Effect, Origin]] = []
        self.go_on = asyncio.Event()
        self.go_on.set()

    @property
    def transfers(self) -> list[Transfer]:
        return [effect for effect, _ in self.asked if isinstance(effect, Transfer)]

    async def __call__(self, effect: Effect, origin: Origin) -> Outcome:
        self.asked.append((effect, origin))
        match effect:
            case FindPayee(to):
                return PayeeFound(to, "85512345602@bank", "C*** T***")
            case Transfer():
                await self.go_on.wait()
                balance = Money(Currency.KHR, 395_000)
                return Committed("REF12345", effect.to, "C*** T***", effect.amount, balance)
        raise TypeError(effect)


class World:
    """One gateway's worth of turns over a session store; `phone` posts as the carrier does."""

    def __init__(self, sessions, clock, entropy, desk) -> None:
        self.sessions, self.clock, self.desk = sessions, clock, desk
        self.fault: Exception | None = None
        service = Service("Bakong", "*855#", "855")
        self.known = Facts(DARA, clock.now(), "", "en", WALLET, service)
        self.engine = Engine(load_texts())
        self.meters = Meters()
        self.turns = Turns(
            self.engine,
            sessions,
            self.facts,
            desk,
            mac=_mac,
            clock=clock,
            entropy=entropy,
            wait_s=3.0,
            meters=self.meters,
        )
        self._ids = entropy

    async def facts(self, msisdn: Msisdn) -> Facts:
        if self.fault:
            raise self.fault
        return replace(self.known, msisdn=msisdn, now=self.clock.now(), fresh_id=self._ids(8).hex())

    async def post(self, text: str, session: str = "s1", msisdn: Msisdn = DARA) -> UssdMt:
        mo = UssdMo("africastalking", session, msisdn, "99999", "*855#", text)
        return await self.turns.take(mo)

    async def walk(self, *inputs: str, session: str = "s1") -> UssdMt:
        """Dial, then type; each turn posts the whole history."""
        text = ""
        page = await self.post(text, session)
        for typed in inputs:
            text = f"{text}*{typed}" if text else typed
            page = await self.post(text, session)
        return page


def _mac(masked: bytes, like: bytes = b"") -> bytes:
    return hashlib.blake2b(masked, key=b"key").digest()


@pytest.fixture(params=["memory", "redis"])
async def world(request, entropy):
    url = request.getfixturevalue("redis_url") if request.param == "redis" else None
    clock = FakeClock(skipping=True)  # who waits for a page of Redis looks again and again
    sessions = open_sessions(url, clock)
    yield World(sessions, clock, entropy, Desk())
    await sessions.close()


async def test_a_conversation_ends_in_one_payment(world):
    page = await world.walk(*STEPS)
    assert page.end
    assert "REF12345" in page.text
    (transfer,) = world.desk.transfers
    assert transfer.amount == Money(Currency.KHR, 5000)
    assert transfer.pin.digits == PIN


async def test_a_conversation_goes_on_where_another_process_left_it(world, entropy):
    other = World(world.sessions, world.clock, entropy, world.desk)
    text = ""
    await world.post(text)
    for turn, typed in enumerate(STEPS):
        text = f"{text}*{typed}" if text else typed
        page = await (world if turn % 2 else other).post(text)
    assert "REF12345" in page.text
    (transfer,) = world.desk.transfers
    assert (transfer.amount, transfer.pin.digits) == (Money(Currency.KHR, 5000), PIN)


async def test_every_callback_five_times_in_parallel_is_one_turn_with_five_equal_answers(world):
    text = ""
    for typed in (None, *STEPS):
        text = "*".join(filter(None, (text, typed)))
        pages = await asyncio.gather(*(world.post(text) for _ in range(5)))
        assert len(set(pages)) == 1
    assert len(world.desk.transfers) == 1
    turns = [origin.turn for effect, origin in world.desk.asked if isinstance(effect, Transfer)]
    assert turns == [4]


async def test_a_repeat_while_the_ledger_is_slow_waits_for_the_same_page(world):
    world.desk.go_on.clear()
    await world.walk(*STEPS[:-1])
    text = "*".join(STEPS)
    first, second = (asyncio.create_task(world.post(text)) for _ in range(2))
    while not world.desk.transfers:
        await asyncio.sleep(0)
    world.desk.go_on.set()
    assert await first == await second
    assert len(world.desk.transfers) == 1


async def test_a_late_repeat_of_an_older_turn_repeats_the_last_page(world):
    page = await world.walk("1", "012345602")
    assert await world.post("1") == page
    assert await world.post("") == page
    assert await world.post("2*012345602") == page


async def test_a_finished_session_keeps_its_page_and_takes_nothing_more(world):
    page = await world.walk(*STEPS)
    text = "*".join(STEPS)
    assert await world.post(text) == page
    assert await world.post(text + "*1") == page
    assert len(world.desk.transfers) == 1


async def test_an_unknown_session_with_text_is_told_to_dial_again_and_stores_nothing(world):
    page = await world.post("*".join(STEPS))
    assert page.end
    assert "dial again" in page.text.lower()
    assert world.desk.asked == []
    claim = await world.sessions.claim(
        SessionKey(DARA.e164, "africastalking", "s1"),
        worker="w",
        length=0,
        lease_s=1,
        create=False,
    )
    assert claim.state == "missing"


@pytest.mark.parametrize("dialled", ["9", "77*1", "2*1", "1*012345602*5000*12*50"])
async def test_a_mistyped_dial_is_told_so_in_its_language_and_begins_nothing(world, dialled):
    world.known = replace(world.known, language="km")
    page = await world.post(dialled)
    assert page == UssdMt("សូមចុចតែលេខកូដ រួចជ្រើសពីបញ្ជី។", end=True)
    assert world.desk.asked == []
    assert await world.post(f"{dialled}*1") == page


@pytest.mark.parametrize(
    "history",
    [
        *(f"9*1*012345602*5000*{PIN}", "2*៧៣០២៦៤", f"{PIN}*9", f"2*{PIN}", f"4*{PIN}"),
        f"1*012345602*5000*{PIN}",
    ],
)
async def test_what_holds_a_pin_was_dialled_with_it_or_may_have_paid(world, history):
    """A lost session's history looks the same: the warning does no harm there."""
    page = await world.post(history)
    assert page.end
    assert page.text.startswith("Never dial your PIN. ")
    assert "Last payment" in page.text
    world.known = replace(world.known, language="km")
    assert (await world.post(history)).text.startswith("កុំចុចលេខសម្ងាត់")
    assert world.desk.asked == []


async def test_a_deep_dial_fills_up_to_the_pin(world):
    page = await world.post("1*012345602*5000")
    assert not page.end
    assert "C*** T***" in page.text
    assert "5,000 KHR" in page.text
    page = await world.post(f"1*012345602*5000*{PIN}")
    assert "REF12345" in page.text


async def test_a_dropped_conversation_is_offered_again_for_ten_minutes(world):
    await world.walk("1", "012345602", "5000")
    page = await world.post("", session="s2")
    assert "Continue" in page.text
    page = await world.post("1", session="s2")
    assert "PIN" in page.text
    await world.post(f"1*{PIN}", session="s2")
    assert len(world.desk.transfers) == 1


async def test_after_ten_minutes_it_is_forgotten(clock, entropy):
    sessions = open_sessions(None, clock)
    world = World(sessions, clock, entropy, Desk())
    await world.walk("1", "012345602", "5000")
    await clock.advance(RESUME_S + 1)
    assert "Continue" not in (await world.post("", session="s2")).text


async def test_a_finished_session_is_not_offered(world):
    await world.walk(*STEPS)
    assert "Continue" not in (await world.post("", session="s2")).text


async def test_a_finished_session_is_forgotten_after_three_minutes(clock, entropy):
    sessions = open_sessions(None, clock)
    world = World(sessions, clock, entropy, Desk())
    await world.walk(*STEPS)
    await clock.advance(ENDED_S + 1)
    assert "Dial again" in (await world.post("*".join(STEPS))).text


async def test_without_facts_nothing_is_done_and_the_person_is_told_so(world):
    await world.post("")
    for fault in (StoreUnavailable("gone"), TimeoutError()):
        world.fault = fault
        page = await world.post("1")
        assert page.end
        assert "Nothing was done" in page.text
    world.fault = None
    assert "number" in (await world.post("1")).text


async def test_a_pin_that_cannot_be_taken_is_never_answered_by_nothing_was_done(world):
    """The carrier may have sent its callback twice, and the other one is in time to pay."""
    await world.walk(*STEPS[:-1])
    world.fault = StoreUnavailable("gone")
    page = await world.post("*".join(STEPS))
    assert "Last payment" in page.text
    assert "Nothing" not in page.text
    world.fault = None
    assert "REF12345" in (await world.post("*".join(STEPS))).text


async def test_a_fault_of_ours_is_a_page_that_promises_nothing(world):
    world.fault = ZeroDivisionError("oops")
    page = await world.post("")
    assert page.end
    assert "Last payment" in page.text
    assert "Nothing" not in page.text


async def test_when_facts_are_lost_after_a_payment_its_outcome_is_told_all_the_same(world):
    await world.walk(*STEPS[:-1])
    desk = world.desk

    async def pays_then_breaks(effect: Effect, origin: Origin) -> Outcome:
        world.fault = StoreUnavailable("gone")
        return await desk(effect, origin)

    world.turns._handle = pays_then_breaks
    page = await world.post("*".join(STEPS))
    assert "REF12345" in page.text


async def test_what_is_known_is_not_looked_up_again_when_the_time_is_over(world):
    await world.walk(*STEPS[:-1])
    world.desk.go_on.clear()
    posted = asyncio.ensure_future(world.post("*".join(STEPS)))
    while not world.desk.transfers:
        await asyncio.sleep(0)
    await world.clock.sleep(3.5)
    world.fault = AssertionError("looked up again")
    world.desk.go_on.set()
    assert (await posted).text.startswith("Sent")


async def test_a_worker_that_died_in_its_turn_is_taken_over_with_the_same_turn_key(clock, entropy):
    sessions = open_sessions(None, clock)
    world = World(sessions, clock, entropy, Desk())
    await world.walk(*STEPS[:-1])
    key = SessionKey(DARA.e164, "africastalking", "s1")
    text = "*".join(STEPS)
    claim = await sessions.claim(key, worker="dead", length=len(text), lease_s=6.2, create=False)
    assert claim.state == "claimed"
    await clock.advance(6.3)
    page = await world.post(text)
    assert "REF12345" in page.text
    assert world.desk.asked[-1][1].turn_key == "africastalking/+85512345601/s1/4"


async def test_no_pin_reaches_the_session_store(redis_url, clock, entropy):
    import redis  # noqa: PLC0415

    sessions = open_sessions(redis_url, clock)
    world = World(sessions, clock, entropy, Desk())
    await world.walk(*STEPS)
    await world.walk("1", "012345602", "5000", session="s2")
    await world.post(f"1*012345602*5000*{PIN}", session="s3")
    await world.post(f"1*{PIN}*5000", session="s4")
    with redis.Redis.from_url(redis_url) as client:
        kept = b"".join(client.dump(key) + key for key in client.scan_iter())
    assert kept
    assert PIN.encode() not in kept
    await sessions.close()


class AwaySessions:
    """A session store of which some calls fail."""

    def __init__(self, sessions, *away: str) -> None:
        self._sessions, self._away = sessions, away

    def __getattr__(self, name):
        if name in self._away:

            async def fails(*_args, **_kwargs):
                raise SessionsUnavailable("gone")

            return fails
        return getattr(self._sessions, name)


async def test_a_turn_that_cannot_be_claimed_never_says_that_nothing_was_done(world):
    """Another worker may be paying for the same callback at this moment."""
    await world.walk(*STEPS[:-1])
    world.turns._sessions = AwaySessions(world.sessions, "claim")
    page = await world.post("*".join(STEPS))
    assert "Last payment" in page.text
    assert "Nothing" not in page.text
    assert "Nothing was done" in (await world.post("", session="s2")).text


async def test_a_page_in_hand_is_shown_whatever_becomes_of_the_store(world):
    page = await world.walk(*STEPS)
    world.turns._sessions = AwaySessions(world.sessions, "release")
    assert await world.post("*".join(STEPS)) == page
