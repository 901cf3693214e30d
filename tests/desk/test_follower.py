"""A block is settled whole and once, whoever settles it; what it says is never argued with."""

import asyncio
import dataclasses
from dataclasses import replace

import pytest
from clocks import FakeClock
from custody_parts import SUBSCRIBER, WALLET, make_wallet
from money_parts import (
    BORA,
    DARA,
    MESSAGE,
    RECEIPT,
    SUBMISSION,
    THIDA,
    TRANSFER,
    TREASURY,
    Desk,
    MemoryLedger,
    account,
    counters,
    eventually,
    execute,
    fetch,
    holding,
    khr,
    person,
)
from sqlalchemy import insert, update

from gateway.desk.amounts import Assets
from gateway.desk.blocks import Place, Settle, settle, start_cursor
from gateway.stores.runners import open_sql
from gateway.stores.sql import StoreUnavailable
from gateway.stores.tables import Cursor, table_of
from ledger_client.ledger import (
    AddAssetQuantity,
    BlockTransaction,
    CreateAccount,
    Reached,
    SubtractAssetQuantity,
    TransferAsset,
)
from menus.effects import Committed, InProgress

CURSOR = table_of(Cursor)
DAY = "2026-11-22"


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger(auto=False)


@pytest.fixture
async def desk(sql, clock, ledger) -> Desk:
    await person(sql, DARA, ledger, riel=400_000)
    await person(sql, THIDA, ledger, riel=50_000, name="Chan Thida")
    await sql.run(start_cursor, [Reached(0)])
    return Desk(sql, ledger, clock, any_pin=True)


async def settled(desk: Desk, block, *, sql=None):
    def operation(connection, asked):
        return settle(desk.receipts, Assets(), "bank", connection, asked, journal=desk.journal)

    (done,) = await (sql or desk.sql).run(operation, [Settle(block, block.created_time, DAY)])
    return done


async def sent(desk: Desk, amount: int = 5_000) -> str:
    """A payment on its way: its hash."""
    outcome = await desk.pay(DARA, THIDA, khr(amount), wait_s=0.01)
    assert isinstance(outcome, InProgress)
    await desk.outbox.round()
    (row,) = await fetch(desk.sql, TRANSFER, ref=outcome.ref)
    return row["tx_hash"]


# ---- once


async def test_a_block_settled_again_changes_nothing(desk, sql, ledger):
    await sent(desk)
    block = ledger.block()
    assert (await settled(desk, block)).place is Place.NEXT
    before = [await fetch(sql, table) for table in (WALLET, TRANSFER, SUBMISSION, RECEIPT, MESSAGE)]
    assert (await settled(desk, block)).place is Place.SETTLED
    after = [await fetch(sql, table) for table in (WALLET, TRANSFER, SUBMISSION, RECEIPT, MESSAGE)]
    assert before == after
    assert await holding(sql, DARA) == (395_000, 0, 0)


async def test_two_processes_settle_a_block_once_and_both_wake(sql, database_url, clock):
    ledger = MemoryLedger()
    await person(sql, DARA, ledger, riel=400_000)
    await person(sql, THIDA, ledger, riel=50_000)
    other = open_sql(database_url)
    one = Desk(sql, ledger, clock, seed="one", any_pin=True)
    two = Desk(other, ledger, clock, seed="two", any_pin=True)
    async with one.running(), two.running():
        outcomes = await asyncio.gather(
            *(
                desk.pay(DARA, THIDA, khr(500 + n), wait_s=20)
                for n, desk in enumerate((one, two) * 5)
            )
        )
    await other.close()
    assert all(isinstance(outcome, Committed) for outcome in outcomes)
    assert await holding(sql, DARA) == (400_000 - 5_045, 0, 0)
    assert await holding(sql, THIDA) == (55_045, 0, 0)
    assert len(await fetch(sql, MESSAGE)) == 20


async def test_two_processes_at_one_block_settle_it_once(sql, database_url, clock, ledger):
    await person(sql, DARA, ledger, riel=400_000)
    await person(sql, THIDA, ledger)
    await sql.run(start_cursor, [Reached(0)])
    desk = Desk(sql, ledger, clock, any_pin=True)
    for n in range(4):
        await sent(desk, 1_000 + n)
    block = ledger.block()
    other = open_sql(database_url)
    both = await asyncio.gather(*(settled(desk, block, sql=one) for one in (sql, other)))
    await other.close()
    assert {one.place for one in both} == {Place.NEXT, Place.SETTLED}
    assert await holding(sql, DARA) == (395_994, 0, 0)


class LosesOneReply:
    """A store whose first settling commit happens and whose answer is lost."""

    def __init__(self, sql) -> None:
        self.sql, self.lost = sql, False

    async def run(self, operation, items, **how):
        result = await self.sql.run(operation, items, **how)
        if getattr(operation, "func", None) is settle and not self.lost:
            self.lost = True
            raise StoreUnavailable("the reply was lost", maybe_committed=True)
        return result


