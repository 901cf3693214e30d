"""How fast money is signed, sent and settled, each beside the least it could cost, in the same run.

In seconds of processor time, so that a noisy neighbour changes little; only what waits for the
ledger's blocks is told by the clock.

Signing: our `build` (checks, protobuf, hash, signature, and a look at the signature) beside the
bare signature of its form. Sending: one call for each transfer, and calls of 500, beside a call
that carries nothing, all on one gRPC channel to a development ledger in its own process. Deciding:
how many of those the ledger puts into blocks, in processor time of its own, beside the bare check
of their signatures; and by the clock. Settling: blocks of 500 of our transfers in the follower's
own commit, receipts and all, beside one bare UPDATE and INSERT for each in one SQLite transaction.
"""

import asyncio
import os
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha3_256
from pathlib import Path
from statistics import median

import uvloop
from google.protobuf.empty_pb2 import Empty
from nacl.bindings import crypto_sign, crypto_sign_seed_keypair
from sqlalchemy import Connection, create_engine, insert

from gateway import logs
from gateway.desk.amounts import Assets
from gateway.desk.blocks import Settle, settle, start_cursor
from gateway.desk.books import open_books
from gateway.desk.checks import Want
from gateway.desk.journal import Journal
from gateway.desk.limits import Limits, load_limits
from gateway.desk.listings import Banks
from gateway.desk.receipts import Receipts
from gateway.desk.reservations import Order, reserve
from gateway.kek import Kek
from gateway.stores.migrate import migrate
from gateway.stores.tables import Holding, Wallet, table_of
from gateway.vault import Vault
from ledger_client.ed25519_sha3 import Expanded
from ledger_client.genesis import Bank, Peer, dump_genesis, genesis
from ledger_client.iroha1 import Iroha1
from ledger_client.keys import KeyForm, SigningKey, save_key, verify
from ledger_client.ledger import Block, BlockTransaction, Reached, Signed, TransferAsset
from ledger_client.peers import Peers
from ledger_client.transaction import build
from menus.kinds import Currency, Money, Msisdn
from menus.text.load import load_texts
from tests.bench.world import PATH, Ended, cores, cpu_s, pin, ports, process

SIGN_S = 0.5  # each signing is measured so long
SENT = 2000  # transfers in one measurement
DECIDED = 6000  # so many that waiting for rounds does not count
AT_ONCE = 64
BLOCK = 500
WALLETS = 400
TREASURY, SETTLEMENT = "treasury@bank", "settlement@bank"
_SEED = bytes(range(32))
_NOW_MS = 1_800_000_000_000


@dataclass(frozen=True, slots=True)
class Rate:
    """So many a second, and what they are compared with."""

    what: str
    per_s: float
    floor: str = ""
    floor_per_s: float = 0.0

    @property
    def ratio(self) -> float | None:
        return self.per_s / self.floor_per_s if self.floor_per_s else None


def medians(rounds: Sequence[Sequence[Rate]]) -> list[Rate]:
    """The median of each figure over all rounds."""
    return [
        replace(
            same[0],
            per_s=median(rate.per_s for rate in same),
            floor_per_s=median(rate.floor_per_s for rate in same),
        )
        for same in zip(*rounds, strict=True)
    ]


def rates(folder: Path, say: Callable[[str], None]) -> list[Rate]:
    """All of them, once."""
    folder.mkdir()
    found: list[Rate] = []
    say("signing")
    found += [_signing(form) for form in ("raw", "multihash")]
    say("sending to a development ledger")
    with _ledger(folder / "ledger") as running:
        found += uvloop.run(_sending(*running))
    say("settling blocks")
    found.append(_settling(folder))
    return found


# ---- signing


def _signing(form: KeyForm) -> Rate:
    key, payload = SigningKey.from_seed(_SEED, form), b"p" * 120
    if form == "raw":
        expanded = Expanded.from_seed(_SEED)
        bare = _per_s(lambda _: expanded.sign(sha3_256(payload).digest()))
    else:
        _, secret = crypto_sign_seed_keypair(_SEED)
        bare = _per_s(lambda _: crypto_sign(payload, secret))
    ours = _per_s(lambda number: _signed(number, key))
    return Rate(f"built and signed, {form} key", ours, "bare signatures", bare)


