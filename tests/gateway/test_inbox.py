"""One SMS: acted upon once, answered, and never paying without its code."""

import asyncio
import json
import re
from dataclasses import dataclass, replace

import pytest
from sqlalchemy import insert, select
from structlog.testing import capture_logs

from gateway.carriers.carrier import SmsMo, Unheard
from gateway.codes import code_mac
from gateway.desk.times import to_ms
from gateway.inbox import Inbox
from gateway.messages import CODE_MS
from gateway.meters import Meters
from gateway.origin import Origin
from gateway.stores.sql import StoreUnavailable
from gateway.stores.tables import Challenge, Message, table_of
from gateway.stores.tables import Transfer as PaymentRow
from menus.disputes import AskedBack
from menus.effects import (
    Balance,
    Committed,
    Effect,
    FindPayee,
    GiveBack,
    InProgress,
    LastPayment,
    Outcome,
    PayeeFound,
    PaymentState,
    ReadBalance,
    ReadLastPayment,
    Transfer,
    WrongPin,
)
from menus.facts import Facts, Service, WalletFacts
from menus.kinds import Currency, Money, Msisdn, Pin
from menus.limits import Caps, Used, sendable
from menus.sms import SmsEngine
from menus.text.load import load_texts

DARA, THIDA = Msisdn("+85512345601"), Msisdn("+85512345602")
CAPS = Caps(100, 2_000_000, 2_000_000, 20_000_000, 20, 4_000_000, 200_000)
WALLET = WalletFacts("open", sendable={Currency.KHR: sendable(CAPS, Used(), 400_000)})
BUDGET = 6
PAID = {
    "ref": "K7Q2M9XA",
    "intent_id": "intent",
    "tx_hash": "ab" * 32,
    "src_account": "85512345601@bank",
    "dest_account": "85512345602@bank",
    "src_msisdn": DARA.e164,
    "dest_msisdn": THIDA.e164,
    "currency": "KHR",
    "amount": 5000,
    "bucket": "KHR",
    "counted": 5000,
    "business_day": "2026-11-22",
    "channel": "sms",
    "state": "committed",
}


class Macs:
    """A keyed hash, as the vault's."""

    def mac(self, purpose: str, data: bytes) -> bytes:
        import hashlib  # noqa: PLC0415

        return hashlib.blake2b(data, key=b"key", person=purpose.encode()).digest()

    def is_mac(self, purpose: str, data: bytes, mac: bytes) -> bool:
        return self.mac(purpose, data) == mac


class World:
    """An inbox over real SQL; everybody has a wallet."""

    def __init__(self, sql, clock, entropy) -> None:
        self.sql, self.clock = sql, clock
        self.asked: list[tuple[Effect, Origin]] = []
        self.outcome: Outcome | None = None
        self._entropy = entropy
        self._facts = Facts(DARA, clock.now(), "", "en", WALLET, Service("Bakong", "*855#", "855"))
        self._count = 0
        self.meters = Meters()
        self.inbox = Inbox(
            SmsEngine(load_texts()),
            sql,
            self.facts,
            self.handle,
            Macs(),
            clock=clock,
            entropy=entropy,
            wait_s=3.0,
            replies_per_hour=BUDGET,
            queued=lambda: None,
            meters=self.meters,
        )

    async def facts(self, msisdn: Msisdn) -> Facts:
        fresh_id = self._entropy(8).hex()
        return replace(self._facts, msisdn=msisdn, now=self.clock.now(), fresh_id=fresh_id)

    async def handle(self, effect: Effect, origin: Origin) -> Outcome:
        self.asked.append((effect, origin))
        match effect:
            case FindPayee(to):
                return PayeeFound(to, "85512345602@bank", "C*** T***")
            case ReadBalance():
                return Balance((Money(Currency.KHR, 400_000),), None)
            case ReadLastPayment(ref):
                amount = Money(Currency.KHR, 5_000)
                return LastPayment(PaymentState.PAID, ref, amount, "C***", self.clock.now())
            case GiveBack() | Transfer():
                left = Money(Currency.KHR, 395_000)
                return self.outcome or Committed("REF", effect.to, "C***", effect.amount, left)
        raise TypeError(effect)

    @property
    def transfers(self) -> list[Transfer]:
        return [effect for effect, _ in self.asked if isinstance(effect, Transfer)]

    async def send(self, text: str, msisdn: Msisdn = DARA, message_id: str | None = None) -> None:
        self._count += 1
        message_id = message_id or f"m{self._count}"
        await self.inbox.take(SmsMo("africastalking", message_id, msisdn, "855", text))

    async def texts(self, msisdn: Msisdn = DARA) -> list[str]:
        rows = table_of(Message)

        def read(connection, _):
            query = select(rows.c.text).where(rows.c.msisdn == msisdn.e164)
            return [list(connection.execute(query.order_by(rows.c.queued_at, rows.c.id)).scalars())]

        return (await self.sql.run(read, [None]))[0]

    async def code(self) -> str:
        found = [re.search(r"YES (\d{4})", text) for text in await self.texts()]
        return [match[1] for match in found if match][-1]


