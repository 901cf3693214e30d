"""What is read of wallets before a payment: each figure by its own account, currency and time."""

from datetime import timedelta

import pytest
from clocks import MORNING
from money_parts import (
    COUNTER,
    DARA,
    HOLDING,
    LIMITS,
    THIDA,
    TRANSFER,
    account,
    khr,
    usd,
)
from sqlalchemy import insert

from gateway.desk.books import (
    Held,
    open_books,
    open_books_of_accounts,
    read_paid,
    read_recent,
)
from gateway.desk.times import to_ms
from gateway.stores.tables import Replacement, Wallet, table_of
from menus.kinds import Currency
from menus.limits import Used

KHR, USD = Currency.KHR, Currency.USD
NOW_MS = to_ms(MORNING)
DAY_MS = 24 * 60 * 60 * 1000
TODAY, MONTH = "2026-11-22", "2026-11"
KEY = {"public_key": "ab" * 32, "salt": b"salt", "sealed_key": b"sealed"}


def wallet(number, **other) -> dict:
    row = {"account_id": account(number), "msisdn": number.e164, "state": "open"}
    return {**row, **KEY, **other}


def counter(number, bucket: str, period: str, amount: int, count: int) -> dict:
    row = {"account_id": account(number), "bucket": bucket, "period": period}
    return {**row, "amount": amount, "count": count}


def payment(ref: str, at_ms: int, **other) -> dict:
    row = {
        "ref": ref,
        "intent_id": f"intent of {ref}",
        "turn_key": f"turn of {ref}",
        "tx_hash": f"hash of {ref}",
        "src_account": account(DARA),
        "dest_account": account(THIDA),
        "src_msisdn": DARA.e164,
        "dest_msisdn": THIDA.e164,
        "currency": "KHR",
        "amount": 5000,
        "bucket": "KHR",
        "counted": 5000,
        "business_day": TODAY,
        "channel": "ussd",
        "state": "committed",
        "created_at": at_ms,
    }
    return row | other


@pytest.fixture
def of_rows(sql):
    """What an operation says of these rows."""

    async def of_rows(table, rows, read):
        def work(connection, _):
            connection.execute(insert(table), rows)
            return [read(connection)]

        return (await sql.run(work, [None]))[0]

    return of_rows


def books_of_dara(connection, *, payees=()):
    return open_books(connection, LIMITS, NOW_MS, TODAY, [DARA.e164], payees=payees)


async def test_what_is_used_is_read_of_each_counter_by_day_and_month(of_rows):
    await of_rows(table_of(Wallet), [wallet(DARA), wallet(THIDA)], lambda _: None)
    rows = [
        counter(DARA, "KHR", TODAY, 700, 3),
        counter(DARA, "KHR", MONTH, 9000, 40),
        counter(DARA, "KHR", "2026-11-21", 8300, 37),
        counter(DARA, "KHR", "2026-10", 50_000, 60),
        counter(DARA, "USD", MONTH, 250, 2),
        counter(DARA, "made", TODAY, 0, 2),
        counter(THIDA, "KHR", TODAY, 11, 1),
    ]
    books = await of_rows(COUNTER, rows, lambda one: books_of_dara(one, payees=[THIDA.e164]))
    dara, thida = books.wallets[DARA.e164], books.wallets[THIDA.e164]
    assert books.used(dara, KHR) == Used(day=700, month=9000, count=3)
    assert books.used(dara, USD) == Used(day=0, month=250, count=0)
    assert books.used(thida, KHR) == Used()  # what a payee has used is nobody's business
    assert (books.made(account(DARA)), books.made(account(THIDA))) == (2, 0)
    assert books.caps(dara, USD) == LIMITS.caps("basic", USD)


