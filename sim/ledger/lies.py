"""Lies about blocks, for those who must not believe a peer: `peer.misbehave(Unlinked(…))`.

A liar changes blocks between its memory and the wire, both where it streams them and where it is
asked for one. It signs what it changed with `keys`: its own alone, as a single liar would; those
of all peers, to show what is caught when signatures are right; or none, leaving the signatures of
the block as it was.
"""

from collections.abc import Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from hashlib import sha3_256

from ledger_client.keys import SigningKey
from ledger_client.proto import qry_responses_pb2 as answers
from ledger_client.proto import queries_pb2
from ledger_client.proto.block_pb2 import Block
from ledger_client.proto.transaction_pb2 import Transaction
from sim.ledger.face import Commits, Face, Misbehaviour, told
from sim.ledger.misbehaviour import Shorter


@dataclass(frozen=True, slots=True, kw_only=True)
class _BlockLie(Misbehaviour):
    """Something else is told where a block of `height` should be; None: for every block."""

    height: int | None = None
    keys: Sequence[SigningKey] = ()

    def instead(self, block: Block) -> Block:
        raise NotImplementedError

    def _one(self, block: Block) -> Block:
        if self.height in (None, block.block_v1.payload.height):
            return self.instead(block)
        return block

    def _streamed(self, block: Block) -> Iterable[Block]:
        return [self._one(block)]

    async def find(self, face: Face, query: queries_pb2.Query) -> answers.QueryResponse | bytes:
        answer = await face.find(query)
        if isinstance(answer, bytes) or not answer.HasField("block_response"):
            return answer
        answer.block_response.block.CopyFrom(self._one(answer.block_response.block))
        return answer

    async def commits(self, face: Face, query: queries_pb2.BlocksQuery) -> Commits:
        async with aclosing(face.commits(query)) as commits:
            async for commit in commits:
                if commit.HasField("block_error_response"):
                    yield commit
                    continue
                for block in self._streamed(commit.block_response.block):
                    yield told(block)

    def _resigned(self, block: Block) -> Block:
        if self.keys:
            payload = block.block_v1.payload.SerializeToString()
            del block.block_v1.signatures[:]
            for key in self.keys:
                signature = key.sign(payload).hex()
                block.block_v1.signatures.add(public_key=key.public_key, signature=signature)
        return block


def _twin(block: Block) -> Block:
    twin = Block()
    twin.CopyFrom(block)
    return twin


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgedSignature(_BlockLie):
    """The block is true; the signatures under it are of something else."""

    def instead(self, block: Block) -> Block:
        twin = _twin(block)
        for it in twin.block_v1.signatures:
            digits = it.signature
            it.signature = digits[::-1] if digits != digits[::-1] else "0" * len(digits)
        return twin


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlinked(_BlockLie):
    """The block follows another one than it should."""

    def instead(self, block: Block) -> Block:
        twin = _twin(block)
        before = twin.block_v1.payload.prev_block_hash
        twin.block_v1.payload.prev_block_hash = sha3_256(before.encode()).hexdigest()
        return self._resigned(twin)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inserted(_BlockLie):
    """A transaction that nobody decided on stands in the block."""

    transaction: Transaction

    def instead(self, block: Block) -> Block:
        twin = _twin(block)
        twin.block_v1.payload.transactions.append(self.transaction)
        twin.block_v1.payload.tx_number += 1
        return self._resigned(twin)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forked(_BlockLie):
    """Two blocks of one height: the stream tells both, and who asks for it gets the other one."""

    def instead(self, block: Block) -> Block:
        twin = _twin(block)
        twin.block_v1.payload.created_time += 1
        return self._resigned(twin)

    def _streamed(self, block: Block) -> Iterable[Block]:
        told_instead = self._one(block)
        return [block] if told_instead is block else [block, told_instead]


@dataclass(frozen=True, slots=True)
class Rewound(Shorter):
    """An older chain: the blocks above `height` never were, and no new one comes."""

    height: int

    async def top(self, face: Face) -> int:
        return min(self.height, (await face.health()).last_block_height)

    async def commits(self, face: Face, query: queries_pb2.BlocksQuery) -> Commits:
        async with aclosing(face.commits(query)) as commits:
            async for commit in commits:
                if commit.HasField("block_error_response"):
                    yield commit
