"""An owner's new key: ready before it is sent, in use with its block, and never a second one."""

import asyncio
from functools import partial

import pytest
from custody_parts import ACCOUNT, ATTEMPT, OTHER, PIN, TEXTS, WALLET, only, rows
from money_parts import (
    DARA,
    MESSAGE,
    SUBMISSION,
    THIDA,
    eventually,
    execute,
    fetch,
    holding,
    khr,
    person,
)
from replacement_parts import (
    NEW,
    REPLACEMENT,
    Custody,
    KeyedLedger,
    check_keys,
    dara,
    opens,
    pinless,
)
from sqlalchemy import update
from structlog.testing import capture_logs

from gateway.desk.blocks import start_cursor
from gateway.desk.keep import Keeper
from gateway.desk.pin_change import Resealing, reseal
from gateway.desk.pins import Opened
from gateway.desk.renewal import place
from gateway.stores.runners import open_sql
from ledger_client.ledger import AddSignatory, Reached, RemoveSignatory
from ledger_client.transaction import read_draft
from menus.effects import (
    ChoosePin,
    Committed,
    InProgress,
    Keep,
    KeptExpired,
    KeyRenewed,
    KeyRenewing,
    PinNotNew,
    RenewKey,
    Unavailable,
    WrongPin,
)


@pytest.fixture
def ledger() -> KeyedLedger:
    return KeyedLedger()


@pytest.fixture
async def custody(sql, clock, ledger) -> Custody:
    await person(sql, THIDA, ledger, riel=50_000, name="Chan Thida")
    await sql.run(start_cursor, [Reached(0)])
    return Custody(sql, ledger, clock)


@pytest.fixture
async def on_sqlite(sqlite_sql, clock, ledger) -> Custody:
    await person(sqlite_sql, THIDA, ledger, riel=50_000, name="Chan Thida")
    await sqlite_sql.run(start_cursor, [Reached(0)])
    return Custody(sqlite_sql, ledger, clock)


# ---- the first PIN


async def test_a_first_pin_is_stored_with_its_exact_bytes_before_anything_is_sent(custody, ledger):
    await pinless(custody.sql, ledger)
    before = await only(custody.sql, WALLET, account_id=ACCOUNT)
    said = await custody.renewals.first_pin(await custody.kept(), custody.at())
    assert said == KeyRenewing()
    assert ledger.calls == []
    assert await only(custody.sql, WALLET, account_id=ACCOUNT) == before
    new = await only(custody.sql, REPLACEMENT)
    assert (new["reason"], new["state"], new["key_version"]) == ("first_pin", "pending", 2)
    sent = await only(custody.sql, SUBMISSION)
    draft = read_draft(sent["data"])
    assert (sent["purpose"], sent["tx_hash"]) == ("replacement", draft.tx_hash)
    assert draft.commands == (
        AddSignatory(ACCOUNT, new["public_key"]),
        RemoveSignatory(ACCOUNT, before["public_key"]),
    )
    assert (draft.creator, draft.quorum) == (ACCOUNT, 1)
    assert draft.signers == (before["public_key"],)
    await check_keys(custody)


async def test_with_its_block_the_chosen_pin_pays_and_the_owner_is_told(custody, ledger):
    await pinless(custody.sql, ledger)
    await custody.renewals.first_pin(await custody.kept(), custody.at())
    await custody.through()
    await check_keys(custody, at_rest=True)
    done = await only(custody.sql, REPLACEMENT)
    assert (done["state"], done["sealed_key"]) == ("done", b"")
    (told,) = await fetch(custody.sql, MESSAGE)
    assert "new PIN was set" in told["text"]
    assert told["msisdn"] == DARA.e164
    async with custody.desk.running():
        ledger.auto = True
        assert isinstance(await custody.desk.pay(DARA, THIDA, khr(5_000), pin=NEW), Committed)


async def test_a_turn_waits_for_the_block(on_sqlite, ledger):
    custody = on_sqlite
    await pinless(custody.sql, ledger)
    ledger.auto = True
    async with custody.desk.running():
        said = await custody.renewals.first_pin(await custody.kept(), custody.at(wait_s=20))
    assert said == KeyRenewed()


async def test_a_repeated_turn_replaces_nothing_more_and_tells_how_far_it_is(on_sqlite, ledger):
    custody = on_sqlite
    await pinless(custody.sql, ledger)
    kept = await custody.kept()
    assert await custody.renewals.first_pin(kept, custody.at()) == KeyRenewing()
    again = Custody(custody.sql, ledger, custody.clock, "two")
    assert await again.renewals.first_pin(kept, again.at()) == KeyRenewing()
    await custody.through()
    long_after = type(kept)(kept.key, expired=True)
    assert await again.renewals.first_pin(long_after, again.at()) == KeyRenewed()
    assert len(await rows(custody.sql, REPLACEMENT)) == 1


