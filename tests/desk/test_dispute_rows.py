"""Each change of a dispute is guarded by the statement that makes it, whatever was read before."""

import pytest
from dispute_parts import DISPUTE, DisputeDesk, the_dispute
from money_parts import DARA, THIDA, MemoryLedger, execute, holding, khr, person
from sqlalchemy import update

from gateway.desk import dispute_rows
from menus.effects import Committed


@pytest.fixture
async def desk(sqlite_sql, clock) -> DisputeDesk:
    """A payment of 5,000 riel from Dara to Thida is asked back, and held."""
    ledger = MemoryLedger()
    await person(sqlite_sql, DARA, ledger, riel=400_000)
    await person(sqlite_sql, THIDA, ledger, riel=50_000)
    desk = DisputeDesk(sqlite_sql, ledger, clock)
    async with desk.running():
        paid = await desk.pay(DARA, THIDA, khr(5_000))
        assert isinstance(paid, Committed)
        await desk.ask(DARA, paid.ref)
        await clock.advance(60)
    return desk


async def changed(sql, change) -> bool:
    """Does this change the only dispute, as it is read now?"""
    name = (await the_dispute(sql))["id"]

    def change_it(connection, _):
        return [change(connection, dispute_rows.read(connection, [name])[name])]

    return (await sql.run(change_it, [None]))[0]


async def test_of_two_ends_of_a_dispute_read_at_once_the_second_changes_nothing(desk, sqlite_sql):
    def twice(connection, row):
        ends = (dispute_rows.close(desk.journal, connection, row, "ended", 1) for _ in range(2))
        return list(ends)

    assert await changed(sqlite_sql, twice) == [True, False]
    assert await holding(sqlite_sql, THIDA) == (55_000, 0, 0)


@pytest.mark.parametrize(("to", "ends"), [("returned", False), ("refused", True), ("ended", True)])
async def test_what_is_on_its_way_back_already_is_not_given_back_as_well(
    desk, sqlite_sql, to, ends
):
    await desk.pay(THIDA, DARA, khr(5_000), wait_s=0.001)  # nothing sends it yet

    def close(connection, row):
        return dispute_rows.close(desk.journal, connection, row, to, 1)

    assert await changed(sqlite_sql, close) is ends
    assert (await the_dispute(sqlite_sql))["state"] == (to if ends else "held")


async def test_what_the_ledger_took_is_returned_also_if_it_was_paid_back_as_well(desk, sqlite_sql):
    await desk.pay(THIDA, DARA, khr(5_000), wait_s=0.001)
    await execute(sqlite_sql, update(DISPUTE).values(state="ended", held=0))

    def after_all(connection, row):
        return dispute_rows.returned_after_all(desk.journal, connection, row, 1)

    assert await changed(sqlite_sql, after_all) is True
    assert (await the_dispute(sqlite_sql))["state"] == "returned"
