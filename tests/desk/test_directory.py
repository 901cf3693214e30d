"""Who is behind a number, as far as the asker may know."""

import asyncio

import pytest
from custody_parts import DARA, SUBSCRIBER, make_wallet, only, origin, rows

from gateway.desk.directory import Directory
from gateway.stores.runners import open_sql
from gateway.stores.tables import Transfer, table_of
from menus.effects import (
    FindPayee,
    JustOpening,
    LanguageSet,
    NoWallet,
    PayeeFound,
    SetLanguage,
    TooManyLookups,
)
from menus.kinds import Msisdn

THIDA, NOBODY = Msisdn("+85512345602"), Msisdn("+85512345699")
FOUND = PayeeFound(THIDA, "85512345602@bank", "C*** T***")


async def test_a_payee_is_found_with_a_masked_name(sql, clock):
    await make_wallet(sql, THIDA, name="Chan Thida")
    directory = Directory(sql, clock)
    assert await directory.find_payee(FindPayee(THIDA), origin()) == FOUND
    assert await directory.find_payee(FindPayee(NOBODY), origin()) == NoWallet(NOBODY)


@pytest.mark.parametrize(
    ("state", "said"),
    [("held", FOUND), ("opening", JustOpening(THIDA)), ("closed", NoWallet(THIDA))],
)
async def test_only_wallets_that_receive_are_found(sqlite_sql, clock, state, said):
    await make_wallet(sqlite_sql, THIDA, name="Chan Thida", state=state)
    assert await Directory(sqlite_sql, clock).find_payee(FindPayee(THIDA), origin()) == said


async def test_a_days_lookups_run_out_alike_for_known_and_unknown_numbers(sql, clock):
    await make_wallet(sql, THIDA, name="Chan Thida")
    directory = Directory(sql, clock, lookups_per_day=3)
    for payee in (THIDA, NOBODY, THIDA):
        said = await directory.find_payee(FindPayee(payee), origin())
        assert not isinstance(said, TooManyLookups)
    for payee in (THIDA, NOBODY):
        assert await directory.find_payee(FindPayee(payee), origin()) == TooManyLookups()
    other = origin(msisdn=THIDA)
    assert await directory.find_payee(FindPayee(NOBODY), other) == NoWallet(NOBODY)
    await clock.advance(14 * 3600)  # midnight in Phnom Penh
    assert await directory.find_payee(FindPayee(THIDA), origin()) == FOUND
    assert (await only(sql, SUBSCRIBER, msisdn=DARA.e164))["lookups"] == 1


async def test_parallel_lookups_on_two_processes_do_not_exceed_the_day(database_url, clock):
    sqls = [open_sql(database_url) for _ in range(2)]
    directories = [Directory(sql, clock, lookups_per_day=10) for sql in sqls]
    said = await asyncio.gather(
        *(directories[i % 2].find_payee(FindPayee(NOBODY), origin()) for i in range(60))
    )
    assert said.count(NoWallet(NOBODY)) == 10
    assert said.count(TooManyLookups()) == 50
    for sql in sqls:
        await sql.close()


async def test_people_already_paid_cost_no_lookup(sqlite_sql, clock):
    await make_wallet(sqlite_sql)
    await make_wallet(sqlite_sql, THIDA, name="Chan Thida")

    def pay(connection, _items):
        row = {
            "ref": "R1",
            "intent_id": "i1",
            "turn_key": "t1",
            "tx_hash": "h1",
            "src_account": "85512345601@bank",
            "dest_account": FOUND.account_id,
            "src_msisdn": DARA.e164,
            "dest_msisdn": THIDA.e164,
            "currency": "KHR",
            "amount": 100,
            "bucket": "KHR",
            "counted": 100,
            "business_day": "2026-11-01",
            "channel": "ussd",
            "state": "committed",
            "created_at": 0,
        }
        connection.execute(table_of(Transfer).insert(), [row])
        return [None]

    await sqlite_sql.run(pay, [None])
    directory = Directory(sqlite_sql, clock, lookups_per_day=0)
    assert await directory.find_payee(FindPayee(THIDA), origin()) == FOUND
    assert await directory.find_payee(FindPayee(NOBODY), origin()) == TooManyLookups()
    stranger = origin(msisdn=NOBODY)
    assert await directory.find_payee(FindPayee(THIDA), stranger) == TooManyLookups()


async def test_a_language_is_remembered_without_touching_the_budget(sql, clock):
    directory = Directory(sql, clock, lookups_per_day=1)
    assert await directory.set_language(SetLanguage("km"), origin()) == LanguageSet("km")
    await directory.find_payee(FindPayee(NOBODY), origin())
    assert await directory.set_language(SetLanguage("en"), origin()) == LanguageSet("en")
    (row,) = await rows(sql, SUBSCRIBER)
    assert (row["language"], row["lookups"]) == ("en", 1)
