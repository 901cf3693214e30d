"""Whatever happens in whatever order: no riel is made, lost, or counted that did not move."""

import asyncio
from collections import Counter

from clocks import FakeClock
from custody_parts import begin_anew
from dispute_parts import DISPUTE, DisputeDesk
from hypothesis import given, settings
from hypothesis import strategies as st
from money_parts import (
    BORA,
    COUNTER,
    DARA,
    HOLDING,
    SUBMISSION,
    THIDA,
    TRANSFER,
    MemoryLedger,
    account,
    fetch,
    khr,
    person,
)

from gateway.desk.audit import rounds
from gateway.desk.blocks import start_cursor
from gateway.stores.runners import InlineSql
from ledger_client.ledger import Reached, TransferAsset
from menus.effects import LastPaidOut
from menus.kinds import Msisdn

PEOPLE = (DARA, THIDA, BORA)
GIVEN = 1_000_000
RIEL = st.integers(100, 700_000)
WHO = st.sampled_from(PEOPLE)
TWO = st.sampled_from([(src, to) for src in PEOPLE for to in PEOPLE if src != to])
ANSWER = st.sampled_from(("give back", "keep", "say nothing"))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("pay"), WHO, WHO, RIEL),
        st.tuples(st.just("pay in"), WHO, RIEL),
        st.tuples(st.just("take out"), WHO, RIEL),
        st.tuples(st.just("send")),
        st.tuples(st.just("block"), st.booleans()),
        st.tuples(st.just("settle"), st.integers(0, 3)),
        st.tuples(st.just("wait"), st.sampled_from((1, 7, 601, 40_000))),
        st.tuples(st.just("ledger"), st.sampled_from(("here", "away", "deaf"))),
        st.tuples(st.just("crash")),
    ),
    max_size=30,
)
DISPUTES = st.lists(
    st.one_of(
        st.tuples(st.just("pay and dispute"), TWO, RIEL, ANSWER),
        st.tuples(st.just("answer"), WHO, ANSWER),
        st.tuples(st.just("end what is due")),
        st.tuples(st.just("take out"), WHO, RIEL),
        st.tuples(st.just("block"), st.booleans()),
        st.tuples(st.just("wait"), st.sampled_from((601, 90_000))),
        st.tuples(st.just("crash")),
    ),
    min_size=4,
    max_size=20,
)


