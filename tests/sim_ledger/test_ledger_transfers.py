import asyncio

from town import Town

from ledger_client.proto.transaction_pb2 import Transaction

ALICE, BOB = "alice@bank", "bob@bank"


async def test_a_transfer_moves_money_once_its_block_is_made(bank: Town):
    await bank.people(ALICE, BOB)
    payment = bank.pay(ALICE, BOB, "400")
    await bank.send(payment)
    assert await bank.riel(ALICE) == 1000
    assert await bank.status(payment) == "ENOUGH_SIGNATURES_COLLECTED"
    await bank.server.round()
    assert await bank.status(payment) == "COMMITTED"
    assert (await bank.riel(ALICE), await bank.riel(BOB)) == (600, 1400)


async def test_one_transaction_may_be_sent_alone(bank: Town):
    await bank.people(ALICE, BOB)
    payment = bank.pay(ALICE, BOB, "400")
    await bank.commands.Torii(Transaction.FromString(payment.data))
    await bank.server.round()
    assert await bank.status(payment) == "COMMITTED"


async def test_nobody_pays_more_than_they_hold(bank: Town):
    await bank.people(ALICE, BOB)
    assert await bank.settle(bank.pay(ALICE, BOB, "1001")) == ["REJECTED"]
    assert await bank.settle(bank.pay(ALICE, BOB, "600"), bank.pay(ALICE, BOB, "600")) == [
        "COMMITTED",
        "REJECTED",
    ]
    assert (await bank.riel(ALICE), await bank.riel(BOB)) == (400, 1600)


async def test_the_same_bytes_again_move_nothing_again(bank: Town):
    await bank.people(ALICE, BOB)
    payment = bank.pay(ALICE, BOB, "100")
    await bank.send(payment, payment)
    await bank.send(payment)
    for _ in range(3):
        assert await bank.settle(payment) == ["COMMITTED"]
    assert await bank.riel(BOB) == 1100


async def test_copies_sent_in_parallel_move_money_once(bank: Town):
    await bank.people(ALICE, BOB)
    payment = bank.pay(ALICE, BOB, "100")
    await asyncio.gather(*(bank.send(payment) for _ in range(20)))
    await asyncio.gather(bank.server.round(), *(bank.send(payment) for _ in range(20)))
    await bank.server.round()
    assert await bank.riel(BOB) == 1100


async def test_a_rejected_hash_stays_rejected_when_it_could_be_paid_later(bank: Town):
    await bank.people(ALICE, BOB)
    payment = bank.pay(ALICE, BOB, "5000")
    assert await bank.settle(payment) == ["REJECTED"]
    assert await bank.settle(bank.pay("treasury@bank", ALICE, "9000")) == ["COMMITTED"]
    assert await bank.settle(payment) == ["REJECTED"]
    assert await bank.riel(ALICE) == 10_000


async def test_a_round_without_transactions_makes_no_block(bank: Town):
    before = bank.server.chain.height
    assert await bank.server.round() is None
    assert bank.server.chain.height == before
