import pytest
from town import Town, key

from ledger_client.ledger import (
    AddSignatory,
    CreateAccount,
    GrantPermission,
    RemoveSignatory,
    TransferAsset,
)
from ledger_client.proto.transaction_pb2 import Transaction
from ledger_client.transaction import build_batch

ALICE, BOB = "alice@bank", "bob@bank"
FAILED = "STATELESS_VALIDATION_FAILED"


def pair(bank: Town, amounts, *, atomic):
    payments = [
        (ALICE, [TransferAsset(ALICE, BOB, "khr#nbc", it)], bank.tick(), bank.key(ALICE))
        for it in amounts
    ]
    return build_batch(payments, atomic=atomic)


async def test_opening_is_one_atomic_batch_of_creation_and_grants(bank: Town):
    assert await bank.settle(*bank.opening(ALICE)) == ["COMMITTED", "COMMITTED"]
    account = bank.server.chain.world.accounts[ALICE]
    assert account.roles == {"wallet"}
    assert account.grants == {"recoverer@bank": 0b11}
    assert bank.server.chain.height == 2


async def test_an_atomic_batch_with_a_bad_member_does_nothing(bank: Town):
    await bank.people(ALICE, BOB)
    assert await bank.settle(*pair(bank, ["10", "9999"], atomic=True)) == ["REJECTED"] * 2
    assert await bank.riel(BOB) == 1000


async def test_an_ordered_batch_keeps_its_good_members(bank: Town):
    await bank.people(ALICE, BOB)
    statuses = await bank.settle(*pair(bank, ["10", "9999", "20"], atomic=False))
    assert statuses == ["COMMITTED", "REJECTED", "COMMITTED"]
    assert await bank.riel(BOB) == 1030


async def test_only_the_failing_member_of_an_atomic_batch_is_told_why(bank: Town):
    await bank.people(ALICE, BOB)
    batch = pair(bank, ["10", "9999"], atomic=True)
    streams = [aiter(bank.stream(it.tx_hash)) for it in batch]
    for stream in streams:
        await anext(stream)
    await bank.settle(*batch)
    codes = [[it.error_code async for it in stream if it.tx_status == 2] for stream in streams]
    assert codes == [[0], [6]]


async def test_a_wallet_can_be_made_by_the_payment_it_receives(bank: Town):
    await bank.people(ALICE)
    create = CreateAccount("bob", "bank", bank.key(BOB).public_key)
    grant = GrantPermission("recoverer@bank", "can_add_my_signatory")
    batch = build_batch(
        [
            ("opener@bank", [create], bank.tick(), bank.key("opener@bank")),
            (BOB, [grant], bank.tick(), bank.key(BOB)),
            (ALICE, [TransferAsset(ALICE, BOB, "khr#nbc", "250")], bank.tick(), bank.key(ALICE)),
        ]
    )
    assert await bank.settle(*batch) == ["COMMITTED"] * 3
    assert await bank.riel(BOB) == 250


@pytest.mark.parametrize("part", [[0], [1, 0], [0, 0]])
async def test_what_is_not_a_whole_batch_in_its_order_is_malformed(bank: Town, part):
    await bank.people(ALICE, BOB)
    batch = pair(bank, ["10", "20"], atomic=True)
    await bank.settle(*(batch[it] for it in part))
    assert await bank.status(batch[0]) == FAILED


async def test_two_copies_of_a_batch_in_one_call_are_one(bank: Town):
    await bank.people(ALICE, BOB)
    batch = pair(bank, ["10", "20"], atomic=True)
    assert await bank.settle(*batch, *batch) == ["COMMITTED"] * 4
    assert await bank.riel(BOB) == 1030


async def test_a_batch_that_lists_a_member_twice_is_malformed(bank: Town):
    await bank.people(ALICE, BOB)
    member = Transaction.FromString(pair(bank, ["10", "20"], atomic=True)[0].data)
    listed = member.payload.batch.reduced_hashes
    listed[1] = listed[0]
    twin = bank.resigned(member, ALICE)
    assert await bank.settle(twin, twin) == [FAILED] * 2


async def test_a_key_is_replaced_in_one_transaction(bank: Town):
    await bank.people(ALICE, BOB)
    old, new = bank.key(ALICE), bank.key("another")
    bank.keys[ALICE] = new
    replacement = bank.sign(
        ALICE,
        AddSignatory(ALICE, new.public_key),
        RemoveSignatory(ALICE, old.public_key),
        key=old,
    )
    late = bank.sign(ALICE, TransferAsset(ALICE, BOB, "khr#nbc", "1"), key=old)
    assert await bank.settle(replacement, late) == ["COMMITTED", "REJECTED"]
    assert await bank.settle(bank.pay(ALICE, BOB, "1")) == ["COMMITTED"]


async def test_the_recoverer_replaces_a_key_only_where_it_was_allowed_to(bank: Town):
    await bank.people(ALICE, BOB)
    await bank.settle(bank.pay("treasury@bank", ALICE, "1"))
    swap = [
        AddSignatory(ALICE, bank.key("new").public_key),
        RemoveSignatory(ALICE, bank.key(ALICE).public_key),
    ]
    recovery = bank.sign("recoverer@bank", *swap, quorum=2)
    assert await bank.settle(recovery) == ["MST_PENDING"]
    seconded = bank.resigned(Transaction.FromString(recovery.data), "recoverer_second@bank")
    assert await bank.settle(seconded) == ["COMMITTED"]
    assert bank.server.chain.world.accounts[ALICE].signatories == {bank.key("new").public_key}
    foreign = AddSignatory("treasury@bank", bank.key("new").public_key)
    attempt = bank.sign("recoverer@bank", foreign, quorum=2)
    await bank.send(attempt)
    seconded = bank.resigned(Transaction.FromString(attempt.data), "recoverer_second@bank")
    assert await bank.settle(seconded) == ["REJECTED"]


async def test_both_forms_of_key_sign_for_one_account(bank: Town):
    await bank.people(ALICE, BOB)
    other = key("other", "multihash")
    added = bank.sign(ALICE, AddSignatory(ALICE, other.public_key.upper()))
    paid = bank.sign(ALICE, TransferAsset(ALICE, BOB, "khr#nbc", "1"), key=other)
    assert await bank.settle(added, paid) == ["COMMITTED", "COMMITTED"]
