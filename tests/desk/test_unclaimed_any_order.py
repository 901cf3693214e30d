"""Strangers are paid, claim, are paid back: in any order, with refusals, crashes and delays."""

import asyncio
from typing import Any

from audit_parts import found
from clocks import FakeClock
from custody_parts import WALLET, begin_anew
from hypothesis import given, settings
from hypothesis import strategies as st
from money_parts import DARA, HOLDING, THIDA, TRANSFER, account, fetch
from replacement_parts import opens
from unclaimed_parts import BOPHA, SREY, UNCLAIMED, Town, TownLedger

from gateway.desk.times import to_ms
from gateway.stores.runners import InlineSql

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.sampled_from((DARA, THIDA)), st.sampled_from((BOPHA, SREY))),
        st.tuples(st.just("claim"), st.sampled_from((BOPHA, SREY))),
        st.tuples(st.just("pay in"), st.sampled_from((BOPHA, SREY))),
        st.tuples(st.sampled_from(("overdue", "sweep", "send out", "through", "crash"))),
        st.tuples(st.just("block"), st.booleans()),
        st.tuples(st.just("settle"), st.integers(0, 3)),
        st.tuples(st.just("wait"), st.sampled_from((10, 700))),
        st.tuples(st.just("be"), st.sampled_from(("here", "away", "deaf"))),
    ),
    min_size=8,
    max_size=30,
)


class World:
    """One process after another on one store, and a ledger that outlives them."""

    def __init__(self, sql: InlineSql) -> None:
        self.sql, self.clock, self.ledger = sql, FakeClock(skipping=True), TownLedger()
        self.lives, self.steps = 0, 0
        self.crash()

    def crash(self) -> None:
        self.lives += 1
        self.town = Town(self.sql, self.ledger, self.clock, f"life {self.lives}")

    async def step(self, name: str, *arguments) -> None:  # noqa: C901 - one case for each
        self.steps += 1
        self.ledger.now_ms = to_ms(self.clock.now())
        town, ledger = self.town, self.ledger
        match name, arguments:
            case "send", (src, to):
                await town.send(src, to, 100 * self.steps)
            case "claim", (number,):
                await town.claim(number)
            case "pay in", (number,) if ledger.keys.get(account(number)):
                ledger.pay_in(account(number), "300", src="srey@aba")
            case "overdue", ():
                await self.clock.sleep(31 * 86_400)
                await town.returns.sweep()
            case "sweep", ():
                await town.returns.sweep()
            case "send out", ():
                await town.desk.outbox.round()
            case "through", ():
                await town.through()
            case "block", (refused,):
                ledger.refuse_all = refused
                ledger.block()
                ledger.refuse_all = False
            case "settle", (most,):
                await town.settle(most)
            case "wait", (seconds,):
                await self.clock.sleep(seconds)
            case "be", (how,):
                ledger.away, ledger.deaf = how == "away", how == "deaf"
            case "crash", ():
                self.crash()

    async def rest(self) -> None:
        """Everything that is under way comes to its end."""
        self.ledger.away = self.ledger.deaf = False
        for _ in range(4):
            await self.clock.sleep(100)
            await self.town.through()

    async def check(self) -> None:
        """What every order of steps must lead to."""
        assert await found(self.town.desk) == []
        for row in await fetch(self.sql, HOLDING):
            on_ledger = self.ledger.held[row["account_id"], f"{row['currency'].lower()}#nbc"]
            assert (row["settled"], row["outgoing"], row["incoming"]) == (on_ledger, 0, 0)
        assert sum(self.ledger.held.values()) == 800_000
        backs = await fetch(self.sql, TRANSFER, channel="return")
        notes = await fetch(self.sql, UNCLAIMED)
        paid_back = sorted(row["ref"] for row in backs if row["state"] == "committed")
        assert paid_back == sorted(row["ref"] for row in notes if row["state"] == "returned")
        for wallet in await fetch(self.sql, WALLET):
            if wallet["msisdn"] in (BOPHA.e164, SREY.e164):
                mine = {n["state"] for n in notes if n["account_id"] == wallet["account_id"]}
                await self._check(wallet, mine)

    async def _check(self, wallet: dict[str, Any], notes: set[str]) -> None:
        keys = self.ledger.keys.get(wallet["account_id"], set())
        if wallet["state"] == "closed":
            assert (keys, notes) == (set(), set())
            return
        assert keys == {wallet["public_key"]}
        assert await opens(self.town.vault, wallet)
        if wallet["salt"]:
            assert wallet["claim"] == ""
            assert notes <= {"claimed", "returned"}
        else:
            assert wallet["claim"] == "waiting"
            assert notes <= {"waiting", "returned"}


async def live(sql: InlineSql, steps) -> None:
    await begin_anew(sql)
    world = World(sql)
    await world.town.begin(DARA, THIDA)
    await world.step("send", DARA, BOPHA)
    await world.step("through")
    for step in steps:
        await world.step(*step)
    await world.rest()
    await world.check()


@settings(max_examples=40)
@given(STEPS)
def test_money_is_claimed_or_goes_back_once_whatever_the_order(inline_sql, steps):
    asyncio.run(live(inline_sql, steps))
