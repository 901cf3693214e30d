"""A changed PIN stays changed, is changed once, and its owner hears of it."""

import asyncio

import pytest
from custody_desk import NEW, Desk
from custody_parts import (
    ACCOUNT,
    ATTEMPT,
    DARA,
    MESSAGE,
    OTHER,
    PIN,
    WALLET,
    DyingSql,
    make_wallet,
    only,
    origin,
    rows,
)

from gateway.desk.directory import Directory
from gateway.desk.pins import Opened
from gateway.stores.runners import open_sql
from gateway.stores.sql import StoreUnavailable
from menus.effects import (
    ChangePin,
    KeptExpired,
    PinChanged,
    PinNotNew,
    Unavailable,
    Unconfirmed,
    WrongPin,
)


@pytest.fixture
def desk(sql, clock) -> Desk:
    return Desk(sql, clock)


@pytest.fixture
def on_sqlite(sqlite_sql, clock) -> Desk:
    return Desk(sqlite_sql, clock)


async def test_after_a_change_the_new_pin_opens_the_same_key_and_the_old_one_does_not(desk):
    key = await make_wallet(desk.sql)
    effect = ChangePin(await desk.keep(NEW, origin(1)), PIN)
    assert await desk.pins.change_pin(effect, origin(3)) == PinChanged()
    assert await desk.guard.open(ACCOUNT, PIN, "t1") == WrongPin(2)
    opened = await desk.guard.open(ACCOUNT, NEW, "t2")
    assert isinstance(opened, Opened)
    assert opened.key.seed == key.seed


async def test_a_wrong_old_pin_changes_nothing_and_counts(on_sqlite):
    desk = on_sqlite
    await make_wallet(desk.sql)
    effect = ChangePin(await desk.keep(NEW, origin(1)), OTHER)
    assert await desk.pins.change_pin(effect, origin(3)) == WrongPin(2)
    assert await desk.pins.change_pin(effect, origin(3)) == WrongPin(2)
    assert isinstance(await desk.guard.open(ACCOUNT, PIN, "t1"), Opened)


async def test_the_old_pin_is_no_new_one_and_a_wrong_one_counts_all_the_same(desk):
    await make_wallet(desk.sql)
    before = await only(desk.sql, WALLET)
    same = ChangePin(await desk.keep(PIN, origin(1)), PIN)
    for _ in range(2):
        assert await desk.pins.change_pin(same, origin(3)) == PinNotNew()
    assert await only(desk.sql, WALLET) == before
    assert await rows(desk.sql, MESSAGE) == []
    wrong = ChangePin(await desk.keep(OTHER, origin(4)), OTHER)
    assert await desk.pins.change_pin(wrong, origin(6)) == WrongPin(2)


async def test_a_repeated_change_says_changed_and_counts_nothing(on_sqlite, clock):
    desk = on_sqlite
    await make_wallet(desk.sql)
    effect = ChangePin(await desk.keep(NEW, origin(1)), PIN)
    for _ in range(3):
        assert await desk.pins.change_pin(effect, origin(3)) == PinChanged()
    await clock.advance(600)
    assert await desk.pins.change_pin(effect, origin(3)) == PinChanged()
    assert (await only(desk.sql, WALLET))["wrong_pins"] == 0
    assert len(await rows(desk.sql, ATTEMPT)) == 1


async def test_one_turn_on_two_processes_at_once_changes_the_pin_once(database_url, clock):
    sqls = [open_sql(database_url) for _ in range(2)]
    desks = [Desk(sql, clock, str(number)) for number, sql in enumerate(sqls)]
    await make_wallet(sqls[0])
    effect = ChangePin(await desks[0].keep(NEW, origin(1)), PIN)
    said = await asyncio.gather(*(d.pins.change_pin(effect, origin(3)) for d in desks))
    assert PinChanged() in said
    assert set(said) <= {PinChanged(), Unavailable(), Unconfirmed()}
    assert len(await rows(sqls[0], MESSAGE)) == 1
    assert isinstance(await desks[1].guard.open(ACCOUNT, NEW, "t1"), Opened)
    for sql in sqls:
        await sql.close()


async def test_an_expired_kept_pin_costs_no_attempt(on_sqlite, clock):
    desk = on_sqlite
    await make_wallet(desk.sql)
    effect = ChangePin(await desk.keep(NEW, origin(1)), OTHER)
    await clock.advance(180)
    assert await desk.pins.change_pin(effect, origin(3)) == KeptExpired()
    assert await rows(desk.sql, ATTEMPT) == []


async def test_a_pin_kept_in_another_session_changes_nothing_and_costs_no_attempt(on_sqlite):
    desk = on_sqlite
    await make_wallet(desk.sql)
    effect = ChangePin(await desk.keep(NEW, origin(1, session="another")), PIN)
    assert await desk.pins.change_pin(effect, origin(3)) == KeptExpired()
    assert await rows(desk.sql, ATTEMPT) == []


async def test_who_has_no_wallet_has_no_pin_to_change(on_sqlite):
    desk = on_sqlite
    effect = ChangePin(await desk.keep(NEW, origin(1)), PIN)
    assert await desk.pins.change_pin(effect, origin(3)) == Unavailable()


# ---- told


async def test_the_owner_is_told_in_their_language_once(desk):
    await make_wallet(desk.sql)
    await Directory(desk.sql, desk.clock).speaks(DARA, "km")
    effect = ChangePin(await desk.keep(NEW, origin(1)), PIN)
    for _ in range(3):
        assert await desk.pins.change_pin(effect, origin(3)) == PinChanged()
    message = await only(desk.sql, MESSAGE)
    assert (message["msisdn"], message["kind"]) == (DARA.e164, "notice")
    assert message["text"].startswith("លេខសម្ងាត់ថ្មីរបស់អ្នកបានកំណត់នៅ 10:00 22/11")


async def test_each_change_is_told(desk, clock):
    await make_wallet(desk.sql)
    for turn, (old, new) in enumerate(((PIN, NEW), (NEW, PIN))):
        where = origin(turn, session=f"s{turn}")
        effect = ChangePin(await desk.keep(new, where), old)
        assert await desk.pins.change_pin(effect, where) == PinChanged()
        await clock.advance(60)
    told = sorted(row["text"] for row in await rows(desk.sql, MESSAGE))
    assert [text[:34] for text in told] == [
        "Your new PIN was set at 10:00 22/1",
        "Your new PIN was set at 10:01 22/1",
    ]


async def test_what_was_not_changed_is_not_told(desk):
    await make_wallet(desk.sql)
    effect = ChangePin(await desk.keep(NEW, origin(1)), OTHER)
    assert await desk.pins.change_pin(effect, origin(3)) == WrongPin(2)
    assert await rows(desk.sql, MESSAGE) == []


@pytest.mark.parametrize("after_commit", [True, False])
async def test_the_change_and_its_sms_are_one_commit(desk, clock, after_commit):
    """Whenever the process dies, both are there or neither is; the same turn then ends it."""
    await make_wallet(desk.sql)
    effect = ChangePin(await desk.keep(NEW, origin(1)), PIN)
    dying = Desk(DyingSql(desk.sql, 4, after_commit=after_commit), clock)  # the reseal
    with pytest.raises(StoreUnavailable):
        await dying.pins.change_pin(effect, origin(3))
    assert len(await rows(desk.sql, MESSAGE)) == int(after_commit)
    opened = await desk.guard.open(ACCOUNT, NEW, "t1")
    assert isinstance(opened, Opened) is after_commit
