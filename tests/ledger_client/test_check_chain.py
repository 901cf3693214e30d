"""What is said of the chain: pinned, one and the same, signed, idle; and of key forms."""

from dataclasses import replace

import pytest
from networks import BY_HAND, OPENER, begun, first_block, key, peer_keys, the, without, wrong

from ledger_client.check import State
from ledger_client.trust import Trust
from sim.ledger.lies import ForgedSignature, Forked, Unlinked

HOUR = 3_600_000


async def test_another_first_block_than_the_pinned_one(tmp_path):
    async with begun(tmp_path) as place:
        other = replace(place.network.trust, genesis_hash="ab" * 32)
        found = await place.look(trust=other)
        assert f"not the pinned {'ab' * 32}" in wrong(found)["first block"]
        assert "the pinned genesis block" in the("first block", found).remedy


async def test_nothing_pinned_proves_nothing(tmp_path):
    async with begun(tmp_path) as place:
        found = await place.look(trust=Trust())
        assert set(wrong(found)) == {"first block", "signatures"}
        assert place.network.trust.genesis_hash in the("first block", found).says


@pytest.mark.parametrize("lie", [ForgedSignature(), Unlinked(height=3)])
async def test_blocks_that_do_not_prove_themselves(tmp_path, lie):
    async with begun(tmp_path) as place:
        await place.blocks(4)
        place.server.peers[0].misbehave(lie)
        assert "do not prove block" in wrong(await place.look())["signatures"]


async def test_two_blocks_of_one_height(tmp_path):
    async with begun(tmp_path, peers=4) as place:
        await place.blocks(2)
        place.server.peers[1].misbehave(Forked(height=3, keys=peer_keys(4)))
        said = wrong(await place.look())["chain"]
        assert said.startswith("is not one: block 3 differs: ")
        assert place.server.addresses[1] in said


async def test_a_peer_that_joined_after_the_keys_were_pinned(tmp_path):
    async with begun(tmp_path, peers=4) as place:
        first, *others = sorted(place.network.trust.peers)
        found = await place.look(trust=replace(place.network.trust, peers=frozenset(others)))
        assert wrong(found) == {"pinned peers": f"lack {first}"}
        more = replace(place.network.trust, peers=frozenset([*others, first, "cd" * 32]))
        found = await place.look(trust=more)
        assert wrong(found) == {"pinned peers": f"hold what is no peer's: {'cd' * 32}"}


async def test_peers_that_may_not_be_asked_for_are_a_question_and_a_missing_right(tmp_path):
    block = without(first_block(), "opener", "can_get_peers")
    async with begun(tmp_path, block) as place:
        found = await place.look()
        assert the("pinned peers", found).state is State.UNKNOWN
        assert set(wrong(found)) == {"pinned peers", OPENER}


async def test_an_idle_ledger_is_no_alarm(tmp_path):
    async with begun(tmp_path) as place:
        assert the("last block", await place.look()).says.startswith("is the first")
        await place.blocks(1)
        assert the("last block", await place.look()).says == "was made a moment ago"
        place.now += 5 * HOUR
        found = await place.look()
        assert wrong(found) == {}
        assert the("last block", found).says.startswith("was made 5 h ago; the ledger is idle")


async def test_which_keys_are_taken_is_found_without_sending_a_transaction(tmp_path):
    async with begun(tmp_path) as place:
        assert the("keys", await place.look()).says == "are taken in raw form, not as ed0120…"


async def test_a_key_that_a_stock_peer_cannot_verify(tmp_path):
    opener = key(OPENER, "multihash")
    async with begun(tmp_path, first_block(opener=opener)) as place:
        found = await place.look(key=opener)
        assert "are not taken by" in wrong(found)["keys"]
        assert "Ursa" in the("keys", found).remedy


async def test_such_a_key_is_fine_where_peers_have_ursa(tmp_path):
    opener = key(OPENER, "multihash")
    ursa = replace(BY_HAND, ursa=True)
    async with begun(tmp_path, first_block(opener=opener), settings=ursa) as place:
        found = await place.look(key=opener)
        assert wrong(found) == {}
        assert the("keys", found).says == "are taken in both forms, raw and ed0120…"
