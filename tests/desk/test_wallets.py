"""One wallet a number, opened by one commit."""

import asyncio
import sqlite3

import pytest
from custody_desk import NEW, OPENER, SUBMISSION, Desk, late
from custody_parts import (
    ACCOUNT,
    DARA,
    OTHER,
    PIN,
    WALLET,
    change,
    make_wallet,
    only,
    origin,
    rows,
)

from gateway.desk.openings import Bank, Profile
from gateway.desk.pins import Opened
from gateway.stores.runners import open_sql
from gateway.stores.tables import Holding, table_of
from ledger_client.keys import verify
from ledger_client.ledger import CreateAccount, GrantPermission, SetAccountDetail
from ledger_client.proto import transaction_pb2
from ledger_client.transaction import commands_of
from menus.effects import (
    ChangePin,
    Compare,
    KeptExpired,
    OpenWallet,
    PinChanged,
    Unavailable,
    WalletExists,
    WalletOpened,
    WalletOpening,
    WrongPin,
)
from menus.kinds import Msisdn

HOLDING = table_of(Holding)


@pytest.fixture
def desk(sql, clock) -> Desk:
    return Desk(sql, clock)


@pytest.fixture
def on_sqlite(sqlite_sql, clock) -> Desk:
    return Desk(sqlite_sql, clock)


# ---- opening


async def test_opening_stores_wallet_and_exact_signed_bytes_then_tells_the_outbox(desk):
    token = await desk.keep(PIN, origin(1))
    assert await desk.wallets.open_wallet(OpenWallet(token), late()) == WalletOpening()
    wallet = await only(desk.sql, WALLET)
    assert (wallet["account_id"], wallet["msisdn"], wallet["state"]) == (
        ACCOUNT,
        DARA.e164,
        "opening",
    )
    assert {row["currency"] for row in await rows(desk.sql, HOLDING)} == {"KHR", "USD"}
    assert desk.poked == 1
    first, second = sorted(await rows(desk.sql, SUBMISSION), key=lambda row: row["position"])
    assert (first["purpose"], second["purpose"]) == ("opening", "grant")
    assert first["batch"] == second["batch"] == first["tx_hash"]
    create, grants = (transaction_pb2.Transaction.FromString(r["data"]) for r in (first, second))
    assert commands_of(create) == (
        CreateAccount(DARA.e164[1:], "bank", wallet["public_key"]),
        SetAccountDetail("opener@bank", DARA.e164[1:], ACCOUNT),  # for other banks to find
    )
    assert commands_of(grants) == tuple(
        GrantPermission("recoverer@bank", f"can_{verb}_my_signatory") for verb in ("add", "remove")
    )
    creators = [t.payload.reduced_payload.creator_account_id for t in (create, grants)]
    assert creators == ["opener@bank", ACCOUNT]
    for transaction, public_key in ((create, OPENER.public_key), (grants, wallet["public_key"])):
        (signature,) = transaction.signatures
        assert signature.public_key == public_key
        blob = transaction.payload.SerializeToString(deterministic=True)
        assert verify(public_key, blob, bytes.fromhex(signature.signature))


async def test_what_the_bank_knows_of_an_owner_is_kept_with_the_wallet(on_sqlite):
    desk = on_sqlite
    kept = desk.keeper.kept(await desk.keep(PIN, origin(1)), "pin", origin(1))
    known = Profile("Sok Dara", "full", "merchant", "100200", dollars=True)
    assert await desk.wallets.open(DARA, kept, known, 0.0) == WalletOpening()
    wallet = await only(desk.sql, WALLET)
    assert known == Profile(**{name: wallet[name] for name in Profile.__match_args__})


async def test_a_turn_waits_for_the_ledger_and_the_chosen_pin_opens_the_wallet(on_sqlite):
    desk = on_sqlite
    token = await desk.keep(PIN, origin(1))
    opening = asyncio.ensure_future(desk.wallets.open_wallet(OpenWallet(token), origin(3)))
    while not await rows(desk.sql, WALLET):
        await asyncio.sleep(0)
    await desk.opened_by_ledger()
    assert await opening == WalletOpened()
    assert isinstance(await desk.guard.open(ACCOUNT, PIN, "t"), Opened)
    assert await desk.guard.open(ACCOUNT, OTHER, "u") == WrongPin(2)


async def test_a_repeated_turn_opens_nothing_more_and_tells_how_far_it_is(on_sqlite, clock):
    desk = on_sqlite
    effect = OpenWallet(await desk.keep(PIN, origin(1)))
    assert await desk.wallets.open_wallet(effect, late()) == WalletOpening()
    again = Desk(desk.sql, clock, "two")
    assert await again.wallets.open_wallet(effect, late()) == WalletOpening()
    await desk.opened_by_ledger()
    await clock.advance(600)  # long after the token expired
    assert await again.wallets.open_wallet(effect, late()) == WalletOpened()
    assert len(await rows(desk.sql, WALLET)) == 1
    assert len(await rows(desk.sql, SUBMISSION)) == 2


