"""The client and the development ledger, which starts from our own genesis block."""

import dataclasses
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from hashlib import sha3_256

import pytest

from ledger_client import ed25519_sha3
from ledger_client.genesis import Bank, Peer, genesis
from ledger_client.iroha1 import Iroha1
from ledger_client.keys import SigningKey
from ledger_client.ledger import (
    AddSignatory,
    Block,
    Command,
    CreateAccount,
    GrantPermission,
    QueryRefused,
    Reached,
    RemoveSignatory,
    SetAccountDetail,
    Signed,
    TransferAsset,
    Verdict,
)
from ledger_client.transaction import add_signature, build, build_batch
from sim.ledger import LedgerServer, Settings, serve

NOW = 1_760_000_000_000
WALLET = "85512345678@bank"


def key(name: str, form: str = "raw") -> SigningKey:
    return SigningKey.from_seed(sha3_256(name.encode()).digest(), form)


def bank(domain: str) -> Bank:
    return Bank.of(domain, lambda name: key(f"{name}@{domain}").public_key)


FIRST_BLOCK = genesis(
    [bank("bank"), bank("other")],
    [Peer("127.0.0.1:10001", key("peer").public_key)],
    issuer=key("issuer").public_key,
)


@pytest.fixture(params=["raw", "multihash"])
def form(request) -> str:
    return request.param


@pytest.fixture
async def server(tmp_path) -> AsyncIterator[LedgerServer]:
    by_hand = Settings(block_ms=None, ursa=True)
    running = await serve(tmp_path, FIRST_BLOCK, key("peer"), settings=by_hand, now_ms=lambda: NOW)
    yield running
    await running.stop()


@pytest.fixture
async def ledger(server) -> AsyncIterator[Iroha1]:
    client = Iroha1([server.address], "opener@bank", key("opener@bank"), now_ms=lambda: NOW)
    yield client
    await client.close()


def opening(wallet: SigningKey) -> list[Signed]:
    name, _, domain = WALLET.partition("@")
    create: list[Command] = [CreateAccount(name, domain, wallet.public_key)]
    grants: list[Command] = [
        GrantPermission("recoverer@bank", "can_add_my_signatory"),
        GrantPermission("recoverer@bank", "can_remove_my_signatory"),
    ]
    first = TransferAsset("treasury@bank", WALLET, "khr#nbc", "50000", "first")
    return build_batch(
        [
            ("opener@bank", create, NOW, key("opener@bank")),
            (WALLET, grants, NOW, wallet),
            ("treasury@bank", [first], NOW, key("treasury@bank")),
        ]
    )


async def settle(server: LedgerServer, ledger: Iroha1, *signed: Signed) -> list[Verdict]:
    await ledger.submit([each.data for each in signed])
    await server.round()
    return [each.verdict for each in await ledger.statuses([each.tx_hash for each in signed])]


async def take(ledger: Iroha1, after: int, count: int) -> list[Block]:
    found: list[Block] = []
    async with aclosing(ledger.blocks(Reached(after))) as blocks:
        while len(found) < count:
            found.append(await anext(blocks))
    return found


async def test_our_genesis_gives_every_treasury_its_money(ledger):
    assert await ledger.healthy()
    assert await ledger.balances("treasury@bank") == {
        "khr#nbc": "1000000000000",
        "usd#nbc": "1000000000.00",
    }
    assert await ledger.balances("nobody@bank") == {}


async def test_the_opener_sees_its_own_bank_only(ledger):
    assert await ledger.signatories("treasury@bank") == [key("treasury@bank").public_key]
    assert await ledger.signatories("nobody@bank") is None
    for question in (ledger.signatories, ledger.balances):
        with pytest.raises(QueryRefused) as refused:
            await question("treasury@other")
        assert refused.value.code == 2


async def test_a_wallet_is_opened_and_paid_in_one_batch(server, ledger, form):
    wallet = key("wallet", form)
    assert await settle(server, ledger, *opening(wallet)) == [Verdict.COMMITTED] * 3
    assert await ledger.signatories(WALLET) == [wallet.public_key]
    assert await ledger.balances(WALLET) == {"khr#nbc": "50000"}


async def test_a_wallet_pays_and_an_overdraft_is_rejected_for_ever(server, ledger, form):
    wallet = key("wallet", form)
    await settle(server, ledger, *opening(wallet))

    def pay(amount: str) -> Signed:
        transfer = TransferAsset(WALLET, "settlement@bank", "khr#nbc", amount, amount)
        return build(WALLET, [transfer], NOW, key=wallet)

    paid, overdrawn = pay("5000"), pay("45001")
    assert await settle(server, ledger, paid, overdrawn) == [Verdict.COMMITTED, Verdict.REJECTED]
    assert await settle(server, ledger, paid, overdrawn) == [Verdict.COMMITTED, Verdict.REJECTED]
    assert await ledger.balances(WALLET) == {"khr#nbc": "45000"}
    *_, last = await take(ledger, after=0, count=3)
    assert last.rejected == (overdrawn.tx_hash,)


async def test_a_wrong_signature_is_invalid_and_enters_no_block(server, ledger):
    transfer = TransferAsset("treasury@bank", "settlement@bank", "khr#nbc", "1")
    good = build("treasury@bank", [transfer], NOW, key=key("treasury@bank"))
    bad = good.data.replace(good.data[-20:], b"0" * 20)
    await ledger.submit([bad])
    await server.round()
    (status,) = await ledger.statuses([good.tx_hash])
    assert status.verdict is Verdict.INVALID
    assert status.text


