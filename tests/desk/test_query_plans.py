"""What a statement reads does not grow with the bank, nor with one customer's history.

SQLite keeps no statistics here: it takes the index that looks narrowest by its columns alone, and a
state looks as narrow as an account. So its plans are the same at every size, and are read here from
an empty database. PostgreSQL counts its rows and decides by them.
"""

import re
import sqlite3
from collections.abc import Iterator
from importlib import import_module
from pkgutil import walk_packages

import pytest
from sqlalchemy import CompoundSelect, Delete, Select, Update
from sqlalchemy.dialects import sqlite

import gateway
from gateway import inbox_rows, messages, sender
from gateway.desk import (
    books,
    chain,
    directory,
    disputable,
    dispute_reads,
    invitations,
    last_payment,
    outbox,
    reads,
    returns,
    settlement,
    unclaimed,
)
from gateway.stores.dialects import Prepared

Statement = Select | CompoundSelect | Update | Delete
KINDS = (Select, CompoundSelect, Update, Delete)

OF_SENDER = "transfer USING INDEX transfer_of_sender_in_state (src_account=? AND state=?"
EXPECTED = {
    "a turn": (reads._KNOWN, "wallet USING INDEX wallet_of_number (msisdn=?)"),
    "a turn's last payments": (reads._KNOWN, OF_SENDER),
    "a turn's disputes": (
        reads._KNOWN,
        "dispute USING INDEX dispute_open (dest_account=?)",
    ),
    "a payment's counters": (
        books._COUNTERS,
        "counter USING INDEX sqlite_autoindex_counter_1 (account_id=?)",
    ),
    "a payment's chain": (chain._COUNTED, "counter USING INDEX sqlite_autoindex_counter_1"),
    "a payment again": (books._RECENT, OF_SENDER),
    "a turn that paid": (books._PAID, "transfer USING INDEX transfer_of_turn (turn_key=?)"),
    "a payee known to the payer": (
        directory._PAID,
        "transfer USING INDEX transfer_of_sender_to (src_account=? AND dest_msisdn=?)",
    ),
    "the last payment made": (
        last_payment._OUT,
        "transfer USING INDEX transfer_of_sender (src_account=?)",
    ),
    "the last one received": (
        last_payment._IN,
        "receipt USING INDEX receipt_of_account (account_id=?)",
    ),
    "a receipt by its ref": (
        last_payment._IN_NAMED,
        "receipt USING INDEX receipt_named (account_id=? AND ref=?)",
    ),
    "the latest that may be asked back": (
        disputable._LATEST_DISPUTABLE,
        f"{OF_SENDER} AND created_at>?)",
    ),
    "what a payment answers": (
        dispute_reads._PAID_BACK,
        "dispute USING INDEX dispute_open (dest_account=?)",
    ),
    "what somebody is asked": (
        dispute_reads._AGAINST,
        "dispute USING INDEX sqlite_autoindex_dispute_1 (id=?)",
    ),
    "the oldest of it": (
        dispute_reads._AGAINST,
        "other USING INDEX dispute_open (dest_account=?)",
    ),
    "what is held": (dispute_reads._HELD, "dispute USING INDEX dispute_open (dest_account=?)"),
    "disputes that are over": (
        dispute_reads._DUE,
        "dispute USING INDEX dispute_due (due_at<?)",
    ),
    "a claim": (
        unclaimed._OWNED,
        "unclaimed USING INDEX ix_unclaimed_account_id (account_id=?)",
    ),
    "a claim's invitations": (
        messages._WITHDRAW,
        "message USING INDEX message_of_number (msisdn=?)",
    ),
    "a return that failed": (
        unclaimed._NOT_RETURNED,
        "unclaimed USING INDEX ix_unclaimed_ref (ref=?)",
    ),
    "wallets with something due": (
        returns._OVERDUE,
        "unclaimed USING INDEX unclaimed_due (due_at<?)",
    ),
    "who is still to be told": (
        invitations._UNTOLD,
        "unclaimed USING INDEX unclaimed_untold",
    ),
    "what waits for them": (
        invitations._WAITING,
        "unclaimed USING INDEX ix_unclaimed_account_id (account_id=?)",
    ),
    "an SMS heard before": (
        inbox_rows._KNOWN,
        "heard USING INDEX sqlite_autoindex_heard_1 (carrier=? AND message_id=?)",
    ),
    "what blocks hold": (
        settlement._END,
        "submission USING INDEX sqlite_autoindex_submission_1 (tx_hash=?)",
    ),
    "batches that are due": (
        outbox._SIZES,
        "submission USING INDEX ix_submission_batch (batch=?)",
    ),
    "SMS to send": (
        sender._DUE,
        "message USING INDEX message_due (state=? AND next_try_at<?)",
    ),
}

# Reads of a whole table, or of all that is in one state, that are meant.
MEANT = (
    r"SCAN (cursor|chain_key)\b",  # of one row
    r"SCAN CONSTANT ROW",
    r"SCAN \w+ VIRTUAL TABLE",  # a list that was given
    r"SCAN unclaimed USING INDEX unclaimed_untold",  # holds nothing else, and is left at 50
)
NOT_ASKED = {
    # Only as parts of others; or once, of a database from before there were movements
    *("desk.dispute_reads._ROWS", "desk.dispute_reads._SHOWN"),
    *(f"desk.journal.{name}" for name in ("_HELD", "_COUNTED", "_PAID", "_ARRIVED")),
    "desk.journal._ANY_MOVEMENT",  # one row of it
    "desk.blocks._OVERDUE",  # by its time among all that is on its way, which is for minutes
}


@pytest.fixture
def database(sqlite_url: str) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))
    yield connection
    connection.close()


def plan(database: sqlite3.Connection, statement: Statement | Prepared) -> list[str]:
    """How SQLite would go about it, table by table."""
    asked = statement._select if isinstance(statement, Prepared) else statement
    compiled = asked.compile(dialect=sqlite.dialect())
    given = {name: "[]" for name, bind in compiled.binds.items() if bind.required}
    made = compiled.construct_expanded_state(given)
    said = f"EXPLAIN QUERY PLAN {made.statement}"
    steps = (row[3] for row in database.execute(said, made.positional_parameters))
    return [step for step in steps if step.startswith(("SCAN", "SEARCH"))]


def statements() -> Iterator[tuple[str, Statement | Prepared]]:
    """Those that modules keep under names of constants."""
    for module in walk_packages(gateway.__path__, "gateway."):
        if "migrations" in module.name or module.name.endswith("__main__"):
            continue
        for name, value in vars(import_module(module.name)).items():
            if name.isupper() and isinstance(value, (*KINDS, Prepared)):
                yield f"{module.name.removeprefix('gateway.')}.{name}", value


@pytest.mark.parametrize(
    ("statement", "through"), EXPECTED.values(), ids=[name.replace(" ", "_") for name in EXPECTED]
)
def test_a_hot_statement_goes_through_its_own_index(
    database: sqlite3.Connection, statement: Statement | Prepared, through: str
):
    steps = plan(database, statement)
    assert any(through in step for step in steps), steps


def test_no_statement_reads_a_whole_table_or_all_that_is_in_one_state(
    database: sqlite3.Connection,
):
    found = dict(statements())
    assert len(found) > 100
    wide = re.compile(r"SCAN |SEARCH .*\((state|period)=\?\)")
    offending = {
        f"{name}: {step}"
        for name, statement in found.items()
        if name not in NOT_ASKED
        for step in plan(database, statement)
        if wide.match(step) and not any(re.match(meant, step) for meant in MEANT)
    }
    assert offending == set()
