"""What nobody claims goes back to whom it came from; a claim and a return never both begin."""

import asyncio

import pytest
from clocks import FakeClock
from custody_parts import WALLET, DyingSql, change
from money_parts import (
    DARA,
    SUBMISSION,
    THIDA,
    TRANSFER,
    account,
    counters,
    eventually,
    execute,
    fetch,
    holding,
    khr,
)
from replacement_parts import CURSOR, NEW
from sqlalchemy import update
from unclaimed_parts import BOPHA, SREY, UNCLAIMED, Town, TownLedger, two_processes

from gateway.desk.return_commits import GoingBack
from gateway.desk.returns import EVERY_S
from gateway.desk.unclaimed import Back, begin_return
from gateway.stores.sql import StoreUnavailable
from menus.effects import (
    InProgress,
    KeyRenewed,
    KeyRenewing,
    LastPayment,
    PaymentState,
    ReadLastPayment,
    Unavailable,
)


@pytest.fixture
async def town(sqlite_sql, clock: FakeClock) -> Town:
    """Dara has sent Bopha 5,000 riel, and Thida 700 a day later; the first are due."""
    town = Town(sqlite_sql, TownLedger(), clock)
    await sent_and_due(town)
    return town


async def sent_and_due(town: Town) -> None:
    await town.begin(DARA, THIDA)
    await town.send(DARA, BOPHA, 5_000)
    await town.through()
    await town.later(days=1)
    await town.send(THIDA, BOPHA, 700)
    await town.through()
    await town.later(days=29)


def flagged(town: Town, what: str) -> float:
    return town.desk.meters.returns.labels(what)._value.get()


# ---- gone back


async def test_all_that_goes_back_is_told_however_many_invitations_there_were(sqlite_sql, clock):
    town = Town(sqlite_sql, TownLedger(), clock)
    await town.begin(DARA, THIDA)
    for amount in (100, 200):
        for sender in (DARA, THIDA):
            await town.send(sender, BOPHA, amount)
            await town.through()
    assert len(await town.inbox(BOPHA)) == 3, "the budget of a day"
    await town.later(days=30.1)
    await town.go_back()
    told = (await town.inbox(BOPHA))[3:]
    assert len(told) == 4
    assert all("went back" in text for text in told)
    for sender in (DARA, THIDA):
        assert sum("came back" in text for text in await town.inbox(sender)) == 2


async def test_each_gets_his_own_amount_back_in_his_own_time_and_all_are_told(sql, clock):
    town = Town(sql, TownLedger(), clock)
    await sent_and_due(town)
    await town.go_back()
    assert await holding(town.sql, DARA) == (400_000, 0, 0)
    assert await holding(town.sql, BOPHA) == (700, 0, 0)
    assert "5,000 KHR came back: ..605 did not claim it." in (await town.inbox(DARA))[-1]
    assert "Balance 400,000 KHR." in (await town.inbox(DARA))[-1]
    assert "5,000 KHR from S*** D*** ..601 went back" in (await town.inbox(BOPHA))[-1]
    assert len(await town.inbox(DARA)) == 2  # sent, came back
    await town.later(days=1)
    await town.go_back()
    assert await holding(town.sql, THIDA) == (400_000, 0, 0)
    assert await holding(town.sql, BOPHA) == (0, 0, 0)
    assert await town.states() == ["returned", "returned"]
    assert (await town.wallet(BOPHA))["claim"] == "waiting"
    assert flagged(town, "begun") == 2


async def test_a_return_is_an_ordinary_transfer_with_its_own_ref_signed_by_the_old_key(town: Town):
    await town.go_back()
    (back,) = await fetch(town.sql, TRANSFER, src_account=account(BOPHA))
    assert (back["dest_account"], back["amount"], back["state"]) == (
        account(DARA),
        5_000,
        "committed",
    )
    sent = await fetch(town.sql, TRANSFER, src_account=account(DARA))
    assert back["ref"] not in [row["ref"] for row in sent]
    last = await town.desk.reads.read_last_payment(ReadLastPayment(), town.at(DARA))
    assert isinstance(last, LastPayment)
    assert (last.state, last.ref) == (PaymentState.CAME_BACK, back["ref"])