async def test_many_sessions_at_once_open_one_wallet(database_url, clock):
    sqls = [open_sql(database_url) for _ in range(2)]
    desks = [Desk(sql, clock, str(number)) for number, sql in enumerate(sqls)]
    where = [late(session=f"s{i}") for i in range(24)]
    tokens = [await desks[0].keep(PIN, place) for place in where]
    said = await asyncio.gather(
        *(
            desks[i % 2].wallets.open_wallet(OpenWallet(token), place)
            for i, (token, place) in enumerate(zip(tokens, where, strict=True))
        )
    )
    assert sorted(type(one).__name__ for one in said) == ["WalletExists"] * 23 + ["WalletOpening"]
    assert len(await rows(sqls[0], WALLET)) == 1
    assert len(await rows(sqls[0], SUBMISSION)) == 2
    for sql in sqls:
        await sql.close()


async def test_the_same_turn_on_two_processes_at_once_opens_one_wallet(database_url, clock):
    sqls = [open_sql(database_url) for _ in range(2)]
    desks = [Desk(sql, clock, str(number)) for number, sql in enumerate(sqls)]
    effect = OpenWallet(await desks[0].keep(PIN, origin(1)))
    said = await asyncio.gather(*(d.wallets.open_wallet(effect, late()) for d in desks * 8))
    assert set(said) == {WalletOpening()}
    assert len(await rows(sqls[0], WALLET)) == 1
    for sql in sqls:
        await sql.close()


async def test_who_has_a_wallet_is_told_so(on_sqlite):
    desk = on_sqlite
    await make_wallet(desk.sql)
    token = await desk.keep(PIN, origin(1))
    assert await desk.wallets.open_wallet(OpenWallet(token), late()) == WalletExists()
    assert await rows(desk.sql, SUBMISSION) == []


async def test_the_next_holder_of_a_number_gets_another_account(on_sqlite):
    desk = on_sqlite
    await make_wallet(desk.sql, state="closed")
    for number in (2, 3):
        token = await desk.keep(PIN, origin(1, session=f"s{number}"))
        place = late(session=f"s{number}")
        assert await desk.wallets.open_wallet(OpenWallet(token), place) == WalletOpening()
        account = f"85512345601_{number}@bank"
        assert (await only(desk.sql, WALLET, state="opening"))["account_id"] == account
        await change(desk.sql, WALLET, state="closed")


async def test_a_refused_opening_is_not_called_a_wallet_and_can_be_begun_again(on_sqlite):
    desk = on_sqlite
    effect = OpenWallet(await desk.keep(PIN, origin(1)))
    await desk.wallets.open_wallet(effect, late())
    await desk.opened_by_ledger("closed")
    assert await desk.wallets.open_wallet(effect, late()) == Unavailable()
    anew = OpenWallet(await desk.keep(PIN, origin(1, session="s2")))
    assert await desk.wallets.open_wallet(anew, late(session="s2")) == WalletOpening()


async def test_an_expired_or_foreign_kept_pin_opens_nothing(on_sqlite, clock):
    desk = on_sqlite
    effect = OpenWallet(await desk.keep(PIN, origin(1)))
    assert await desk.wallets.open_wallet(effect, late(session="s2")) == KeptExpired()
    other = late(msisdn=Msisdn("+85512345602"))
    assert await desk.wallets.open_wallet(effect, other) == KeptExpired()
    await clock.advance(180)
    assert await desk.wallets.open_wallet(effect, late()) == KeptExpired()
    assert await rows(desk.sql, WALLET) == []


# ---- what is left behind


async def test_no_pin_and_no_open_key_lies_in_any_table_or_log_afterwards(
    sqlite_url, clock, capfd, caplog
):
    """A whole life: kept, compared, opened, mistyped, locked, changed, damaged."""
    sql = open_sql(sqlite_url)
    desk = Desk(sql, clock)
    token = await desk.keep(PIN, origin(1))
    for pin in (OTHER, PIN):
        await desk.keeper.compare(Compare("pin", token, pin), origin(2))
    await desk.wallets.open_wallet(OpenWallet(token), late())
    await desk.opened_by_ledger()
    for turn in range(4):
        await desk.guard.open(ACCOUNT, OTHER, f"a{turn}")
    await clock.advance(1800)
    opened = await desk.guard.open(ACCOUNT, PIN, "b")
    assert isinstance(opened, Opened)
    new = await desk.keep(NEW, origin(5))
    assert await desk.pins.change_pin(ChangePin(new, PIN), origin(7)) == PinChanged()
    await change(sql, WALLET, kek_version=9)
    assert await desk.guard.open(ACCOUNT, NEW, "c") == Unavailable()
    derived = [desk.keeper.kept(one, "pin", origin()) for one in (token, new)]
    await sql.close()
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
        dump = "\n".join(connection.iterdump())
    assert ACCOUNT in dump
    told = capfd.readouterr()
    left = f"{dump} {token} {new} {told.out} {told.err} {caplog.text}".lower()
    for pin in (PIN, OTHER, NEW):
        assert pin.digits not in left
        assert pin.digits.encode().hex() not in left
    for secret in (opened.key.seed, *(kept.key.key for kept in derived if kept)):
        assert secret.hex() not in left


def test_what_makes_an_idle_ledger_make_a_block_moves_nothing_and_is_the_openers():
    data = Bank("bank", OPENER).no_op(1_800_000_000_000)
    transaction = transaction_pb2.Transaction.FromString(data)
    made_by = transaction.payload.reduced_payload
    assert (made_by.creator_account_id, made_by.created_time) == ("opener@bank", 1_800_000_000_000)
    alive = SetAccountDetail("opener@bank", "alive", "1800000000000")
    assert commands_of(transaction) == (alive,)
