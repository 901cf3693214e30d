"""One block into our rows: one SQL commit, once, whichever process comes first.

The commit advances the cursor `WHERE height = :h - 1`; with it it moves payments, reservations,
balances, wallets, listings and receipts, so a crash leaves a block settled whole or not at all.
What a block says is never argued with; money that left a wallet of ours by no payment that is
written here, or by another than is written, is told to whoever asked (`astray`).

Blocks also end what no block can hold any more: the ledger takes no transaction older than 24
hours, so one that a dozen blocks in a row, all made after that and ten minutes more, do not hold
has expired. Clocks play no part in it but those of the blocks. No network and no clock here; what
comes in was proved by the ledger client.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from sqlalchemy import BigInteger, Connection, bindparam, or_, select, update

from gateway.desk import listings, replacement, settlement
from gateway.desk.amounts import Assets, NotExact, from_decimal
from gateway.desk.endings import Endings
from gateway.desk.journal import Journal
from gateway.desk.rebuilding import rebuild
from gateway.desk.rebuilding_wallets import made_in, rebuild_wallets
from gateway.desk.receipts import Arrival, Receipts
from gateway.desk.settlement import Submitted
from gateway.desk.signing import described
from gateway.stores.dialects import insert_ignore
from gateway.stores.tables import Cursor, Submission, table_of
from ledger_client.ledger import (
    AddAssetQuantity,
    Block,
    BlockTransaction,
    Reached,
    SubtractAssetQuantity,
    TransferAsset,
)
from menus.kinds import Currency

EXPIRES_MS: Final = (24 * 60 + 10) * 60 * 1000  # the ledger's own window, and a margin
PROOF_BLOCKS: Final = 12
EXPIRED_MOST: Final = 500  # in one commit; the next block ends the others

_CURSOR, _SUBMISSION = table_of(Cursor), table_of(Submission)


class Place(Enum):
    """Where a block stands to the cursor."""

    NEXT = "next"
    SETTLED = "settled already"
    GAP = "blocks before it are missing"
    UNLINKED = "it does not link to the last one"


class Movement(NamedTuple):
    """Money that a committed command moved; `src` or `dest` is empty for made and burnt money."""

    tx_hash: str
    command_index: int
    src: str
    dest: str
    currency: Currency
    minor: int
    ref: str


@dataclass(frozen=True, slots=True)
class Settled:
    """What one commit did."""

    place: Place
    committed: int = 0
    rejected: int = 0
    expired: int = 0
    contradicted: int = 0  # committed by the ledger after we had given them up
    unreadable: int = 0  # amounts that could not be projected
    told: int = 0
    unasked: int = 0  # keys replaced by whom we did not send
    astray: tuple[str, ...] = ()  # transactions that took money otherwise than our rows say
    rebuilt: tuple[str, ...] = ()  # payments that had no row any more
    rekeyed: tuple[tuple[str, str], ...] = ()  # wallets whose keys changed not by us, and by what
    stranded: tuple[str, ...] = ()  # wallets on the ledger whose numbers have others by now
    keyless: tuple[str, ...] = ()  # wallets that had no row any more


class Followed(NamedTuple):
    """The last settled block, and when it and those before it were made (JSON, ms)."""

    height: int
    block_hash: str
    block_time: int
    times: str


_FOLLOWED = select(*(_CURSOR.c[name] for name in Followed._fields)).where(_CURSOR.c.id == 1)
_ADVANCE = (
    update(_CURSOR)
    .where(
        _CURSOR.c.id == 1,
        _CURSOR.c.height == bindparam("b_height", type_=BigInteger) - 1,
        or_(_CURSOR.c.block_hash == "", _CURSOR.c.block_hash == bindparam("b_prev_hash")),
    )
    .values(
        height=bindparam("b_height"),
        block_hash=bindparam("b_hash"),
        block_time=bindparam("b_time"),
        times=bindparam("b_times"),
    )
)


def start_cursor(connection: Connection, begin: Sequence[Reached]) -> list[Followed]:
    """How far blocks are settled; the first process ever begins where it is told to."""
    (first,) = begin
    row = {"id": 1, "height": first.height, "block_hash": first.block_hash, "block_time": 0}
    row["times"] = "[]"
    insert_ignore(connection, Cursor, [row])
    return [_cursor(connection)]


def _cursor(connection: Connection) -> Followed:
    return Followed(*connection.execute(_FOLLOWED).one())


@dataclass(frozen=True, slots=True)
class Settle:
    """One block, and what time it is here."""

    block: Block
    now_ms: int
    day: str  # today, in Phnom Penh
    restored: bool = False  # perhaps: wallets may have keys that we have not


def settle(
    receipts: Receipts,
    assets: Assets,
    own: str,
    connection: Connection,
    asked: Sequence[Settle],
    *,
    journal: Journal,
) -> list[Settled]:
    """Settle one block, unless another process has; `own` is our bank's domain."""
    (one,) = asked
    block = one.block
    before = _cursor(connection)
    times = [*json.loads(before.times), block.created_time][-PROOF_BLOCKS:]
    place = _advance(connection, block, times)
    if place is not Place.NEXT:
        return [Settled(place)]
    movements, unreadable = movements_of(block, assets)
    hashes = {transaction.tx_hash for transaction in block.transactions}
    rejected = set(block.rejected)
    touched = {
        account
        for moved in movements
        for account in (moved.src, moved.dest)
        if account.endswith(f"@{own}")  # of others there may be thousands
    }
    overdue = _overdue(connection, times) - hashes - rejected
    unasked = replacement.unasked(connection, sorted(hashes))
    touched.update(unasked.values())
    changes = replacement.key_changes(block, own)
    touched.update(account for account, _ in changes)
    made = made_in(block, own)
    touched.update(wallet.account_id for wallet in made)
    known, ours = settlement.lock_for_ending(connection, [*hashes, *rejected, *overdue], touched)
    seen = {row.tx_hash for row in known} | unasked.keys()
    keyless, homeless = rebuild_wallets(connection, made, block.created_time, known=seen)
    ours |= {wallet.account_id for wallet in keyless}
    rekeyed = sorted({each for each in changes if each[0] in ours and each[1] not in seen})
    if one.restored:
        replacement.meet_claims(connection, [account for account, _ in rekeyed], one.now_ms)
    lost = rebuild(journal, connection, receipts.limits, assets, ours, block=block, known=seen)
    known = [*known, *lost]
    endings = Endings(one.day, one.now_ms, block.created_time, block.height)
    endings.unasked = sorted(unasked)
    endings.keyless = [(wallet.account_id, wallet.msisdn) for wallet in keyless]
    _end_committed(connection, endings, known, hashes, block)
    endings.failed = settlement.end(
        connection,
        [row.tx_hash for row in known if row.tx_hash in rejected],
        "rejected",
        block.created_time,
        height=block.height,
    )
    expired = settlement.end(connection, sorted(overdue), "expired", block.created_time)
    rejections, endings.failed = len(endings.failed), [*endings.failed, *expired]
    _project(endings, movements, ours)
    listings.take(connection, block, own)
    told = endings.write(journal, connection, receipts)
    contradicted = sum(ended.before != "signed" for ended in endings.committed)
    return [
        Settled(
            place,
            len(endings.committed),
            rejections,
            len(expired),
            contradicted,
            unreadable,
            told,
            len(unasked),
            _astray(endings, movements, ours),
            tuple(row.tx_hash for row in lost),
            tuple(rekeyed),
            (*endings.stranded, *(wallet.account_id for wallet in homeless)),
            tuple(wallet.account_id for wallet in keyless),
        )
    ]


