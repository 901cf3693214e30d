"""What any `Ledger` does, as one suite: `class TestMine(LedgerConformance)` with a fixture `net`.

It asks for nothing but `ledger_client.ledger.Ledger`, a bank as our genesis block makes it, and
keys of that bank. It waits for real rounds of real peers, opens new wallets for each test, and
leaves everything else as it was, so it may run again on the same network.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import count, pairwise

from ledger_client.keys import SigningKey
from ledger_client.ledger import (
    AddSignatory,
    Block,
    Command,
    CreateAccount,
    GrantPermission,
    Ledger,
    Reached,
    RemoveSignatory,
    Signed,
    TransferAsset,
    Verdict,
)
from ledger_client.proto.transaction_pb2 import Transaction
from ledger_client.transaction import build, build_batch

RIEL = "khr#nbc"
PATIENCE_S = 30.0
LOOK_S = 0.01
DAY_MS = 24 * 3600 * 1000
_SETTLED = (Verdict.COMMITTED, Verdict.REJECTED, Verdict.INVALID)

COMMITTED, REJECTED, INVALID = Verdict.COMMITTED, Verdict.REJECTED, Verdict.INVALID


@dataclass
class Net:
    """A bank on a network; `keys` holds those of opener, treasury and both of the recoverer."""

    ledger: Ledger
    keys: Mapping[str, SigningKey]
    domain: str = "bank"
    forms: Sequence[str] = ("raw",)  # of keys that its peers take
    _numbers: count = field(default_factory=lambda: count(time.time_ns() // 1000))
    _last_ms: int = 0

    def account(self, name: str) -> str:
        return f"{name}@{self.domain}"

    def now(self) -> int:
        """The time, later at each call: two equal transactions of one millisecond are one."""
        self._last_ms = max(self._last_ms + 1, time.time_ns() // 1_000_000)
        return self._last_ms

    def sign(self, creator: str, *commands: Command, key: SigningKey, **how) -> Signed:
        return build(creator, commands, how.pop("at", None) or self.now(), key=key, **how)

    def wallet(self, form: str = "raw") -> "Wallet":
        number = next(self._numbers)
        key = SigningKey.from_seed(number.to_bytes(32, "big"), form)
        return Wallet(self, f"t{number}", key)

    async def opened(self, riel: int = 1000, form: str = "raw") -> "Wallet":
        wallet = self.wallet(form)
        assert await self.settle(*wallet.opening(riel)) == [COMMITTED] * 3
        return wallet

    async def settle(self, *signed: Signed, again: bool = False) -> list[Verdict]:
        """Submit together and wait until the ledger has spoken on each."""
        await self.ledger.submit([it.data for it in signed], again=again)
        return await self.verdicts(*signed)

    async def verdicts(self, *signed: Signed) -> list[Verdict]:
        hashes = [it.tx_hash for it in signed]
        async with asyncio.timeout(PATIENCE_S):
            while True:
                found = [it.verdict for it in await self.ledger.statuses(hashes)]
                if all(it in _SETTLED for it in found):
                    return found
                await asyncio.sleep(LOOK_S)

    async def until(self, *hashes: str) -> AsyncIterator[Block]:
        """Every block from the first to that which holds the last of these."""
        missing = set(hashes)
        async with asyncio.timeout(PATIENCE_S), aclosing(self.ledger.blocks(Reached(0))) as blocks:
            async for block in blocks:
                assert isinstance(block, Block), block
                yield block
                missing -= {tx.tx_hash for tx in block.transactions} | set(block.rejected)
                if not missing:
                    return


@dataclass
class Wallet:
    """An account of one person, opened or about to be."""

    net: Net
    name: str
    key: SigningKey

    @property
    def account(self) -> str:
        return self.net.account(self.name)

    def opening(self, riel: int) -> list[Signed]:
        """Creation, the recoverer's grants, and the first money: one atomic batch."""
        net, opener, treasury = self.net, self.net.account("opener"), self.net.account("treasury")
        create = CreateAccount(self.name, net.domain, self.key.public_key)
        grants = [
            GrantPermission(net.account("recoverer"), right)
            for right in ("can_add_my_signatory", "can_remove_my_signatory")
        ]
        gift = TransferAsset(treasury, self.account, RIEL, str(riel), self.name)
        return build_batch(
            [
                (opener, [create], net.now(), net.keys["opener"]),
                (self.account, grants, net.now(), self.key),
                (treasury, [gift], net.now(), net.keys["treasury"]),
            ]
        )

    def pay(self, dest: str, riel: int, text: str = "", **how) -> Signed:
        command = TransferAsset(self.account, dest, RIEL, str(riel), text)
        return self.net.sign(self.account, command, key=how.pop("key", self.key), **how)

    def replacement(self, new: SigningKey) -> list[Command]:
        return [
            AddSignatory(self.account, new.public_key),
            RemoveSignatory(self.account, self.key.public_key),
        ]

    async def riel(self) -> int:
        return int((await self.net.ledger.balances(self.account)).get(RIEL, "0"))


