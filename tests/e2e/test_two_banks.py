"""Two banks' gateways on one ledger of four peers: money goes across, whatever a peer does.

One peer is killed and one lies: what the ledger holds is conserved, each payment is made once, and
both banks' followers, who read the same blocks, agree.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pytest
from banks import TwoBanks, two_banks
from callers import Phone, Town, eventually, ref_in, town_of
from evidence import no_secret_in
from people import Person
from stack import fetch

from ledger_client.keys import SigningKey
from ledger_client.ledger import Block, Reached, TransferAsset
from ledger_client.proto.transaction_pb2 import Transaction
from ledger_client.transaction import build
from sim.ledger.lies import ForgedSignature, Inserted, Unlinked
from sim.ledger.misbehaviour import DropsReply, ForgetsCommits

GIVEN = 150_000
OURS = [Person(f"+8551234570{n}", f"73026{n}", GIVEN, name=f"Our Person{n}") for n in range(4)]
THEIRS = [
    Person(f"+8551234580{n}", f"51934{n}", GIVEN, name=f"Their Person{n}", bank="other")
    for n in range(4)
]
# One number with a wallet at each bank.
BOTH = [
    Person("+85512345790", "908172", GIVEN, name="Two Wallets", bank=it) for it in ("bank", "other")
]
EVERYBODY = [*OURS, *THEIRS, *BOTH]


@pytest.fixture(scope="module")
def banks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoBanks]:
    people = {"bank": [*OURS, BOTH[0]], "other": [*THEIRS, BOTH[1]]}
    with two_banks(tmp_path_factory.mktemp("banks"), people) as both:
        yield both
    for member in both.members:
        no_secret_in(member)


@pytest.fixture
async def towns(banks: TwoBanks) -> AsyncIterator[list[Town]]:
    """All peers are there and honest, and both gateways ask the first of them."""
    banks.network.tell(lambda network: network.resume())
    for peer in banks.network.tell(lambda network: network.peers):
        banks.network.tell(lambda _, peer=peer: peer.misbehave())
        if not peer.runs:
            banks.network.tell(lambda _, peer=peer: peer.restart())
    for member in banks.members:
        member.gateways[0].stop()
        member.start_gateway()
        member.wait_until_signing()
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(town_of(member)) for member in banks.members]


def phone(towns: list[Town], person: Person) -> Phone:
    return towns[person.bank == "other"].phone(person)


async def held(towns: list[Town], person: Person) -> int:
    return await towns[person.bank == "other"].riel(person)


async def settled(towns: list[Town]) -> None:
    """Nothing is under way, and both followers have read the whole chain."""

    def cursors() -> set[tuple[int, str]]:
        found = [town.stack.rows("SELECT height, block_hash FROM cursor") for town in towns]
        return {(rows[0]["height"], rows[0]["block_hash"]) for rows in found}

    def quiet() -> bool:
        return not under_way(towns) and len(cursors()) == 1

    await eventually(quiet, 40.0, lambda: f"not settled: {cursors()}")


def under_way(towns: list[Town]) -> int:
    signed = "SELECT 1 FROM submission WHERE state = 'signed'"
    return sum(len(town.stack.rows(signed)) for town in towns)


async def blocks_of(town: Town) -> list[Block]:
    """The whole chain, as its opener may read it."""
    height = town.stack.rows("SELECT height FROM cursor")[0]["height"]
    found: list[Block] = []
    async with asyncio.timeout(20):
        async for block in town.ledger.blocks(Reached(0)):
            if isinstance(block, Block):
                found.append(block)
            if len(found) == height:
                return found
    raise AssertionError


async def everything_agrees(towns: list[Town]) -> None:
    """Ledger, both databases and the chain of blocks tell one story."""
    await settled(towns)
    total = 0
    for person in EVERYBODY:
        on_ledger = await held(towns, person)
        total += on_ledger
        rows = towns[person.bank == "other"].stack.rows(
            "SELECT settled, outgoing, incoming FROM holding"
            " WHERE account_id = :account AND currency = 'KHR'",
            account=person.account_id,
        )
        assert tuple(rows[0].values()) == (on_ledger, 0, 0), person.account_id
    assert total == GIVEN * len(EVERYBODY)
    moved = Counter(
        transaction.tx_hash
        for block in await blocks_of(towns[0])
        for transaction in block.transactions
        if any(isinstance(command, TransferAsset) for command in transaction.commands)
    )
    assert set(moved.values()) == {1}
    for town in towns:
        paid = town.stack.rows("SELECT tx_hash FROM transfer WHERE state = 'committed'")
        assert {row["tx_hash"] for row in paid} <= moved.keys()
        assert len({row["tx_hash"] for row in paid}) == len(paid)


async def test_money_goes_to_a_number_at_the_other_bank_and_both_hear_of_it(towns):
    payer, payee = phone(towns, OURS[0]), phone(towns, THEIRS[0])
    page = await payer.ask_to_pay(payee.person, 5_000)
    assert f"{payee.person.msisdn[-3:]}, Other Bank" in page
    page = await payer.type(payer.person.pin)
    assert page.startswith("END Sent 5,000 KHR to Other Bank ..800")
    ref = ref_in(page)
    assert "Other Bank ..800" in await payer.hears(ref)
    assert "Mekong ..700" in await payee.hears("5,000 KHR")
    await everything_agrees(towns)


async def test_of_two_wallets_of_one_number_the_sender_chooses(towns):
    payer = phone(towns, THEIRS[1])
    before = [await held(towns, wallet) for wallet in BOTH]
    await payer.dial()
    page = await payer.type("1", BOTH[0].national)
    assert page == "CON At which bank?\n1 Other Bank\n2 Mekong\n0 Back"
    page = await payer.type("2", "1500")
    assert "Mekong" in page
    assert (await payer.type(payer.person.pin)).startswith("END Sent 1,500 KHR")
    await settled(towns)
    assert [await held(towns, wallet) for wallet in BOTH] == [before[0] + 1_500, before[1]]
    await everything_agrees(towns)


def invented() -> Transaction:
    """Money that nobody sent, for a liar's block."""
    command = TransferAsset("treasury@bank", OURS[0].account_id, "khr#nbc", "1000000", "INVENTED")
    key = SigningKey.from_seed(b"l" * 32)
    return Transaction.FromString(
        build("treasury@bank", [command], 1_800_000_000_000, key=key).data
    )