async def test_no_pin_opens_a_wallet_that_has_none_and_no_try_is_counted(on_sqlite, ledger):
    custody = on_sqlite
    await pinless(custody.sql, ledger)
    for turn in range(4):
        assert await custody.desk.pins.open(ACCOUNT, PIN, f"t{turn}") == Unavailable()
    assert await custody.desk.pay(DARA, THIDA, khr(5_000)) == Unavailable()
    wallet = await only(custody.sql, WALLET, account_id=ACCOUNT)
    assert (wallet["wrong_pins"], wallet["locked_until"]) == (0, 0)


async def test_who_has_a_pin_cannot_choose_a_first_one(on_sqlite, ledger):
    custody = on_sqlite
    await dara(custody.sql, ledger)
    said = await custody.renewals.first_pin(await custody.kept(), custody.at())
    assert said == Unavailable()
    assert await rows(custody.sql, REPLACEMENT) == []


async def test_an_expired_kept_pin_replaces_nothing(on_sqlite, ledger):
    custody = on_sqlite
    await pinless(custody.sql, ledger)
    kept = await custody.kept(expired=True)
    assert await custody.renewals.first_pin(kept, custody.at()) == KeptExpired()
    assert await rows(custody.sql, REPLACEMENT) == []


@pytest.mark.parametrize("state", ["opening", "closed"])
async def test_a_wallet_that_is_not_on_the_ledger_gets_no_key(on_sqlite, ledger, state):
    custody = on_sqlite
    await pinless(custody.sql, ledger, state=state)
    said = await custody.renewals.first_pin(await custody.kept(), custody.at())
    assert said == Unavailable()
    assert await rows(custody.sql, REPLACEMENT) == []


# ---- suspected theft


async def test_the_old_pin_signs_for_a_new_key_under_a_new_pin(custody, ledger):
    await dara(custody.sql, ledger)
    old = await only(custody.sql, WALLET, account_id=ACCOUNT)
    said = await custody.renewals.renew(await custody.kept(), PIN, custody.at())
    assert said == KeyRenewing()
    await custody.through()
    await check_keys(custody, at_rest=True)
    wallet = await only(custody.sql, WALLET, account_id=ACCOUNT)
    assert wallet["public_key"] != old["public_key"]
    assert await custody.desk.pins.open(ACCOUNT, PIN, "t1") == WrongPin(2)
    opened = await custody.desk.pins.open(ACCOUNT, NEW, "t2")
    assert isinstance(opened, Opened)
    assert {opened.key.public_key} == ledger.keys[ACCOUNT]


async def test_a_pin_that_somebody_knows_does_not_stay(on_sqlite, ledger):
    custody = on_sqlite
    await dara(custody.sql, ledger)
    said = await custody.renewals.renew(await custody.kept(PIN), PIN, custody.at())
    assert said == PinNotNew()
    assert await rows(custody.sql, REPLACEMENT) == []
    wrong = await custody.renewals.renew(await custody.kept(OTHER), OTHER, custody.at())
    assert wrong == WrongPin(2)


async def test_a_wrong_old_pin_replaces_nothing_and_counts_once(on_sqlite, ledger):
    custody = on_sqlite
    await dara(custody.sql, ledger)
    where, kept = custody.at(), await custody.kept()
    for _ in range(2):
        assert await custody.renewals.renew(kept, OTHER, where) == WrongPin(2)
    assert await rows(custody.sql, REPLACEMENT) == []
    assert len(await rows(custody.sql, ATTEMPT)) == 1


async def test_a_pin_changed_between_opening_and_storing_wins(on_sqlite, ledger):
    """Whoever knew only the PIN before gets no key."""
    custody = on_sqlite
    await dara(custody.sql, ledger)
    opened = await custody.desk.pins.open(ACCOUNT, PIN, "t")
    order = custody.renewals._draw_up(opened, (await custody.kept()).key, "theft", "")
    await execute(custody.sql, update(WALLET).values(salt=b"of another PIN"))
    assert await custody.renewals._place(order) is False
    assert await rows(custody.sql, SUBMISSION) == []


async def test_a_commit_whose_reply_was_lost_is_found_when_it_is_run_again(custody, ledger):
    await dara(custody.sql, ledger)
    opened = await custody.desk.pins.open(ACCOUNT, PIN, "t")
    order = custody.renewals._draw_up(opened, (await custody.kept()).key, "theft", "")
    for _ in range(2):
        assert list(await custody.sql.run(place, [order])) == [True]
    assert len(await rows(custody.sql, SUBMISSION)) == 1


