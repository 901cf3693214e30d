"""People of the development world: wallets by the desk's own path, money once, however often."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from clocks import seeded
from custody_parts import (
    PIN,
    SUBSCRIBER,
    WALLET,
    DyingSql,
    make_guard,
    make_vault,
    make_wallet,
    only,
    rows,
)
from money_parts import Desk, MemoryLedger

from gateway.clock import Clock, Entropy, SystemClock
from gateway.desk.directory import Directory
from gateway.desk.keep import Keeper
from gateway.desk.openings import Bank, Profile
from gateway.desk.pins import Opened
from gateway.desk.seed import Person, Seeder, SeedError, Treasury, load_people
from gateway.desk.wallets import Wallets
from gateway.stores.sql import Sql, StoreUnavailable
from gateway.stores.tables import Holding, Submission, table_of
from ledger_client.genesis import Bank as LedgerBank
from ledger_client.genesis import Peer, genesis
from ledger_client.iroha1 import Iroha1
from ledger_client.keys import SigningKey
from ledger_client.ledger import Ledger
from menus.kinds import Currency, Money, Msisdn, Pin
from sim.ledger import Settings, serve

HOLDING, SUBMISSION = table_of(Holding), table_of(Submission)
PEOPLE_TOML = Path(__file__).parents[2] / "sim" / "people.toml"
DARA, THIDA = Msisdn("+85512345601"), Msisdn("+85512345602")
PAIR = [
    Person(
        DARA,
        PIN,
        Profile("Sok Dara", dollars=True),
        (Money(Currency.KHR, 5000), Money(Currency.USD, 1050)),
    ),
    Person(THIDA, Pin("519348"), Profile("Chan Thida"), (Money(Currency.KHR, 700),), "km"),
]


def treasury_of(amount: int) -> MemoryLedger:
    ledger = MemoryLedger()
    for asset in ("khr#nbc", "usd#nbc"):
        ledger.held["treasury@bank", asset] = Decimal(amount)
    return ledger


def key(name: str) -> SigningKey:
    return SigningKey.generate(seeded(name))


def seeder_on(sql: Sql, desk: Desk, clock: Clock, entropy: Entropy) -> Seeder:
    """A seeding process; `sql` may be dying, outbox and follower are `desk`'s."""
    vault = make_vault(seed=entropy(4).hex())
    directory = Directory(sql, clock)
    wallets = Wallets(
        sql,
        Bank("bank", key("opener@bank")),
        vault=vault,
        keeper=Keeper(vault, clock),
        directory=directory,
        waiters=desk.waiters,
        poke=desk.outbox.poke,
        clock=clock,
        entropy=entropy,
    )
    return Seeder(
        sql,
        wallets,
        directory,
        vault=vault,
        waiters=desk.waiters,
        poke=desk.outbox.poke,
        clock=clock,
        entropy=entropy,
        treasury=Treasury("treasury@bank", key("treasury@bank")),
    )


@asynccontextmanager
async def development_ledger(folder: Path) -> AsyncIterator[Ledger]:
    """The development ledger over real gRPC, with a bank on it."""
    bank = LedgerBank.of("bank", lambda name: key(f"{name}@bank").public_key)
    peer = Peer("127.0.0.1:10001", key("peer").public_key)
    first = genesis([bank], [peer], issuer=key("nbc").public_key)
    server = await serve(folder, first, key("peer"), settings=Settings(block_ms=20))
    ledger = Iroha1([server.address], "opener@bank", key("opener@bank"))
    try:
        yield ledger
    finally:
        await ledger.close()
        await server.stop()


async def test_everyone_gets_a_wallet_and_money_on_the_ledger_once(sqlite_sql, tmp_path):
    clock = SystemClock()
    people = load_people(PEOPLE_TOML)
    async with development_ledger(tmp_path / "ledger") as ledger:
        desk = Desk(sqlite_sql, ledger, clock)
        async with desk.running():
            for _ in range(2):  # the second time there is nothing left to do
                await seeder_on(sqlite_sql, desk, clock, os.urandom)(people, development=True)
                sent = await rows(sqlite_sql, SUBMISSION)
                assert {row["state"] for row in sent} == {"committed"}
                assert len(sent) == 4 * 2 + 5
                balance = await ledger.balances("85512345601@bank")
                assert {k: Decimal(v) for k, v in balance.items()} == {
                    "khr#nbc": 400_000,
                    "usd#nbc": 100,
                }
    wallets = {row["msisdn"]: row for row in await rows(sqlite_sql, WALLET)}
    assert sorted(wallets) == [f"+8551234560{n}" for n in (1, 2, 3, 4)]
    assert {row["state"] for row in wallets.values()} == {"open"}
    assert wallets["+85512345601"]["dollars"]
    assert not wallets["+85512345602"]["dollars"]
    assert wallets["+85512345603"]["role"] == "agent"
    assert wallets["+85512345604"]["till"] == "100200"
    held = {(r["account_id"], r["currency"]): r["settled"] for r in await rows(sqlite_sql, HOLDING)}
    assert held["85512345603@bank", "USD"] == 500_000
    assert (await only(sqlite_sql, SUBSCRIBER, msisdn=THIDA.e164))["language"] == "km"
    guard = make_guard(sqlite_sql, clock)
    for account in ("85512345601@bank", "85512345604@bank"):
        assert isinstance(await guard.open(account, PIN, f"t/{account}"), Opened)


