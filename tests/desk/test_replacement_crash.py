"""Whatever dies, and whenever: the ledger knows one key of a wallet, and we can open it."""

import asyncio
from contextlib import suppress

import pytest
from clocks import FakeClock
from custody_parts import ACCOUNT, OTHER, PIN, WALLET, DyingSql, begin_anew, only, rows
from hypothesis import given, settings
from hypothesis import strategies as st
from money_parts import DARA, SUBMISSION, THIDA, khr, person
from replacement_parts import (
    FIRST,
    NEW,
    REPLACEMENT,
    SECOND,
    Custody,
    KeyedLedger,
    check_keys,
    dara,
    pinless,
    sealed_of,
)

from gateway.desk.blocks import start_cursor
from gateway.desk.recovery_request import RecoveryError, Request
from gateway.desk.renewal import KeyRenewed, KeyRenewing
from gateway.stores.runners import InlineSql
from gateway.stores.sql import StoreUnavailable
from gateway.vault import WrongPinKey
from ledger_client.ledger import Reached
from menus.kinds import Pin


@pytest.fixture
def ledger() -> KeyedLedger:
    return KeyedLedger()


# ---- step by step


@pytest.mark.parametrize("after_commit", [False, True], ids=["before its commit", "after it"])
@pytest.mark.parametrize("at", range(1, 5))
async def test_a_process_that_dies_is_taken_over_by_the_same_turn(
    sql, clock, ledger, at, after_commit
):
    """1 looks, 2 counts the PIN, 3 judges it, 4 stores."""
    await dara(sql, ledger)
    await sql.run(start_cursor, [Reached(0)])
    dying = Custody(DyingSql(sql, at, after_commit=after_commit), ledger, clock, "dying")
    where, kept = dying.at(), await dying.kept()
    with suppress(StoreUnavailable):
        await dying.renewals.renew(kept, PIN, where)
    heir = Custody(sql, ledger, clock, "heir")
    await check_keys(heir)
    await clock.advance(6)  # whoever had its attempt in hand is gone by now
    assert await heir.renewals.renew(kept, PIN, where) == KeyRenewing()
    await heir.through()
    await check_keys(heir, at_rest=True)
    assert await heir.renewals.renew(kept, PIN, where) == KeyRenewed()
    assert len(await rows(sql, REPLACEMENT)) == 1
    assert (await only(sql, WALLET, account_id=ACCOUNT))["wrong_pins"] == 0


@pytest.mark.parametrize("lost", ["never sent", "sent, reply lost", "queue lost", "not settled"])
async def test_what_was_stored_is_finished_by_whoever_comes_next(sql, clock, ledger, lost):
    await pinless(sql, ledger)
    await sql.run(start_cursor, [Reached(0)])
    first = Custody(sql, ledger, clock, "first")
    await first.renewals.first_pin(await first.kept(), first.at())
    ledger.drop_reply, ledger.deaf = lost == "sent, reply lost", lost == "queue lost"
    if lost != "never sent":
        await first.desk.outbox.round()
    if lost in ("not settled", "sent, reply lost"):
        ledger.block()
    ledger.drop_reply = ledger.deaf = False
    heir = Custody(sql, ledger, clock, "heir")
    await check_keys(heir)
    for _ in range(2):
        await clock.advance(10)
        await heir.through()
    await check_keys(heir, at_rest=True)
    assert (await only(sql, SUBMISSION))["state"] == "committed"


# ---- in any order

CYCLE = {PIN: OTHER, OTHER: NEW, NEW: PIN}
NAMES = ("new_key", "pay", "begin_recovery", "finish_recovery", "send", "through", "crash")
STEPS = st.lists(
    st.one_of(
        *(st.tuples(st.just(name)) for name in NAMES),
        st.tuples(st.just("block"), st.booleans()),
        st.tuples(st.just("settle"), st.integers(0, 3)),
        st.tuples(st.just("wait"), st.sampled_from((1, 7, 601, 90_000))),
        st.tuples(st.just("be"), st.sampled_from(("here", "away", "deaf", "no reply"))),
    ),
    max_size=30,
)


