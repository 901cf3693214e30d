"""Which blocks are believed: linked to the last one, and signed by enough of the pinned peers."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_peer import block, hash_at

from ledger_client.blocks import read_block
from ledger_client.keys import SigningKey
from ledger_client.ledger import Block, Reached
from ledger_client.trust import Trust

KEYS = [SigningKey.from_seed(bytes([number]) * 32) for number in range(1, 8)]
STRANGERS = [SigningKey.from_seed(bytes([number]) * 32) for number in range(101, 105)]
FOUR = Trust(frozenset(key.public_key for key in KEYS[:4]))
LAST = Reached(6, hash_at(6))


def told(height: int, *signers: SigningKey, **payload) -> Block:
    return read_block(block(height, *signers, **payload))


@pytest.mark.parametrize(
    ("peers", "enough"), [(0, 0), (1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4)]
)
def test_a_supermajority_is_what_crash_tolerant_consensus_collects(peers, enough):
    assert Trust(frozenset(str(number) for number in range(peers))).supermajority == enough


@given(signers=st.sets(st.integers(0, 3)), strangers=st.sets(st.integers(0, 3)))
def test_exactly_a_supermajority_of_pinned_peers_is_enough(signers, strangers):
    """Whoever else signed, and however many of them."""
    keys = [STRANGERS[number] for number in strangers] + [KEYS[number] for number in signers]
    assert (FOUR.doubt(told(7, *keys), LAST) is None) == (len(signers) >= 3)


def test_one_peer_signing_many_times_is_one_peer():
    assert FOUR.doubt(told(7, *[KEYS[0]] * 5, KEYS[1]), LAST) == ("2 pinned peers signed it, not 3")


def test_a_signature_counts_in_whatever_case_it_is_written():
    made = block(7, *KEYS[:3])
    for each in made.block_v1.signatures:
        each.public_key, each.signature = each.public_key.upper(), each.signature.upper()
    assert FOUR.doubt(read_block(made), LAST) is None


@pytest.mark.parametrize("signature", ["", "zz", "ab" * 64, "ab" * 63])
def test_a_malformed_or_wrong_signature_counts_for_nothing(signature):
    made = block(7, *KEYS[:3])
    made.block_v1.signatures[0].signature = signature
    assert FOUR.doubt(read_block(made), LAST)


def test_signatures_of_another_block_prove_nothing():
    other = told(7, *KEYS[:3], created_time=1)
    swapped = dataclasses.replace(told(7), signatures=other.signatures)
    assert FOUR.doubt(swapped, LAST) == "0 pinned peers signed it, not 3"


@pytest.mark.parametrize(
    "changed",
    [
        {"created_time": 1},
        {"tx_number": 9},
        {"rejected_transactions_hashes": ["ab" * 32]},
        {"transactions": [{"payload": {"reduced_payload": {"quorum": 1}}}]},
    ],
)
def test_every_part_of_the_block_is_covered_by_the_signatures(changed):
    signed = block(7, *KEYS[:3])
    forged = block(7, **changed)
    forged.block_v1.signatures.extend(signed.block_v1.signatures)
    assert FOUR.doubt(read_block(forged), LAST)


def test_a_block_that_links_elsewhere_is_doubted_however_well_signed():
    unlinked = told(7, *KEYS[:4], prev_block_hash="ab" * 32)
    assert FOUR.doubt(unlinked, LAST) == "it does not link to the block before it"


@pytest.mark.parametrize("height", [1, 6, 8])
def test_a_block_of_another_height_is_doubted(height):
    assert FOUR.doubt(told(height, *KEYS[:4]), LAST) == f"height {height} was told for 7"


def test_the_genesis_block_is_known_by_its_hash_and_needs_no_signature():
    pinned = dataclasses.replace(FOUR, genesis_hash=hash_at(1))
    assert pinned.doubt(told(1), Reached(0)) is None
    assert pinned.doubt(told(1, created_time=5), Reached(0)) == (
        "this ledger began with another genesis block"
    )


def test_a_trusted_block_of_unknown_hash_is_followed_by_whatever_is_well_signed():
    assert FOUR.doubt(told(7, *KEYS[:3]), Reached(6)) is None


def test_without_pinned_keys_links_are_all_that_is_looked_at():
    assert Trust().doubt(told(7), LAST) is None
    assert Trust().doubt(told(7, prev_block_hash="00"), LAST)