def _per_s(call: Callable[[int], object]) -> float:
    began, count = time.process_time(), 0
    while (took := time.process_time() - began) < SIGN_S:
        call(count)
        count += 1
    return count / took


def _signed(number: int, key: SigningKey, now_ms: int = _NOW_MS) -> Signed:
    command = TransferAsset(TREASURY, SETTLEMENT, "khr#nbc", "100", f"B{number:07}")
    return build(TREASURY, [command], now_ms, key=key)


# ---- sending


@contextmanager
def _ledger(folder: Path) -> Iterator[tuple[str, int]]:
    """A development ledger on the other core: its address and its process."""
    folder.mkdir()
    key = _key("peer")
    save_key(folder / "peer.key", key)
    bank = Bank.of("bank", lambda name: _key(name).public_key)
    first = genesis([bank], [Peer("127.0.0.1:10001", key.public_key)], issuer=key.public_key)
    dump_genesis(folder / "genesis.json", first)
    port = ports.quiet_port()
    told = [
        *("-m", "sim.ledger", "--data", str(folder), "--port", str(port), "--block-ms", "50"),
        *("--genesis", str(folder / "genesis.json"), "--peer-key", str(folder / "peer.key")),
    ]
    running = process.Process("bench-ledger", told, PATH, folder)
    running.start()
    try:
        running.ready(lambda: f":{port}" in running.log.read_text("utf-8", "replace"))
        pin(running.pid, cores()[0])
        yield f"127.0.0.1:{port}", running.pid
    finally:
        running.stop()


def _key(account: str) -> SigningKey:
    return SigningKey.from_seed(sha3_256(account.encode()).digest())


async def _sending(address: str, pid: int) -> list[Rate]:
    key, now_ms = _key("treasury"), time.time_ns() // 1_000_000
    signed = [_signed(number, key, now_ms) for number in range(SENT + DECIDED)]
    alone, together = signed[:SENT], signed[SENT:]
    ledger = Iroha1([address], "opener@bank", _key("opener"), chunk=BLOCK)
    peers = Peers([address], tls_ca=None)
    try:
        peer = peers.in_order()[0]
        await peer.healthcheck(Empty(), timeout=5)
        empty = await _calls(lambda _: peer.healthcheck(Empty(), timeout=5))
        single = await _calls(lambda number: ledger.submit([alone[number].data]))
        await _until_all_are_in_blocks(ledger, alone)
        began, began_cpu, before = time.perf_counter(), time.process_time(), cpu_s(pid)
        await ledger.submit([each.data for each in together])
        batched = DECIDED / (time.process_time() - began_cpu)
        await _until_all_are_in_blocks(ledger, together)
        settled, decided = (
            DECIDED / (after - since)
            for after, since in ((time.perf_counter(), began), (cpu_s(pid), before))
        )
    finally:
        await ledger.close()
        await peers.close()
    floor = ("empty calls", empty)
    return [
        Rate("sent one by one", single, *floor),
        Rate(f"sent in calls of {BLOCK}", batched, *floor),
        Rate("put into blocks", decided, "signatures checked", _checked_per_s(key)),
        Rate("put into blocks, by the clock", settled),
    ]


async def _calls(call: Callable[[int], Awaitable[object]]) -> float:
    waiting = iter(range(SENT))

    async def work() -> None:
        for number in waiting:
            await call(number)

    began = time.process_time()
    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return SENT / (time.process_time() - began)


def _checked_per_s(key: SigningKey) -> float:
    payload = b"p" * 120
    signature = key.sign(payload)
    return _per_s(lambda _: verify(key.public_key, payload, signature))


async def _until_all_are_in_blocks(ledger: Iroha1, sent: Sequence[Signed]) -> None:
    missing = {each.tx_hash for each in sent}
    async with asyncio.timeout(60):
        async for block in ledger.blocks(Reached(0)):
            if isinstance(block, Block):
                missing.difference_update(each.tx_hash for each in block.transactions)
            if not missing:
                return
    raise Ended("the ledger ended its blocks")


# ---- settling


