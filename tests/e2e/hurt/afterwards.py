"""What must be true once everything runs again, judged by histories alone.

Known here: what people agreed to and were told, the ledger's blocks, the SMS that came, and the
gateway's tables, read only. Each finding is a sentence.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from callers import Town
from evidence import no_drift_in
from payers import IN_PROGRESS, SENT, Payer

from ledger_client.ledger import Block, Reached, TransferAsset

STUCK_S = 60.0
LOOK_S = 0.1
TALES_MOST = 2  # of one receipt: a send that was cut off is repeated once
# Pages that say that nothing was paid. "Please dial again" and "Not confirmed" do not.
NOT_PAID = ("Not sent", "Nothing was done", "Nothing was paid")
Move = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Found:
    """What was looked at, and what was wrong with it."""

    agreed: int
    paid: int
    doubled_sms: int
    settled_s: float  # after everything ran again
    wrong: tuple[str, ...]


async def judged(town: Town, payers: Sequence[Payer], *, hurried: bool = False) -> Found:
    """Wait until all is settled and told, then compare. `hurried`: leases of the dead are over."""
    began = time.monotonic()
    if hurried:
        _end_leases(town)
    stuck = await _until(lambda: _under_way(town), began)
    moves = await _moved(town)
    numbers = {payer.person.account_id for payer in payers}
    ours = Counter(move for move in moves if move[0] in numbers)
    untold = await _until(lambda: _without_receipts(town, payers), began)
    settled_s = time.monotonic() - began
    wrong = [*(f"stuck: {one}" for one in stuck), *(f"no receipt: {one}" for one in untold)]
    wrong += _of_intents(payers, ours)
    wrong += _of_rows(town, numbers, ours)
    receipts = Counter(ref for payer in payers for ref in _receipts(town, payer))
    wrong += [f"receipt told {n} times: {ref}" for ref, n in receipts.items() if n > TALES_MOST]
    if not stuck:
        await town.agree(*(payer.person for payer in payers))
        no_drift_in(town.stack)
    agreed = sum(intent.agreed for payer in payers for intent in payer.intents)
    doubled = sum(count - 1 for count in receipts.values())
    return Found(agreed, ours.total(), doubled, settled_s, tuple(wrong))


async def _until(wrong: Any, began: float) -> list[str]:
    """What is still wrong when there is no more time."""
    while (found := wrong()) and time.monotonic() - began < STUCK_S:
        await asyncio.sleep(LOOK_S)
    return found


def _under_way(town: Town) -> list[str]:
    rows = town.stack.rows("SELECT tx_hash, purpose FROM submission WHERE state = 'signed'")
    return [f"{row['purpose']} {row['tx_hash'][:8]}" for row in rows]


def _end_leases(town: Town) -> None:
    """As if fifteen seconds had passed: who leased these messages is dead."""
    town.stack.change(
        "UPDATE message SET next_try_at = 0"
        " WHERE state IN ('sending', 'queued') AND unsure > 0 AND :account = ''",
        "",
    )


def _receipts(town: Town, payer: Payer) -> Iterator[tuple[str, str]]:
    """(number, reference) of every receipt that reached this phone."""
    refs = {row["ref"] for row in town.payments(payer.person)} | {
        row["ref"] for row in _received(town, payer)
    }
    for text in payer.phone.inbox:
        if IN_PROGRESS not in text:
            yield from ((payer.phone.number, ref) for ref in refs if ref in text)


def _received(town: Town, payer: Payer) -> list[dict[str, Any]]:
    return town.stack.rows(
        "SELECT ref FROM receipt WHERE account_id = :account", account=payer.person.account_id
    )


def _without_receipts(town: Town, payers: Sequence[Payer]) -> list[str]:
    """Committed payments whose two receipts have not both come; those given up are no surprise."""
    came = {told for payer in payers for told in _receipts(town, payer)}
    given_up = town.stack.rows("SELECT msisdn FROM message WHERE state = 'unknown'")
    doubtful = Counter(row["msisdn"] for row in given_up)
    numbers = {payer.phone.number for payer in payers}
    return [
        f"{row['ref']} to {number}"
        for row in town.stack.rows("SELECT * FROM transfer WHERE state = 'committed'")
        for number in (row["src_msisdn"], row["dest_msisdn"])
        if number in numbers and (number, row["ref"]) not in came and not doubtful[number]
    ]


def _of_intents(payers: Sequence[Payer], moved: Counter[Move]) -> Iterator[str]:
    """Each payment agreed to at most once, others never; nobody was told what is not so."""
    known = Counter[Move]()
    for intent in (intent for payer in payers for intent in payer.intents):
        count = moved[intent.move]
        known[intent.move] += 1
        if count > intent.agreed:
            yield f"paid {count} times, agreed: {intent.agreed}: {intent}"
        for page in intent.told:
            if SENT in page.split(".")[0] and not page.startswith("CON") and not count:
                yield f"told of a payment that never was: {intent}"
            if count and any(words in page for words in NOT_PAID):
                yield f"told that nothing was paid: {intent}"
    yield from (f"nobody agreed to {move}" for move in moved if not known[move])


def _of_rows(town: Town, numbers: set[str], moved: Counter[Move]) -> Iterator[str]:
    """Each ledger transfer is exactly one row, and each committed row one ledger transfer."""
    rows = town.stack.rows("SELECT * FROM transfer WHERE state = 'committed'")
    written = Counter(
        (row["src_account"], row["dest_account"], row["amount"])
        for row in rows
        if row["src_account"] in numbers
    )
    for move in (written - moved) + (moved - written):
        yield f"{written[move]} rows and {moved[move]} on the ledger: {move}"


async def _moved(town: Town) -> list[Move]:
    """Every transfer that the ledger's blocks hold, up to where the gateway has settled them."""
    (cursor,) = town.stack.rows("SELECT height FROM cursor WHERE id = 1")
    moves: list[Move] = []
    if not cursor["height"]:
        return moves
    async for block in town.ledger.blocks(after=Reached(0)):
        assert isinstance(block, Block), block
        for transaction in block.transactions:
            moves += [
                (command.src, command.dest, int(command.amount))
                for command in transaction.commands
                if isinstance(command, TransferAsset) and command.asset_id.startswith("khr#")
            ]
        if block.height >= cursor["height"]:
            return moves
    return moves