@pytest.mark.parametrize(
    ("amount", "lies"),
    [
        (1_000, (ForgedSignature(),)),
        (1_100, (Unlinked(), ForgetsCommits())),
        (1_200, (Inserted(transaction=invented()),)),
    ],
    ids=["forged", "unlinked", "inserted"],
)
async def test_one_peer_killed_and_one_lying_lose_and_double_nothing(banks, towns, amount, lies):
    """The peer that everybody asks dies with their payments, and the one they all go to then lies.

    The one after it takes what it gets and says that it did not.
    """
    network = banks.network
    before = {wallet.account_id: await held(towns, wallet) for wallet in EVERYBODY}
    pairs = list(zip([*OURS, *THEIRS], [*THEIRS, *OURS], strict=True))
    phones = [(phone(towns, payer), payee) for payer, payee in pairs]
    for payer, payee in phones:
        await payer.ask_to_pay(payee, amount)

    network.tell(lambda it: it.pause())
    paying = [asyncio.create_task(payer.type(payer.person.pin)) for payer, _ in phones]
    await eventually(lambda: under_way(towns) == len(paying), 10.0, lambda: "not all are signed")
    network.tell(lambda it: it.peers[1].misbehave(*lies))
    network.tell(lambda it: it.peers[2].misbehave(DropsReply()))
    network.tell(lambda it: it.peers[0].stop())
    network.tell(lambda it: it.resume())

    pages = await asyncio.gather(*paying)
    assert all(f"Sent {amount:,} KHR" in page or "In progress" in page for page in pages), pages
    await everything_agrees(towns)
    after = {wallet.account_id: await held(towns, wallet) for wallet in EVERYBODY}
    assert after == before  # everybody paid and was paid
    assert all(doubts_of(town) for town in towns)


def doubts_of(town: Town) -> float:
    """Blocks that this gateway did not believe."""
    _, text = fetch(town.stack.gateway_ports[0], "/metrics")
    lines = (line.split() for line in text.splitlines())
    return sum(float(words[1]) for words in lines if words[:1] == ["gateway_ledger_doubts_total"])
