"""A second signature: over the same bytes, of another key, and of what can be shown whole."""

import pytest

from ledger_client.keys import SigningKey, verify
from ledger_client.ledger import AddSignatory, InvalidTransaction, RemoveSignatory, TransferAsset
from ledger_client.proto.transaction_pb2 import Transaction
from ledger_client.transaction import Draft, add_signature, build, build_batch, read_draft

ONE, TWO = (SigningKey.from_seed(bytes([n]) * 32) for n in (1, 2))
URSA = SigningKey.from_seed(bytes([3]) * 32, "multihash")
WALLET, RECOVERER, NOON = "85512345601@bank", "recoverer@bank", 1_763_780_400_000
COMMANDS = (AddSignatory(WALLET, TWO.public_key), RemoveSignatory(WALLET, ONE.public_key))
SIGNED = build(RECOVERER, COMMANDS, NOON, key=ONE, quorum=2)


def changed(change) -> bytes:
    transaction = Transaction.FromString(SIGNED.data)
    change(transaction)
    return transaction.SerializeToString()


def test_a_draft_tells_all_that_was_signed():
    assert read_draft(SIGNED.data) == Draft(
        SIGNED.tx_hash, RECOVERER, NOON, 2, COMMANDS, (ONE.public_key,)
    )


@pytest.mark.parametrize("second", [TWO, URSA], ids=["raw", "multihash"])
def test_a_second_signature_leaves_hash_and_first_as_they_are(second):
    both = add_signature(SIGNED.data, second)
    draft = read_draft(both)
    assert (draft.tx_hash, draft.signers) == (SIGNED.tx_hash, (ONE.public_key, second.public_key))
    before, after = (Transaction.FromString(data) for data in (SIGNED.data, both))
    assert before.payload == after.payload
    assert before.signatures[0] == after.signatures[0]
    blob = after.payload.SerializeToString(deterministic=True)
    assert verify(second.public_key, blob, bytes.fromhex(after.signatures[1].signature))


def test_nobody_signs_twice():
    both = add_signature(SIGNED.data, TWO)
    for key in (ONE, TWO):
        with pytest.raises(InvalidTransaction, match="already"):
            add_signature(both, key)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        changed(lambda tx: tx.signatures.append(tx.signatures[0])),
        changed(lambda tx: setattr(tx.signatures[0], "signature", "00" * 64)),
        changed(lambda tx: setattr(tx.signatures[0], "signature", "no hex")),
        changed(lambda tx: setattr(tx.signatures[0], "public_key", TWO.public_key)),
        changed(lambda tx: setattr(tx.payload.reduced_payload, "quorum", 1)),
        changed(lambda tx: tx.payload.reduced_payload.commands.pop()),
    ],
)
def test_what_is_damaged_is_not_signed(data):
    with pytest.raises(InvalidTransaction):
        add_signature(data, TWO)


def test_what_cannot_be_shown_is_not_signed():
    """A field that this release does not know is signed too, and nobody would see it."""
    hidden = Transaction()
    hidden.payload.CopyFrom(Transaction.FromString(SIGNED.data).payload)
    hidden.payload.MergeFromString(b"\xfa\x07\x03new")  # field 127
    blob = hidden.payload.SerializeToString(deterministic=True)
    hidden.signatures.add(public_key=ONE.public_key, signature=ONE.sign(blob).hex())
    with pytest.raises(InvalidTransaction, match="more than can be shown"):
        add_signature(hidden.SerializeToString(), TWO)


def test_a_member_of_a_batch_is_not_signed_by_itself():
    pay = TransferAsset("a@bank", "b@bank", "khr#nbc", "1")
    batch = build_batch([("a@bank", [pay], NOON + n, ONE) for n in range(2)])
    with pytest.raises(InvalidTransaction, match="more than can be shown"):
        add_signature(batch[0].data, TWO)