async def test_a_settling_commit_whose_reply_was_lost_still_wakes_its_turn(sql, clock):
    ledger = MemoryLedger()
    await person(sql, DARA, ledger, riel=400_000)
    await person(sql, THIDA, ledger)
    store = LosesOneReply(sql)
    async with Desk(store, ledger, clock, any_pin=True).running() as desk:
        paying = asyncio.ensure_future(desk.pay(DARA, THIDA, khr(5_000), wait_s=60))
        await eventually(lambda: done(paying, clock))
        assert isinstance(await paying, Committed)
    assert store.lost
    assert await holding(sql, DARA) == (395_000, 0, 0)


async def done(paying: asyncio.Future, clock: FakeClock) -> bool:
    await clock.advance(0.1)
    return paying.done()


# ---- in order


async def test_a_block_after_a_gap_or_that_does_not_link_is_not_settled(desk, sql, ledger):
    first, second = ledger.pay_in(account(DARA), "1"), ledger.pay_in(account(DARA), "2")
    assert (await settled(desk, second)).place is Place.GAP
    assert (await settled(desk, first)).place is Place.NEXT
    forged = dataclasses.replace(second, prev_hash="ab" * 32)
    assert (await settled(desk, forged)).place is Place.UNLINKED
    assert await holding(sql, DARA) == (400_001, 0, 0)
    assert (await settled(desk, second)).place is Place.NEXT
    (cursor,) = await fetch(sql, CURSOR)
    assert (cursor["height"], cursor["block_hash"]) == (2, second.block_hash)


async def test_a_refused_block_is_a_fault_and_following_goes_on_from_the_cursor(
    desk, sql, clock, ledger
):
    good = ledger.pay_in(account(DARA), "1")
    ledger.blocks_made[0] = dataclasses.replace(good, height=2)
    async with desk.running():
        await eventually(lambda: faults(desk, 1))
        ledger.blocks_made[0] = good
        await eventually(lambda: moved_on(clock, sql, 400_001))


async def faults(desk: Desk, count: int) -> bool:
    return desk.meters.faults.labels("follower")._value.get() >= count


async def moved_on(clock, sql, amount: int) -> bool:
    await clock.advance(1)
    return (await holding(sql, DARA))[0] == amount


# ---- money from elsewhere


async def test_money_from_elsewhere_is_projected_and_its_receipt_queued(desk, sql, ledger):
    block = ledger.pay_in(account(DARA), "12.50", "usd#nbc", src="somebody@otherbank")
    assert (await settled(desk, block)).told == 1
    assert await holding(sql, DARA, "USD") == (1_250, 0, 0)
    (row,) = await fetch(sql, RECEIPT)
    assert (row["account_id"], row["amount"], row["currency"]) == (account(DARA), 1_250, "USD")
    (message,) = await fetch(sql, MESSAGE)
    assert message["msisdn"] == DARA.e164
    assert "12.50" in message["text"]
    assert "from elsewhere" not in message["text"]


async def test_money_made_and_burnt_and_sent_outside_our_desk_is_projected(desk, sql, ledger):
    block = ledger.block(
        (account(DARA), [AddAssetQuantity("khr#nbc", "100")]),
        (account(DARA), [SubtractAssetQuantity("khr#nbc", "30")]),
        (account(DARA), [TransferAsset(account(DARA), "shop@otherbank", "khr#nbc", "7.")]),
        ("x@otherbank", [TransferAsset("x@otherbank", "y@otherbank", "khr#nbc", "9")]),
        (account(DARA), [TransferAsset(account(DARA), account(THIDA), "gold#nbc", "5")]),
    )
    await settled(desk, block)
    assert await holding(sql, DARA) == (400_063, 0, 0)


async def test_a_block_of_tens_of_thousands_of_strangers_is_settled_like_any_other(
    desk, sql, ledger
):
    """More than a database takes as parameters of one statement."""
    commands = tuple(
        TransferAsset(f"a{number}@other", f"b{number}@other", "khr#nbc", "1")
        for number in range(35_000)
    )
    arrivals = tuple(
        TransferAsset(f"a{number}@other", account(DARA), "khr#nbc", "1") for number in range(3)
    )
    block = ledger.append([BlockTransaction("ab" * 32, TREASURY, 0, commands + arrivals)])
    await settled(desk, replace(block, rejected=tuple(f"{it:064x}" for it in range(70_000))))
    assert await holding(sql, DARA) == (400_003, 0, 0)


@pytest.mark.parametrize("amount", ["1.5", "1" * 30, "x", str(2**63 - 1), "1" + "0" * 16])
async def test_an_amount_that_cannot_be_read_is_counted_and_stops_nothing(
    desk, sql, ledger, amount
):
    odd = BlockTransaction(
        "ab" * 32, TREASURY, 0, (TransferAsset(TREASURY, account(DARA), "khr#nbc", amount),)
    )
    done = await settled(desk, ledger.append([odd]))
    assert done.unreadable == 1
    assert await holding(sql, DARA) == (400_000, 0, 0)


