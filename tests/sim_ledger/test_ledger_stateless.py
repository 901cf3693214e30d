from dataclasses import replace
from hashlib import sha3_256
from itertools import pairwise

import pytest
from town import Town, key, town

from ledger_client.ledger import Signed, TransferAsset
from ledger_client.proto.commands_pb2 import Command
from ledger_client.proto.transaction_pb2 import Transaction
from sim.ledger import Settings
from sim.ledger.rules import FIELDS, FUTURE_MS, PAST_MS, transaction_fault

ALICE, BOB = "alice@bank", "bob@bank"
FAILED = "STATELESS_VALIDATION_FAILED"


def changed(bank: Town, **fields):
    tx = Transaction.FromString(bank.pay(ALICE, BOB, "1").data)
    transfer = tx.payload.reduced_payload.commands[0].transfer_asset
    for name, value in fields.items():
        setattr(transfer, name, value)
    return bank.resigned(tx, ALICE)


@pytest.mark.parametrize(
    "fields",
    [
        {"amount": "0"},
        {"amount": "0.00"},
        {"amount": "-5"},
        {"amount": ".5"},
        {"amount": "1e3"},
        {"amount": "1 000"},
        {"amount": "\u17e1\u17e2"},
        {"amount": str(1 << 256)},
        {"dest_account_id": ALICE},
        {"dest_account_id": "+85512345678@bank"},
        {"dest_account_id": "bob"},
        {"asset_id": "khr"},
        {"description": "x" * (100 * 1024 + 1)},
    ],
)
async def test_a_malformed_transfer_is_told_so_and_never_reaches_a_block(bank: Town, fields):
    await bank.people(ALICE, BOB)
    wrong = changed(bank, **fields)
    assert await bank.settle(wrong) == [FAILED]
    assert (await bank.told(wrong)).error_code == 0
    assert (await bank.told(wrong)).err_or_cmd_name
    assert wrong.tx_hash not in [
        tx
        for h in (2, 3)
        for tx in (await bank.block(h)).block_v1.payload.rejected_transactions_hashes
    ]


async def test_leading_zeros_are_an_amount(bank: Town):
    await bank.people(ALICE, BOB)
    assert await bank.settle(changed(bank, amount="007")) == ["COMMITTED"]
    assert await bank.riel(BOB) == 1007


async def test_a_signature_of_another_payload_is_malformed(bank: Town):
    await bank.people(ALICE, BOB)
    tx = Transaction.FromString(bank.pay(ALICE, BOB, "1").data)
    tx.payload.reduced_payload.commands[0].transfer_asset.amount = "900"
    forged = bank.resigned(tx)
    tx.signatures.add(public_key=bank.key(ALICE).public_key, signature="ab" * 64)
    await bank.send(tx)
    assert await bank.status(forged) == FAILED
    assert "Bad signature" in (await bank.told(forged)).err_or_cmd_name


async def test_somebody_elses_good_signature_is_rejected_with_the_backends_code(bank: Town):
    await bank.people(ALICE, BOB)
    stolen = bank.sign(ALICE, TransferAsset(ALICE, BOB, "khr#nbc", "1"), key=bank.key(BOB))
    stream = aiter(bank.stream(stolen.tx_hash))
    await anext(stream)
    assert await bank.settle(stolen) == ["REJECTED"]
    failed = [it async for it in stream][2]
    assert (failed.err_or_cmd_name, failed.error_code) == ("signatures validation", 1)


async def test_an_unsigned_transaction_is_malformed(bank: Town):
    unsigned = bank.resigned(Transaction.FromString(bank.pay(ALICE, BOB, "1").data))
    assert await bank.settle(unsigned) == [FAILED]


async def test_hexadecimal_text_may_be_in_any_case(bank: Town):
    await bank.people(BOB)
    bank.keys[ALICE] = key("modern", "multihash")
    created, granted = (Transaction.FromString(it.data) for it in bank.opening(ALICE))
    new = created.payload.reduced_payload.commands[0].create_account
    new.public_key = new.public_key.upper()
    reduced = [
        sha3_256(it.payload.reduced_payload.SerializeToString()) for it in (created, granted)
    ]
    sent = []
    for tx, creator in ((created, "opener@bank"), (granted, ALICE)):
        tx.payload.batch.reduced_hashes[:] = [it.hexdigest().upper() for it in reduced]
        sent.append(shouted(bank.resigned(tx, creator)))
    assert await bank.settle(*sent) == ["COMMITTED"] * 2
    paid = shouted(bank.pay("treasury@bank", ALICE, "5"))
    back = shouted(bank.pay(ALICE, BOB, "5"))
    assert await bank.settle(paid, back) == ["COMMITTED"] * 2
    assert await bank.status(back.tx_hash.upper()) == "COMMITTED"


def shouted(signed: Signed) -> Signed:
    """The same, its signatures written in capitals."""
    tx = Transaction.FromString(signed.data)
    for it in tx.signatures:
        it.public_key, it.signature = it.public_key.upper(), it.signature.upper()
    return replace(signed, data=tx.SerializeToString())