async def test_nothing_goes_back_before_its_time_and_nothing_twice(town: Town):
    for _ in range(3):
        await town.returns.sweep()
    await town.through()
    for _ in range(3):
        await town.go_back()
    assert len(await fetch(town.sql, TRANSFER, src_account=account(BOPHA))) == 1
    assert await town.states() == ["returned", "waiting"]


async def test_nothing_goes_back_in_a_database_that_went_back(town: Town):
    """It may have gone back already, and been claimed, in what was lost."""
    (cursor,) = await fetch(town.sql, CURSOR)
    town.desk.follower.settled = cursor["height"] + 1
    await town.go_back()
    assert await fetch(town.sql, TRANSFER, src_account=account(BOPHA)) == []
    town.desk.follower.settled = cursor["height"]
    await town.go_back()
    assert await town.states() == ["returned", "waiting"]


async def test_what_still_waits_is_told_anew_when_an_invitation_was_not_sent(town: Town):
    """What waits for the carrier tells of everything: it is dropped when some goes back."""
    assert [row["told"] for row in await fetch(town.sql, UNCLAIMED)] == [True, True]
    await town.go_back()
    told = {row["state"]: row["told"] for row in await fetch(town.sql, UNCLAIMED)}
    assert told == {"returned": True, "waiting": False}


async def test_one_sweep_begins_all_that_is_due_in_whichever_order_it_came(sqlite_sql, clock):
    town = Town(sqlite_sql, TownLedger(), clock)
    await town.begin(DARA)
    for number in (BOPHA, SREY, BOPHA, SREY):
        await town.send(DARA, number, 100)
        await town.through()
        await town.later(days=0.5)
    await town.later(days=30)
    await town.go_back()
    assert await town.states() == ["returned"] * 4
    assert flagged(town, "begun") == 4


async def test_a_wallet_whose_return_is_over_waits_again_whatever_goes_back_of_others(
    sqlite_sql, clock
):
    town = Town(sqlite_sql, TownLedger(), clock)
    await town.begin(DARA)
    for number in (BOPHA, SREY):
        await town.send(DARA, number, 100)
        await town.through()
        await town.later(days=0.1)
    await town.later(days=29.85)
    await town.returns.sweep()
    await town.desk.outbox.round()
    await town.later(days=0.1)
    await town.returns.sweep()  # of the other, which nothing sends yet
    town.ledger.block()
    await town.settle()
    claims = [(await town.wallet(number))["claim"] for number in (BOPHA, SREY)]
    assert claims == ["waiting", "returning"]


async def test_two_processes_begin_a_return_once(database_url, clock):
    async with two_processes(database_url, clock) as (one, other):
        await sent_and_due(one)
        await asyncio.gather(*(each.returns.sweep() for each in (one, other) * 3))
        await one.through()
        assert len(await fetch(one.sql, TRANSFER, src_account=account(BOPHA))) == 1
        assert await holding(one.sql, DARA) == (400_000, 0, 0)


@pytest.mark.parametrize("by", ["another process", "its owner"])
async def test_what_was_taken_since_it_was_looked_for_does_not_go_back_beside(town: Town, by):
    class Late:
        """A store that comes too late with every return."""

        async def run(self, operation, items, **how):
            if items and isinstance(items[0], GoingBack):
                await (other.returns.sweep() if by == "another process" else other.claim(BOPHA))
            return await town.sql.run(operation, items, **how)

    other = Town(town.sql, town.ledger, town.clock, "other")
    town.returns._sql = Late()
    await town.go_back()
    begun = await fetch(town.sql, TRANSFER, src_account=account(BOPHA))
    assert len(begun) == (by == "another process")
    assert flagged(town, "begun") == 0
    assert (await town.wallet(BOPHA))["claim"] == ("waiting" if begun else "")


async def test_what_came_in_one_day_from_many_goes_back_in_one_commit(town: Town):
    await town.later(days=2)
    await town.returns.sweep()
    assert (await town.wallet(BOPHA))["claim"] == "returning"
    assert await town.states() == ["returning", "returning"]
    await town.through()
    assert [await holding(town.sql, each) for each in (DARA, THIDA, BOPHA)] == [
        (400_000, 0, 0),
        (400_000, 0, 0),
        (0, 0, 0),
    ]


async def test_returns_use_no_limit(town: Town):
    before = [await counters(town.sql, each) for each in (DARA, THIDA, BOPHA)]
    town.ledger.refuse_all = True
    await town.go_back()
    town.ledger.refuse_all = False
    await town.later(days=2)
    await town.go_back()
    assert [await counters(town.sql, each) for each in (DARA, THIDA, BOPHA)] == before


