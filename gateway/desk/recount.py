"""The rows beside the ledger itself, as an operator asks: its blocks, and its own balances.

Every block since the chains began is read again: what it moved of our wallets must be in our
movements of that height and nothing else, and what it took from them must be a payment's row. Then
each wallet's balance and key are asked of the ledger. Reads only; a gateway may settle meanwhile.
"""

import asyncio
from collections import Counter as Sums
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Select, select

from gateway.clock import Clock
from gateway.desk.amounts import Assets, NotExact, from_decimal
from gateway.desk.audit import Drift, Step
from gateway.desk.blocks import Movement as Moved
from gateway.desk.blocks import movements_of
from gateway.stores.dialects import in_list, listed, one_moment
from gateway.stores.sql import Sql
from gateway.stores.tables import (
    ChainKey,
    Cursor,
    Holding,
    Movement,
    Transfer,
    Wallet,
    table_of,
)
from ledger_client.ledger import Block, Doubt, Ledger, LedgerUnreachable, Reached

SPAN: Final = 50  # blocks compared at once
WALLETS: Final = 32  # asked about at once
PATIENCE_S: Final = 30.0  # for the next block of those that must be there
TRIES: Final = 6
AGAIN_S: Final = 1.0

_MOVEMENT, _TRANSFER, _WALLET = table_of(Movement), table_of(Transfer), table_of(Wallet)
_HOLDING, _CURSOR, _KEY = table_of(Holding), table_of(Cursor), table_of(ChainKey)
_PAYMENTS = select(
    _TRANSFER.c.tx_hash,
    _TRANSFER.c.src_account,
    _TRANSFER.c.dest_account,
    _TRANSFER.c.currency,
    _TRANSFER.c.amount,
).where(_TRANSFER.c.tx_hash.in_(select(listed("hashes").c.value)), _TRANSFER.c.state == "committed")
_OURS = select(_WALLET.c.account_id).where(
    _WALLET.c.account_id.in_(select(listed("accounts").c.value))
)
Held = Mapping[tuple[str, str], int]
"""Settled balances by account and currency."""


class Reach(NamedTuple):
    """The blocks that were settled since the chains began: above `begin`, up to `height`."""

    begin: int
    height: int


@dataclass(frozen=True, slots=True)
class Span:
    """What some blocks in a row moved, of anybody's, each with its height."""

    first: int
    last: int
    moved: Sequence[tuple[int, Moved]]


def reach(connection: Connection, items: Sequence[None]) -> list[Reach]:
    """How far we have settled."""
    height = connection.execute(select(_CURSOR.c.height)).scalar() or 0
    begin = connection.execute(select(_KEY.c.height)).scalar()
    return [Reach(height if begin is None else begin, height) for _ in items]


async def blocks(sql: Sql, ledger: Ledger, assets: Assets) -> AsyncIterator[Step]:
    """Compare all settled blocks with our movements, a few at a time."""
    (known,) = await sql.run(reach, [None], only_reads=True)
    told = ledger.blocks(after=Reached(known.begin))
    first, moved, drifts = known.begin + 1, list[tuple[int, Moved]](), list[Drift]()
    for height in range(known.begin + 1, known.height + 1):
        block = await _next(told, height, drifts)
        movements, _ = movements_of(block, assets)
        moved += ((height, one) for one in movements)
        if height - first + 1 == SPAN or height == known.height:
            (found,) = await sql.run(compare, [Span(first, height, moved)], only_reads=True)
            yield Step("block", height - first + 1, [*drifts, *found])
            first, moved, drifts = height + 1, [], []


async def _next(told: AsyncIterator[Block | Doubt], height: int, drifts: list[Drift]) -> Block:
    try:
        async with asyncio.timeout(PATIENCE_S):
            while isinstance(block := await anext(told), Doubt):
                drifts.append(Drift("block", f"{block.height} of {block.peer}", block.why))
            return block
    except TimeoutError:
        raise LedgerUnreachable(
            f"no peer told block {height} within {PATIENCE_S:g} s: GATEWAY_LEDGER_PEERS"
        ) from None


def compare(connection: Connection, spans: Sequence[Span]) -> list[list[Drift]]:
    """What is otherwise in our rows than in these blocks."""
    one_moment(connection)
    return [_compare(connection, span) for span in spans]


def _compare(connection: Connection, span: Span) -> list[Drift]:
    accounts = {account for _, one in span.moved for account in (one.src, one.dest)}
    ours = set(connection.execute(_OURS, {"accounts": in_list(accounts)}).scalars())
    said: Sums[tuple[int, str, str, str]] = Sums()
    for height, one in span.moved:
        for account, sign in ((one.src, -1), (one.dest, 1)):
            if account in ours:
                said[height, one.tx_hash, account, one.currency.value] += sign * one.minor
    written: Sums[tuple[int, str, str, str]] = Sums()
    for *line, by in connection.execute(_written(span)):
        written[tuple(line)] += by
    drifts = [
        Drift("movement", f"{account} {currency} {tx_hash}", f"is not what block {height} moved")
        for height, tx_hash, account, currency in sorted(said.keys() | written.keys())
        if said[height, tx_hash, account, currency] != written[height, tx_hash, account, currency]
    ]
    taken = [one for _, one in span.moved if one.src in ours]
    hashes = in_list({one.tx_hash for one in taken})
    payments = {tuple(row) for row in connection.execute(_PAYMENTS, {"hashes": hashes})}
    drifts += [
        Drift("transfer", one.tx_hash, "took money, and no row says so")
        for one in taken
        if (one.tx_hash, one.src, one.dest, one.currency.value, one.minor) not in payments
    ]
    return drifts


