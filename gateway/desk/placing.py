"""The two operations of a payment: what is known of it before its PIN, and its one commit.

`place` asks everything again under the senders' and receivers' locks, for nothing that `look` said
need still hold. What it stores it stores whole: a wallet that the payment makes, reservations and
their movements, rows, exact signed bytes; what it gives back answers the dispute that asked for it,
and frees what that held. Nothing is signed here and no key comes in.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from gateway import logs
from gateway.desk import dispute_reads, dispute_rows
from gateway.desk.books import Books, Payment, open_books, read_paid
from gateway.desk.checks import Refusal, Want, no_room, refused
from gateway.desk.journal import Journal
from gateway.desk.limits import Limits
from gateway.desk.listings import Banks
from gateway.desk.locks import lock_wallets
from gateway.desk.making import NumberTaken, as_row, store_made, wallets_before
from gateway.desk.reservations import GuardFailed, Order, reserve
from gateway.desk.signing import went_back
from gateway.desk.times import to_ms
from gateway.desk.unclaimed import NOT_TAKEN, Terms
from menus.effects import JustOpening, Unavailable, Unconfirmed
from menus.kinds import Currency, masked_name
from menus.limits import business_day

LOG = logs.get("placing")


@dataclass(frozen=True, slots=True)
class Seen:
    """What the rows say of a payment asked for: it is there already, or may (not) be made."""

    payment: Payment | None
    refusal: Refusal | None
    src_account: str
    name: str  # the payee's, masked; at another bank the bank's
    balance: int  # unreserved, in the payment's currency
    dest_account: str = ""  # empty: the payment must make it …
    earlier: int = 0  # … after so many wallets of its number


class RefTaken:
    """Another payment has this ref: sign again with another."""


Placed = Payment | Refusal | RefTaken | Unconfirmed


def look(
    limits: Limits,
    now: datetime,
    connection: Connection,
    wants: Sequence[Want],
    *,
    banks: Banks,
    terms: Terms = NOT_TAKEN,
) -> list[Seen]:
    """What is known of these payments."""
    books = _books_of(limits, to_ms(now), business_day(now), connection, wants)
    unclaimed = [want.dest_msisdn for want in wants if want.unclaimed]
    earlier = wallets_before(connection, unclaimed) if unclaimed else {}
    return [_seen(books, banks, want, terms, earlier) for want in wants]


def _seen(books: Books, banks: Banks, want: Want, terms: Terms, earlier: Mapping[str, int]) -> Seen:
    payment = _paid(books, want)
    sender = books.wallets.get(want.sender.e164)
    dest = payment.dest_account if payment else want.dest_account
    if not dest and want.dest_msisdn in books.wallets:
        dest = books.wallets[want.dest_msisdn].account_id  # an earlier sender had it made
    payee = books.accounts.get(dest)
    currency = Currency(payment.currency) if payment else want.amount.currency
    account = sender.account_id if sender else ""
    return Seen(
        payment,
        None if payment else refused(books, banks, want, terms),
        account,
        masked_name(payee.name) if payee else banks.elsewhere(dest),
        books.held(account, currency).available,
        dest,
        earlier.get(want.dest_msisdn, 0),
    )


def place(
    limits: Limits,
    banks: Banks,
    connection: Connection,
    orders: Sequence[Order],
    *,
    journal: Journal,
    terms: Terms = NOT_TAKEN,
    seen: int = 0,
) -> list[Placed]:
    """Store the orders that may be, all or one by one; at most one of each sender.

    None, when the database knows of fewer blocks than were `seen` settled in it.
    """
    if went_back(connection, seen):
        return [Unconfirmed() for _ in orders]
    storing = partial(_place, limits, banks, connection, journal=journal, terms=terms)
    if len({order.day for order in orders}) > 1:  # midnight: each counts on its own day
        return [_place_alone(connection, storing, order) for order in orders]
    try:
        with connection.begin_nested():
            return storing(orders)
    except (IntegrityError, GuardFailed, NumberTaken):
        return [_place_alone(connection, storing, order) for order in orders]


def _place_alone(
    connection: Connection,
    storing: Callable[[Sequence[Order]], list[Placed]],
    order: Order,
) -> Placed:
    try:
        with connection.begin_nested():
            return storing([order])[0]
    except IntegrityError:
        return RefTaken()  # the intent was looked for under the sender's lock, so it is the ref
    except NumberTaken as taken:
        return JustOpening(taken.number)
    except GuardFailed:
        LOG.error("a row changed under its lock", ref=order.ref)
        return Unavailable()


def _place(
    limits: Limits,
    banks: Banks,
    connection: Connection,
    orders: Sequence[Order],
    *,
    journal: Journal,
    terms: Terms,
) -> list[Placed]:
    lock_wallets(
        connection,
        [account for order in orders for account in (order.src_account, order.want.dest_account)],
    )
    now_ms = max(order.at_ms for order in orders)
    day = orders[0].day  # and that of all
    books = _books_of(limits, now_ms, day, connection, [order.want for order in orders])
    results: list[Placed] = []
    accepted: list[Order] = []
    for order in orders:
        answer = _paid(books, order.want) or _refused(books, banks, order, terms)
        if answer is None:
            answer = _payment(order)
            if order.opening:
                books.add(as_row(order.opening))
            books.reserve(order.src_account, order.want.dest_account, order.want.amount)
            accepted.append(order)
        results.append(answer)
    if accepted:
        store_made(connection, [order.opening for order in accepted if order.opening])
        _answer_disputes(journal, connection, books, accepted)
        reserve(journal, connection, books, accepted, wallets_per_day=terms.wallets_per_day)
    return results


def _answer_disputes(
    journal: Journal, connection: Connection, books: Books, orders: Sequence[Order]
) -> None:
    """What is given back is no longer held: in the commit that reserves it for its way."""
    for order in orders:
        dispute = books.disputes.get(order.want.intent)
        if dispute and not dispute_rows.close(
            journal, connection, dispute, "returned", order.at_ms
        ):
            raise GuardFailed("a dispute changed under its lock")


def _refused(books: Books, banks: Banks, order: Order, terms: Terms) -> Refusal | None:
    refusal = refused(books, banks, order.want, terms)
    if refusal is None:
        sender = books.wallets[order.want.sender.e164]
        if (sender.account_id, sender.key_version) != (order.src_account, order.key_version):
            return Unavailable()  # the number has changed hands, or its key, since it was opened
    return refusal or no_room(books, order.want)


def _books_of(
    limits: Limits, now_ms: int, day: str, connection: Connection, wants: Sequence[Want]
) -> Books:
    books = open_books(
        connection,
        limits,
        now_ms,
        day,
        [want.sender.e164 for want in wants],
        payees=[want.dest_msisdn for want in wants if want.dest_msisdn],
    )
    intents, turns = [want.intent for want in wants], [want.turn_key for want in wants]
    books.paid = read_paid(connection, intents, turns, now_ms)
    if returns := [want.intent for want in wants if want.returns]:
        books.disputes = dispute_reads.to_answer(connection, returns)
    return books


def _paid(books: Books, want: Want) -> Payment | None:
    """What this intent has paid already, or this turn with another."""
    return books.paid.get(want.intent) or books.paid.get(want.turn_key)


def _payment(order: Order) -> Payment:
    want = order.want
    return Payment(
        order.ref,
        want.intent,
        want.turn_key,
        order.signed.tx_hash,
        order.src_account,
        want.sender.e164,
        want.dest_account,
        want.dest_msisdn,
        want.beneficiary,
        want.amount.currency.value,
        want.amount.minor,
        "signed",
        order.at_ms,
    )