async def test_a_sender_who_is_full_gets_it_all_the_same_and_is_flagged(town: Town):
    town.ledger.pay_in(account(DARA), "3605000")  # 4,000,000 is the most
    await town.settle()
    await town.go_back()
    assert await holding(town.sql, DARA) == (4_005_000, 0, 0)
    assert flagged(town, "over cap") == 1


async def test_a_sender_whose_wallet_is_gone_gets_it_into_his_account_and_is_flagged(town: Town):
    gone = update(WALLET).where(WALLET.c.account_id == account(DARA)).values(state="closed")
    await execute(town.sql, gone)
    await town.go_back()
    assert await holding(town.sql, DARA) == (400_000, 0, 0)
    assert flagged(town, "gone") == 1
    assert len(await town.inbox(DARA)) == 1  # the number may be somebody else's by now


async def test_money_from_another_bank_goes_back_there(town: Town):
    town.ledger.pay_in(account(BOPHA), "300", src="srey@aba")
    await town.settle()
    await town.later(days=30)
    await town.go_back()
    assert town.ledger.held["srey@aba", "khr#nbc"] == 0
    assert await holding(town.sql, BOPHA) == (0, 0, 0)
    assert (await town.inbox(BOPHA))[-1].startswith(("300 KHR", "700 KHR", "5,000 KHR"))


async def test_money_that_comes_after_everything_went_back_waits_anew(town: Town):
    await town.later(days=2)
    await town.go_back()
    await town.send(DARA, BOPHA, 900)
    await town.through()
    assert await town.states() == ["returned", "returned", "waiting"]
    assert await town.claim(BOPHA) == KeyRenewing()
    await town.through()
    await town.later(days=31)
    await town.go_back()
    assert await holding(town.sql, BOPHA) == (900, 0, 0)


async def test_a_wallet_on_hold_keeps_what_it_has(town: Town):
    await change(town.sql, WALLET, state="held")
    await town.go_back()
    assert await town.states() == ["waiting", "waiting"]


# ---- refused by the ledger


async def test_a_return_that_the_ledger_refuses_waits_a_day_and_is_tried_again(sql, clock):
    town = Town(sql, TownLedger(), clock)
    await sent_and_due(town)
    town.ledger.closed.add(account(DARA))
    await town.go_back()
    assert await town.states() == ["waiting", "waiting"]
    assert (await town.wallet(BOPHA))["claim"] == "waiting"
    assert await holding(town.sql, BOPHA) == (5_700, 0, 0)
    assert await holding(town.sql, DARA) == (395_000, 0, 0)
    assert len(await town.inbox(DARA)) == 1  # nothing has happened that he could be told
    await town.go_back()
    assert len(await fetch(town.sql, TRANSFER, src_account=account(BOPHA))) == 1
    town.ledger.closed.clear()
    await town.later(days=1)
    await town.go_back()
    assert flagged(town, "again") == 1
    assert await holding(town.sql, DARA) == (400_000, 0, 0)


async def test_of_several_returns_one_may_be_refused(town: Town):
    town.ledger.closed.add(account(DARA))
    await town.later(days=2)
    await town.go_back()
    assert await town.states() == ["returned", "waiting"]
    assert (await town.wallet(BOPHA))["claim"] == "waiting"
    assert await holding(town.sql, BOPHA) == (5_000, 0, 0)
    assert await town.claim(BOPHA) == KeyRenewing()
    await town.through()
    assert await town.states() == ["claimed", "returned"]


async def test_a_return_that_never_left_is_cancelled_and_waits(town: Town):
    town.ledger.away = True
    await town.returns.sweep()
    await town.clock.advance(601)
    await town.desk.outbox.round()
    assert await town.states() == ["waiting", "waiting"]
    assert await holding(town.sql, BOPHA) == (5_700, 0, 0)
    assert await holding(town.sql, DARA) == (395_000, 0, 0)


# ---- claimed and going back


async def test_while_money_goes_back_nobody_claims_the_wallet_and_then_one_may(town: Town):
    await town.returns.sweep()
    assert await town.claim(BOPHA) == Unavailable()
    await town.through()
    assert await town.claim(BOPHA) == KeyRenewing()
    await town.through()
    assert await holding(town.sql, BOPHA) == (700, 0, 0)
    assert await town.states() == ["claimed", "returned"]