class World:
    """One process after another on one store, and a ledger that outlives them."""

    def __init__(self, sql: InlineSql) -> None:
        self.sql = sql
        self.clock = FakeClock(skipping=True)
        self.ledger = MemoryLedger(auto=False)
        self.lives = 0
        self.height = 0
        self.crash()

    def crash(self) -> None:
        self.lives += 1
        self.desk = DisputeDesk(
            self.sql, self.ledger, self.clock, seed=f"life {self.lives}", any_pin=True
        )

    async def begin(self) -> None:
        for number in PEOPLE:
            await person(self.sql, number, self.ledger, riel=GIVEN, tier="partial")
        await self.sql.run(start_cursor, [Reached(0)])

    async def step(self, what: str, *how) -> None:  # noqa: C901 - one case each
        match what, how:
            case "pay", (src, to, amount):
                await self.desk.pay(src, to, khr(amount), wait_s=0.0001)
            case "pay in", (to, amount):
                self.ledger.pay_in(account(to), str(amount))
            case "take out", (src, amount):
                self.take_out(src, amount)
            case "send", ():
                await self.desk.outbox.round()
            case "block", (refuse,):
                self.ledger.refuse_all = refuse
                self.ledger.block()
            case "settle", (count,):
                await self.settle(count)
            case "wait", (seconds,):
                await self.clock.advance(seconds)
            case "ledger", (state,):
                self.ledger.away, self.ledger.deaf = state == "away", state == "deaf"
            case "pay and dispute", (src_to, amount, answer):
                await self.dispute(*src_to, amount)
                await self.answer(src_to[1], answer)
            case "answer", (who, answer):
                await self.answer(who, answer)
            case "end what is due", ():
                await self.desk.disputes.end_due()
            case "crash", ():
                self.crash()

    async def dispute(self, src: Msisdn, to: Msisdn, amount: int) -> None:
        """Pay by mistake, and ask for it back once it has arrived."""
        self.ledger.away = self.ledger.deaf = self.ledger.refuse_all = False
        await self.desk.pay(src, to, khr(amount), wait_s=0.0001)
        await self.desk.outbox.round()
        self.ledger.block()
        await self.settle()
        last = await self.desk.last(src)
        if isinstance(last, LastPaidOut):
            await self.desk.ask(src, last.payment.ref)

    async def answer(self, who: Msisdn, answer: str) -> None:
        asked = await self.desk.asked(who)
        if asked and answer == "keep":
            await self.desk.keep(who, asked.dispute)
        elif asked and answer == "give back":
            await self.desk.agree(who, asked, wait_s=0.0001)

    def take_out(self, src: Msisdn, amount: int) -> None:
        """The owner moves money outside our desk: what we reserved may no longer be there."""
        held = self.ledger.held[account(src), "khr#nbc"]
        if held >= amount:
            move = TransferAsset(account(src), "shop@otherbank", "khr#nbc", str(amount))
            self.ledger.block((account(src), [move]))

    async def settle(self, count: int | None = None) -> None:
        until = len(self.ledger.blocks_made) if count is None else self.height + count
        for block in self.ledger.blocks_made[self.height : until]:
            assert await self.desk.follower._settle(block)
            self.height = block.height

    async def come_to_rest(self) -> None:
        self.ledger.away = self.ledger.deaf = self.ledger.refuse_all = False
        for _ in range(4):
            await self.clock.advance(100)
            await self.desk.outbox.round()
            self.ledger.block()
            await self.settle()

    async def reconcile(self) -> None:
        async for step in rounds(self.sql, self.desk.journal, self.clock.now):
            assert not step.drifts

    async def check(self, *, at_rest: bool) -> None:
        transfers = await fetch(self.sql, TRANSFER)
        submissions = {row["tx_hash"]: row["state"] for row in await fetch(self.sql, SUBMISSION)}
        assert submissions == {row["tx_hash"]: row["state"] for row in transfers}
        outgoing, incoming, counted = Counter(), Counter(), Counter()
        for row in transfers:
            if row["state"] == "signed":
                outgoing[row["src_account"]] += row["amount"]
                incoming[row["dest_account"]] += row["amount"]
            if row["state"] in ("signed", "committed") and row["bucket"]:
                for period in (row["business_day"], row["business_day"][:7]):
                    counted[row["src_account"], period] += row["counted"]
        for row in await fetch(self.sql, DISPUTE):
            outgoing[row["dest_account"]] += row["held"]
        for row in await fetch(self.sql, HOLDING):
            assert row["outgoing"] == outgoing[row["account_id"]]
            assert row["incoming"] == incoming[row["account_id"]]
            assert row["outgoing"] >= 0
            if at_rest:
                assert row["settled"] == self.ledger.held[row["account_id"], "khr#nbc"]
        for row in await fetch(self.sql, COUNTER):
            assert row["amount"] == counted.pop((row["account_id"], row["period"]), 0)
        assert not counted
        if at_rest:
            self.check_against_the_ledger(transfers)

    def check_against_the_ledger(self, transfers) -> None:
        on_ledger = Counter(
            tx.tx_hash
            for block in self.ledger.blocks_made
            for tx in block.transactions
            if tx.creator.startswith("855") and "otherbank" not in str(tx.commands)
        )
        here = {row["tx_hash"] for row in transfers if row["state"] == "committed"}
        assert on_ledger == Counter(here)
        assert all(row["state"] != "signed" for row in transfers)


async def live(sql: InlineSql, steps) -> None:
    await begin_anew(sql)
    world = World(sql)
    await world.begin()
    for step in steps:
        await world.step(*step)
        if step == ("crash",):
            await world.reconcile()
        await world.check(at_rest=False)
    await world.come_to_rest()
    await world.check(at_rest=True)
    await world.reconcile()


@settings(max_examples=30)
@given(STEPS)
def test_money_is_conserved_and_no_row_drifts_from_its_movements(inline_sql, steps):
    asyncio.run(live(inline_sql, steps))


@settings(max_examples=15)
@given(DISPUTES)
def test_what_disputes_hold_is_what_they_say_and_goes_back_once(inline_sql, steps):
    asyncio.run(live(inline_sql, steps))
