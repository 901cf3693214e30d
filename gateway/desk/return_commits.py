"""The commit that begins what goes back (`returns`): of each wallet all that is due at once.

One in which money is missing gives back as much as it holds, the first due first: nobody waits for
what another cannot get. That there is such a wallet is told to whoever asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from gateway.desk.books import Books, open_books_of_accounts
from gateway.desk.journal import Journal
from gateway.desk.limits import Limits
from gateway.desk.locks import lock_wallets
from gateway.desk.reservations import GuardFailed, Order, reserve_returns
from gateway.desk.signing import went_back
from gateway.desk.unclaimed import Back, begin_return
from menus.kinds import Currency


@dataclass(frozen=True, slots=True)
class GoingBack:
    """A wallet's returns, signed and ready for their one commit."""

    account_id: str
    key_version: int
    backs: tuple[Back, ...]
    orders: tuple[Order, ...]
    at_ms: int

    def covered(self, books: Books) -> "GoingBack":
        """As many of them as the wallet holds money for, the first due first."""
        left = {each: books.held(self.account_id, each).available for each in Currency}
        kept = []
        for back, order in zip(self.backs, self.orders, strict=True):
            amount = order.want.amount
            if amount.minor <= left[amount.currency]:
                left[amount.currency] -= amount.minor
                kept.append((back, order))
        backs, orders = tuple(back for back, _ in kept), tuple(order for _, order in kept)
        return replace(self, backs=backs, orders=orders)


class Begun(NamedTuple):
    """Returns that are stored, and those of them that find no room, or nobody, at the other end.

    `short` is the wallet, if it holds less than is due back.
    """

    refs: tuple[str, ...] = ()
    over_cap: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    short: str = ""


class Overtaken(Exception):
    """The wallet is being claimed, or another process has begun what is due of it."""


def place(
    journal: Journal,
    limits: Limits,
    seen: int,
    connection: Connection,
    items: Sequence[GoingBack],
) -> list[Begun]:
    """Store what goes back of each wallet, or of one in which money is missing what is left.

    Nothing, when the database knows of fewer blocks than were `seen` settled in it.
    """
    if went_back(connection, seen):
        return [Begun() for _ in items]
    dests = {order.want.dest_account for item in items for order in item.orders}
    ours = lock_wallets(connection, {*dests, *(item.account_id for item in items)})
    begun = []
    for item in items:
        accounts = sorted({*dests, item.account_id})
        books = open_books_of_accounts(connection, limits, item.orders[0].day, accounts)
        try:
            begun.append(_place(journal, connection, books, ours, item))
        except (Overtaken, IntegrityError):
            begun.append(Begun())  # also when a ref is taken: the next sweep has others
        except GuardFailed:
            begun.append(Begun(short=item.account_id))
    return begun


def _place(
    journal: Journal, connection: Connection, books: Books, ours: set[str], item: GoingBack
) -> Begun:
    try:
        _store(journal, connection, ours, item)
    except GuardFailed:
        covered = item.covered(books)
        if not covered.orders:
            raise
        _store(journal, connection, ours, covered)
        return _begun(books, ours, covered)._replace(short=item.account_id)
    return _begun(books, ours, item)


def _store(journal: Journal, connection: Connection, ours: set[str], item: GoingBack) -> None:
    """Raises `Overtaken`, or `GuardFailed` where the wallet holds less; either changes nothing."""
    with connection.begin_nested():
        if not begin_return(connection, item.account_id, item.key_version, item.backs, item.at_ms):
            raise Overtaken
        reserve_returns(journal, connection, ours, item.orders)


def _begun(books: Books, ours: set[str], item: GoingBack) -> Begun:
    over_cap, gone = [], []
    for order in item.orders:
        to, amount = order.want.dest_account, order.want.amount
        payee, held = books.accounts.get(to), books.held(to, amount.currency)
        if payee is None and to in ours:
            gone.append(order.ref)
        elif payee:
            total = held.settled + held.incoming + amount.minor
            if total > books.caps(payee, amount.currency).held:
                over_cap.append(order.ref)
        books.reserve(order.src_account, to, amount)
    return Begun(tuple(order.ref for order in item.orders), tuple(over_cap), tuple(gone))