async def test_turns_bring_a_kept_pin_by_its_token_and_no_other(on_sqlite, ledger):
    custody = on_sqlite
    await pinless(custody.sql, ledger)
    where = custody.at()
    kept = await Keeper(custody.vault, custody.clock).keep(Keep("pin", NEW), where)
    assert await custody.renewals.choose_pin(ChoosePin("AAAA"), where) == KeptExpired()
    assert await custody.renewals.renew_key(RenewKey("AAAA", PIN), where) == KeptExpired()
    assert await custody.renewals.choose_pin(ChoosePin(kept.token), where) == KeyRenewing()
    await custody.through()
    await check_keys(custody, at_rest=True)
    where = custody.at()
    kept = await Keeper(custody.vault, custody.clock).keep(Keep("pin", OTHER), where)
    assert await custody.renewals.renew_key(RenewKey(kept.token, NEW), where) == KeyRenewing()
    await custody.through()
    await check_keys(custody, at_rest=True)


async def test_a_key_without_a_pin_that_does_not_open_is_raised(on_sqlite, ledger):
    custody = on_sqlite
    await pinless(custody.sql, ledger)
    await execute(custody.sql, update(WALLET).values(sealed_key=bytes(40)))
    with capture_logs() as lines:
        said = await custody.renewals.first_pin(await custody.kept(), custody.at())
    assert said == Unavailable()
    assert [(line["log_level"], line["account"]) for line in lines] == [("error", ACCOUNT)]
    assert await rows(custody.sql, REPLACEMENT) == []


# ---- while it is under way


async def test_while_it_is_pending_the_wallet_receives_and_nothing_else(on_sqlite, ledger):
    custody = on_sqlite
    await dara(custody.sql, ledger)
    await custody.renewals.renew(await custody.kept(), PIN, custody.at())
    assert await custody.desk.pay(DARA, THIDA, khr(5_000)) == Unavailable()
    other = await custody.kept(OTHER)
    assert await custody.renewals.renew(other, PIN, custody.at()) == Unavailable()
    assert len(await rows(custody.sql, ATTEMPT)) == 1  # nothing of this has tried a PIN
    ledger.pay_in(ACCOUNT, "700")
    await custody.settle()
    assert (await holding(custody.sql, DARA))[0] == 400_700


async def test_a_pin_is_not_changed_on_a_key_that_is_about_to_go(custody, ledger):
    """It would be sealed under the one, and the next key be under the other."""
    await dara(custody.sql, ledger)
    opened = await custody.desk.pins.open(ACCOUNT, PIN, "t")
    under = (await custody.kept(OTHER)).key
    new = custody.vault.seal(ACCOUNT, 1, opened.key.seed, under)
    change = Resealing(ACCOUNT, DARA, opened.sealed, new, 0)
    await custody.renewals.renew(await custody.kept(), PIN, custody.at())
    assert list(await custody.sql.run(partial(reseal, TEXTS), [change])) == [False]
    await custody.through()
    assert list(await custody.sql.run(partial(reseal, TEXTS), [change])) == [False]
    assert isinstance(await custody.desk.pins.open(ACCOUNT, NEW, "u"), Opened)


@pytest.mark.parametrize("order", ["payment first", "replacement first", "together"])
async def test_a_payment_that_the_old_key_signed_ends_by_its_block(on_sqlite, ledger, order):
    custody = on_sqlite
    await dara(custody.sql, ledger)
    assert isinstance(await custody.desk.pay(DARA, THIDA, khr(5_000), wait_s=0.01), InProgress)
    payment = (await only(custody.sql, SUBMISSION))["data"]
    await custody.renewals.renew(await custody.kept(), PIN, custody.at())
    (renewal,) = (row["data"] for row in await rows(custody.sql, SUBMISSION, purpose="replacement"))
    turns = {
        "payment first": ([payment], [renewal]),
        "replacement first": ([renewal], [payment]),
        "together": ([payment, renewal],),
    }
    for sent in turns[order]:
        await ledger.submit(sent)
        ledger.block()
    await custody.settle()
    await check_keys(custody, at_rest=True)
    paid = order != "replacement first"
    assert await holding(custody.sql, DARA) == (395_000 if paid else 400_000, 0, 0)
    assert "signed" not in {row["state"] for row in await rows(custody.sql, SUBMISSION)}


