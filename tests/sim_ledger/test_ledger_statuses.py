from town import Town, town

from ledger_client.ledger import AddSignatory, TransferAsset
from ledger_client.proto import queries_pb2
from ledger_client.proto.endpoint_pb2 import TxStatus
from ledger_client.proto.transaction_pb2 import Transaction
from sim.ledger import Settings

ALICE, BOB = "alice@bank", "bob@bank"


async def names(stream):
    return [TxStatus.Name(it.tx_status) async for it in stream]


async def test_a_stream_opened_before_sending_tells_every_step(bank: Town):
    await bank.people(ALICE, BOB)
    payment = bank.pay(ALICE, BOB, "1")
    stream = aiter(bank.stream(payment.tx_hash))
    assert TxStatus.Name((await anext(stream)).tx_status) == "NOT_RECEIVED"
    await bank.settle(payment)
    assert await names(stream) == [
        "STATELESS_VALIDATION_SUCCESS",
        "ENOUGH_SIGNATURES_COLLECTED",
        "STATEFUL_VALIDATION_SUCCESS",
        "COMMITTED",
    ]


async def test_a_stream_opened_late_begins_with_the_present_state(bank: Town):
    await bank.people(ALICE, BOB)
    payment = bank.pay(ALICE, BOB, "1")
    await bank.send(payment)
    stream = aiter(bank.stream(payment.tx_hash))
    assert TxStatus.Name((await anext(stream)).tx_status) == "ENOUGH_SIGNATURES_COLLECTED"
    await bank.server.round()
    assert (await names(stream))[-1] == "COMMITTED"
    assert await names(bank.stream(payment.tx_hash)) == ["COMMITTED"]


async def test_a_stream_that_hears_nothing_ends_after_some_rounds_without_a_verdict(bank: Town):
    stream = aiter(bank.stream("ab" * 32))
    await anext(stream)
    for _ in range(3):
        await bank.server.round()
    assert await names(stream) == []


async def test_a_transaction_that_lacks_a_signature_waits_for_it(bank: Town):
    await bank.people(ALICE, BOB)
    second = bank.key("second")
    assert await bank.settle(bank.sign(ALICE, AddSignatory(ALICE, second.public_key))) == [
        "COMMITTED"
    ]
    payment = bank.sign(ALICE, TransferAsset(ALICE, BOB, "khr#nbc", "5"), quorum=2)
    assert await bank.settle(payment, payment) == ["MST_PENDING"] * 2
    asked = queries_pb2.GetPendingTransactions()
    waiting = await bank.ask(ALICE, get_pending_transactions=asked)
    assert [it.SerializeToString() for it in waiting.transactions] == [payment.data]
    asked.pagination_meta.page_size = 5
    waiting = await bank.ask(ALICE, get_pending_transactions=asked)
    assert (len(waiting.transactions), waiting.all_transactions_size) == (1, 1)
    other = bank.resigned(Transaction.FromString(payment.data), second)
    assert other.tx_hash == payment.tx_hash
    assert await bank.settle(other) == ["COMMITTED"]
    assert not (await bank.ask(ALICE, get_pending_transactions=asked)).transactions


async def test_a_half_signed_transaction_expires_after_a_day(bank: Town):
    await bank.people(ALICE, BOB)
    payment = bank.sign(ALICE, TransferAsset(ALICE, BOB, "khr#nbc", "5"), quorum=2)
    stream = aiter(bank.stream(payment.tx_hash))
    await anext(stream)
    assert await bank.settle(payment) == ["MST_PENDING"]
    bank.now += 24 * 3600 * 1000 + 1
    for _ in range(4):
        await bank.server.round()
    assert (await names(stream))[-1] == "MST_EXPIRED"
    assert await bank.status(payment) == "MST_EXPIRED"


async def test_a_paused_ledger_answers_but_decides_nothing(tmp_path):
    async with town(tmp_path, Settings(block_ms=1)) as bank:
        bank.server.pause()
        opening = bank.opening(ALICE)
        await bank.send(*opening)
        assert await bank.status(opening[0]) == "ENOUGH_SIGNATURES_COLLECTED"
        stream = aiter(bank.stream(opening[0].tx_hash))
        await anext(stream)
        assert bank.server.chain.height == 1
        bank.server.resume()
        assert (await names(stream))[-1] == "COMMITTED"
