"""Every row is what its movements say, and an edited, deleted or inserted one is found."""

import pytest
from audit_parts import found, key_of, other
from clocks import seeded
from custody_parts import make_journal
from money_parts import (
    BORA,
    COUNTER,
    DARA,
    HOLDING,
    RECEIPT,
    SUBMISSION,
    THIDA,
    TRANSFER,
    Desk,
    MemoryLedger,
    account,
    execute,
    fetch,
    khr,
    person,
)
from sqlalchemy import delete, insert, update

from gateway.desk import audit, pages
from gateway.desk.blocks import start_cursor
from gateway.desk.chain import Link
from gateway.desk.journal import ChainKeyLost, Journal
from gateway.desk.rotation import rotate
from gateway.kek import Kek
from gateway.stores.tables import ChainKey, Movement, Wallet, table_of
from gateway.vault import Vault
from ledger_client.ledger import Reached

MOVEMENT, CHAIN_KEY, WALLET = table_of(Movement), table_of(ChainKey), table_of(Wallet)


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger(auto=False)


@pytest.fixture
async def desk(sql, clock, ledger) -> Desk:
    """After a day: a payment settled, one refused, one on its way, and money from elsewhere."""
    await person(sql, DARA, ledger, riel=400_000, cents=500)
    await person(sql, THIDA, ledger, riel=50_000, name="Chan Thida")
    await sql.run(start_cursor, [Reached(0)])
    desk = Desk(sql, ledger, clock, any_pin=True)
    for amount, refuse in ((5_000, False), (7_000, True)):
        await desk.pay(DARA, THIDA, khr(amount), wait_s=0.01)
        await desk.outbox.round()
        ledger.refuse_all = refuse
        assert await desk.follower._settle(ledger.block())
    assert await desk.follower._settle(ledger.pay_in(account(THIDA), "1200"))
    await desk.pay(DARA, THIDA, khr(9_000), wait_s=0.01)
    return desk


async def test_an_honest_day_has_no_drift(desk):
    assert await found(desk) == []


TABLES = {each.name: each for each in (HOLDING, COUNTER, TRANSFER, RECEIPT, MOVEMENT, SUBMISSION)}
WORKING = {"first_sent_at", "next_send_at", "sends", "reason"}  # the outbox's own, of no money


@pytest.mark.parametrize("name", TABLES)
async def test_every_edited_column_of_every_money_row_is_found(desk, sql, name):
    table = TABLES[name]
    rows = await fetch(sql, table)
    for row in (rows[0], rows[-1]):
        for column in table.columns:
            if column.name in WORKING:
                continue
            edited = {column.name: other(row[column.name], column)}
            await execute(sql, update(table).where(*key_of(table, row)).values(edited))
            assert await found(desk) != [], column.name
            back = update(table).where(*key_of(table, row | edited)).values(row)
            await execute(sql, back)
    assert await found(desk) == []


@pytest.mark.parametrize("name", TABLES)
async def test_every_deleted_money_row_is_found(desk, sql, name):
    table = TABLES[name]
    for row in await fetch(sql, table):
        await execute(sql, delete(table).where(*key_of(table, row)))
        assert await found(desk) != []
        await execute(sql, insert(table).values(row))
    assert await found(desk) == []


async def test_a_wallet_that_is_gone_is_found_by_what_it_held(desk, sql):
    await execute(sql, delete(WALLET).where(WALLET.c.account_id == account(THIDA)))
    assert [(drift.table, drift.row) for drift in await found(desk)] == [("wallet", account(THIDA))]


INVENTED = {
    HOLDING: {"account_id": account(BORA), "currency": "KHR", "settled": 1, "movement": 0},
    COUNTER: {"period": "2026-10-01"},
    TRANSFER: {"ref": "INVENTED", "intent_id": "other", "turn_key": "other", "tx_hash": "ab" * 32},
    RECEIPT: {"tx_hash": "ab" * 32},
    MOVEMENT: {"number": 1000},
}


