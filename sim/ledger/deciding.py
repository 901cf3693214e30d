"""What becomes of waiting batches: tried in order on a layer above the world, nothing else.

No clock, no storage, no signing and no peers: the same batches on the same world always end the
same way.
"""

from dataclasses import dataclass, field

from google.protobuf.message import Message

from sim.ledger.commands import Act
from sim.ledger.pool import Batch, Tx
from sim.ledger.refusals import Profile, Refused, Why
from sim.ledger.world import World


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a transaction is rejected: what failed, which command, the backend's number."""

    text: str
    command_index: int = 0
    code: int = 0


@dataclass(slots=True)
class Draft:
    """A block in the making."""

    changes: World
    committed: list[Tx] = field(default_factory=list)
    rejected: list[tuple[Tx, Failure]] = field(default_factory=list)


def decide(batch: Batch, draft: Draft, profile: Profile) -> None:
    """An atomic batch happens whole or not at all; members of an ordered one stand alone."""
    alone = len(batch.txs) == 1
    together = draft.changes if alone else draft.changes.above()
    failures: dict[str, Failure] = {}
    for tx in batch.txs:
        layer = together.above()
        failure = _attempt(tx, layer, profile)
        if failure is None:
            together.absorb(layer)
            continue
        failures[tx.tx_hash] = failure
        if batch.atomic:
            break
    if failures and batch.atomic:
        failures = {it: failures.get(it, Failure("")) for it in batch.hashes}
    elif not alone:
        draft.changes.absorb(together)
    for tx in batch.txs:
        if tx.tx_hash in failures:
            draft.rejected.append((tx, failures[tx.tx_hash]))
        else:
            draft.committed.append(tx)


def _attempt(tx: Tx, layer: World, profile: Profile) -> Failure | None:
    why = _signed_wrongly(tx, layer)
    if why:
        return Failure("signatures validation", 0, why.code(profile))
    act = Act(layer, tx.creator, profile)
    for index, command in enumerate(tx.proto.payload.reduced_payload.commands):
        try:
            act.do(command)
        except Refused as refusal:
            body = getattr(command, str(command.WhichOneof("command")))
            return Failure(_named(body, profile), index, refusal.why.code(profile))
    return None


def _signed_wrongly(tx: Tx, layer: World) -> Why | None:
    """Every signature must be a signatory's, and there must be enough of them."""
    creator = layer.accounts[tx.creator]
    if creator is None:
        return Why.NO_CREATOR
    if tx.signers <= creator.signatories and len(tx.signers) >= creator.quorum:
        return None
    return Why.WRONG_SIGNER


def _named(command: Message, profile: Profile) -> str:
    """What failed: PostgreSQL's peers name the command, RocksDB's spell it out."""
    name = type(command).__name__
    if profile == "postgres":
        return name
    told = ", ".join(f"{field.name}={value}" for field, value in command.ListFields())
    return f"{name}: [{told}]"