async def pay(world: World, effect: Transfer, origin: Origin) -> None:
    """Write the payment's row, as the desk's commit does."""
    turn = {"turn_key": origin.turn_key, "created_at": to_ms(world.clock.now())}
    row = PAID | turn | {"intent_id": effect.intent}

    def write(connection, _):
        connection.execute(insert(table_of(PaymentRow)).values(row))
        return [None]

    await world.sql.run(write, [None])


@pytest.fixture
def world(sql, clock, entropy) -> World:
    return World(sql, clock, entropy)


async def test_a_payment_waits_for_its_code_and_its_pin(world):
    await world.send("SEND 5000 012345602")
    assert world.transfers == []
    await world.send(f"yes {await world.code()} 730264")
    (transfer,) = world.transfers
    assert transfer.to == THIDA
    assert transfer.amount == Money(Currency.KHR, 5000)
    assert transfer.pin.digits == "730264"


async def test_the_receipt_is_the_only_answer_to_a_payment_that_went_through(world):
    await world.send("SEND 5000 012345602")
    before = await world.texts()
    await world.send(f"YES {await world.code()} 730264")
    assert await world.texts() == before


async def test_a_payment_in_progress_is_answered(world):
    world.outcome = InProgress("REF12345")
    await world.send("SEND 5000 012345602")
    await world.send(f"YES {await world.code()} 730264")
    assert any("REF12345" in text for text in await world.texts())


async def test_one_message_brought_five_times_is_acted_upon_once(world):
    await asyncio.gather(*(world.send("SEND 5000 012345602", message_id="one") for _ in range(5)))
    assert len(await world.texts()) == 1
    await world.send("SEND 5000 012345602", message_id="one")
    assert len(await world.texts()) == 1
    # The code that was told is the code that is stored, whichever of the five won.
    await world.send(f"YES {await world.code()} 730264")
    assert len(world.transfers) == 1


async def test_a_wrong_code_asks_for_no_pin_and_three_kill_the_payment(world):
    await world.send("SEND 5000 012345602")
    code = await world.code()
    wrong = f"{(int(code) + 1) % 10_000:04}"
    await asyncio.gather(*(world.send(f"YES {wrong} 730264") for _ in range(3)))
    await world.send(f"YES {code} 730264")
    assert world.transfers == []


async def test_a_code_of_one_number_is_no_code_of_another(world):
    await world.send("SEND 5000 012345602")
    await world.send(f"YES {await world.code()} 730264", THIDA)
    assert world.transfers == []


async def test_a_code_is_good_for_five_minutes(world, clock):
    await world.send("SEND 5000 012345602")
    code = await world.code()
    await clock.advance(CODE_MS / 1000)
    await world.send(f"YES {code} 730264")
    assert world.transfers == []