async def test_while_a_claim_is_under_way_nothing_goes_back_nor_later(town: Town):
    assert await town.claim(BOPHA) == KeyRenewing()
    await town.returns.sweep()
    await town.go_back()
    await town.later(days=9)
    await town.go_back()
    assert await town.states() == ["claimed", "claimed"]
    await town.desk.pay(BOPHA, DARA, khr(5_000), pin=NEW, wait_s=0.001)
    await town.through()
    assert await holding(town.sql, BOPHA) == (700, 0, 0)


async def test_a_claim_that_the_ledger_refuses_leaves_the_money_waiting(town: Town):
    town.ledger.refuse_all = True
    assert await town.claim(BOPHA) == KeyRenewing()
    await town.through()
    town.ledger.refuse_all = False
    wallet = await town.wallet(BOPHA)
    assert (wallet["claim"], wallet["tier"]) == ("waiting", "unclaimed")
    await town.go_back()
    assert await holding(town.sql, DARA) == (400_000, 0, 0)


@pytest.mark.parametrize("turn", range(2))
async def test_of_a_claim_and_a_return_that_race_exactly_one_begins(database_url, clock, turn):
    async with two_processes(database_url, clock) as (one, other):
        await sent_and_due(one)
        kept = await one.kept()
        racing = [one.renewals.first_pin(kept, one.at(BOPHA)), other.returns.sweep()]
        said = await asyncio.gather(*(racing[::-1] if turn % 2 else racing))
        claimed = KeyRenewing() in said
        assert claimed or Unavailable() in said
        begun = await fetch(one.sql, TRANSFER, src_account=account(BOPHA))
        assert len(begun) == (0 if claimed else 1)
        await one.through()
        assert (await holding(one.sql, BOPHA))[0] == (5_700 if claimed else 700)
        assert (await one.wallet(BOPHA))["claim"] == ("" if claimed else "waiting")


async def test_a_return_that_fails_after_a_late_claim_touches_no_counter_of_the_owner(town: Town):
    """The ledger took a key that we had given up, and then refuses what the old key signed."""
    assert await town.claim(BOPHA) == KeyRenewing()
    await town.desk.outbox.round()
    await change(town.sql, SUBMISSION, next_send_at=0)
    waiting = [row["tx_hash"] for row in await fetch(town.sql, SUBMISSION, state="signed")]
    await town.desk.outbox._end(waiting, "expired")
    await town.returns.sweep()
    await town.desk.outbox.round()
    await town.through()  # the block holds the key's replacement first
    wallet = await town.wallet(BOPHA)
    assert (wallet["claim"], wallet["tier"]) == ("", "basic")
    assert await town.states() == ["claimed", "claimed"]
    assert await holding(town.sql, BOPHA) == (5_700, 0, 0)
    assert await counters(town.sql, BOPHA) == {}


# ---- crashes


@pytest.mark.parametrize("after_commit", [False, True], ids=["before its commit", "after it"])
@pytest.mark.parametrize("at", [1, 2])
async def test_a_sweep_that_dies_is_finished_by_the_next(sqlite_sql, clock, at, after_commit):
    """1 finds, 2 stores."""
    ledger = TownLedger()
    await sent_and_due(Town(sqlite_sql, ledger, clock, "before"))
    dying = Town(DyingSql(sqlite_sql, at, after_commit=after_commit), ledger, clock, "dying")
    with pytest.raises(StoreUnavailable):
        await dying.returns.sweep()
    heir = Town(sqlite_sql, ledger, clock, "heir")
    await heir.go_back()
    assert await holding(sqlite_sql, DARA) == (400_000, 0, 0)
    assert len(await fetch(sqlite_sql, TRANSFER, src_account=account(BOPHA))) == 1
    assert (await heir.wallet(BOPHA))["claim"] == "waiting"


