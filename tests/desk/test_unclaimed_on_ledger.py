"""Strangers paid on the development ledger over real gRPC: batches, grants and keys are its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from custody_parts import make_wallet
from money_parts import (
    DARA,
    SUBMISSION,
    TREASURY,
    account,
    eventually,
    execute,
    fetch,
    holding,
    khr,
)
from replacement_parts import NEW
from sqlalchemy import update
from test_replacement_on_ledger import TRIES, WAIT_S, opening
from test_transfers_on_ledger import key, start
from unclaimed_parts import BOPHA, SREY, UNCLAIMED, Town

from gateway.clock import SystemClock
from gateway.desk.times import to_ms
from ledger_client.iroha1 import Iroha1
from ledger_client.ledger import TransferAsset
from ledger_client.transaction import build
from menus.effects import Committed, KeyRenewed, Rejected


@asynccontextmanager
async def town_of(sql, folder) -> AsyncIterator[Town]:
    """Dara has a wallet with 100,000 riel; Bopha and Srey have none."""
    server = await start(folder)
    ledger = Iroha1([server.address], "opener@bank", key("opener@bank"), deadline_s=2.0)
    town = Town(sql, ledger, SystemClock(), opener=key("opener@bank"))
    now = to_ms(town.clock.now()) - 60_000
    give = TransferAsset(TREASURY, account(DARA), "khr#nbc", "100000")
    try:
        async with town.desk.running():
            await ledger.submit(opening(DARA, await make_wallet(sql, DARA), now))
            await eventually(partial(ledger.signatories, account(DARA)), tries=TRIES)
            await ledger.submit([build(TREASURY, [give], now, key=key(TREASURY)).data])
            await eventually(partial(holds, sql, 100_000), tries=TRIES)
            yield town
    finally:
        await ledger.close()
        await server.stop()


async def poor(town: Town) -> bool:
    return (await town.ledger.balances(account(DARA)))["khr#nbc"].startswith("1000")


async def holds(sql, riel: int) -> bool:
    return await holding(sql, DARA) == (riel, 0, 0)


async def test_a_stranger_claims_what_came_and_the_rest_goes_back(sql, tmp_path):
    async with town_of(sql, tmp_path) as town:
        for number, amount in ((BOPHA, 5_000), (SREY, 700)):
            paid = await town.desk.pay(DARA, number, khr(amount), dest="", wait_s=WAIT_S)
            assert isinstance(paid, Committed)
        (made,) = await town.ledger.signatories(account(BOPHA))
        said = await town.renewals.first_pin(await town.kept(), town.at(BOPHA, wait_s=WAIT_S))
        assert said == KeyRenewed()
        assert made not in await town.ledger.signatories(account(BOPHA))
        await execute(sql, update(UNCLAIMED).values(due_at=0))
        await town.returns.sweep()
        await eventually(partial(holds, sql, 95_000), tries=TRIES)
        assert await town.states() == ["claimed", "returned"]
        assert (await town.ledger.balances(account(SREY))).get("khr#nbc", "0").rstrip(".") == "0"
        paid = await town.desk.pay(BOPHA, DARA, khr(4_000), pin=NEW, wait_s=WAIT_S)
        assert isinstance(paid, Committed)


async def test_the_ledger_takes_the_whole_batch_or_nothing(sqlite_sql, tmp_path):
    async with town_of(sqlite_sql, tmp_path) as town:
        # The money is gone before the block that we have not heard of says so.
        settle, heard = town.desk.follower._settle, asyncio.Event()

        async def held(block):
            await heard.wait()
            return await settle(block)

        town.desk.follower._settle = held
        spend = TransferAsset(account(DARA), TREASURY, "khr#nbc", "99000")
        now = to_ms(town.clock.now())
        spent = build(account(DARA), [spend], now, key=key(account(DARA)))
        await town.ledger.submit([spent.data])
        await eventually(partial(poor, town), tries=TRIES)
        paying = asyncio.ensure_future(
            town.desk.pay(DARA, BOPHA, khr(50_000), dest="", wait_s=WAIT_S)
        )
        await eventually(lambda: fetch(sqlite_sql, SUBMISSION), tries=TRIES)
        heard.set()
        assert isinstance(await paying, Rejected)
        assert await town.ledger.signatories(account(BOPHA)) is None
        assert (await town.wallet(BOPHA))["state"] == "closed"