async def test_a_key_opened_before_the_replacement_signs_nothing_after_it(on_sqlite, ledger):
    """Opened, then replaced and settled, then placed: refused here, not by the ledger."""
    custody = on_sqlite
    await dara(custody.sql, ledger)
    guard, gate = custody.desk.pins, asyncio.Event()

    class Slow:
        async def open(self, *asked):
            opened = await guard.open(*asked)
            await gate.wait()
            return opened

    custody.desk.transfers._pins = Slow()
    paying = asyncio.ensure_future(custody.desk.pay(DARA, THIDA, khr(5_000)))
    await eventually(lambda: rows(custody.sql, ATTEMPT, state="right"))
    await custody.renewals.renew(await custody.kept(), PIN, custody.at())
    await custody.through()
    gate.set()
    assert await paying == Unavailable()
    assert await holding(custody.sql, DARA) == (400_000, 0, 0)


# ---- refused


async def test_a_refused_replacement_leaves_the_old_key_and_pin_and_tells(custody, ledger):
    await dara(custody.sql, ledger)
    before = await only(custody.sql, WALLET, account_id=ACCOUNT)
    kept = await custody.kept()
    await custody.renewals.renew(kept, PIN, custody.at())
    ledger.refuse_all = True
    await custody.through()
    assert await only(custody.sql, WALLET, account_id=ACCOUNT) == before
    assert (await only(custody.sql, REPLACEMENT))["state"] == "failed"
    (told,) = await fetch(custody.sql, MESSAGE)
    assert "could not be set" in told["text"]
    assert await custody.renewals.renew(kept, PIN, custody.at()) == Unavailable()
    ledger.refuse_all = False
    assert await custody.renewals.renew(await custody.kept(), PIN, custody.at()) == KeyRenewing()
    await custody.through()
    await check_keys(custody, at_rest=True)


async def test_what_never_left_is_cancelled_and_the_wallet_pays_again(on_sqlite, ledger, clock):
    custody = on_sqlite
    await dara(custody.sql, ledger)
    ledger.away = True
    await custody.renewals.renew(await custody.kept(), PIN, custody.at())
    await clock.advance(601)
    await custody.desk.outbox.round()
    assert (await only(custody.sql, REPLACEMENT))["state"] == "failed"
    ledger.away = False
    assert isinstance(await custody.desk.pay(DARA, THIDA, khr(5_000), wait_s=0.01), InProgress)


async def test_a_replacement_given_up_and_committed_all_the_same_is_installed(on_sqlite, ledger):
    custody = on_sqlite
    await dara(custody.sql, ledger)
    await custody.renewals.renew(await custody.kept(), PIN, custody.at())
    sent = await only(custody.sql, SUBMISSION)
    await custody.desk.outbox._end([sent["tx_hash"]], "cancelled")
    assert (await only(custody.sql, REPLACEMENT))["state"] == "failed"
    await ledger.submit([sent["data"]])
    ledger.block()
    await custody.settle()
    await check_keys(custody, at_rest=True)
    assert isinstance(await custody.desk.pins.open(ACCOUNT, NEW, "t"), Opened)


# ---- two at once


async def test_two_at_once_replace_one_key(database_url, clock, ledger):
    sqls = [open_sql(database_url) for _ in range(2)]
    await dara(sqls[0], ledger)
    await sqls[0].run(start_cursor, [Reached(0)])
    both = [Custody(sql, ledger, clock, f"{n}") for n, sql in enumerate(sqls)]
    kept = [await custody.kept() for custody in both]
    said = await asyncio.gather(
        *(one.renewals.renew(mine, PIN, one.at()) for one, mine in zip(both, kept, strict=True))
    )
    assert sorted(type(one).__name__ for one in said) == ["KeyRenewing", "Unavailable"]
    await both[0].through()
    await check_keys(both[1], at_rest=True)
    for sql in sqls:
        await sql.close()


async def test_one_kept_pin_on_two_processes_at_once_replaces_one_key(database_url, clock, ledger):
    sqls = [open_sql(database_url) for _ in range(2)]
    await pinless(sqls[0], ledger)
    await sqls[0].run(start_cursor, [Reached(0)])
    both = [Custody(sql, ledger, clock, f"{n}") for n, sql in enumerate(sqls)]
    kept = await both[0].kept()
    said = await asyncio.gather(*(one.renewals.first_pin(kept, one.at()) for one in both * 8))
    assert set(said) == {KeyRenewing()}
    assert len(await rows(sqls[0], REPLACEMENT)) == 1
    await both[0].through()
    assert await opens(both[1].vault, await only(sqls[1], WALLET))
    for sql in sqls:
        await sql.close()
