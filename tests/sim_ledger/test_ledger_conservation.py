import asyncio
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import given, settings
from hypothesis import strategies as st
from town import BY_HAND, first_block, key

from ledger_client.ledger import TransferAsset
from ledger_client.proto.block_pb2 import Block
from ledger_client.proto.transaction_pb2 import Transaction
from ledger_client.transaction import build
from sim.ledger import LedgerServer
from sim.ledger.amounts import TooPrecise, shown, smallest_units, well_formed
from sim.ledger.chain import Chain
from sim.ledger.store import Store

PEOPLE = ["treasury@bank", "settlement@bank", "issuer@nbc", "opener@bank"]
ASSETS = {"khr#nbc": 0, "usd#nbc": 2}
NOON = 1_760_000_000_000

payments = st.lists(
    st.tuples(
        st.sampled_from(PEOPLE),
        st.sampled_from(PEOPLE),
        st.sampled_from(list(ASSETS)),
        st.integers(1, 2 * 10**12),
        st.booleans(),  # followed by a round?
    ).filter(lambda it: it[0] != it[1]),
    max_size=12,
)


def totals(chain: Chain) -> Counter[str]:
    return Counter(
        {
            asset: sum(it.balances.get(asset, 0) for it in chain.world.accounts.all().values())
            for asset in ASSETS
        }
    )


async def play(folder: Path, script) -> None:
    def opened() -> LedgerServer:
        genesis = ParseDict(first_block(), Block())
        chain = Chain(Store(folder), genesis, [key("peer")], lambda: NOON, BY_HAND)
        return LedgerServer(chain, [key("peer")])

    server = opened()
    chain, peer = server.chain, server.peers[0]._peer
    before = totals(chain)
    for index, (src, dest, asset, units, ends) in enumerate(script):
        amount = shown(units, ASSETS[asset], trailing_point=False)
        command = TransferAsset(src, dest, asset, amount)
        signed = build(src, [command], NOON + index, key=key(src))
        await peer.receive([Transaction.FromString(signed.data)] * 2)
        if ends:
            await server.round()
    await server.round()
    world = chain.world.accounts.all()
    assert totals(chain) == before
    assert all(units >= 0 for it in world.values() for units in it.balances.values())
    await server.stop()
    again = opened()
    assert again.chain.world.accounts.all() == world
    await again.stop()


@settings(max_examples=25)
@given(payments)
def test_payments_conserve_every_currency_and_leave_nobody_below_zero(script):
    with TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder), script))


@given(st.integers(0, 1 << 300), st.integers(0, 255))
def test_an_amount_shown_reads_back_as_itself(units, precision):
    text = shown(units, precision, trailing_point=False)
    assert smallest_units(text, precision) == units
    assert well_formed(text) == (units < 1 << 256)


@pytest.mark.parametrize(("text", "precision"), [("1.0", 0), ("1.005", 2), ("0.000", 2)])
def test_more_decimals_than_the_asset_has_are_refused(text, precision):
    with pytest.raises(TooPrecise):
        smallest_units(text, precision)