def _written(span: Span) -> Select[Any]:
    return select(
        _MOVEMENT.c.height,
        _MOVEMENT.c.tx_hash,
        _MOVEMENT.c.account_id,
        _MOVEMENT.c.item,
        _MOVEMENT.c.by_a,
    ).where(
        _MOVEMENT.c.height.between(span.first, span.last),
        _MOVEMENT.c.period == "",
        _MOVEMENT.c.by_a != 0,
    )


# ---- the ledger's own balances and keys


async def is_settled(sql: Sql, ledger: Ledger, clock: Clock) -> bool:
    """Does somebody settle what the ledger has? Then balances can be compared."""
    for _ in range(TRIES):
        (known,) = await sql.run(reach, [None], only_reads=True)
        told = ledger.blocks(after=Reached(known.height))
        try:
            async with asyncio.timeout(AGAIN_S):
                await anext(told)
        except TimeoutError:
            return True  # there is nothing more
        await clock.sleep(AGAIN_S)
    return False


async def balances(sql: Sql, ledger: Ledger, assets: Assets, clock: Clock) -> AsyncIterator[Step]:
    """Ask the ledger what each wallet holds, some wallets at a time."""
    after = ""
    while True:
        (accounts,) = await sql.run(read_wallets, [after], only_reads=True)
        if not accounts:
            return
        yield Step("wallet", len(accounts), await _compared(sql, ledger, assets, clock, accounts))
        after = accounts[-1]


async def _compared(
    sql: Sql, ledger: Ledger, assets: Assets, clock: Clock, accounts: Sequence[str]
) -> list[Drift]:
    """What differs still after some tries: money may be on its way between the two answers."""
    waiting = list(accounts)
    wrong: list[tuple[str, str]] = []
    for tries in range(TRIES):
        if tries:
            await clock.sleep(AGAIN_S)
        (before,) = await sql.run(read_settled, [waiting], only_reads=True)
        told = await asyncio.gather(*map(partial(_told, ledger, assets), waiting))
        (held,) = await sql.run(read_settled, [waiting], only_reads=True)
        said = {key: minor for each in told for key, minor in each.items()}
        keys = sorted({*said, *held})
        wrong = [
            key for key in keys if not said.get(key, 0) == before.get(key, 0) == held.get(key, 0)
        ]
        waiting = sorted({account for account, _ in wrong})
        if not waiting:
            return []
    return [
        Drift("holding", f"{account} {currency}", "is not what the ledger's account holds")
        for account, currency in wrong
    ]


async def _told(ledger: Ledger, assets: Assets, account: str) -> dict[tuple[str, str], int]:
    """Of a currency of ours that cannot be read, less than nothing: it is never held."""
    told: dict[tuple[str, str], int] = {}
    for asset_id, amount in (await ledger.balances(account)).items():
        currency = assets.currency(asset_id)
        if currency is not None:
            try:
                told[account, currency.value] = from_decimal(amount, currency)
            except NotExact:
                told[account, currency.value] = -1
    return told


async def keys(sql: Sql, ledger: Ledger, clock: Clock) -> AsyncIterator[Step]:
    """Ask the ledger for each wallet's keys, some wallets at a time: ours must be the only one."""
    after = ""
    while True:
        (accounts,) = await sql.run(read_wallets, [after], only_reads=True)
        if not accounts:
            return
        yield Step("wallet", len(accounts), await _other_keys(sql, ledger, clock, accounts))
        after = accounts[-1]


async def _other_keys(
    sql: Sql, ledger: Ledger, clock: Clock, accounts: Sequence[str]
) -> list[Drift]:
    """What differs still after some tries: a key may be replaced between the two answers."""
    wrong = list(accounts)
    for tries in range(TRIES):
        if tries:
            await clock.sleep(AGAIN_S)
        told = dict(zip(wrong, await asyncio.gather(*map(ledger.signatories, wrong)), strict=True))
        (held,) = await sql.run(read_keys, [wrong], only_reads=True)
        wrong = [account for account in wrong if list(told[account] or ()) != [held[account]]]
        if not wrong:
            return []
    why = "has other keys on the ledger than ours: `ussd-gateway recover`"
    return [Drift("wallet", account, why) for account in wrong]


def read_keys(connection: Connection, asked: Sequence[Sequence[str]]) -> list[Mapping[str, str]]:
    """The public key that we hold of each of these accounts."""
    keys = select(_WALLET.c.account_id, _WALLET.c.public_key)
    return [
        {row.account_id: row.public_key for row in connection.execute(keys.where(of))}
        for of in (_WALLET.c.account_id.in_(accounts) for accounts in asked)
    ]


def read_wallets(connection: Connection, places: Sequence[str]) -> list[list[str]]:
    """Some accounts of wallets that are on the ledger, after this one."""
    there = _WALLET.c.state.in_(("open", "held"))
    return [
        list(
            connection.execute(
                select(_WALLET.c.account_id)
                .where(_WALLET.c.account_id > after, there)
                .order_by(_WALLET.c.account_id)
                .limit(WALLETS)
            ).scalars()
        )
        for after in places
    ]


def read_settled(connection: Connection, asked: Sequence[Sequence[str]]) -> list[Held]:
    """The settled balances of these accounts."""
    return [
        {
            (account, currency): settled
            for account, currency, settled in connection.execute(
                select(_HOLDING.c.account_id, _HOLDING.c.currency, _HOLDING.c.settled).where(
                    _HOLDING.c.account_id.in_(accounts)
                )
            )
        }
        for accounts in asked
    ]