async def test_a_stock_peer_takes_raw_keys_only(tmp_path):
    async with town(tmp_path, Settings(block_ms=None)) as bank:
        await bank.people(BOB)
        modern = key("modern", "multihash")
        payment = bank.sign(BOB, TransferAsset(BOB, "treasury@bank", "khr#nbc", "1"), key=modern)
        assert await bank.settle(payment) == [FAILED]
        assert "Unimplemented signature algorithm." in (await bank.told(payment)).err_or_cmd_name


async def test_created_time_must_be_within_a_day_past_and_five_minutes_ahead(bank: Town):
    await bank.people(ALICE, BOB)
    command = TransferAsset(ALICE, BOB, "khr#nbc", "1")
    offsets = {-PAST_MS: "COMMITTED", FUTURE_MS: "COMMITTED"} | {
        -PAST_MS - 1: FAILED,
        FUTURE_MS + 1: FAILED,
    }
    now = bank.now
    for offset, expected in offsets.items():
        assert await bank.settle(bank.sign(ALICE, command, at=now + offset)) == [expected]


async def test_a_peer_that_found_bytes_malformed_takes_them_only_after_it_forgot(tmp_path):
    async with town(tmp_path) as bank:
        await bank.people(ALICE, BOB)
        at = bank.now + FUTURE_MS + 9
        early = bank.sign(ALICE, TransferAsset(ALICE, BOB, "khr#nbc", "1"), at=at)
        assert await bank.settle(early) == [FAILED]
        bank.now += 9
        assert await bank.settle(early) == [FAILED]
    async with town(tmp_path, since=bank) as again:
        assert await again.settle(early) == ["COMMITTED"]


async def test_one_malformed_transaction_has_its_whole_call_refused(bank: Town):
    before, after = bank.pay(ALICE, BOB, "1"), bank.pay(ALICE, BOB, "2")
    wrong = changed(bank, amount="0")
    assert await bank.settle(before, wrong, after) == [FAILED] * 3
    told = {(await bank.told(it)).err_or_cmd_name for it in (before, wrong, after)}
    assert len(told) == 1
    assert f"hash Hash: [{wrong.tx_hash}], SignedData" in told.pop()
    assert await bank.settle(before) == [FAILED]  # this peer has said its word on it


async def test_a_badly_signed_copy_hides_a_commit_until_the_peer_forgets(tmp_path):
    async with town(tmp_path) as bank:
        await bank.people(ALICE, BOB)
        payment = bank.pay(ALICE, BOB, "1")
        copy = Transaction.FromString(payment.data)
        copy.signatures[0].signature = "ab" * 64
        await bank.send(payment)
        await bank.send(copy)
        await bank.server.round()
        assert await bank.status(payment) == FAILED
        assert await bank.riel(BOB) == 1001
    async with town(tmp_path, since=bank) as again:
        assert await again.status(payment) == "COMMITTED"


async def test_committed_bytes_sent_a_day_later_stay_committed_until_the_peer_forgets(tmp_path):
    async with town(tmp_path) as bank:
        await bank.people(ALICE, BOB)
        payment = bank.pay(ALICE, BOB, "1")
        assert await bank.settle(payment) == ["COMMITTED"]
        bank.now += PAST_MS + 1
        assert await bank.settle(payment) == ["COMMITTED"]
    async with town(tmp_path, since=bank) as again:
        assert await again.settle(payment) == [FAILED]
        assert "too old" in (await again.told(payment)).err_or_cmd_name
        assert await again.riel(BOB) == 1001


async def test_whatever_is_asked_about_was_not_received(bank: Town):
    for tx_hash in ("", "zz", "ab" * 32, "AB" * 32):
        assert await bank.status(tx_hash) == "NOT_RECEIVED"


def test_every_command_of_the_schema_has_its_rules():
    assert set(FIELDS) == {field.name for field in Command.DESCRIPTOR.fields}
    for name, checks in FIELDS.items():
        body = getattr(Command(), name)
        assert set(checks) <= set(body.DESCRIPTOR.fields_by_name)


def test_a_transaction_without_anything_names_each_fault():
    said = transaction_fault(Transaction(), b"", 0, ursa=False) or ""
    inside = ("SignedData", "Transaction", "at least one command", "AccountId", "Quorum", "empty")
    places = [said.index(it) for it in inside]
    assert all(before < after for before, after in pairwise(places))


async def test_a_fault_is_told_as_a_peer_words_it(bank: Town):
    wrong = changed(bank, amount="0", dest_account_id="bob")
    await bank.send(wrong)
    assert (await bank.told(wrong)).err_or_cmd_name == (
        f"Transaction deserialization failed: hash Hash: [{wrong.tx_hash}], "
        "SignedData: [Child errors=[Transaction: [Child errors=[Command #1: [Child errors=["
        "TransferAsset: [Child errors=[AccountId: [Errors=[passed value: 'bob' does not match regex"
        r" '[a-z_0-9]{1,32}\@([a-zA-Z]([a-zA-Z0-9\-]{0,61}[a-zA-Z0-9])?\.)*"
        r"[a-zA-Z]([a-zA-Z0-9\-]{0,61}[a-zA-Z0-9])?'.]],"
        " Amount: [Errors=[Invalid number, amount must be greater than 0]]]]]]]]]]"
    )
