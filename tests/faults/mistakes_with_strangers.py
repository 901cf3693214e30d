"""Mistakes with money for people without a wallet, and with the movements that all money leaves."""

import pytest
from making import mistake
from sqlalchemy import bindparam, select, update

from gateway.desk import changes, checks, making, placing, receipts, returns, unclaimed
from gateway.desk.openings import BASIC
from ledger_client.transaction import build


@mistake("a return that does not look whether somebody claims", seed=1056)
def _(patch: pytest.MonkeyPatch) -> None:
    table, due = returns._WALLET, returns._UNCLAIMED
    anybody = (
        select(*returns._OVERDUE.selected_columns)
        .where(
            table.c.claim != "",
            table.c.account_id > bindparam("after"),
            table.c.account_id.in_(select(due.c.account_id).where(*returns._is_due)),
        )
        .limit(returns.WALLETS_MOST)
    )
    begin = (
        update(table).where(table.c.account_id == bindparam("b_account")).values(claim="returning")
    )
    patch.setattr(returns, "_OVERDUE", anybody)
    patch.setattr(unclaimed, "_BEGIN_RETURN", begin)


@mistake("all of it goes back to who paid last", seed=1372)
def _(patch: pytest.MonkeyPatch) -> None:
    order = returns.Returns._order

    def to_last(self, wallet, due, key, at_ms):
        return order(self, wallet, due._replace(src_account=wallet.due[-1].src_account), key, at_ms)

    patch.setattr(returns.Returns, "_order", to_last)


@mistake("unclaimed money goes back before its time", seed=3)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(unclaimed.Terms, "due_at", lambda terms, at_ms: at_ms + terms.days * 80_000_000)


@mistake("what went back waits on", seed=3)
def _(patch: pytest.MonkeyPatch) -> None:
    again = update(unclaimed._UNCLAIMED).where(unclaimed._of_refs).values(state="waiting")
    patch.setattr(unclaimed, "_RETURNED", again)


@mistake("who gets money back is not told", seed=3)
def _(patch: pytest.MonkeyPatch) -> None:
    returned = receipts.Receipts._returned
    patch.setattr(receipts.Receipts, "_returned", lambda *asked: list(returned(*asked))[1:])


@mistake("a wallet without an owner may hold what one with an owner may", seed=3)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(making, "TIER", BASIC)
    patch.setattr(checks, "TIER", BASIC)


@mistake("a wallet and the first payment into it are not one batch", seed=3)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        making,
        "build_batch",
        lambda members: [
            build(creator, commands, at_ms, key=key) for creator, commands, at_ms, key in members
        ],
    )


@mistake("any number of wallets may be made", seed=223)
def _(patch: pytest.MonkeyPatch) -> None:
    reserve = placing.reserve
    patch.setattr(
        placing, "reserve", lambda *asked, **how: reserve(*asked, **{**how, "wallets_per_day": 99})
    )
    patch.setattr(checks.Books, "made", lambda *_: 0)


@mistake("a holding changes without a movement", seed=2)
def _(patch: pytest.MonkeyPatch) -> None:
    entry = changes.Entry

    def without_incoming(line, by, *rest):
        return entry(line, by if line[2] else (*by[:2], 0), *rest)

    patch.setattr(changes, "Entry", without_incoming)
