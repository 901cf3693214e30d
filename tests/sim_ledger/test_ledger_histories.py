"""Queries for the transactions of an account: pages, order, bounds, and each backend's quirks."""

from contextlib import asynccontextmanager

import pytest
from town import Town, town

from ledger_client.proto import queries_pb2 as ask
from ledger_client.proto.qry_responses_pb2 import ErrorResponse
from ledger_client.transaction import hash_of
from sim.ledger import Settings

ALICE, BOB, CHIEF = "alice@bank", "bob@bank", "issuer@nbc"
EXTRA = [
    {"createRole": {"roleName": "chief", "permissions": ["root"]}},
    {"appendRole": {"accountId": CHIEF, "roleName": "chief"}},
]
KHR, USD = "khr#nbc", "usd#nbc"


async def filled(bank: Town) -> list[str]:
    """Alice pays riel, gets riel and pays a dollar; each in a block of its own."""
    await bank.people(ALICE, BOB)
    await bank.settle(bank.pay("treasury@bank", ALICE, "5", USD))
    payments = [
        bank.pay(ALICE, BOB, "1"),
        bank.pay(BOB, ALICE, "2"),
        bank.pay(ALICE, BOB, "1", USD),
    ]
    for it in payments:
        assert await bank.settle(it) == ["COMMITTED"]
    return [it.tx_hash for it in payments]


@asynccontextmanager
async def history(folder, profile):
    settings = Settings(block_ms=None, ursa=True, profile=profile)
    async with town(folder, settings, extra=EXTRA) as place:
        place.hashes = await filled(place)
        yield place


@pytest.fixture
async def rocksdb(tmp_path):
    async with history(tmp_path, "rocksdb") as place:
        yield place


@pytest.fixture
async def postgres(tmp_path):
    async with history(tmp_path, "postgres") as place:
        yield place


@pytest.fixture(params=["rocksdb", "postgres"])
async def either(request, tmp_path):
    async with history(tmp_path, request.param) as place:
        yield place


def page(size=10, first=None, **bounds):
    return ask.TxPaginationMeta(page_size=size, first_tx_hash=first, **bounds)


def ordered(*fields):
    sequence = [
        ask.Ordering.FieldOrdering(field=field, direction=direction) for field, direction in fields
    ]
    return ask.Ordering(sequence=sequence)


async def created(bank: Town, meta, who=ALICE, by=CHIEF):
    asked = ask.GetAccountTransactions(account_id=who, pagination_meta=meta)
    return await bank.ask(by, get_account_transactions=asked)


async def moved(bank: Town, meta, asset=KHR, who=ALICE):
    asked = ask.GetAccountAssetTransactions(account_id=who, asset_id=asset, pagination_meta=meta)
    return await bank.ask(CHIEF, get_account_asset_transactions=asked)


def hashes(answer) -> list[str]:
    return [hash_of(it.payload) for it in answer.transactions]


async def test_postgres_keeps_what_one_created_apart_from_what_moved_an_asset(postgres: Town):
    paid, got, dollar = postgres.hashes
    mine = await created(postgres, page())
    assert hashes(mine)[1:] == [paid, dollar]  # the first are the grants of the opening
    assert mine.all_transactions_size == 3
    assert hashes(await moved(postgres, page()))[1:] == [paid, got]
    assert hashes(await moved(postgres, page(), USD))[1:] == [dollar]


async def test_rocksdb_tells_of_what_one_received_and_of_any_asset(rocksdb: Town):
    mine = await created(rocksdb, page())
    assert hashes(mine)[-3:] == rocksdb.hashes
    assert mine.all_transactions_size == 6
    for asset in (KHR, USD):
        answer = await moved(rocksdb, page(), asset)
        assert hashes(answer)[-3:] == rocksdb.hashes
        assert (len(answer.transactions), answer.all_transactions_size) == (5, 6)


async def test_pages_follow_each_other_by_the_next_hash(either: Town):
    rocksdb = either.server.chain.settings.profile == "rocksdb"
    everything = hashes(await created(either, page(100)))
    seen, first = [], None
    while True:
        answer = await created(either, page(2, first))
        seen += hashes(answer)
        if not answer.HasField("next_tx_hash"):
            break
        first = answer.next_tx_hash
        if rocksdb:  # hex of hex: undone once, it can be asked for
            assert len(first) == 128
            first = bytes.fromhex(first).decode()
    assert seen == everything


async def test_postgres_refuses_an_unknown_first_hash(postgres: Town):
    answer = await created(postgres, page(2, "ab" * 32))
    assert isinstance(answer, ErrorResponse)
    assert (answer.reason, answer.error_code) == (ErrorResponse.STATEFUL_INVALID, 4)


async def test_an_unknown_first_hash_is_an_empty_page_of_rocksdb(rocksdb: Town):
    assert hashes(await created(rocksdb, page(2, "ab" * 32))) == []


async def test_postgres_orders_as_asked(postgres: Town):
    downwards = ordered((ask.kCreatedTime, ask.kDescending))
    newest = await created(postgres, page(1, ordering=downwards))
    assert hashes(newest) == [postgres.hashes[-1]]


async def test_rocksdb_knows_no_direction(rocksdb: Town):
    downwards = ordered((ask.kPosition, ask.kDescending))
    upwards = hashes(await created(rocksdb, page()))
    assert hashes(await created(rocksdb, page(ordering=downwards))) == upwards


async def test_bounds_of_height_and_time(either: Town):
    bank = either
    top = bank.server.chain.height
    assert hashes(await created(bank, page(first_tx_height=top))) == bank.hashes[-1:]
    assert bank.hashes[-1] not in hashes(await created(bank, page(last_tx_height=top - 1)))
    late = page()
    late.first_tx_time.FromMilliseconds(bank.now)
    assert hashes(await created(bank, late)) == bank.hashes[-1:]
    early = page()
    early.last_tx_time.FromMilliseconds(bank.now - 1)
    assert bank.hashes[-1] not in hashes(await created(bank, early))


async def test_an_empty_page_is_malformed_and_a_stranger_is_refused(rocksdb: Town):
    assert (await created(rocksdb, page(0))).reason == ErrorResponse.STATELESS_INVALID
    assert (await created(rocksdb, page(1, "zz"))).reason == ErrorResponse.STATELESS_INVALID
    assert (await created(rocksdb, page(), who=BOB, by=ALICE)).error_code == 2
