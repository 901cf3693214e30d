"""The one order in which everybody locks wallets.

A wallet's row is the lock of its holdings, counters, submissions and transfers too: one lock per
wallet leaves no two orders to take them in.
"""

from collections.abc import Iterable

from sqlalchemy import Connection, select

from gateway.stores.dialects import in_list, listed
from gateway.stores.tables import Wallet, table_of

_WALLET = table_of(Wallet)
_LOCK = (
    select(_WALLET.c.account_id)
    .where(_WALLET.c.account_id.in_(select(listed("accounts").c.value)))
    .order_by(_WALLET.c.account_id)
    .with_for_update()
)


def lock_wallets(connection: Connection, accounts: Iterable[str]) -> set[str]:
    """Lock these wallets until the commit; which of them are ours."""
    rows = connection.execute(_LOCK, {"accounts": in_list(sorted(set(accounts)))})
    return {account for (account,) in rows}
