import json

import pytest
from google.protobuf.empty_pb2 import Empty
from town import Town, town

from ledger_client.proto import primitive_pb2 as may
from ledger_client.proto import queries_pb2 as ask
from ledger_client.proto.commands_pb2 import Command, SetAccountDetail
from ledger_client.proto.qry_responses_pb2 import ErrorResponse
from sim.ledger import Settings

ALICE, BOB, CHIEF = "alice@bank", "bob@bank", "issuer@nbc"
EXTRA = [
    {"createRole": {"roleName": "chief", "permissions": ["root"]}},
    {"appendRole": {"accountId": CHIEF, "roleName": "chief"}},
]


@pytest.fixture
async def chief(tmp_path):
    async with town(tmp_path, extra=EXTRA) as place:
        await place.people(ALICE, BOB)
        yield place


def refusal(answer) -> tuple[str, int]:
    assert isinstance(answer, ErrorResponse)
    return ErrorResponse.Reason.Name(answer.reason), answer.error_code


@pytest.mark.parametrize(("profile", "shown"), [("rocksdb", "1000."), ("postgres", "1000")])
async def test_a_balance_without_decimals_looks_as_the_backend_writes_it(tmp_path, profile, shown):
    async with town(tmp_path, Settings(block_ms=None, profile=profile)) as bank:
        await bank.people(ALICE)
        paid = bank.pay("treasury@bank", ALICE, "0.5", "usd#nbc")
        assert await bank.settle(paid) == ["COMMITTED"]
        assert await bank.holdings(ALICE) == {"khr#nbc": shown, "usd#nbc": "0.50"}


async def test_an_unknown_account_holds_nothing(bank: Town):
    asked = ask.GetAccountAssets(account_id="nobody@bank")
    answer = await bank.ask("opener@bank", get_account_assets=asked)
    assert not answer.account_assets


async def test_assets_come_in_pages(chief: Town):
    asked = ask.GetAccountAssets(account_id="treasury@bank")
    asked.pagination_meta.page_size = 1
    first = await chief.ask(CHIEF, get_account_assets=asked)
    assert (first.total_number, first.next_asset_id) == (2, "usd#nbc")
    asked.pagination_meta.first_asset_id = first.next_asset_id
    last = await chief.ask(CHIEF, get_account_assets=asked)
    assert [it.asset_id for it in last.account_assets] == ["usd#nbc"]
    assert not last.HasField("next_asset_id")
    asked.pagination_meta.first_asset_id = "eur#nbc"
    assert refusal(await chief.ask(CHIEF, get_account_assets=asked)) == ("STATEFUL_INVALID", 4)
    asked.pagination_meta.page_size = 0
    assert refusal(await chief.ask(CHIEF, get_account_assets=asked)) == ("STATELESS_INVALID", 0)


async def test_one_may_ask_about_oneself_ones_domain_or_everybody_as_ones_roles_say(chief: Town):
    about_bob = ask.GetAccountAssets(account_id=BOB)
    assert refusal(await chief.ask(ALICE, get_account_assets=about_bob)) == ("STATEFUL_INVALID", 2)
    about_chief = ask.GetAccountAssets(account_id=CHIEF)
    opener = "opener@bank"
    assert (await chief.ask(opener, get_account_assets=about_bob)).account_assets
    assert refusal(await chief.ask(opener, get_account_assets=about_chief))[1] == 2
    assert (await chief.ask(CHIEF, get_account_assets=about_bob)).account_assets


async def test_an_account_its_keys_and_roles(chief: Town):
    account = await chief.ask("opener@bank", get_account=ask.GetAccount(account_id=ALICE))
    assert (account.account.domain_id, account.account.quorum) == ("bank", 1)
    assert list(account.account_roles) == ["wallet"]
    keys = await chief.ask("opener@bank", get_signatories=ask.GetSignatories(account_id=ALICE))
    assert list(keys.keys) == [chief.key(ALICE).public_key]
    unknown = ask.GetSignatories(account_id="nobody@bank")
    answer = await chief.ask("opener@bank", get_signatories=unknown)
    assert refusal(answer)[0] == "NO_SIGNATORIES"
    answer = await chief.ask("opener@bank", get_account=ask.GetAccount(account_id="nobody@bank"))
    assert refusal(answer)[0] == "NO_ACCOUNT"


async def test_notes_by_writer_and_key_and_in_pages(chief: Town):
    notes = [
        Command(set_account_detail=SetAccountDetail(account_id=ALICE, key=it, value=it.upper()))
        for it in ("a", "b")
    ]
    own = Command(set_account_detail=SetAccountDetail(account_id=ALICE, key="a", value="mine"))
    signed = [chief.wired(CHIEF, *notes), chief.wired(ALICE, own)]
    assert await chief.settle(*signed) == ["COMMITTED"] * 2
    asked = ask.GetAccountDetail(account_id=ALICE)
    answer = await chief.ask(CHIEF, get_account_detail=asked)
    assert json.loads(answer.detail) == {ALICE: {"a": "mine"}, CHIEF: {"a": "A", "b": "B"}}
    asked.pagination_meta.page_size = 2
    answer = await chief.ask(CHIEF, get_account_detail=asked)
    assert (answer.next_record_id.writer, answer.next_record_id.key) == (CHIEF, "b")
    asked.pagination_meta.first_record_id.CopyFrom(answer.next_record_id)
    answer = await chief.ask(CHIEF, get_account_detail=asked)
    assert json.loads(answer.detail) == {CHIEF: {"b": "B"}}
    by_key = ask.GetAccountDetail(account_id=ALICE, key="a", writer=CHIEF)
    answer = await chief.ask(CHIEF, get_account_detail=by_key)
    assert (json.loads(answer.detail), answer.total_number) == ({CHIEF: {"a": "A"}}, 1)


