"""A return that a block holds and no row does, as after a restore: nobody is paid back twice."""

import pytest
from audit_parts import found
from clocks import FakeClock
from money_parts import DARA, THIDA, TRANSFER, account, counters, fetch, holding
from test_rebuilding import settled
from unclaimed_parts import BOPHA, UNCLAIMED, Town, TownLedger

from ledger_client.ledger import Block, TransferAsset

REF = "A1B2C3D4"


async def begun(sql, clock: FakeClock) -> Town:
    """Dara has sent Bopha 5,000 riel, and Thida 7,000 a day later; Dara's are due."""
    town = Town(sql, TownLedger(), clock)
    await town.begin(DARA, THIDA)
    await town.send(DARA, BOPHA, 5_000)
    await town.through()
    await town.later(days=1)
    await town.send(THIDA, BOPHA, 7_000)
    await town.through()
    await town.later(days=29)
    return town


def returned(town: Town, amount: int = 5_000, ref: str = REF) -> Block:
    """A block that holds a return to Dara."""
    src = account(BOPHA)
    return town.ledger.block(
        (src, [TransferAsset(src, account(DARA), "khr#nbc", str(amount), ref)])
    )


async def test_it_is_written_again_and_nobody_is_paid_back_out_of_what_another_sent(sql, clock):
    town = await begun(sql, clock)
    counted = await counters(sql, DARA)
    done = await settled(town.desk, block := returned(town))
    assert (done.rebuilt, done.astray) == ((block.transactions[0].tx_hash,), ())
    (row,) = await fetch(sql, TRANSFER, ref=REF)
    assert (row["state"], row["channel"], row["bucket"]) == ("committed", "return", "")
    assert await town.states() == ["returned", "waiting"]
    for _ in range(2):
        await town.go_back()
    assert await holding(sql, DARA) == (400_000, 0, 0)
    assert await holding(sql, BOPHA) == (7_000, 0, 0)
    await town.later(days=1)
    await town.go_back()
    assert await holding(sql, THIDA) == (400_000, 0, 0)
    assert await holding(sql, BOPHA) == (0, 0, 0)
    assert await counters(sql, DARA) == counted
    assert not await found(town.desk, town.desk.journal)
    assert (await town.wallet(BOPHA))["claim"] == "waiting"


async def test_both_are_told_of_it_once(sqlite_sql, clock):
    town = await begun(sqlite_sql, clock)
    await settled(town.desk, returned(town))
    await town.go_back()
    assert ["came back" in text for text in await town.inbox(DARA)] == [False, True]
    assert sum("went back" in text for text in await town.inbox(BOPHA)) == 1


async def test_of_two_alike_the_older_has_gone_back(sqlite_sql, clock):
    town = await begun(sqlite_sql, clock)
    await town.send(DARA, BOPHA, 5_000)
    await town.through()
    await settled(town.desk, returned(town))
    rows = {row["due_at"]: row["state"] for row in await fetch(sqlite_sql, UNCLAIMED)}
    assert [rows[at] for at in sorted(rows)] == ["returned", "waiting", "waiting"]
    await settled(town.desk, returned(town, ref="A1B2C3D5"))
    assert await town.states() == ["returned", "returned", "waiting"]


async def test_what_has_a_return_of_its_own_is_left_to_that(sqlite_sql, clock):
    town = await begun(sqlite_sql, clock)
    await town.send(DARA, BOPHA, 5_000)
    await town.through()
    await town.returns.sweep()
    await settled(town.desk, returned(town))
    rows = {row["due_at"]: row["state"] for row in await fetch(sqlite_sql, UNCLAIMED)}
    assert [rows[at] for at in sorted(rows)] == ["returning", "waiting", "returned"]
    await town.through()
    assert await town.states() == ["returned", "returned", "waiting"]
    assert await holding(sqlite_sql, DARA) == (400_000, 0, 0)


async def test_a_return_that_was_signed_before_the_backup_and_given_up_is_not_made_once_more(
    sqlite_sql, clock
):
    """It never left, was tried again a day later, and that is what the block holds."""
    town = await begun(sqlite_sql, clock)
    await town.returns.sweep()
    await town.later(days=1)
    done = await settled(town.desk, returned(town))
    assert len(done.rebuilt) == 1
    assert await town.states() == ["returned", "waiting"]
    await town.desk.outbox.round()
    rows = {row["ref"]: row["state"] for row in await fetch(sqlite_sql, TRANSFER, channel="return")}
    assert rows.pop(REF) == "committed"
    assert list(rows.values()) == ["cancelled"]
    await town.later(days=2)
    await town.go_back()
    assert await holding(sqlite_sql, DARA) == (400_000, 0, 0)
    assert await holding(sqlite_sql, THIDA) == (400_000, 0, 0)
    assert not await found(town.desk, town.desk.journal)


@pytest.mark.parametrize("amount", [4_999, 7_000])
async def test_what_nobody_sent_so_stands_out(sqlite_sql, clock, amount):
    town = await begun(sqlite_sql, clock)
    done = await settled(town.desk, block := returned(town, amount))
    assert (done.rebuilt, done.astray) == ((), (block.transactions[0].tx_hash,))
    assert await town.states() == ["waiting", "waiting"]
    assert await holding(sqlite_sql, BOPHA) == (12_000 - amount, 0, 0)


async def test_where_money_is_missing_a_fault_says_so_and_others_get_theirs(sqlite_sql, clock):
    town = await begun(sqlite_sql, clock)
    await settled(town.desk, returned(town, 6_000))
    await town.later(days=1)
    for _ in range(2):
        await town.go_back()
    assert await town.states() == ["returned", "waiting"]
    assert await holding(sqlite_sql, BOPHA) == (1_000, 0, 0)
    assert town.desk.meters.returns.labels("begun")._value.get() == 1
    assert town.desk.meters.faults.labels("returns")._value.get() == 2


async def test_it_is_written_also_while_a_return_of_the_same_money_is_on_its_way(sqlite_sql, clock):
    town = Town(sqlite_sql, TownLedger(), clock)
    await town.begin(DARA, THIDA)
    await town.send(DARA, BOPHA, 5_000)
    await town.through()
    await town.later(days=30)
    await town.returns.sweep()
    done = await settled(town.desk, returned(town))
    assert len(done.rebuilt) == 1
    await town.go_back()
    rows = {row["ref"]: row["state"] for row in await fetch(sqlite_sql, TRANSFER, channel="return")}
    assert rows.pop(REF) == "committed"
    assert list(rows.values()) == ["rejected"]
    assert await town.states() == ["returned"]
    assert await holding(sqlite_sql, BOPHA) == (0, 0, 0)
    assert await holding(sqlite_sql, DARA) == (400_000, 0, 0)