@pytest.mark.parametrize("table", INVENTED, ids=lambda table: table.name)
@pytest.mark.parametrize("which", [0, -1], ids=["like the first", "like the last"])
async def test_an_invented_money_row_is_found(desk, sql, table, which):
    like = (await fetch(sql, table))[which]
    await execute(sql, insert(table).values(like | INVENTED[table]))
    assert await found(desk) != []


async def test_one_riel_is_found_and_named(desk, sql):
    more = update(HOLDING).where(
        HOLDING.c.account_id == account(THIDA), HOLDING.c.currency == "KHR"
    )
    await execute(sql, more.values(settled=HOLDING.c.settled + 1))
    drifts = await found(desk)
    assert {(drift.table, drift.row) for drift in drifts} == {("holding", "85512345602@bank KHR")}


async def test_an_edited_figure_stays_found_after_the_next_payment(desk, sql):
    await execute(sql, update(HOLDING).values(settled=HOLDING.c.settled + 1))
    await desk.pay(DARA, THIDA, khr(1_000), wait_s=0.01)
    assert {drift.row for drift in await found(desk)} >= {"85512345601@bank KHR"}


async def test_a_chain_hashed_again_with_another_key_is_found(desk, sql):
    """Whoever has the database and not the key can make no movement that is believed."""
    rows = sorted(await fetch(sql, MOVEMENT), key=lambda row: (row["account_id"], row["number"]))
    before, last = b"", ""
    for row in rows:
        before = before if row["account_id"] == last else b""
        link = Link(*(row[name] for name in Link._fields))._replace(at=row["at"] + 1)
        before, last = link.hash(b"a guess", before), row["account_id"]
        here = update(MOVEMENT).where(*key_of(MOVEMENT, row))
        await execute(sql, here.values(at=link.at, hash=before))
    changed = [drift for drift in await found(desk) if drift.table == "movement"]
    assert len(changed) == len(rows)


async def test_another_key_in_the_place_of_the_chains_key_is_found(desk, sql):
    journal = make_journal()
    assert await found(desk, journal) == []
    await execute(sql, delete(CHAIN_KEY))
    assert [drift.table for drift in await found(desk, journal)] == ["chain_key"]


async def test_movements_whose_key_is_gone_get_no_other(desk, sql):
    """Whoever looks at them, or pays, would else write what the old key can never prove."""
    before = await fetch(sql, MOVEMENT)
    await execute(sql, delete(CHAIN_KEY))
    with pytest.raises(ChainKeyLost):
        await found(desk)
    later = Desk(sql, desk.ledger, desk.clock, any_pin=True, seed="later")
    with pytest.raises(ChainKeyLost):
        await later.pay(THIDA, DARA, khr(2_000), wait_s=0.01)
    assert (await fetch(sql, MOVEMENT), await fetch(sql, CHAIN_KEY)) == (before, [])


async def test_a_rotated_key_encryption_key_proves_the_same_movements(desk, sql):
    kek = Kek({1: b"k" * 32, 2: b"n" * 32})
    await rotate(sql, Vault(kek, seeded("rotation"), None))
    newest = Journal(Vault(Kek({2: b"n" * 32}), seeded("newest"), None), seeded("unused"))
    assert await found(desk, newest) == []


async def test_pages_end_anywhere(desk, monkeypatch):
    for rows in (1, 2, 3, 7):
        for room in (pages, audit):
            monkeypatch.setattr(room, "ROWS", rows)
        assert await found(desk) == []


async def test_what_an_older_release_left_is_brought_into_the_chains(desk, sql, ledger):
    await execute(sql, delete(MOVEMENT), delete(CHAIN_KEY))
    for table in (HOLDING, COUNTER, TRANSFER, RECEIPT):
        await execute(sql, update(table).values(movement=0))
    assert await found(desk) == []
    later = Desk(sql, ledger, desk.clock, any_pin=True, seed="later")
    await later.pay(THIDA, DARA, khr(2_000), wait_s=0.01)
    await later.outbox.round()
    ledger.refuse_all = False
    assert await later.follower._settle(ledger.block())
    assert await found(later) == []
    await execute(sql, update(TRANSFER).values(amount=TRANSFER.c.amount + 1))
    assert len(await found(later)) == 4