def _settling(folder: Path) -> Rate:
    logs.set_up("warning")
    url = f"sqlite:///{folder / 'settling.db'}"
    migrate(url)
    engine = create_engine(url)
    limits, banks = load_limits(), Banks()
    receipts = Receipts(load_texts(), limits, banks, "*855#")
    vault = Vault(Kek({1: _SEED}), os.urandom, None)
    journal = Journal(vault, os.urandom)
    with engine.begin() as connection:
        _people(connection)
        start_cursor(connection, [Reached(0)])
    blocks = []
    for height in range(1, SENT // BLOCK + 1):
        with engine.begin() as connection:
            blocks.append(_placed(journal, connection, limits, height))
    operation = partial(settle, receipts, Assets(), banks.own, journal=journal)
    began = time.process_time()
    for block in blocks:
        with engine.begin() as connection:
            (done,) = operation(connection, [Settle(block, _NOW_MS, "2027-01-15")])
            if done.committed != BLOCK:
                raise Ended(f"of {BLOCK} transfers {done.committed} were settled")
    ours = SENT / (time.process_time() - began)
    engine.dispose()
    return Rate("settled, with receipts", ours, "rows changed", _rows_per_s(folder))


def _account(number: int) -> str:
    return f"{85510000000 + number % WALLETS}@bank"


def _people(connection: Connection) -> None:
    wallets = [
        {
            "account_id": _account(number),
            "msisdn": f"+{85510000000 + number}",
            "name": "Test Person",
            "tier": "full",
            "state": "open",
            "role": "subscriber",
            "dollars": False,
            "public_key": "",
            "key_version": 1,
            "kek_version": 1,
            "salt": b"s",
            "sealed_key": b"k",
            "wrong_pins": 0,
        }
        for number in range(WALLETS)
    ]
    held = [
        {"account_id": each["account_id"], "currency": "KHR", "settled": 1_000_000}
        for each in wallets
    ]
    connection.execute(insert(table_of(Wallet)), wallets)
    connection.execute(insert(table_of(Holding)), held)


def _placed(journal: Journal, connection: Connection, limits: Limits, height: int) -> Block:
    """A block of transfers that our own desk has placed."""
    orders = [_order(height, number) for number in range(BLOCK)]
    people = [order.want.sender.e164 for order in orders]
    books = open_books(connection, limits, _NOW_MS, "2027-01-15", people, payees=people)
    for order in orders:
        reserve(journal, connection, books, [order])
    held = tuple(
        BlockTransaction(order.signed.tx_hash, order.src_account, _NOW_MS, (_command(order),))
        for order in orders
    )
    return Block(height, _NOW_MS, "h" * (height > 1), "h", held, (), ())


def _order(height: int, number: int) -> Order:
    src, dest = _account(number), _account(number + 1)
    ref = f"{height:02}{number:06}"
    to = Msisdn(f"+{dest.partition('@')[0]}")
    want = Want(
        ref,
        ref,
        Msisdn(f"+{src.partition('@')[0]}"),
        to,
        dest,
        Money(Currency.KHR, 100),
        again=True,
        channel="ussd",
    )
    tx_hash = sha3_256(ref.encode()).hexdigest()
    signed = Signed(tx_hash, tx_hash, _NOW_MS, b"t" * 200)
    return Order(want, ref, src, 1, signed, _NOW_MS)


def _command(order: Order) -> TransferAsset:
    want = order.want
    return TransferAsset(order.src_account, want.dest_account, "khr#nbc", "100", order.ref)


def _rows_per_s(folder: Path) -> float:
    """One UPDATE and one INSERT for each item, `BLOCK` in one durable transaction."""
    database = sqlite3.connect(folder / "floor.db", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE a (id TEXT PRIMARY KEY, held INTEGER)")
    database.execute("CREATE TABLE b (id TEXT PRIMARY KEY, amount INTEGER)")
    database.executemany("INSERT INTO a VALUES (?, 0)", [(_account(n),) for n in range(WALLETS)])
    began = time.process_time()
    for height in range(SENT // BLOCK):
        database.execute("BEGIN IMMEDIATE")
        for number in range(BLOCK):
            database.execute("UPDATE a SET held = held + 1 WHERE id = ?", (_account(number),))
            database.execute("INSERT INTO b VALUES (?, 100)", (f"{height}/{number}",))
        database.execute("COMMIT")
    took = time.process_time() - began
    database.close()
    return SENT / took