async def test_unknown_hashes_are_unknown(ledger):
    (status,) = await ledger.statuses(["ab" * 32])
    assert status.verdict is Verdict.UNKNOWN


async def test_a_key_is_replaced_by_its_owner_and_by_the_recoverer(server, ledger, form):
    old, new, newest = (key(name, form) for name in ("wallet", "new", "newest"))
    await settle(server, ledger, *opening(old))

    def replace(creator: str, by: SigningKey, lost: SigningKey, made: SigningKey) -> Signed:
        pair: list[Command] = [
            AddSignatory(WALLET, made.public_key),
            RemoveSignatory(WALLET, lost.public_key),
        ]
        return build(creator, pair, NOW, key=by, quorum=2 if creator == "recoverer@bank" else 1)

    by_owner = replace(WALLET, old, old, new)
    assert await settle(server, ledger, by_owner) == [Verdict.COMMITTED]
    assert await ledger.signatories(WALLET) == [new.public_key]
    by_bank = replace("recoverer@bank", key("recoverer@bank"), new, newest)
    assert await settle(server, ledger, by_bank) == [Verdict.PENDING]  # two must sign
    second = add_signature(by_bank.data, key("recoverer_second@bank"))
    by_both = dataclasses.replace(by_bank, data=second)
    assert await settle(server, ledger, by_both) == [Verdict.COMMITTED]
    assert await ledger.signatories(WALLET) == [newest.public_key]
    by_opener = replace("opener@bank", key("opener@bank"), newest, old)
    assert await settle(server, ledger, by_opener) == [Verdict.REJECTED]


async def test_the_openers_no_op_makes_a_block(server, ledger):
    beat = SetAccountDetail("opener@bank", "beat", "1")
    signed = build("opener@bank", [beat], NOW, key=key("opener@bank"))
    assert await settle(server, ledger, signed) == [Verdict.COMMITTED]


async def test_roles_are_narrow(server, ledger):
    """Neither a treasury nor a recoverer opens accounts; a recoverer moves no money."""
    create = CreateAccount("x", "bank", key("x").public_key)
    move = TransferAsset("recoverer@bank", "treasury@bank", "khr#nbc", "1")
    mint_key = key("opener@bank")
    tries = [
        build(creator, [command], NOW, key=key(creator))
        for creator, command in (
            ("treasury@bank", create),
            ("recoverer@bank", create),
            ("recoverer@bank", move),
            ("opener@bank", CreateAccount("x", "nbc", mint_key.public_key)),
        )
    ]
    assert await settle(server, ledger, *tries) == [Verdict.REJECTED] * 4


async def test_blocks_link_are_signed_and_hold_our_commands(server, ledger, form):
    batch = opening(key("wallet", form))
    await settle(server, ledger, *batch)
    first, second = await take(ledger, after=0, count=2)
    assert (first.height, second.height) == (1, 2)
    assert second.prev_hash == first.block_hash
    assert second.created_time == NOW
    assert [each.tx_hash for each in second.transactions] == [each.tx_hash for each in batch]
    assert [each.creator for each in second.transactions] == [
        "opener@bank",
        WALLET,
        "treasury@bank",
    ]
    assert second.transactions[2].commands == (
        TransferAsset("treasury@bank", WALLET, "khr#nbc", "50000", "first"),
    )
    ((public_key, signature),) = second.signatures
    assert public_key == key("peer").public_key
    # Peers sign the hash, so the block's own hash is all that a follower needs to check them.
    assert ed25519_sha3.verify(
        *(bytes.fromhex(text) for text in (public_key, second.block_hash, signature))
    )


async def test_new_blocks_come_as_they_are_made(server, ledger):
    async with aclosing(ledger.blocks(Reached(1))) as blocks:
        for n in range(3):
            beat = SetAccountDetail("opener@bank", "beat", str(n))
            signed = build("opener@bank", [beat], NOW + n, key=key("opener@bank"))
            await ledger.submit([signed.data])
            await server.round()
            assert (await anext(blocks)).transactions[0].tx_hash == signed.tx_hash


async def test_a_key_the_ledger_does_not_know_is_the_operators_matter(server):
    stranger = Iroha1([server.address], "opener@bank", key("stranger"), now_ms=lambda: NOW)
    try:
        with pytest.raises(QueryRefused):
            await take(stranger, after=5, count=1)
    finally:
        await stranger.close()


async def test_random_keys_of_both_forms_are_taken_by_the_ledger(server, ledger, form):
    wallets = [SigningKey.generate(os.urandom, form) for _ in range(5)]
    creates = [
        build(
            "opener@bank",
            [CreateAccount(f"w{n}", "bank", wallet.public_key)],
            NOW,
            key=key("opener@bank"),
        )
        for n, wallet in enumerate(wallets)
    ]
    beats = [
        build(f"w{n}@bank", [SetAccountDetail(f"w{n}@bank", "k", "v")], NOW, key=wallet)
        for n, wallet in enumerate(wallets)
    ]
    assert set(await settle(server, ledger, *creates)) == {Verdict.COMMITTED}
    assert set(await settle(server, ledger, *beats)) == {Verdict.COMMITTED}