async def test_a_payment_counts_for_the_next_of_its_batch_on_both_sides(of_rows):
    await of_rows(table_of(Wallet), [wallet(DARA), wallet(THIDA)], lambda _: None)
    rows = [
        {
            "account_id": account(one),
            "currency": "KHR",
            "settled": 9000,
            "outgoing": n,
            "incoming": 7,
        }
        for n, one in ((100, DARA), (200, THIDA))
    ]
    books = await of_rows(HOLDING, rows, lambda one: books_of_dara(one, payees=[THIDA.e164]))
    books.reserve(account(DARA), account(THIDA), khr(500))
    books.reserve(account(DARA), account(THIDA), khr(30))
    books.reserve(account(DARA), account(THIDA), usd(2))
    assert books.held(account(DARA), KHR) == Held(9000, 630, 7)
    assert books.held(account(DARA), KHR).available == 8370
    assert books.held(account(THIDA), KHR) == Held(9000, 200, 537)
    assert books.held(account(DARA), USD) == Held(0, 2, 0)
    assert books.held(account(THIDA), USD) == Held(0, 0, 2)
    assert books.used(books.wallets[DARA.e164], KHR) == Used(day=530, month=530, count=2)
    assert books.used(books.wallets[DARA.e164], USD) == Used(day=2, month=2, count=1)


async def test_who_has_no_pin_or_gets_another_key_signs_nothing_and_a_closed_wallet_is_nobodys(
    of_rows,
):
    other = account(DARA).replace("@", "_1@")
    rows = [
        wallet(DARA, account_id=other, state="closed", salt=b""),
        wallet(DARA),
        wallet(THIDA, salt=b"", claim="waiting"),
    ]
    both = [DARA.e164, THIDA.e164]

    def signers(connection):
        books = open_books(connection, LIMITS, NOW_MS, TODAY, both)
        by_account = open_books_of_accounts(connection, LIMITS, TODAY, [*books.accounts, other])
        assert by_account.accounts == books.accounts
        return {one.account_id: bool(one.signs) for one in books.accounts.values()}

    before = await of_rows(table_of(Wallet), rows, signers)
    assert before == {account(DARA): True, account(THIDA): False}
    replacing = {
        "tx_hash": "hash",
        "account_id": account(DARA),
        "reason": "theft",
        "key_version": 2,
        "kek_version": 1,
        "state": "done",
        "created_at": NOW_MS,
        **KEY,
    }
    assert await of_rows(table_of(Replacement), [replacing], signers) == before
    again = replacing | {"tx_hash": "other", "state": "pending"}
    after = await of_rows(table_of(Replacement), [again], signers)
    assert after == {account(DARA): False, account(THIDA): False}


async def test_a_payment_is_known_by_its_intent_for_ever_and_by_its_turn_for_three_days(of_rows):
    rows = [
        payment("NEW", NOW_MS - 3 * DAY_MS + 1),
        payment("OLD", NOW_MS - 3 * DAY_MS),
        payment("RETURN", NOW_MS, turn_key=""),
    ]

    def known(connection):
        turns = ["turn of NEW", "turn of OLD", ""]
        of_turns = read_paid(connection, [], turns, NOW_MS)
        of_intents = read_paid(connection, ["intent of OLD", "none"], [], NOW_MS)
        return [{key: one.ref for key, one in of.items()} for of in (of_turns, of_intents)]

    of_turns, of_intents = await of_rows(TRANSFER, rows, known)
    assert of_turns == {"intent of NEW": "NEW", "turn of NEW": "NEW"}
    assert of_intents == {"intent of OLD": "OLD", "turn of OLD": "OLD"}


async def test_of_late_is_what_was_paid_in_ten_minutes_or_is_not_settled_newest_first(of_rows):
    minute_ms = timedelta(minutes=1) // timedelta(milliseconds=1)
    rows = [
        payment("B", NOW_MS - 5 * minute_ms),
        payment("A", NOW_MS - 9 * minute_ms),
        payment("C", NOW_MS - 5 * minute_ms),
        payment("SIGNED", NOW_MS - DAY_MS, state="signed"),
        payment("OLD", NOW_MS - 10 * minute_ms),
        payment("REFUSED", NOW_MS, state="rejected"),
        payment("OTHERS", NOW_MS, src_account=account(THIDA)),
    ]
    recent = await of_rows(TRANSFER, rows, lambda one: read_recent(one, [account(DARA)], NOW_MS))
    refs = {sender: [one.ref for one in payments] for sender, payments in recent.items()}
    assert refs == {account(DARA): ["C", "B", "A", "SIGNED"]}
