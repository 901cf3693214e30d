"""Everybody locks wallets in one order, and hears which of them are ours."""

from custody_parts import ACCOUNT, DARA, make_wallet
from sqlalchemy.dialects import postgresql

from gateway.desk.locks import _LOCK, lock_wallets


async def test_the_wallets_that_are_ours_are_told_once(sql):
    await make_wallet(sql, DARA)

    def locks(connection, _items):
        return [lock_wallets(connection, ["other@bank", ACCOUNT, ACCOUNT])]

    assert await sql.run(locks, [None]) == [{ACCOUNT}]


def test_rows_are_locked_in_the_order_of_their_accounts():
    said = str(_LOCK.compile(dialect=postgresql.dialect()))
    assert " ".join(said.split()).endswith("ORDER BY wallet.account_id FOR UPDATE")