class World:
    """One process after another on one store, and a ledger that outlives them."""

    def __init__(self, sql: InlineSql) -> None:
        self.sql = sql
        self.clock = FakeClock(skipping=True)
        self.ledger = KeyedLedger()
        self.requests: list[Request] = []
        self.lives = 0

    async def begin(self) -> None:
        await self.crash()
        await dara(self.sql, self.ledger)
        await person(self.sql, THIDA, self.ledger)
        await self.sql.run(start_cursor, [Reached(0)])

    # what may happen

    async def new_key(self) -> None:
        """Asked for by the owner: the first PIN, or another one."""
        renewals, pin = self.custody.renewals, await self.pin()
        if pin is None:
            await renewals.first_pin(await self.custody.kept(PIN), self.custody.at())
        else:
            await renewals.renew(await self.custody.kept(CYCLE[pin]), pin, self.custody.at())

    async def pay(self) -> None:
        pin = await self.pin() or PIN
        await self.custody.desk.pay(DARA, THIDA, khr(500), pin=pin, wait_s=0.001)

    async def begin_recovery(self) -> None:
        with suppress(RecoveryError):
            made = await self.custody.recovery.begin(DARA, "forgotten", FIRST, self.custody.ledger)
            self.requests.append(made.signed_by(SECOND, self.clock.now()))

    async def finish_recovery(self) -> None:
        """The oldest that is left, wanted or not."""
        if self.requests:
            with suppress(RecoveryError):
                await self.custody.recovery.finish(self.requests.pop(0))

    async def send(self) -> None:
        await self.custody.desk.outbox.round()

    async def block(self, refuse: bool) -> None:  # noqa: FBT001 - drawn
        self.ledger.refuse_all = refuse
        self.ledger.block()

    async def settle(self, count: int) -> None:
        await self.custody.settle(count)

    async def through(self) -> None:
        await self.custody.through()

    async def wait(self, seconds: int) -> None:
        await self.clock.advance(seconds)

    async def be(self, state: str) -> None:
        self.ledger.away, self.ledger.deaf = state == "away", state == "deaf"
        self.ledger.drop_reply = state == "no reply"

    async def crash(self) -> None:
        self.lives += 1
        self.custody = Custody(self.sql, self.ledger, self.clock, f"life {self.lives}")

    # what must be true

    async def pin(self) -> Pin | None:
        """The one that opens the wallet as it is."""
        sealed = sealed_of(await only(self.sql, WALLET, account_id=ACCOUNT))
        for pin in CYCLE if sealed.has_pin else ():
            try:
                await self.custody.vault.open(ACCOUNT, sealed, pin)
            except WrongPinKey:
                continue
            return pin
        return None

    async def come_to_rest(self) -> None:
        ledger = self.ledger
        ledger.away = ledger.deaf = ledger.refuse_all = ledger.drop_reply = False
        for _ in range(4):
            await self.clock.advance(100)
            await self.custody.through()

    async def check_at_rest(self) -> None:
        await check_keys(self.custody, at_rest=True)
        assert "signed" not in {row["state"] for row in await rows(self.sql, SUBMISSION)}
        assert "pending" not in {row["state"] for row in await rows(self.sql, REPLACEMENT)}
        if await self.pin() is None:
            await self.new_key()
            await self.custody.through()
        await self.pay()
        await self.custody.through()
        paid = await rows(self.sql, SUBMISSION, purpose="transfer")
        assert paid[-1]["state"] == "committed"


async def live(sql: InlineSql, steps) -> None:
    await begin_anew(sql)
    world = World(sql)
    await world.begin()
    for name, *how in steps:
        await getattr(world, name)(*how)
        await check_keys(world.custody)
    await world.come_to_rest()
    await world.check_at_rest()


@settings(max_examples=40)
@given(STEPS)
def test_one_key_that_we_can_open_whatever_happens(inline_sql, steps):
    asyncio.run(live(inline_sql, steps))