_OVERDUE = (
    select(_SUBMISSION.c.tx_hash)
    .where(_SUBMISSION.c.state == "signed", _SUBMISSION.c.created_time < bindparam("oldest"))
    .order_by(_SUBMISSION.c.created_time)
    .limit(EXPIRED_MOST)
)


def _overdue(connection: Connection, times: Sequence[int]) -> set[str]:
    """What none of a dozen blocks holds that were all made after its time was over."""
    if len(times) < PROOF_BLOCKS:
        return set()
    return set(connection.execute(_OVERDUE, {"oldest": min(times) - EXPIRES_MS}).scalars())


def overdue_now(connection: Connection, moments: Sequence[int]) -> list[bool]:
    """Is there something that a few more blocks would end, by our own clock?"""
    (now_ms,) = moments
    asked = {"oldest": now_ms - EXPIRES_MS}
    return [connection.execute(_OVERDUE, asked).first() is not None]


def _advance(connection: Connection, block: Block, times: Sequence[int]) -> Place:
    row = {
        "b_height": block.height,
        "b_prev_hash": block.prev_hash,
        "b_hash": block.block_hash,
        "b_time": block.created_time,
        "b_times": json.dumps(times),
    }
    if connection.execute(_ADVANCE, row).rowcount:
        return Place.NEXT
    height = _cursor(connection).height
    if height >= block.height:
        return Place.SETTLED
    return Place.UNLINKED if height == block.height - 1 else Place.GAP


