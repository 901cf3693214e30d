"""The short way to SQLite changes nothing but the time that it takes."""

import pytest
from beginnings import PEOPLE, database
from short_way import Found, ShortWay
from simulated_town import live
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from gateway.stores.tables import Wallet, table_of

WALLET = table_of(Wallet)
OPEN = select(WALLET.c.account_id, WALLET.c.dollars, WALLET.c.salt, WALLET.c.name == "").where(
    WALLET.c.state.in_(("open", "held"))
)
RENAME = update(WALLET).where(WALLET.c.state == "open").values(name="Chan Thida")


@pytest.fixture
def connection():
    database().begin_anew()
    with database().connect() as kept:
        yield kept


@pytest.mark.parametrize("seed", [3, 14, 159])
def test_a_world_is_the_same_when_all_of_it_goes_the_long_way(seed, monkeypatch):
    short = live(seed)
    monkeypatch.setattr(ShortWay, "execute", Connection.execute)
    assert live(seed) == short


def test_rows_are_the_same_from_the_second_time_on(connection):
    long, short = connection.execute(OPEN), connection.execute(OPEN)
    assert (type(long) is Found, type(short) is Found) == (False, True)
    rows = short.all()
    assert rows == long.all()
    assert [list(map(type, row)) for row in rows] == [[str, bool, bytes, bool]] * len(PEOPLE)


def test_what_was_changed_is_counted(connection):
    changed = [connection.execute(RENAME).rowcount for _ in range(2)]
    assert changed == [len(PEOPLE)] * 2


def test_what_sqlite_refuses_is_refused_as_sqlalchemy_would(connection):
    twice = insert(WALLET).from_select(["account_id"], select(WALLET.c.account_id))
    for _ in range(2):
        with pytest.raises(IntegrityError):
            connection.execute(twice)
