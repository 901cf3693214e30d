"""A block as a peer sends it, into the block that the gateway reads.

The hash is computed here from the payload's bytes, never taken from anybody; whether the block is
to be believed is for `trust` to say.
"""

from hashlib import sha3_256

from ledger_client.ledger import Block, BlockTransaction
from ledger_client.proto import block_pb2, transaction_pb2
from ledger_client.transaction import commands_of, hash_of


def read_block(block: block_pb2.Block) -> Block:
    """Read one block; text that the schema promises to be hex comes out in lower case."""
    payload = block.block_v1.payload
    signed = payload.SerializeToString(deterministic=True)
    return Block(
        height=payload.height,
        created_time=payload.created_time,
        prev_hash=payload.prev_block_hash.lower(),
        block_hash=sha3_256(signed).hexdigest(),
        transactions=tuple(_read_transaction(each) for each in payload.transactions),
        rejected=tuple(each.lower() for each in payload.rejected_transactions_hashes),
        signatures=tuple(
            (each.public_key.lower(), each.signature.lower()) for each in block.block_v1.signatures
        ),
        payload=signed,
    )


def _read_transaction(transaction: transaction_pb2.Transaction) -> BlockTransaction:
    reduced = transaction.payload.reduced_payload
    return BlockTransaction(
        tx_hash=hash_of(transaction.payload),
        creator=reduced.creator_account_id,
        created_time=reduced.created_time,
        commands=commands_of(transaction),
    )