def _end_committed(
    connection: Connection,
    endings: Endings,
    known: Sequence[Submitted],
    hashes: set[str],
    block: Block,
) -> None:
    by_state: dict[str, list[str]] = {}
    for row in known:
        if row.tx_hash in hashes and row.state != "committed":
            by_state.setdefault(row.state, []).append(row.tx_hash)
    for before, of_state in by_state.items():
        endings.committed += settlement.end(
            connection,
            of_state,
            "committed",
            block.created_time,
            height=block.height,
            before=before,
        )


def _project(endings: Endings, movements: Sequence[Movement], ours: set[str]) -> None:
    """Move the settled balances of our wallets, and note what has reached them."""
    for one in movements:
        if one.src in ours:
            endings.movements.append((one.src, one.currency, -one.minor, one.tx_hash))
        if one.dest not in ours:
            continue
        endings.movements.append((one.dest, one.currency, one.minor, one.tx_hash))
        endings.arrivals.append(
            Arrival(
                one.tx_hash,
                one.command_index,
                one.dest,
                one.src,
                one.currency.value,
                one.minor,
                one.ref,
                endings.at_ms,
            )
        )


def _astray(endings: Endings, movements: Sequence[Movement], ours: set[str]) -> tuple[str, ...]:
    """Transactions that took money from our wallets, and are no payment of theirs as written."""
    written = {
        (p.tx_hash, p.src_account, p.dest_account, p.currency, p.amount)
        for p in (one.payment for one in endings.committed)
        if p is not None
    }
    taken = (one for one in movements if one.src in ours)
    return tuple(
        dict.fromkeys(
            one.tx_hash
            for one in taken
            if (one.tx_hash, one.src, one.dest, one.currency.value, one.minor) not in written
        )
    )


def movements_of(block: Block, assets: Assets) -> tuple[list[Movement], int]:
    """What the block's committed commands moved, and how many amounts could not be read."""
    movements: list[Movement] = []
    unreadable = 0
    for transaction in block.transactions:
        for index, src, dest, asset_id, amount, description in _moves(transaction):
            currency = assets.currency(asset_id)
            if currency is None:
                continue
            try:
                minor = from_decimal(amount, currency)
            except NotExact:
                unreadable += 1
                continue
            tx_hash, ref = transaction.tx_hash, _ref(transaction.tx_hash, description)
            movements.append(Movement(tx_hash, index, src, dest, currency, minor, ref))
    return movements, unreadable


def _ref(tx_hash: str, description: str) -> str:
    """What both sides call it, whichever bank has sent it, and nothing else that it says there."""
    found = described(description)
    return found[0] if found else tx_hash[:8].upper()


def _moves(transaction: BlockTransaction) -> Iterator[tuple[int, str, str, str, str, str]]:
    for index, command in enumerate(transaction.commands):
        match command:
            case TransferAsset(src, dest, asset_id, amount, description):
                yield index, src, dest, asset_id, amount, description
            case AddAssetQuantity(asset_id, amount):
                yield index, "", transaction.creator, asset_id, amount, ""
            case SubtractAssetQuantity(asset_id, amount):
                yield index, transaction.creator, "", asset_id, amount, ""
            case _:
                pass
