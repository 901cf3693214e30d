import sqlite3
from collections import Counter
from hashlib import sha3_256

import pytest
from town import Town, first_block, key, town

from ledger_client.iroha1 import Iroha1
from ledger_client.keys import verify
from ledger_client.ledger import Reached
from ledger_client.proto import endpoint_pb2
from ledger_client.proto.block_pb2 import Block
from sim.ledger import BadGenesis, PortTaken, Settings, serve
from sim.ledger.store import FILE_NAME, Store

ALICE, BOB = "alice@bank", "bob@bank"


async def walk(bank: Town) -> list[Block]:
    return [await bank.block(height) for height in range(1, bank.server.chain.height + 1)]


async def test_blocks_are_linked_by_hash_and_signed_by_the_peer(bank: Town):
    await bank.people(ALICE, BOB)
    await bank.settle(bank.pay(ALICE, BOB, "1"), bank.pay(ALICE, BOB, "5000"))
    genesis, *blocks = [it.block_v1 for it in await walk(bank)]
    assert not genesis.signatures
    before = sha3_256(genesis.payload.SerializeToString()).hexdigest()
    for height, block in enumerate(blocks, start=2):
        payload = block.payload.SerializeToString()
        assert (block.payload.height, block.payload.prev_block_hash) == (height, before)
        (signature,) = block.signatures
        assert signature.public_key == key("peer").public_key
        assert verify(signature.public_key, payload, bytes.fromhex(signature.signature))
        before = sha3_256(payload).hexdigest()
    assert blocks[-1].payload.tx_number == len(blocks[-1].payload.transactions) == 1


async def test_rejected_hashes_are_in_the_block_without_a_reason(bank: Town):
    await bank.people(ALICE, BOB)
    lost = bank.pay(ALICE, BOB, "5000")
    await bank.settle(lost)
    block = (await walk(bank))[-1].block_v1.payload
    assert (list(block.transactions), list(block.rejected_transactions_hashes)) == (
        [],
        [lost.tx_hash],
    )


async def test_a_follower_gets_new_blocks_and_fetches_the_earlier_ones(bank: Town):
    await bank.people(ALICE, BOB)
    stream = aiter(bank.follow())
    reading = anext(stream)
    await bank.status("ab" * 32)  # one call later the stream stands
    payment = bank.pay(ALICE, BOB, "1")
    await bank.settle(payment)
    streamed = (await reading).block_response.block
    assert streamed == await bank.block(bank.server.chain.height)
    assert streamed.block_v1.payload.height == 4
    assert [it.block_v1.payload.height for it in await walk(bank)] == [1, 2, 3, 4]


async def test_who_may_not_read_blocks_gets_an_error_and_no_stream(bank: Town):
    await bank.people(ALICE)
    (answer,) = [it async for it in bank.follow(ALICE)]
    assert answer.block_error_response.message


async def test_a_restart_keeps_heights_balances_keys_and_every_verdict(tmp_path):
    async with town(tmp_path) as bank:
        await bank.people(ALICE, BOB)
        paid, lost = bank.pay(ALICE, BOB, "300"), bank.pay(ALICE, BOB, "5000")
        await bank.settle(paid, lost)
        before = bank.server.chain.world.accounts.all()
        queued = bank.pay(ALICE, BOB, "1")
        await bank.send(queued)
    async with town(tmp_path, since=bank) as again:
        assert again.server.chain.height == bank.server.chain.height
        assert again.server.chain.world.accounts.all() == before
        assert await again.status(queued) == "NOT_RECEIVED"
        assert await again.settle(paid, lost, queued) == ["COMMITTED", "REJECTED", "COMMITTED"]
        assert await again.riel(BOB) == 1301
        assert (
            await again.block(4)
        ).block_v1.payload.prev_block_hash == again.server.chain.store.block_hash(3)