@pytest.mark.parametrize("after_commit", [False, True], ids=["before its commit", "after it"])
@pytest.mark.parametrize("at", range(1, 5))
async def test_a_sender_whose_process_dies_pays_once_or_not_at_all(
    sqlite_sql, clock, at, after_commit
):
    """1 looks, 2 counts the PIN, 3 judges it, 4 stores."""
    clock.skipping = True  # a commit whose fate is unknown is asked for again, until the deadline
    ledger = TownLedger()
    first = Town(sqlite_sql, ledger, clock, "before")
    await first.begin(DARA)
    dying = Town(DyingSql(sqlite_sql, at, after_commit=after_commit), ledger, clock, "dying")
    where = dying.desk.origin(DARA, wait_s=0.001)
    await dying.send(DARA, BOPHA, 5_000, intent="once", origin=where)
    heir = Town(sqlite_sql, ledger, clock, "heir")
    await clock.advance(6)  # whoever had its attempt in hand is gone by now
    where = heir.desk.origin(DARA, wait_s=0.001, session=where.session, turn=where.turn)
    assert isinstance(await heir.send(DARA, BOPHA, 5_000, intent="once", origin=where), InProgress)
    await heir.through()
    assert await holding(sqlite_sql, DARA) == (395_000, 0, 0)
    assert await holding(sqlite_sql, BOPHA) == (5_000, 0, 0)
    assert len(await fetch(sqlite_sql, WALLET, msisdn=BOPHA.e164)) == 1
    assert len(await fetch(sqlite_sql, UNCLAIMED)) == 1


async def test_a_claim_is_finished_by_the_same_turn_on_another_process(town: Town):
    kept, where = await town.kept(), town.at(BOPHA)
    assert await town.renewals.first_pin(kept, where) == KeyRenewing()
    heir = Town(town.sql, town.ledger, town.clock, "heir")
    assert await heir.renewals.first_pin(kept, where) == KeyRenewing()
    await heir.through()
    assert await heir.renewals.first_pin(kept, where) == KeyRenewed()
    assert await heir.renewals.first_pin(await heir.kept(), heir.at(BOPHA)) == Unavailable()


async def test_returns_wait_for_a_database_that_is_away(sqlite_sql, clock, town: Town):
    town.returns._sql = DyingSql(sqlite_sql, 1, after_commit=False)
    running = asyncio.ensure_future(town.returns.run())
    await clock.advance(1)
    assert not await fetch(sqlite_sql, TRANSFER, src_account=account(BOPHA))
    town.returns._sql = sqlite_sql
    await clock.advance(EVERY_S)
    await eventually(lambda: fetch(sqlite_sql, TRANSFER, src_account=account(BOPHA)))
    running.cancel()


async def test_returns_wait_until_payments_may_be_signed(clock, town: Town):
    may: list[bool] = []

    async def asked(_patience_s: float) -> bool:
        may.append(len(may) == 1)
        return may[-1]

    town.returns._may_sign = asked
    running = asyncio.ensure_future(town.returns.run())
    await clock.advance(1)
    assert not await fetch(town.sql, TRANSFER, src_account=account(BOPHA))
    await clock.advance(EVERY_S)
    await eventually(lambda: fetch(town.sql, TRANSFER, src_account=account(BOPHA)))
    running.cancel()


@pytest.mark.parametrize(
    ("missing", "early_ms", "begins"), [(0, 0, True), (0, 1, False), (1, 0, False)]
)
async def test_arrivals_begin_to_go_back_only_all_together_and_in_their_time(
    town: Town, missing, early_ms, begins
):
    (row,) = await fetch(town.sql, UNCLAIMED, due_at=min(await due(town)))
    backs = [Back(row["tx_hash"], row["command_index"], "R1"), *[Back("0" * 64, 0, "R2")] * missing]
    version = (await town.wallet(BOPHA))["key_version"]

    def begin(connection, moments):
        return [begin_return(connection, account(BOPHA), version, backs, *moments)]

    assert await town.sql.run(begin, [row["due_at"] - early_ms]) == [begins]


async def due(town: Town) -> list[int]:
    return [row["due_at"] for row in await fetch(town.sql, UNCLAIMED)]


async def test_a_key_that_does_not_open_is_raised_and_stops_no_other(town: Town):
    await town.send(DARA, SREY, 300)
    await town.through()
    await town.later(days=30)
    broken = update(WALLET).where(WALLET.c.msisdn == BOPHA.e164)
    await execute(town.sql, broken.values(sealed_key=bytes(40)))
    await town.go_back()
    assert await holding(town.sql, SREY) == (0, 0, 0)
    assert (await holding(town.sql, BOPHA))[0] == 5_700
    assert town.desk.meters.faults.labels("returns")._value.get() == 1
