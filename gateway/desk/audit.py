"""What is right: every row is what its movements say, and every chain of movements is whole.

Pure but for `rounds`, which reads page after page (`pages`): an account's movements are followed
from its first to its last, and what comes of them must be what its holdings, counters and payments
say at that moment. Rows that no movement leads to are found from their own side.

A row that cannot be told from one that was written is right here. What the ledger says of it is
`recount`'s to find out.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from gateway.desk import chain
from gateway.desk.chain import ARRIVAL, DISPUTE, PAYMENT, RESERVED, SENT, Line, Link
from gateway.desk.journal import Journal
from gateway.desk.pages import ROWS, SHELVES, Page, Place, Standing, read_links, read_shelf
from gateway.stores.sql import Sql
from menus.limits import business_day

ENDS: Final = ("committed", "rejected", "cancelled", "expired")
DISPUTED: Final = ("asked", "held", "returned", "refused", "ended")
IN_BLOCKS: Final = ("committed", "rejected")
BEGIN_S: Final = 600.0  # the first time on an old database, all its rows are brought in


class Drift(NamedTuple):
    """A row that is not what it should be: its table, its key, and how."""

    table: str
    row: str
    why: str


class Step(NamedTuple):
    """A page looked at."""

    table: str
    rows: int
    drifts: Sequence[Drift]


async def rounds(sql: Sql, journal: Journal, now: Callable[[], datetime]) -> AsyncIterator[Step]:
    """Look at every row once, page by page, the figures that people pay from first."""
    ((key, vouched),) = await sql.run(partial(_key, journal), [None], timeout_s=BEGIN_S)
    if not vouched:
        yield Step("chain_key", 1, [Drift("chain_key", "movements", "is missing or was changed")])
    for shelf in SHELVES:
        after: tuple[Any, ...] = ()
        while True:
            (rows,) = await sql.run(read_shelf, [Place(shelf, after)], only_reads=True)
            wrong = [" ".join(map(str, row.key)) for row in rows if row.wrong]
            why = "is not what its movements say"
            yield Step(shelf.name, len(rows), [Drift(shelf.name, each, why) for each in wrong])
            if len(rows) < ROWS:
                break
            after = rows[-1].key
    fold = Fold(key)
    while True:
        (page,) = await sql.run(read_links, [fold.place], only_reads=True)
        yield Step("movement", len(page.links), list(fold.take(page, now())))
        if len(page.links) < ROWS:
            break


def _key(
    journal: Journal, connection: Connection, items: Sequence[None]
) -> list[tuple[bytes, bool]]:
    """The key of all chains, and whether it lies where it should; changes nothing but the first."""
    return [(journal.key(connection), journal.vouches(connection)) for _ in items]


def oldest_period(now: datetime) -> str:
    """Counters of months before this one may have been deleted for their age."""
    first = datetime.fromisoformat(business_day(now)).replace(day=1)
    return (first - timedelta(days=1)).date().isoformat()[:7]


class Fold:
    """Follows chains, one account after the other, over any number of pages."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._account = ""
        self._begin("")

    @property
    def place(self) -> tuple[str, int]:
        """The last movement followed."""
        return (self._account, self._number)

    def take(self, page: Page, now: datetime) -> Iterator[Drift]:
        """What is wrong on this page, and with the accounts that end on it."""
        for link, made in page.links:
            if link.account_id != self._account:
                yield from self._end(page, now)
                self._begin(link.account_id)
            yield from self._follow(link, made)
            yield from self._rows(link, page)
        if len(page.links) < ROWS:
            yield from self._end(page, now)

    def _begin(self, account: str) -> None:
        self._account = account
        self._number = 0
        self._hash = b""
        self._lines: dict[Line, tuple[int, int, int, int]] = {}
        self._open: dict[str, str] = {}  # what was reserved and has not ended
        # How the last end of each payment is told, and the last change of each dispute.
        self._ended: dict[tuple[str, str], Drift | None] = {}

    def _follow(self, link: Link, made: bytes) -> Iterator[Drift]:
        """Is it the next link, and the one that was written?"""
        name = f"{link.account_id} {link.number}"
        if link.number != self._number + 1:
            missing = f"{link.account_id} {self._number + 1}"
            yield Drift("movement", missing, f"is missing, before {link.number}")
        elif link.hash(self._key, self._hash) != made:
            yield Drift("movement", name, "was changed")
        else:
            was = self._lines.get(link.line, (0, 0, 0, 0))
            if (was[0] + link.by_a, was[1] + link.by_b, was[2] + link.by_c) != link[7:10]:
                yield Drift("movement", name, "does not follow from the one before")
        self._number, self._hash = link.number, made
        self._lines[link.line] = (link.a, link.b, link.c, link.number)

    def _rows(self, link: Link, page: Page) -> Iterator[Drift]:
        """Is the row that came with it there, and the same?"""
        if link.bound and link.why == RESERVED:
            yield from self._payment(link, page.payments.get(link.tx_hash))
        elif link.bound and link.why in DISPUTED:
            dispute = page.disputes.get(link.tx_hash)
            self._ended["dispute", link.tx_hash] = self._dispute(link, dispute)
        elif link.bound:
            yield from self._arrival(link, page.arrivals.get((link.tx_hash, link.line), ()))
        payment = page.payments.get(link.tx_hash)
        if link.why in ENDS and payment is not None:
            of = (payment["src_account"], payment["currency"], "")
            if of == link.line:
                self._open.pop(link.tx_hash, None)
                self._ended["transfer", link.tx_hash] = _end(link, payment)

    def _payment(self, link: Link, payment: Mapping[str, Any] | None) -> Iterator[Drift]:
        if payment is None:
            yield Drift("transfer", link.tx_hash, "is missing")
            return
        signed = chain.picked(payment, [f"s_{name}" for name in SENT])
        bound = chain.bound(self._key, chain.picked(payment, PAYMENT), signed)
        if (bound, payment["movement"]) != (link.bound, link.number):
            yield Drift("transfer", payment["ref"], "is not the payment that was reserved")
        ended = chain.picked(payment, ("settled_at", "s_settled_at", "s_height", "s_state"))
        if payment["state"] == "signed" and ended != (None, None, None, "signed"):
            yield Drift("transfer", payment["ref"], "has half ended")
        self._open[link.tx_hash] = payment["ref"]

    def _arrival(self, link: Link, rows: Sequence[Mapping[str, Any]]) -> Iterator[Drift]:
        bound = chain.bound(self._key, *(chain.picked(row, ARRIVAL) for row in rows))
        if not rows:
            yield Drift("receipt", link.tx_hash, "is missing")
        elif bound != link.bound or any(row["movement"] != link.number for row in rows):
            yield Drift("receipt", link.tx_hash, "is not what has arrived")

    def _dispute(self, link: Link, dispute: Mapping[str, Any] | None) -> Drift | None:
        """Is it as this movement left it? Right if it is the last."""
        if dispute is None:
            return Drift("dispute", link.tx_hash, "is missing")
        bound = chain.bound(self._key, chain.picked(dispute, DISPUTE))
        if (bound, dispute["movement"]) == (link.bound, link.number):
            return None
        return Drift("dispute", dispute["id"], "is not what its movements say")

    def _end(self, page: Page, now: datetime) -> Iterator[Drift]:
        """Does the account hold what its movements come to?"""
        standing = page.standings.get(self._account, Standing())
        for line in sorted({*standing.lines, *self._lines}):
            said, figures = standing.lines.get(line), self._lines.get(line, (0, 0, 0, 0))
            table = "counter" if line[2] else "holding"
            name = " ".join(part for part in line if part)
            if said is None:
                if not line[2] or line[2][:7] >= oldest_period(now):
                    yield Drift(table, name, "is missing")
            elif said != figures:
                yield Drift(table, name, "is not what its movements say")
        if not standing.wallet and any(not line[2] for line in self._lines):
            yield Drift("wallet", self._account, "is missing, and has held money")
        yield from (drift for drift in self._ended.values() if drift is not None)
        for tx_hash in sorted(standing.open.keys() ^ self._open.keys()):
            ref = standing.open.get(tx_hash) or self._open[tx_hash]
            yield Drift("transfer", ref, "has ended, or not, without a movement")


def _end(link: Link, payment: Mapping[str, Any]) -> Drift | None:
    """Is a payment told as it ended?"""
    height = link.height if link.why in IN_BLOCKS else None
    names = ("state", "settled_at", "s_state", "s_settled_at", "s_height")
    told = chain.picked(payment, names)
    if told == (link.why, link.at, link.why, link.at, height):
        return None
    return Drift("transfer", payment["ref"], "is not told as it ended")
