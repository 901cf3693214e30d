"""Keys replaced on the development ledger over real gRPC: grants, quorum and signatures are its."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from custody_parts import ACCOUNT, PIN, WALLET, make_wallet, only
from money_parts import (
    DARA,
    SUBMISSION,
    THIDA,
    TREASURY,
    account,
    eventually,
    execute,
    holding,
    khr,
)
from replacement_parts import NEW, REPLACEMENT, THIRD, Custody
from sqlalchemy import update
from test_transfers_on_ledger import key, start

from gateway.clock import SystemClock
from gateway.desk.openings import GRANTED
from gateway.desk.renewal import KeyRenewed
from ledger_client.iroha1 import Iroha1
from ledger_client.keys import SigningKey
from ledger_client.ledger import CreateAccount, GrantPermission, TransferAsset
from ledger_client.transaction import build, build_batch
from menus.effects import Committed

RECOVERER = "recoverer@bank"
FIRST, SECOND = key("recoverer@bank"), key("recoverer_second@bank")
WAIT_S, TRIES = 20, 10_000  # a busy machine is no reason to fail


def opening(number, wallet: SigningKey, now: int) -> list[bytes]:
    """What the desk sends when a wallet is opened, and riel from the treasury."""
    account_id = account(number)
    name, _, domain = account_id.partition("@")
    grants = [GrantPermission(RECOVERER, permission) for permission in GRANTED]
    batch = build_batch(
        [
            (
                "opener@bank",
                [CreateAccount(name, domain, wallet.public_key)],
                now,
                key("opener@bank"),
            ),
            (account_id, grants, now, wallet),
        ]
    )
    return [signed.data for signed in batch]


class Town(Custody):
    """A gateway process, and the ledger as the recoverer may ask it."""

    recoverers: Iroha1


@asynccontextmanager
async def town(sql, folder) -> AsyncIterator[Town]:
    """A ledger on which Dara and Thida have wallets and Dara has riel, and a gateway."""
    server = await start(folder)
    ledger = Iroha1([server.address], "opener@bank", key("opener@bank"), deadline_s=2.0)
    custody = Town(sql, ledger, SystemClock())
    custody.recoverers = Iroha1([server.address], RECOVERER, FIRST, deadline_s=2.0)
    now = time.time_ns() // 1_000_000 - 60_000
    give = TransferAsset(TREASURY, ACCOUNT, "khr#nbc", "100000")
    try:
        async with custody.desk.running():
            for number in (DARA, THIDA):
                await ledger.submit(opening(number, await make_wallet(sql, number), now))
                await eventually(partial(ledger.signatories, account(number)), tries=TRIES)
            await ledger.submit([build(TREASURY, [give], now, key=key(TREASURY)).data])
            await eventually(partial(rich, sql), tries=TRIES)
            yield custody
    finally:
        await custody.recoverers.close()
        await ledger.close()
        await server.stop()


async def rich(sql) -> bool:
    return (await holding(sql, DARA))[0] == 100_000


async def one_key(custody: Custody) -> str:
    """The wallet's key: the only one, and the same here and there."""
    (on_ledger,) = await custody.ledger.signatories(ACCOUNT)
    wallet = await only(custody.sql, WALLET, account_id=ACCOUNT)
    assert wallet["public_key"] == on_ledger
    return on_ledger


async def ended(custody: Custody, tx_hash: str) -> str | None:
    state = (await only(custody.sql, REPLACEMENT, tx_hash=tx_hash))["state"]
    return state if state in ("done", "failed") else None


async def test_an_owner_gets_a_new_key_and_the_old_one_signs_no_more(sql, tmp_path):
    async with town(sql, tmp_path) as custody:
        before = await one_key(custody)
        opened = await custody.desk.pins.open(ACCOUNT, PIN, "a thief's look")
        said = await custody.renewals.renew(await custody.kept(), PIN, custody.at(wait_s=WAIT_S))
        assert said == KeyRenewed()
        assert await one_key(custody) != before
        theft = TransferAsset(ACCOUNT, account(THIDA), "khr#nbc", "1000")
        stolen = build(ACCOUNT, [theft], time.time_ns() // 1_000_000, key=opened.key)
        await custody.ledger.submit([stolen.data])
        paid = await custody.desk.pay(DARA, THIDA, khr(5_000), pin=NEW, wait_s=WAIT_S)
        assert isinstance(paid, Committed)
        assert paid.balance == khr(95_000)


async def test_the_banks_two_keys_replace_one_and_the_owner_chooses_a_pin(sql, tmp_path):
    async with town(sql, tmp_path) as custody:
        before = await one_key(custody)
        asked = await custody.recovery.begin(DARA, "forgotten", FIRST, custody.recoverers)
        request = asked.signed_by(SECOND, custody.clock.now())
        await custody.recovery.finish(request)
        assert await eventually(partial(ended, custody, request.tx_hash), tries=TRIES) == "done"
        recovered = await one_key(custody)
        kept = await custody.kept()
        said = await custody.renewals.first_pin(kept, custody.at(wait_s=WAIT_S))
        assert said == KeyRenewed()
        assert len({before, recovered, await one_key(custody)}) == 3
        paid = await custody.desk.pay(DARA, THIDA, khr(5_000), pin=NEW, wait_s=WAIT_S)
        assert isinstance(paid, Committed)


async def test_a_stranger_as_second_signer_is_refused_by_the_ledger(sqlite_sql, tmp_path):
    async with town(sqlite_sql, tmp_path) as custody:
        before = await one_key(custody)
        asked = await custody.recovery.begin(DARA, "forgotten", FIRST, custody.recoverers)
        request = asked.signed_by(THIRD, custody.clock.now())
        await custody.recovery.finish(request)
        assert await eventually(partial(ended, custody, request.tx_hash), tries=TRIES) == "failed"
        assert (await only(sqlite_sql, SUBMISSION))["state"] == "rejected"
        assert await one_key(custody) == before
        paid = await custody.desk.pay(DARA, THIDA, khr(5_000), wait_s=WAIT_S)
        assert isinstance(paid, Committed)


async def test_a_wallet_whose_key_was_replaced_after_the_backup_is_recovered(sqlite_sql, tmp_path):
    async with town(sqlite_sql, tmp_path) as custody:
        backup = await only(sqlite_sql, WALLET, account_id=ACCOUNT)
        await custody.renewals.renew(await custody.kept(), PIN, custody.at(wait_s=WAIT_S))
        lost = await one_key(custody)
        await execute(sqlite_sql, REPLACEMENT.delete())
        restored = update(WALLET).where(WALLET.c.account_id == ACCOUNT).values(backup)
        await execute(sqlite_sql, restored)
        asked = await custody.recovery.begin(DARA, "forgotten", FIRST, custody.recoverers)
        assert asked.old_keys == (lost,)
        request = asked.signed_by(SECOND, custody.clock.now())
        await custody.recovery.finish(request)
        assert await eventually(partial(ended, custody, request.tx_hash), tries=TRIES) == "done"
        assert await one_key(custody) not in (lost, backup["public_key"])
        said = await custody.renewals.first_pin(await custody.kept(), custody.at(wait_s=WAIT_S))
        assert said == KeyRenewed()
        paid = await custody.desk.pay(DARA, THIDA, khr(5_000), pin=NEW, wait_s=WAIT_S)
        assert isinstance(paid, Committed)