def resigned(signed: Signed, *keys: SigningKey) -> Signed:
    """The same payload under other signatures."""
    tx = Transaction.FromString(signed.data)
    payload = tx.payload.SerializeToString()
    del tx.signatures[:]
    for key in keys:
        tx.signatures.add(public_key=key.public_key, signature=key.sign(payload).hex())
    return Signed(signed.tx_hash, signed.reduced_hash, signed.created_time, tx.SerializeToString())


class LedgerConformance:
    """The suite."""

    async def test_somebody_answers(self, net: Net):
        assert await net.ledger.healthy()

    async def test_what_nobody_knows(self, net: Net):
        nobody = net.wallet().account
        assert await net.ledger.signatories(nobody) is None
        assert await net.ledger.balances(nobody) == {}
        found = await net.ledger.statuses(["ab" * 32, "cd" * 32])
        assert [it.tx_hash for it in found] == ["ab" * 32, "cd" * 32]
        assert {it.verdict for it in found} == {Verdict.UNKNOWN}
        assert await net.ledger.statuses([]) == []

    async def test_a_wallet_of_any_form_is_opened_and_paid_in_one_batch(self, net: Net):
        for form in net.forms:
            wallet = await net.opened(riel=700, form=form)
            assert await net.ledger.signatories(wallet.account) == [wallet.key.public_key]
            assert await net.ledger.balances(wallet.account) == {RIEL: "700"}
            paid = wallet.pay(net.account("treasury"), 700)
            assert await net.settle(paid) == [COMMITTED]
            assert await wallet.riel() == 0

    async def test_the_same_bytes_move_money_once(self, net: Net):
        src, dest = await net.opened(), await net.opened(riel=1)
        paid = src.pay(dest.account, 100)
        assert await net.settle(paid, paid) == [COMMITTED] * 2
        assert await net.settle(paid, again=True) == [COMMITTED]
        assert (await src.riel(), await dest.riel()) == (900, 101)

    async def test_a_rejected_hash_stays_rejected(self, net: Net):
        src, dest = await net.opened(riel=10), await net.opened(riel=1000)
        too_much = src.pay(dest.account, 11)
        assert await net.settle(too_much) == [REJECTED]
        assert await net.settle(dest.pay(src.account, 500)) == [COMMITTED]
        assert await net.settle(too_much, again=True) == [REJECTED]
        assert await src.riel() == 510

    async def test_every_peer_ends_with_the_same_word(self, net: Net):
        src, dest = await net.opened(), await net.opened(riel=1)
        good, bad = src.pay(dest.account, 1), src.pay(dest.account, 5000)
        await net.settle(good, bad)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                opinions = await net.ledger.opinions([good.tx_hash, bad.tx_hash])
                words = [{it.verdict for it in each} for each in opinions]
                if words == [{COMMITTED}, {REJECTED}]:
                    return
                await asyncio.sleep(LOOK_S)

    async def test_malformed_bytes_are_invalid_and_enter_no_block(self, net: Net):
        src, dest = await net.opened(), await net.opened(riel=1)
        honest = src.pay(dest.account, 1)
        forged = resigned(src.pay(dest.account, 2), src.key)
        data = bytearray(forged.data)
        data[-1] = ord("0") if data[-1] != ord("0") else ord("1")
        forged = Signed(forged.tx_hash, forged.reduced_hash, forged.created_time, bytes(data))
        late = src.pay(dest.account, 3, at=net.now() - DAY_MS - 3_600_000)
        early = src.pay(dest.account, 4, at=net.now() + 3_600_000)
        for wrong in (forged, late, early):
            assert await net.settle(wrong) == [INVALID]
        assert await net.settle(honest) == [COMMITTED]
        told = await net.ledger.statuses([it.tx_hash for it in (forged, late, early)])
        assert all(it.text for it in told)
        assert ["too old" in told[1].text, "from future" in told[2].text] == [True, True]
        held = [it async for it in net.until(honest.tx_hash)]
        malformed = {it.tx_hash for it in (forged, late, early)}
        for block in held:
            assert malformed.isdisjoint(block.rejected)
            assert malformed.isdisjoint(tx.tx_hash for tx in block.transactions)
        assert await src.riel() == 999

    async def test_malformed_bytes_have_their_neighbours_refused_unless_sent_again(self, net: Net):
        src, dest = await net.opened(), await net.opened(riel=1)
        honest = src.pay(dest.account, 1)
        late = src.pay(dest.account, 3, at=net.now() - DAY_MS - 3_600_000)
        assert await net.settle(honest, late) == [INVALID] * 2
        alone = src.pay(dest.account, 5)
        assert await net.settle(late, alone, again=True) == [INVALID, COMMITTED]
        assert await src.riel() == 995

    async def test_a_strangers_signature_is_rejected(self, net: Net):
        src, dest = await net.opened(), await net.opened(riel=1)
        assert await net.settle(src.pay(dest.account, 1, key=dest.key)) == [REJECTED]

    async def test_nobody_moves_what_is_not_theirs(self, net: Net):
        src, dest = await net.opened(), await net.opened(riel=1)
        theft = TransferAsset(src.account, dest.account, RIEL, "1")
        assert await net.settle(net.sign(dest.account, theft, key=dest.key)) == [REJECTED]
        opening = CreateAccount("x", net.domain, src.key.public_key)
        assert await net.settle(net.sign(src.account, opening, key=src.key)) == [REJECTED]

    async def test_an_atomic_batch_happens_whole_or_not_at_all(self, net: Net):
        wallet = net.wallet()
        opening = wallet.opening(10**15)  # more than any treasury has
        assert await net.settle(*opening) == [REJECTED] * 3
        assert await net.ledger.signatories(wallet.account) is None

    async def test_an_ordered_batch_keeps_its_good_members(self, net: Net):
        src, dest = await net.opened(riel=10), await net.opened(riel=1)
        members = [
            (
                src.account,
                [TransferAsset(src.account, dest.account, RIEL, riel)],
                net.now(),
                src.key,
            )
            for riel in ("4", "400", "5")
        ]
        batch = build_batch(members, atomic=False)
        assert await net.settle(*batch) == [COMMITTED, REJECTED, COMMITTED]
        assert await src.riel() == 1

    async def test_an_owner_replaces_the_key_in_one_transaction(self, net: Net):
        for form in net.forms:
            wallet, other = await net.opened(), await net.opened(riel=1)
            new = net.wallet(form).key
            change = net.sign(wallet.account, *wallet.replacement(new), key=wallet.key)
            assert await net.settle(change) == [COMMITTED]
            assert await net.ledger.signatories(wallet.account) == [new.public_key]
            assert await net.settle(wallet.pay(other.account, 1)) == [REJECTED]
            assert await net.settle(wallet.pay(other.account, 1, key=new)) == [COMMITTED]

    async def test_only_both_recoverers_together_replace_a_key(self, net: Net):
        wallet, new = await net.opened(), net.wallet().key
        first, second = net.keys["recoverer"], net.keys["recoverer_second"]
        commands = wallet.replacement(new)
        alone = net.sign(net.account("recoverer"), *commands, key=first)
        assert await net.settle(alone) == [REJECTED]
        half = net.sign(net.account("recoverer"), *commands, key=first, quorum=2)
        assert await net.settle(resigned(half, first, second)) == [COMMITTED]
        assert await net.ledger.signatories(wallet.account) == [new.public_key]
        by_opener = net.sign(net.account("opener"), *commands, key=net.keys["opener"])
        assert await net.settle(by_opener) == [REJECTED]

    async def test_blocks_hold_everything_once_in_order_and_linked(self, net: Net):
        src, dest = await net.opened(), await net.opened(riel=1)
        good = src.pay(dest.account, 5, text="ការទូទាត់")
        bad = src.pay(dest.account, 5000)
        await net.settle(good, bad)
        blocks = [it async for it in net.until(good.tx_hash, bad.tx_hash)]
        assert [it.height for it in blocks] == list(range(1, len(blocks) + 1))
        for before, after in pairwise(blocks):
            assert after.prev_hash == before.block_hash
        found = [tx for it in blocks for tx in it.transactions if tx.tx_hash == good.tx_hash]
        (tx,) = found
        assert (tx.creator, tx.created_time) == (src.account, good.created_time)
        assert tx.commands == (TransferAsset(src.account, dest.account, RIEL, "5", "ការទូទាត់"),)
        assert [bad.tx_hash in it.rejected for it in blocks].count(True) == 1
        assert all(it.signatures for it in blocks[1:])

    async def test_the_block_stream_goes_on_from_where_one_is(self, net: Net):
        src, dest = await net.opened(), await net.opened(riel=1)
        first = src.pay(dest.account, 1)
        await net.settle(first)
        last = [it async for it in net.until(first.tx_hash)][-1]
        after = Reached(last.height, last.block_hash)
        async with asyncio.timeout(PATIENCE_S), aclosing(net.ledger.blocks(after)) as blocks:
            second = src.pay(dest.account, 2)
            await net.settle(second)
            async for block in blocks:
                assert isinstance(block, Block)
                assert block.height > last.height
                if second.tx_hash in {tx.tx_hash for tx in block.transactions}:
                    return

    async def test_many_payments_at_once_keep_every_riel(self, net: Net):
        people = [await net.opened(riel=100) for _ in range(3)]
        payments = [
            people[n % 3].pay(people[(n + 1) % 3].account, 1 + n % 4, text=str(n))
            for n in range(60)
        ]
        verdicts = await net.settle(*payments)
        assert set(verdicts) == {COMMITTED}
        assert sum([await it.riel() for it in people]) == 300