async def test_a_yes_brought_again_after_it_has_paid_is_told_nothing_when_its_code_is_over(
    world, clock, monkeypatch
):
    """Its process died between the payment's commit and the message's; the receipt tells."""

    async def pay_and_die(effect: Effect, origin: Origin) -> Outcome:
        await pay(world, effect, origin)
        raise StoreUnavailable("died")

    await world.send("SEND 5000 012345602")
    yes = f"YES {await world.code()} 730264"
    monkeypatch.setattr(world.inbox, "_handle", pay_and_die)
    with pytest.raises(StoreUnavailable):
        await world.send(yes, message_id="yes")
    before = await world.texts()
    await clock.advance(CODE_MS / 1000)
    await world.send(yes, message_id="yes")
    assert await world.texts() == before


@pytest.mark.parametrize("later_ms", [0, CODE_MS])
async def test_a_second_yes_to_a_payment_is_told_what_became_of_it_and_pays_nothing(
    world, clock, monkeypatch, later_ms
):
    handle = world.handle

    async def pay_it(effect: Effect, origin: Origin) -> Outcome:
        if isinstance(effect, Transfer):
            await pay(world, effect, origin)
        return await handle(effect, origin)

    await world.send("SEND 5000 012345602")
    monkeypatch.setattr(world.inbox, "_handle", pay_it)
    yes = f"YES {await world.code()} 730264"
    await world.send(yes)
    await clock.advance(later_ms / 1000)
    await world.send(yes)
    assert len(world.transfers) == 1
    assert (await world.texts())[-1].startswith("Sent: 5,000 KHR to C***")
    assert (await world.texts())[-1].endswith("Ref K7Q2M9XA")


async def test_a_newer_payment_replaces_the_older_ones_code(world):
    await world.send("SEND 5000 012345602")
    older = await world.code()
    await world.clock.advance(1)
    await world.send("SEND 6000 012345602")
    newer = await world.code()
    if older != newer:
        await world.send(f"YES {older} 730264")
    await world.send(f"YES {newer} 730264")
    assert [transfer.amount.minor for transfer in world.transfers] == [6000]


async def test_the_same_right_code_again_carries_the_same_intent(world):
    await world.send("SEND 5000 012345602")
    code = await world.code()
    await world.send(f"YES {code} 730264")
    await world.send(f"YES {code} 730264")
    assert len({transfer.intent for transfer in world.transfers}) == 1


@dataclass(frozen=True, slots=True)
class Stuck:
    """An outcome that comes too late."""

    outcome: Outcome


class OneAfterAnother:
    """The first effect ends as told once `go` is set, and those after it as told at once."""

    def __init__(self, *outcomes: Outcome | Exception) -> None:
        self._outcomes = list(outcomes)
        self.begun, self.go = asyncio.Event(), asyncio.Event()
        self.asked = 0

    async def handle(self, _: Effect, __: Origin) -> Outcome:
        outcome = self._outcomes[self.asked]
        self.asked += 1
        if self.asked == 1:
            self.begun.set()
            await self.go.wait()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def brought_twice(world: World, monkeypatch, effects: OneAfterAnother):
    """Two deliveries of one `YES`, the second while the first is being acted upon."""
    await world.send("SEND 5000 012345602")
    yes = f"YES {await world.code()} 730264"
    monkeypatch.setattr(world.inbox, "_handle", effects.handle)
    first = asyncio.create_task(world.send(yes, message_id="yes"))
    await effects.begun.wait()
    return first, asyncio.create_task(world.send(yes, message_id="yes"))


async def test_a_yes_brought_again_while_it_is_acted_upon_waits_and_is_told_nothing_else(
    world, clock, monkeypatch
):
    """Or one is told that nothing was sent, and the other pays."""
    effects = OneAfterAnother(InProgress("REF12345"))
    first, again = await brought_twice(world, monkeypatch, effects)
    while not clock.sleepers:
        await asyncio.sleep(0)
    effects.go.set()
    await first
    await clock.advance(1)
    await again
    assert effects.asked == 1
    assert sum("REF12345" in text for text in await world.texts()) == 1


