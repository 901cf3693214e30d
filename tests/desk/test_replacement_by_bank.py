"""A new key by the bank's two people: signed twice, handed over once, and not too often a day."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest
from clocks import seeded
from custody_parts import ACCOUNT, ATTEMPT, OTHER, PIN, WALLET, DyingSql, change, only, rows
from money_parts import (
    COUNTER,
    DARA,
    MESSAGE,
    SUBMISSION,
    THIDA,
    fetch,
    holding,
    khr,
    person,
)
from replacement_parts import (
    FIRST,
    NEW,
    RECOVERER,
    REPLACEMENT,
    SECOND,
    THIRD,
    Custody,
    KeyedLedger,
    check_keys,
    dara,
    sealed_of,
)

from gateway.desk.blocks import start_cursor
from gateway.desk.recovery import store_awaiting
from gateway.desk.recovery_request import GOOD_FOR, RecoveryError, Request
from gateway.desk.renewal import KeyRenewing
from gateway.desk.replacement import NewKey, exchange
from gateway.stores.runners import open_sql
from gateway.stores.sql import StoreUnavailable
from ledger_client.keys import SigningKey
from ledger_client.ledger import AddSignatory, QueryRefused, Reached
from ledger_client.transaction import build
from menus.effects import InProgress, Unavailable, WalletHeld
from menus.kinds import Msisdn

OLD_KEY, NEW_KEY = (SigningKey.generate(seeded(name)).public_key for name in ("old", "new"))
NOON = 1_763_780_400_000


@pytest.fixture
def ledger() -> KeyedLedger:
    return KeyedLedger()


async def open_town(sql, clock, ledger) -> Custody:
    await dara(sql, ledger)
    await person(sql, THIDA, ledger, riel=50_000, name="Chan Thida")
    await sql.run(start_cursor, [Reached(0)])
    return Custody(sql, ledger, clock)


@pytest.fixture
async def custody(sql, clock, ledger) -> Custody:
    return await open_town(sql, clock, ledger)


@pytest.fixture
async def on_sqlite(sqlite_sql, clock, ledger) -> Custody:
    return await open_town(sqlite_sql, clock, ledger)


async def signed_twice(custody: Custody, number: Msisdn = DARA) -> Request:
    """What comes back from the second host, through both files."""
    asked = await custody.recovery.begin(number, "forgotten", FIRST, custody.ledger)
    carried = Request.read(asked.text()).signed_by(SECOND, custody.clock.now())
    return Request.read(carried.text())


async def recovered(custody: Custody) -> None:
    await custody.recovery.finish(await signed_twice(custody))
    await custody.through()


# ---- the straight way


async def test_until_it_is_finished_nothing_has_changed_for_the_owner(on_sqlite):
    custody = on_sqlite
    before = await only(custody.sql, WALLET, account_id=ACCOUNT)
    await signed_twice(custody)
    assert await only(custody.sql, WALLET, account_id=ACCOUNT) == before
    assert await rows(custody.sql, SUBMISSION) == []
    assert isinstance(await custody.desk.pay(DARA, THIDA, khr(5_000), wait_s=0.01), InProgress)


async def test_two_signatures_replace_the_key_and_leave_the_pin_to_the_owner(custody, ledger):
    await custody.recovery.finish(await signed_twice(custody))
    await check_keys(custody)
    assert await custody.desk.pay(DARA, THIDA, khr(5_000)) == Unavailable()
    await custody.through()
    await check_keys(custody, at_rest=True)
    assert (await only(custody.sql, REPLACEMENT))["state"] == "done"
    (told,) = await fetch(custody.sql, MESSAGE)
    assert "has reset your PIN" in told["text"]
    assert await custody.desk.pins.open(ACCOUNT, PIN, "the old one") == Unavailable()
    said = await custody.renewals.first_pin(await custody.kept(), custody.at())
    assert said == KeyRenewing()
    await custody.through()
    await check_keys(custody, at_rest=True)
    paid = await custody.desk.pay(DARA, THIDA, khr(5_000), pin=NEW, wait_s=0.01)
    assert isinstance(paid, InProgress)
    await custody.through()
    assert await holding(custody.sql, DARA) == (395_000, 0, 0)


async def test_a_recovery_given_to_the_ledger_past_finish_is_installed_and_raised(custody, ledger):
    """Else the wallet would keep a key that the ledger has removed, for ever."""
    request = await signed_twice(custody)
    await ledger.submit([request.data])
    await custody.through()
    await check_keys(custody, at_rest=True)
    assert (await only(custody.sql, REPLACEMENT))["state"] == "done"
    assert custody.desk.meters.faults.labels("follower")._value.get() == 1


async def test_what_wrong_pins_had_held_is_held_no_longer(custody, clock):
    await change(custody.sql, WALLET, wrong_pins=9)
    assert await custody.desk.pins.open(ACCOUNT, OTHER, "t") == WalletHeld()
    await recovered(custody)
    wallet = await only(custody.sql, WALLET, account_id=ACCOUNT)
    assert (wallet["state"], wallet["wrong_pins"], wallet["locked_until"]) == ("open", 0, 0)
    assert "reserved" not in {row["state"] for row in await rows(custody.sql, ATTEMPT)}


async def test_what_an_operator_holds_stays_held(on_sqlite):
    await change(on_sqlite.sql, WALLET, state="held")
    await recovered(on_sqlite)
    assert (await only(on_sqlite.sql, WALLET, account_id=ACCOUNT))["state"] == "held"


async def test_a_request_finished_hours_later_is_sent_all_the_same(on_sqlite, clock, ledger):
    """The ten minutes of the outbox begin when it is handed over."""
    request = await signed_twice(on_sqlite)
    await clock.advance(20 * 3600)
    await on_sqlite.recovery.finish(request)
    await on_sqlite.through()
    await check_keys(on_sqlite, at_rest=True)
    assert (await only(on_sqlite.sql, REPLACEMENT))["state"] == "done"


# ---- what the ledger has of a wallet


async def test_a_wallet_whose_key_was_replaced_after_the_backup_is_recovered(on_sqlite, ledger):
    ledger.keys[ACCOUNT] = {OLD_KEY}  # its row names another
    request = await signed_twice(on_sqlite)
    assert request.old_keys == (OLD_KEY,)
    await on_sqlite.recovery.finish(request)
    await on_sqlite.through()
    await check_keys(on_sqlite, at_rest=True)


async def test_a_key_that_a_thief_has_put_beside_the_owners_goes_with_it(on_sqlite, ledger):
    ledger.keys[ACCOUNT].add(OLD_KEY)
    request = await signed_twice(on_sqlite)
    assert len(request.old_keys) == 2
    await on_sqlite.recovery.finish(request)
    await on_sqlite.through()
    await check_keys(on_sqlite, at_rest=True)


async def test_a_ledger_that_does_not_tell_is_said_to_the_person(on_sqlite, ledger, monkeypatch):
    async def refuse(_account_id: str) -> None:
        raise QueryRefused("STATEFUL_INVALID", 2, "no permission")

    monkeypatch.setattr(ledger, "signatories", refuse)
    with pytest.raises(RecoveryError, match="is the key file one of recoverer@bank"):
        await on_sqlite.recovery.begin(DARA, "forgotten", FIRST, ledger)
    assert await rows(on_sqlite.sql, REPLACEMENT) == []


# ---- who signs


async def test_one_signature_is_not_enough_and_one_person_is_not_two(on_sqlite, clock):
    request = await on_sqlite.recovery.begin(DARA, "forgotten", FIRST, on_sqlite.ledger)
    with pytest.raises(RecoveryError, match="second signature"):
        await on_sqlite.recovery.finish(request)
    with pytest.raises(RecoveryError, match="another person"):
        request.signed_by(FIRST, clock.now())
    twice = request.signed_by(SECOND, clock.now())
    with pytest.raises(RecoveryError, match="recover finish"):
        twice.signed_by(THIRD, clock.now())
    assert await rows(on_sqlite.sql, SUBMISSION) == []


async def test_a_key_that_is_not_the_recoverers_leaves_everything_as_it_was(on_sqlite, clock):
    before = await only(on_sqlite.sql, WALLET, account_id=ACCOUNT)
    request = await on_sqlite.recovery.begin(DARA, "theft", FIRST, on_sqlite.ledger)
    await on_sqlite.recovery.finish(request.signed_by(THIRD, clock.now()))
    await on_sqlite.through()
    await check_keys(on_sqlite, at_rest=True)
    assert await only(on_sqlite.sql, WALLET, account_id=ACCOUNT) == before
    assert (await only(on_sqlite.sql, REPLACEMENT))["state"] == "failed"
    (told,) = await fetch(on_sqlite.sql, MESSAGE)
    assert "could not be set" in told["text"]
    with pytest.raises(RecoveryError, match="refused"):
        await on_sqlite.recovery.finish(request.signed_by(SECOND, clock.now()))


# ---- in time


async def test_a_request_is_good_for_less_than_the_ledgers_day(on_sqlite, clock):
    asked = await on_sqlite.recovery.begin(DARA, "forgotten", FIRST, on_sqlite.ledger)
    request = asked.signed_by(SECOND, clock.now())
    assert timedelta(hours=24) > GOOD_FOR
    await clock.advance(GOOD_FOR.total_seconds())
    with pytest.raises(RecoveryError, match="older than 23 hours"):
        asked.signed_by(SECOND, clock.now())
    with pytest.raises(RecoveryError, match="begin again"):
        await on_sqlite.recovery.finish(request)
    assert await rows(on_sqlite.sql, SUBMISSION) == []


async def test_hosts_whose_clocks_differ_are_told_so(on_sqlite, clock):
    asked = await on_sqlite.recovery.begin(DARA, "forgotten", FIRST, on_sqlite.ledger)
    asked.check_time(clock.now() - timedelta(minutes=5))
    with pytest.raises(RecoveryError, match="clocks"):
        asked.signed_by(SECOND, clock.now() - timedelta(minutes=6))


# ---- how many


async def test_a_day_has_so_many_recoveries_and_the_next_has_as_many_again(
    database_url, clock, ledger
):
    numbers = [Msisdn(f"+8551234561{n}") for n in range(8)]
    sqls = [open_sql(database_url) for _ in range(2)]
    for number in numbers:
        await person(sqls[0], number)
        ledger.keys[f"{number.e164[1:]}@bank"] = {OLD_KEY}
    both = [Custody(sql, ledger, clock, f"{n}", recoveries=3) for n, sql in enumerate(sqls)]
    requests = [await signed_twice(both[0], number) for number in numbers]

    async def finish(n: int, request: Request) -> bool:
        with suppress(RecoveryError):
            await both[n % 2].recovery.finish(request)
            return True
        return False

    done = await asyncio.gather(*(finish(n, request) for n, request in enumerate(requests)))
    assert sum(done) == 3
    assert len(await rows(sqls[0], SUBMISSION)) == 3
    left = next(request for request, was in zip(requests, done, strict=True) if not was)
    with pytest.raises(RecoveryError, match="GATEWAY_RECOVERIES_PER_DAY"):
        await both[0].recovery.finish(left)
    await clock.advance(14 * 3600)  # past midnight in Phnom Penh
    await both[0].recovery.finish(left)
    for sql in sqls:
        await sql.close()


async def test_finished_twice_is_sent_and_counted_once(custody):
    request = await signed_twice(custody)
    for _ in range(2):
        await custody.recovery.finish(request)
    await custody.through()
    await custody.recovery.finish(request)
    assert len(await rows(custody.sql, SUBMISSION)) == 1
    assert (await only(custody.sql, COUNTER, account_id=RECOVERER))["count"] == 1


@pytest.mark.parametrize("after_commit", [False, True], ids=["before its commit", "after it"])
async def test_a_finish_that_dies_is_finished_again(sql, clock, ledger, after_commit):
    custody = await open_town(sql, clock, ledger)
    request = await signed_twice(custody)
    dying = Custody(DyingSql(sql, 1, after_commit=after_commit), ledger, clock, "dying")
    with pytest.raises(StoreUnavailable):
        await dying.recovery.finish(request)
    await check_keys(custody)
    await custody.recovery.finish(request)
    await custody.through()
    await check_keys(custody, at_rest=True)
    assert (await only(sql, COUNTER, account_id=RECOVERER))["count"] == 1


# ---- overtaken


async def test_an_owner_who_got_a_new_key_meanwhile_keeps_it(on_sqlite):
    custody = on_sqlite
    request = await signed_twice(custody)
    await custody.renewals.renew(await custody.kept(), PIN, custody.at())
    with pytest.raises(RecoveryError, match="at this moment"):
        await custody.recovery.finish(request)
    await custody.through()
    with pytest.raises(RecoveryError, match="has had a new key"):
        await custody.recovery.finish(request)
    await check_keys(custody, at_rest=True)
    assert await rows(custody.sql, COUNTER, account_id=RECOVERER) == []


async def test_of_two_requests_for_one_wallet_one_is_carried_out(on_sqlite, clock):
    first = await signed_twice(on_sqlite)
    await clock.advance(60)
    second = await signed_twice(on_sqlite)
    await on_sqlite.recovery.finish(second)
    with pytest.raises(RecoveryError):
        await on_sqlite.recovery.finish(first)
    await on_sqlite.through()
    await check_keys(on_sqlite, at_rest=True)
    assert (await only(on_sqlite.sql, REPLACEMENT, tx_hash=second.tx_hash))["state"] == "done"


async def test_a_number_without_a_wallet_and_one_being_opened_are_refused(on_sqlite, ledger):
    with pytest.raises(RecoveryError, match="no wallet"):
        await on_sqlite.recovery.begin(Msisdn("+85512345699"), "forgotten", FIRST, on_sqlite.ledger)
    await change(on_sqlite.sql, WALLET, state="opening")
    with pytest.raises(RecoveryError, match="being opened"):
        await on_sqlite.recovery.begin(DARA, "forgotten", FIRST, on_sqlite.ledger)


async def test_a_wallet_that_the_ledger_does_not_know_yet_is_refused(on_sqlite, ledger):
    ledger.keys[ACCOUNT].clear()
    with pytest.raises(RecoveryError, match="being opened"):
        await on_sqlite.recovery.begin(DARA, "forgotten", FIRST, ledger)
    assert await rows(on_sqlite.sql, REPLACEMENT) == []


async def test_a_new_key_that_is_stored_twice_is_stored_once(custody):
    """Whoever does not hear of a commit runs it again."""
    asked = await custody.recovery.begin(DARA, "forgotten", FIRST, custody.ledger)
    row = await only(custody.sql, REPLACEMENT)
    made = NewKey(
        ACCOUNT, "forgotten", asked.new_key, sealed_of(row), asked.tx_hash, row["created_at"]
    )
    assert list(await custody.sql.run(store_awaiting, [made])) == [True]
    assert await only(custody.sql, REPLACEMENT) == row


async def test_a_request_that_was_begun_elsewhere_is_not_known(on_sqlite, clock):
    request = await signed_twice(on_sqlite)
    await on_sqlite.sql.run(lambda connection, _: [connection.execute(REPLACEMENT.delete())], [0])
    with pytest.raises(RecoveryError, match="knows nothing"):
        await on_sqlite.recovery.finish(request)


# ---- what a signer is shown is what is signed


def asked(*commands, creator: str = RECOVERER, quorum: int = 2) -> bytes:
    return build(creator, commands, NOON, key=FIRST, quorum=quorum).data


WANTED = exchange(ACCOUNT, new=NEW_KEY, old=[OLD_KEY])


def test_a_request_says_what_its_bytes_say():
    request = Request.of("forgotten", asked(*WANTED))
    assert (request.account_id, request.new_key, request.old_keys) == (ACCOUNT, NEW_KEY, (OLD_KEY,))
    assert (request.recoverer, request.signers) == (RECOVERER, (FIRST.public_key,))


@pytest.mark.parametrize(
    "data",
    [
        asked(WANTED[0]),
        asked(*WANTED, WANTED[0]),
        asked(*WANTED, WANTED[1]),
        asked(*reversed(WANTED)),
        asked(WANTED[0], replace(WANTED[1], account_id="85512345602@bank")),
        asked(WANTED[0], replace(WANTED[1], public_key=NEW_KEY)),
        asked(*WANTED, creator="recoverer@otherbank"),
        asked(*WANTED, creator=ACCOUNT),
        asked(*WANTED, quorum=1),
        asked(AddSignatory("treasury@bank", NEW_KEY), replace(WANTED[1])),
        b"",
        b"\xff" * 40,
    ],
)
def test_anything_but_a_recovery_is_refused(data):
    with pytest.raises(RecoveryError):
        Request.of("forgotten", data)


def test_a_changed_bit_is_refused_or_changes_nothing():
    """Hex is read in both cases; every other bit counts."""
    whole = asked(*WANTED)
    meant = Request.of("forgotten", whole)
    for position in range(len(whole) * 8):
        data = bytearray(whole)
        data[position // 8] ^= 1 << position % 8
        with suppress(RecoveryError):
            assert replace(Request.of("forgotten", bytes(data)), data=whole) == meant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"reason": "forgotten"}',
        '{"reason": "forgotten", "transaction": 5}',
        '{"reason": "forgotten", "transaction": "zz"}',
        '{"reason": "first_pin", "transaction": "' + asked(*WANTED).hex() + '"}',
    ],
)
def test_a_file_that_is_no_request_is_refused(text):
    with pytest.raises(RecoveryError):
        Request.read(text)


async def test_the_file_holds_no_secret(on_sqlite):
    request = await signed_twice(on_sqlite)
    row = await only(on_sqlite.sql, REPLACEMENT)
    seed = on_sqlite.vault.open_without_pin(ACCOUNT, sealed_of(row))
    for secret in (seed, row["sealed_key"], FIRST.seed, SECOND.seed):
        assert secret.hex() not in request.text()
        assert secret not in request.data
