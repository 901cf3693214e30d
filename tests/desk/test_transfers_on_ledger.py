"""A payment on the development ledger over real gRPC, with real keys, PINs and time."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from clocks import seeded
from custody_parts import make_wallet
from money_parts import (
    DARA,
    MESSAGE,
    SUBMISSION,
    THIDA,
    TREASURY,
    Desk,
    account,
    eventually,
    fetch,
    holding,
    khr,
)

from gateway.clock import SystemClock
from ledger_client.genesis import Bank, Peer, genesis
from ledger_client.iroha1 import Iroha1
from ledger_client.keys import SigningKey
from ledger_client.ledger import CreateAccount, TransferAsset
from ledger_client.transaction import build
from menus.effects import Committed, InProgress, Rejected
from sim.ledger import LedgerServer, Settings, serve


def key(name: str) -> SigningKey:
    return SigningKey.generate(seeded(f"key/{name}"))


async def start(folder: Path, port: int = 0) -> LedgerServer:
    bank = Bank.of("bank", lambda name: key(f"{name}@bank").public_key)
    peers = [Peer("127.0.0.1:10001", key("peer").public_key)]
    first = genesis([bank], peers, issuer=key("nbc").public_key)
    return await serve(folder, first, key("peer"), port=port, settings=Settings(block_ms=20))


@asynccontextmanager
async def town(sql, folder: Path) -> AsyncIterator[tuple[LedgerServer, Desk]]:
    """A ledger on which Dara and Thida have wallets and riel from the treasury, and their desk."""
    server = await start(folder)
    ledger = Iroha1([server.address], "opener@bank", key("opener@bank"), deadline_s=0.5)
    desk = Desk(sql, ledger, SystemClock())
    now = time.time_ns() // 1_000_000
    opening = []
    for number in (DARA, THIDA):
        public = (await make_wallet(sql, number)).public_key
        name, _, domain = account(number).partition("@")
        opening.append(("opener@bank", CreateAccount(name, domain, public)))
    opening += [
        (TREASURY, TransferAsset(TREASURY, account(number), "khr#nbc", "100000"))
        for number in (DARA, THIDA)
    ]
    try:
        async with desk.running():
            for who, command in opening:
                now += 1
                await ledger.submit([build(who, [command], now - 60_000, key=key(who)).data])
                await asyncio.sleep(0.05)  # each needs the one before it in a block
            await eventually(lambda: rich(sql))
            yield server, desk
    finally:
        await ledger.close()
        await server.stop()


async def rich(sql) -> bool:
    return [(await holding(sql, one))[0] for one in (DARA, THIDA)] == [100_000, 100_000]


async def on_ledger(desk: Desk) -> tuple[Decimal, Decimal]:
    held = [await desk.ledger.balances(account(one)) for one in (DARA, THIDA)]
    return Decimal(held[0]["khr#nbc"]), Decimal(held[1]["khr#nbc"])


async def test_a_payment_moves_money_on_the_ledger_and_tells_both(sql, tmp_path):
    async with town(sql, tmp_path) as (_, desk):
        outcome = await desk.pay(DARA, THIDA, khr(5_000), wait_s=5)
        assert isinstance(outcome, Committed)
        assert outcome.balance == khr(95_000)
        assert await on_ledger(desk) == (95_000, 105_000)
    assert await holding(sql, DARA) == (95_000, 0, 0)
    receipts = [one for one in await fetch(sql, MESSAGE) if outcome.ref in one["text"]]
    assert {one["msisdn"] for one in receipts} == {DARA.e164, THIDA.e164}


async def test_what_the_ledger_refuses_is_rejected_and_released(sqlite_sql, tmp_path):
    async with town(sqlite_sql, tmp_path) as (_, desk):
        spend = TransferAsset(account(DARA), TREASURY, "khr#nbc", "99000")
        signed = build(account(DARA), [spend], time.time_ns() // 1_000_000, key=key(account(DARA)))
        # Two payments signed before either block is heard: the ledger can pay only one.
        settle, release = desk.follower._settle, asyncio.Event()

        async def held(block):
            await release.wait()
            return await settle(block)

        desk.follower._settle = held
        await desk.ledger.submit([signed.data])
        await asyncio.sleep(0.1)
        paying = asyncio.ensure_future(desk.pay(DARA, THIDA, khr(5_000), wait_s=10))
        await eventually(lambda: fetch(sqlite_sql, SUBMISSION))
        release.set()
        assert isinstance(await paying, Rejected)
        assert await on_ledger(desk) == (1_000, 100_000)
    assert await holding(sqlite_sql, DARA) == (1_000, 0, 0)


@pytest.mark.parametrize("how", ["paused", "killed"])
async def test_with_the_ledger_stopped_it_is_in_progress_and_settles_later(
    sqlite_sql, tmp_path, how
):
    async with town(sqlite_sql, tmp_path) as (server, desk):
        if how == "paused":
            server.pause()
        else:
            await server.stop()
        began = time.monotonic()
        outcome = await desk.pay(DARA, THIDA, khr(5_000), wait_s=0.5)
        assert isinstance(outcome, InProgress)
        assert time.monotonic() - began < 2
        if how == "paused":
            server.resume()
        else:
            restarted = await start(tmp_path, server.port)
        await eventually(lambda: paid(sqlite_sql), tries=10_000)
        assert await on_ledger(desk) == (95_000, 105_000)
        if how == "killed":
            await restarted.stop()
    assert len([one for one in await fetch(sqlite_sql, MESSAGE) if outcome.ref in one["text"]]) == 2


async def paid(sql) -> bool:
    return await holding(sql, DARA) == (95_000, 0, 0)