@pytest.mark.parametrize("outcome", [StoreUnavailable("died"), Stuck(WrongPin(2))])
async def test_a_yes_that_nobody_finishes_is_taken_over(world, clock, monkeypatch, outcome):
    clock.skipping = True
    stuck = isinstance(outcome, Stuck)
    effects = OneAfterAnother(outcome.outcome if stuck else outcome, InProgress("REF12345"))
    first, again = await brought_twice(world, monkeypatch, effects)
    if not stuck:
        effects.go.set()
    await again
    effects.go.set()
    ended = await asyncio.gather(first, return_exceptions=True)
    assert ended == [None if stuck else outcome]
    assert effects.asked == 2
    answers = await world.texts()
    assert "REF12345" in answers[-1]
    assert len(answers) == 2  # the code, and this: who was late has stored nothing


@pytest.mark.parametrize("text", ["BAL", "bal.", "HELP", "", "lottery", "YES", "SEND", "SEND x y"])
async def test_everything_gets_a_short_answer(world, text):
    await world.send(text)
    (answer,) = await world.texts()
    assert 0 < len(answer) <= 160


async def test_over_its_budget_a_number_gets_no_more_answers_until_an_hour_later(world, clock):
    for _ in range(BUDGET + 3):
        await world.send("HELP")
    assert len(await world.texts()) == BUDGET
    assert len(await world.texts(THIDA)) == 0
    await clock.advance(3601)
    await world.send("HELP")
    assert len(await world.texts()) == BUDGET + 1


@pytest.mark.parametrize("why", Unheard)
async def test_what_cannot_be_heard_is_counted_and_told_by_its_kind_only(world, why):
    with capture_logs() as lines:
        world.inbox.ignore(why)
    assert world.meters.texts.labels(why.value)._value.get() == 1
    assert lines == [
        {"event": "sms ignored", "why": why.value, "room": "inbox", "log_level": "info"}
    ]


async def test_nothing_of_a_pin_or_its_text_is_stored(world, database_url, sql):
    await world.send("SEND 5000 012345602")
    await world.send(f"YES {await world.code()} 730264")
    await world.send("YES 0000 730264")
    await world.send("730264")

    def everything(connection, _):
        from sqlmodel import SQLModel  # noqa: PLC0415

        tables = SQLModel.metadata.sorted_tables
        return [[list(map(tuple, connection.execute(select(table)))) for table in tables]]

    assert "730264" not in str(await sql.run(everything, [None]))


async def test_a_code_for_giving_back_waits_beside_the_code_of_a_payment(world):
    asked = AskedBack("dispute-1", "R7", Money(Currency.KHR, 700), "", THIDA, "85512345602@bank")
    row = {
        "msisdn": DARA.e164,
        "form": "give_back",
        "dispute": "dispute-1",
        "intent_id": "dispute-1",
        "code_mac": code_mac(Macs(), DARA, "dispute-1", "90210"),
        "answers": json.dumps({"asked": asked.dump(), "answer": "yes"}),
        "wrong_codes": 0,
        "expires_at": int(world.clock.now().timestamp() * 1000) + 2 * CODE_MS,
    }

    def store(connection, _):
        return [connection.execute(insert(table_of(Challenge)), [row]).rowcount]

    await world.sql.run(store, [None])
    await world.send("SEND 2000 012345602")
    await world.send("YES 90210 730264")
    back = [effect for effect, _ in world.asked if isinstance(effect, GiveBack)]
    assert back == [GiveBack("dispute-1", THIDA, asked.account_id, asked.amount, Pin("730264"))]
    assert world.transfers == []
    await world.send(f"YES {await world.code()} 730264")
    assert len(world.transfers) == 1
