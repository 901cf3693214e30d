"""Mistakes with payments to the wrong person."""

import pytest
from making import mistake
from sqlalchemy import bindparam, select, update

from gateway.desk import dispute_rows, disputes, placing, receipts


@mistake("asking back takes any PIN", seed=61)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(disputes, "Opened", object)


@mistake("giving back answers no question", seed=43)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(placing, "_answer_disputes", lambda *_: None)


@mistake("who asked for money back hears no No", seed=39)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(receipts.Receipts, "of_kept", lambda *_: [])


@mistake("a hold that is over is not let go", seed=39)
def _(patch: pytest.MonkeyPatch) -> None:
    write = dispute_rows._write

    def only_more(journal, connection, row, by, at_ms):
        write(journal, connection, row, max(by, 0), at_ms)

    patch.setattr(dispute_rows, "_write", only_more)


@mistake("all of a payment is held, spent or not", seed=1936)
def _(patch: pytest.MonkeyPatch) -> None:
    paid, held = dispute_rows._TRANSFER, dispute_rows._HOLDING
    whole = select(paid.c.amount, paid.c.amount).where(*dispute_rows.MINE)
    more = {"outgoing": held.c.outgoing + dispute_rows._by, "movement": bindparam("b_movement")}
    mine = held.c.account_id == bindparam("b_account"), held.c.currency == bindparam("b_currency")
    patch.setattr(dispute_rows, "_UNSPENT", whole)
    patch.setattr(dispute_rows, "_HOLD", update(held).where(*mine).values(more))