async def test_everybody_is_told_in_their_own_language(desk, sql, ledger):
    await execute(
        sql, insert(SUBSCRIBER).values(msisdn=THIDA.e164, language="km", lookup_day="", lookups=0)
    )
    await sent(desk)
    await settled(desk, ledger.block())
    told = {message["msisdn"]: message["text"] for message in await fetch(sql, MESSAGE)}
    assert told[DARA.e164].isascii()
    assert any("\u1780" <= letter <= "\u17ff" for letter in told[THIDA.e164])


async def test_a_closed_wallets_former_number_is_told_nothing(desk, sql, ledger):
    await execute(
        sql, update(WALLET).where(WALLET.c.account_id == account(DARA)).values(state="closed")
    )
    await settled(desk, ledger.pay_in(account(DARA), "5"))
    assert await fetch(sql, MESSAGE) == []
    assert (await holding(sql, DARA))[0] == 400_005


# ---- against what we believed


async def test_what_commits_after_it_was_cancelled_is_settled_counted_and_raised(
    desk, sql, clock, ledger
):
    ledger.away = True
    await desk.pay(DARA, THIDA, khr(5_000), wait_s=0.01)
    await clock.advance(601)
    await desk.outbox.round()
    (row,) = await fetch(sql, SUBMISSION)
    assert row["state"] == "cancelled"
    ledger.away = False
    await ledger.submit([row["data"]])  # somebody else had the bytes
    assert (await settled(desk, ledger.block())).contradicted == 1
    assert (await fetch(sql, TRANSFER))[0]["state"] == "committed"
    assert await holding(sql, DARA) == (395_000, 0, 0)
    assert await holding(sql, THIDA) == (55_000, 0, 0)
    assert (await counters(sql, DARA))["KHR", DAY] == (5_000, 1)


async def test_a_rejection_releases_once_even_if_heard_twice(desk, sql, ledger):
    tx_hash = await sent(desk)
    ledger.refuse_all = True
    first = ledger.block()
    await settled(desk, first)
    again = ledger.append([], [tx_hash])
    await settled(desk, again)
    assert await holding(sql, DARA) == (400_000, 0, 0)
    assert (await counters(sql, DARA))["KHR", DAY] == (0, 0)
    assert len(await fetch(sql, MESSAGE)) == 1


# ---- wallets


async def opening(sql, desk: Desk) -> list[str]:
    """What the desk stores when somebody opens a wallet."""
    await make_wallet(sql, BORA, state="opening")
    rows = [
        {
            "tx_hash": f"{n:02}" * 32,
            "purpose": purpose,
            "account_id": account(BORA),
            "batch": "opening",
            "position": n,
            "created_time": 0,
            "data": b"",
            "state": "signed",
            "next_send_at": 0,
            "sends": 1,
            "first_sent_at": 1,
        }
        for n, purpose in enumerate(("opening", "grant"))
    ]
    await execute(sql, insert(SUBMISSION).values(rows))
    return [row["tx_hash"] for row in rows]


async def test_a_wallet_opens_with_its_block_and_its_owner_is_told(desk, sql, ledger):
    hashes = await opening(sql, desk)
    create = CreateAccount("85512345603", "bank", "ab" * 32)
    block = ledger.append([BlockTransaction(one, "opener@bank", 0, (create,)) for one in hashes])
    await settled(desk, block)
    (wallet,) = await fetch(sql, WALLET, account_id=account(BORA))
    assert (wallet["state"], wallet["opened_at"]) == ("open", block.created_time)
    assert {row["state"] for row in await fetch(sql, SUBMISSION)} == {"committed"}
    (message,) = await fetch(sql, MESSAGE)
    assert message["msisdn"] == BORA.e164


async def test_a_rejected_opening_closes_the_wallet_so_that_it_may_be_opened_again(
    desk, sql, ledger
):
    hashes = await opening(sql, desk)
    await settled(desk, ledger.append([], hashes))
    (wallet,) = await fetch(sql, WALLET, account_id=account(BORA))
    assert wallet["state"] == "closed"
    assert len(await fetch(sql, MESSAGE)) == 1


async def test_seeded_money_is_a_receipt_without_an_sms(desk, sql, ledger):
    block = ledger.pay_in(account(DARA), "5")
    row = {
        "tx_hash": block.transactions[0].tx_hash,
        "purpose": "seed",
        "account_id": account(DARA),
        "batch": "seed",
        "position": 0,
        "created_time": 0,
        "data": b"",
        "state": "signed",
        "next_send_at": 0,
        "sends": 1,
    }
    await execute(sql, insert(SUBMISSION).values(row))
    await settled(desk, block)
    assert len(await fetch(sql, RECEIPT)) == 1
    assert await fetch(sql, MESSAGE) == []


# ---- how old the word of the ledger is


async def test_a_silent_ledger_is_stale_after_ten_seconds_and_an_idle_one_is_not(
    sqlite_sql, clock, ledger
):
    desk = Desk(sqlite_sql, ledger, clock)
    async with desk.running():
        await clock.advance(60)
        assert desk.follower.stale_since is None
        last = clock.now()
        ledger.away = True
        await clock.advance(9)
        assert desk.follower.stale_since is None
        await clock.advance(9)
        assert desk.follower.stale_since == last
        ledger.away = False
        await clock.advance(3)
        assert desk.follower.stale_since is None
