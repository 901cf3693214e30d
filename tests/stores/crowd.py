"""One gateway process of a crowd: `python crowd.py URL CAP SPENDERS`.

Its spenders all spend from the same few wallets at once, through one batcher as a gateway's desk
does, and it prints how many payments went through.
"""

import asyncio
import itertools
import sys
from collections.abc import Sequence

from sqlalchemy import Connection, select, update

from gateway.batch import Batcher
from gateway.stores.runners import open_sql
from gateway.stores.tables import Counter, table_of

WALLETS = [f"8551234560{number}@bank" for number in range(4)]
COUNTER = table_of(Counter)


def spend(cap: int):
    """An operation: reserve 1 of each item's wallet, as long as the cap allows."""

    def operation(connection: Connection, wallets: Sequence[str]) -> Sequence[bool]:
        wanted = (
            select(COUNTER.c.account_id)
            .where(COUNTER.c.account_id.in_(sorted(set(wallets))))
            .order_by(COUNTER.c.account_id)
        )
        connection.execute(wanted.with_for_update())
        guarded = update(COUNTER).values(amount=COUNTER.c.amount + 1)
        spent = {}
        for index in sorted(range(len(wallets)), key=lambda index: wallets[index]):
            mine = guarded.where(
                COUNTER.c.account_id == wallets[index], COUNTER.c.amount + 1 <= cap
            )
            spent[index] = connection.execute(mine).rowcount == 1
        return [spent[index] for index in range(len(wallets))]

    return operation


async def main(url: str, cap: int, spenders: int) -> int:
    sql = open_sql(url, timeout_s=60)
    operation = spend(cap)
    # Two batchers, so that flushes of one process meet each other too.
    batchers = [
        Batcher[str, bool](lambda items: sql.run(operation, items), most=16) for _ in range(2)
    ]
    # Each spender meets the wallets in another order: unsorted, they would deadlock.
    orders = itertools.cycle(itertools.permutations(WALLETS))

    async def spender(number: int, order: Sequence[str]) -> int:
        return sum([await batchers[number % 2](wallet) for wallet in order])

    counts = await asyncio.gather(*(spender(n, next(orders)) for n in range(spenders)))
    await sql.close()
    return sum(counts)


if __name__ == "__main__":
    paid = asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
    sys.stdout.write(f"{paid}\n")