async def test_the_ledgers_own_furniture(chief: Town):
    asset = await chief.ask(CHIEF, get_asset_info=ask.GetAssetInfo(asset_id="usd#nbc"))
    assert (asset.asset.domain_id, asset.asset.precision) == ("nbc", 2)
    unknown = await chief.ask(CHIEF, get_asset_info=ask.GetAssetInfo(asset_id="eur#nbc"))
    assert refusal(unknown)[0] == "NO_ASSET"
    assert "wallet" in (await chief.ask(CHIEF, get_roles=ask.GetRoles())).roles
    role = await chief.ask(CHIEF, get_role_permissions=ask.GetRolePermissions(role_id="recoverer"))
    assert list(role.permissions) == [may.can_get_domain_signatories]
    unknown = await chief.ask(CHIEF, get_role_permissions=ask.GetRolePermissions(role_id="king"))
    assert refusal(unknown) == ("STATEFUL_INVALID", 3)
    peers = await chief.ask(CHIEF, get_peers=ask.GetPeers())
    assert [it.peer_key for it in peers.peers] == [chief.key("peer").public_key]


async def test_transactions_by_hash(chief: Town):
    mine, theirs = chief.pay(ALICE, BOB, "1"), chief.pay(BOB, ALICE, "2")
    await chief.settle(mine, theirs)
    asked = ask.GetTransactions(tx_hashes=[mine.tx_hash.upper(), theirs.tx_hash])
    found = await chief.ask(CHIEF, get_transactions=asked)
    assert [it.SerializeToString() for it in found.transactions] == [mine.data, theirs.data]
    for malformed in ([], ["no hash"]):
        asked = ask.GetTransactions(tx_hashes=malformed)
        answer = await chief.ask(CHIEF, get_transactions=asked)
        assert refusal(answer) == ("STATELESS_INVALID", 0)


async def test_rocksdb_answers_about_an_unknown_hash_what_nobody_can_read(chief: Town):
    mine = chief.pay(ALICE, BOB, "1")
    await chief.settle(mine)
    asked = ask.GetTransactions(tx_hashes=[mine.tx_hash, "ab" * 32])
    question = chief.question(CHIEF, get_transactions=asked)
    assert await chief.queries.Find(question) is None
    raw = chief.channel.unary_unary(
        "/iroha.protocol.QueryService_v1/Find", ask.Query.SerializeToString, lambda it: it
    )
    question = chief.question(CHIEF, get_transactions=asked)
    assert bytes.fromhex("ab" * 32) in await raw(question)


async def test_postgres_refuses_an_unknown_hash_plainly(tmp_path):
    settings = Settings(block_ms=None, profile="postgres")
    async with town(tmp_path, settings, extra=EXTRA) as chief:
        answer = await chief.ask(CHIEF, get_transactions=ask.GetTransactions(tx_hashes=["ab" * 32]))
        assert refusal(answer) == ("STATEFUL_INVALID", 4)
        unknown = ask.GetRolePermissions(role_id="king")
        answer = await chief.ask(CHIEF, get_role_permissions=unknown)
        assert refusal(answer) == ("NO_ROLES", 0)


async def test_a_block_above_the_top_is_refused_with_the_code_of_a_wrong_signature(bank: Town):
    answer = await bank.ask("opener@bank", get_block=ask.GetBlock(height=2))
    assert refusal(answer) == ("STATEFUL_INVALID", 3)
    answer = await bank.ask("opener@bank", get_block=ask.GetBlock(height=0))
    assert refusal(answer) == ("STATELESS_INVALID", 0)


async def test_the_same_query_twice_is_refused_without_a_word(bank: Town):
    query = bank.question("opener@bank", get_block=ask.GetBlock(height=1))
    assert (await bank.queries.Find(query)).HasField("block_response")
    error = (await bank.queries.Find(query)).error_response
    assert (refusal(error), error.message) == (("STATELESS_INVALID", 0), "")


async def test_a_query_by_the_wrong_key_or_badly_signed_or_old_is_refused(bank: Town):
    block = ask.GetBlock(height=1)
    answer = await bank.ask("opener@bank", bank.key("treasury@bank"), get_block=block)
    assert refusal(answer) == ("STATEFUL_INVALID", 3)
    forged = bank.question("opener@bank", get_block=block)
    forged.payload.get_block.height = 7
    error = (await bank.queries.Find(forged)).error_response
    assert refusal(error) == ("STATELESS_INVALID", 0)
    old = bank.question("opener@bank", get_block=block)
    bank.now += 24 * 3600 * 1000 + 1
    assert "too old" in (await bank.queries.Find(old)).error_response.message


async def test_a_query_that_this_ledger_does_not_know_is_not_supported(bank: Town):
    asked = ask.GetEngineReceipts(tx_hash="ab" * 32)
    answer = await bank.ask("opener@bank", get_engine_receipts=asked)
    assert refusal(answer)[0] == "NOT_SUPPORTED"


async def test_its_health_names_the_last_block(bank: Town):
    health = await bank.queries.Healthcheck(Empty())
    assert (health.is_healthy, health.last_block_height) == (True, 1)