@pytest.mark.parametrize("after_commit", [False, True])
@pytest.mark.parametrize("at", range(1, 8))  # every trip to the store
async def test_cut_off_anywhere_and_run_again_pays_once(sqlite_sql, clock, at, after_commit):
    ledger = treasury_of(10_000)
    desk = Desk(sqlite_sql, ledger, clock)
    async with desk.running():
        dying = DyingSql(sqlite_sql, at, after_commit=after_commit)
        person = PAIR[:1]
        seeding = seeder_on(dying, desk, clock, seeded("first"))(person, development=True)
        with pytest.raises(StoreUnavailable):
            await seeding
        await seeder_on(sqlite_sql, desk, clock, seeded("second"))(person, development=True)
    assert ledger.held["85512345601@bank", "khr#nbc"] == 5000
    assert ledger.held["85512345601@bank", "usd#nbc"] == Decimal("10.50")
    assert (await only(sqlite_sql, WALLET))["state"] == "open"


async def test_two_seedings_at_once_pay_once(sqlite_sql, clock):
    ledger = treasury_of(10_000)
    desk = Desk(sqlite_sql, ledger, clock)
    async with desk.running():
        await asyncio.gather(
            *(
                seeder_on(sqlite_sql, desk, clock, seeded(name))(PAIR, development=True)
                for name in ("one", "two")
            )
        )
    assert ledger.held["85512345601@bank", "khr#nbc"] == 5000
    assert ledger.held["85512345602@bank", "khr#nbc"] == 700


async def test_who_exists_is_left_alone(sqlite_sql, clock):
    before = await make_wallet(sqlite_sql, DARA, name="Somebody Else")
    ledger = treasury_of(10_000)
    desk = Desk(sqlite_sql, ledger, clock)
    async with desk.running():
        await seeder_on(sqlite_sql, desk, clock, seeded())(PAIR[:1], development=True)
    wallet = await only(sqlite_sql, WALLET)
    assert (wallet["name"], wallet["public_key"]) == ("Somebody Else", before.public_key)


async def test_what_does_not_settle_is_said_and_may_be_run_again(sqlite_sql, clock):
    desk = Desk(sqlite_sql, MemoryLedger(), clock)  # nothing runs: no outbox, no follower
    with pytest.raises(SeedError, match=r"wallet of \+85512345601 is not settled yet"):
        await seeder_on(sqlite_sql, desk, clock, seeded())(
            PAIR[:1], development=True, patience_s=0.0
        )


async def test_seeding_is_refused_outside_development(sqlite_sql, clock):
    desk = Desk(sqlite_sql, MemoryLedger(), clock)
    with pytest.raises(SeedError, match="GATEWAY_ENV is not development"):
        await seeder_on(sqlite_sql, desk, clock, seeded())(PAIR, development=False)
    assert await rows(sqlite_sql, WALLET) == []


async def test_a_taken_till_is_said(sqlite_sql, clock):
    await make_wallet(sqlite_sql, THIDA, till="100200")
    desk = Desk(sqlite_sql, MemoryLedger(), clock)
    merchant = Person(DARA, PIN, Profile("Sok", role="merchant", till="100200"), ())
    with pytest.raises(SeedError, match="is the till taken"):
        await seeder_on(sqlite_sql, desk, clock, seeded())([merchant], development=True)


def test_the_developments_own_people_can_be_read():
    people = load_people(PEOPLE_TOML)
    assert [person.msisdn.e164[-1] for person in people] == list("1234")
    assert people[0].holds == (Money(Currency.KHR, 400_000), Money(Currency.USD, 10_000))
    assert PIN.digits not in repr(people)


@pytest.mark.parametrize(
    "text",
    [
        "people = 1",
        "[[people]]\nholds = { KHR = '1' }",
        "pin = '1'\n[[people]]\nmsisdn = '5'\nholds = { KHR = '1' }",
        "pin = '1'\n[[people]]\nmsisdn = '+85512345601'\nholds = { KHR = '1.5' }",
        "pin = '1'\n[[people]]\nmsisdn = '+85512345601'\nholds = { KHR = 1.5 }",
        "pin = '1'\n[[people]]\nmsisdn = '+85512345601'\nholds = { EUR = '1' }",
        "[[people]]\nmsisdn = '+85512345601'\nholds = { KHR = '1' }",
        "[[people]",
    ],
)
def test_a_wrong_file_is_an_error_that_names_it(tmp_path, text):
    path = tmp_path / "people.toml"
    path.write_text(text)
    with pytest.raises(SeedError, match=r"people\.toml"):
        load_people(path)


def test_a_missing_file_is_an_error_that_names_it(tmp_path):
    with pytest.raises(SeedError, match=r"none\.toml"):
        load_people(tmp_path / "none.toml")