async def test_a_block_and_its_changes_are_on_disk_together_or_not_at_all(tmp_path):
    async with town(tmp_path) as bank:
        await bank.people(ALICE, BOB)
        height, world = bank.server.chain.height, bank.server.chain.world.accounts.all()
        payment = bank.pay(ALICE, BOB, "300")
        await bank.send(payment)
        # The disk fails after the block's row and before the accounts'.
        with sqlite3.connect(tmp_path / FILE_NAME) as other:
            other.execute(
                "CREATE TRIGGER fails BEFORE INSERT ON accounts BEGIN SELECT RAISE(ABORT, 'x'); END"
            )
        with pytest.raises(sqlite3.Error):
            await bank.server.round()
        assert await bank.riel(BOB) == 1000
    with sqlite3.connect(tmp_path / FILE_NAME) as other:
        other.execute("DROP TRIGGER fails")
    async with town(tmp_path, since=bank) as again:
        assert again.server.chain.height == height
        assert again.server.chain.world.accounts.all() == world
        assert await again.status(payment) == "NOT_RECEIVED"
        assert await again.settle(payment) == ["COMMITTED"]


async def test_a_full_disk_ends_the_server_instead_of_lying(tmp_path):
    async with town(tmp_path, Settings(block_ms=1)) as bank:
        with sqlite3.connect(tmp_path / FILE_NAME) as other:
            other.execute(
                "CREATE TRIGGER fails BEFORE INSERT ON blocks BEGIN SELECT RAISE(ABORT, 'x'); END"
            )
        await bank.send(*bank.opening(ALICE))
        with pytest.raises(sqlite3.Error):
            await bank.server.failure()


async def test_another_genesis_on_the_same_ledger_is_refused(tmp_path):
    async with town(tmp_path):
        pass
    other = first_block([{"createDomain": {"domainId": "other", "defaultRole": "wallet"}}])
    with pytest.raises(BadGenesis, match="another genesis"):
        await serve(tmp_path, other, key("peer"))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"nothing": 1}, "JSON form"),
        ({"block_v1": {"payload": {"height": "1"}}}, "not a peer"),
    ],
)
async def test_a_useless_genesis_is_refused(tmp_path, wrong, said):
    with pytest.raises(BadGenesis, match=said):
        await serve(tmp_path, wrong, key("peer"))
    assert Store(tmp_path).top()[0] == 0


async def test_a_genesis_command_that_cannot_be_done_is_named(tmp_path):
    extra = [{"appendRole": {"accountId": "nobody@bank", "roleName": "wallet"}}]
    with pytest.raises(BadGenesis, match="append_role"):
        await serve(tmp_path, first_block(extra), key("peer"))


async def test_a_taken_port_is_an_error(tmp_path):
    async with town(tmp_path / "a") as bank:
        with pytest.raises(PortTaken, match=str(bank.server.port)):
            await serve(tmp_path / "b", first_block(), key("peer"), port=bank.server.port)


async def test_a_stopped_ledger_comes_back_on_its_port(tmp_path):
    async with town(tmp_path) as bank:
        await bank.people(ALICE)
        port = bank.server.port
        await bank.server.stop()
        again = await serve(tmp_path, first_block(), key("peer"), port=port)
        assert again.port == port
        payment = endpoint_pb2.TxStatusRequest(tx_hash="ab" * 32)
        await bank.commands.Status(payment, wait_for_ready=True)
        await again.stop()


async def test_our_own_client_sends_follows_and_asks(tmp_path):
    async with town(tmp_path, Settings(block_ms=1)) as bank:
        client = Iroha1(
            [bank.server.address], "opener@bank", key("opener@bank"), now_ms=lambda: bank.now
        )
        opening = bank.opening(ALICE)
        payment = bank.pay("treasury@bank", ALICE, "5")
        await client.submit([it.data for it in [*opening, payment]])
        seen: Counter[str] = Counter()
        async for block in client.blocks(Reached(0)):
            seen.update(tx.tx_hash for tx in block.transactions)
            if payment.tx_hash in seen:
                break
        assert set(seen.values()) == {1}
        assert [it.final for it in await client.statuses([payment.tx_hash])] == [True]
        assert await client.signatories(ALICE) == [key(ALICE).public_key]
        assert await client.signatories("nobody@bank") is None
        assert [int(it.rstrip(".")) for it in (await client.balances(ALICE)).values()] == [5]
        assert await client.healthy()
        await client.close()
