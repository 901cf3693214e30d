"""From the first release: what had been delivered stays known, and messages under way go on."""

import pytest
from sqlalchemy import text

from gateway.stores.engines import open_engine
from gateway.stores.migrate import migrate


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"empty_{request.param}_url")
    migrate(url, to="0001")
    return url


def run(url, *statements):
    engine = open_engine(url)
    with engine.begin() as connection:
        results = [connection.execute(text(statement)) for statement in statements]
        rows = [tuple(row) for row in results[-1]] if results[-1].returns_rows else []
    engine.dispose()
    return rows


def test_reports_of_the_first_release_move_to_their_own_table(url):
    row = "('{0}', '+85512345601', 'receipt', '', 1, '{1}', {2}, 1, {3}, 1)"
    rows = [
        row.format("a", "delivered", "'ATXid_a'", 7),
        row.format("b", "sent", "'ATXid_b'", 8),
        row.format("c", "sending", "NULL", 9),
    ]
    columns = "id, msisdn, kind, text, priority, state, carrier_id, tries, next_try_at, queued_at"
    run(url, f"INSERT INTO message ({columns}) VALUES {', '.join(rows)}")  # noqa: S608 - our own
    migrate(url)
    messages = run(url, "SELECT id, state, unsure FROM message ORDER BY id")
    assert messages == [("a", "sent", 0), ("b", "sent", 0), ("c", "sending", 0)]
    reports = run(url, "SELECT carrier_id, delivery, failure, at FROM delivery_report")
    assert reports == [("ATXid_a", "delivered", None, 7)]


def test_what_was_heard_is_still_heard(url):
    run(url, "INSERT INTO heard (carrier, message_id, msisdn, at) VALUES ('at', 'm1', '+855', 5)")
    migrate(url)
    assert run(url, "SELECT carrier, message_id, at FROM heard") == [("at", "m1", 5)]
