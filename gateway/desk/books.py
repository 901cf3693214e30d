"""What the rows of some numbers say at one moment: wallets, holdings, counters, recent payments.

Read with a few set-based statements, however many numbers are asked about: every turn needs it,
and the commit of a transfer needs it again under its locks. Read only: `reservations` and
`changes` write them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    exists,
    func,
    literal_column,
    not_,
    select,
    union_all,
)

from gateway.desk import listings
from gateway.desk.limits import Counted, Limits
from gateway.desk.listings import Listed
from gateway.stores.dialects import in_list, listed
from gateway.stores.tables import (
    Counter,
    Holding,
    Replacement,
    Subscriber,
    Transfer,
    Wallet,
    table_of,
)
from menus.kinds import Currency, Money
from menus.limits import Caps, Used

MADE = "made"  # the bucket that counts wallets a sender's payments have made
RECENT_MS = 10 * 60 * 1000  # within it an equal payment is asked about again
# Within it a turn that has paid is known again: as long as an SMS is (`housekeeping.HEARD`).
TURN_MS = 3 * 24 * 60 * 60 * 1000

_WALLET, _SUBSCRIBER = table_of(Wallet), table_of(Subscriber)
_HOLDING, _COUNTER, _TRANSFER = table_of(Holding), table_of(Counter), table_of(Transfer)
_REPLACEMENT = table_of(Replacement)


class WalletRow(NamedTuple):
    """A wallet that is not closed, without its key."""

    account_id: str
    msisdn: str
    name: str
    tier: str
    role: str
    dollars: bool
    state: Literal["opening", "open", "held"]
    key_version: int
    claim: str  # see `unclaimed`; empty: it has its owner
    signs: bool  # it has a PIN, and its key is not being replaced

    @property
    def receives(self) -> bool:
        return self.state in ("open", "held")


class Held(NamedTuple):
    """One holding: see the table for what each amount means."""

    settled: int = 0
    outgoing: int = 0
    incoming: int = 0

    @property
    def available(self) -> int:
        """Never below nothing, be there more reserved than a block has left."""
        return max(0, self.settled - self.outgoing)


class Payment(NamedTuple):
    """A transfer's row, as much of it as its owner may be told."""

    ref: str
    intent_id: str
    turn_key: str
    tx_hash: str
    src_account: str
    src_msisdn: str
    dest_account: str
    dest_msisdn: str
    beneficiary: str | None
    currency: str
    amount: int
    state: str
    created_at: int


class DisputeRow(NamedTuple):
    """A payment that is asked back: see the table."""

    id: str
    ref: str
    src_account: str
    dest_account: str
    dest_msisdn: str
    currency: str
    amount: int
    held: int
    state: str
    answer_by: int

    @property
    def is_open(self) -> bool:
        return self.state in ("asked", "held")


# In the statement's text and not as a parameter: SQLite must see it to use the index of living
# wallets, and when it is a parameter plans the statement anew at every execution.
IS_ALIVE = _WALLET.c.state != literal_column("'closed'")
IS_BEING_REPLACED = (
    exists()
    .where(
        _REPLACEMENT.c.account_id == _WALLET.c.account_id,
        _REPLACEMENT.c.state == literal_column("'pending'"),
    )
    .correlate(_WALLET)
)
_signs = and_(func.length(_WALLET.c.salt) > 0, not_(IS_BEING_REPLACED))
_own_columns = (_WALLET.c[name] for name in WalletRow._fields[:-1])
_wallets: Select[Any] = select(*_own_columns, _signs).where(IS_ALIVE)
_WALLETS = _wallets.where(_WALLET.c.msisdn.in_(select(listed("msisdns").c.value)))
_WALLETS_BY_ACCOUNT = _wallets.where(_WALLET.c.account_id.in_(select(listed("accounts").c.value)))
_LANGUAGES = select(_SUBSCRIBER.c.msisdn, _SUBSCRIBER.c.language).where(
    _SUBSCRIBER.c.msisdn.in_(select(listed("msisdns").c.value))
)
_HOLDINGS = select(
    _HOLDING.c.account_id,
    _HOLDING.c.currency,
    _HOLDING.c.settled,
    _HOLDING.c.outgoing,
    _HOLDING.c.incoming,
).where(_HOLDING.c.account_id.in_(select(listed("accounts").c.value)))
_COUNTERS = select(
    _COUNTER.c.account_id,
    _COUNTER.c.bucket,
    _COUNTER.c.period,
    _COUNTER.c.amount,
    _COUNTER.c.count,
).where(
    _COUNTER.c.account_id.in_(select(listed("accounts").c.value)),
    # An expression, or SQLite would read everybody's counters of these periods.
    (_COUNTER.c.period + "").in_((bindparam("day"), bindparam("month"))),
)
_payments = select(*(_TRANSFER.c[name] for name in Payment._fields))


def paid_lately(account: ColumnElement[str]) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """What `account` paid and has not settled, or since `since`.

    Two conditions, each with an index of its own, instead of an OR over a sender's whole history.
    """
    mine = account == _TRANSFER.c.src_account
    since = bindparam("since", type_=BigInteger)
    return (
        and_(mine, _TRANSFER.c.state == "signed"),
        and_(mine, _TRANSFER.c.state == "committed", _TRANSFER.c.created_at > since),
    )


_senders = listed("accounts")
_RECENT = union_all(
    *(_payments.select_from(_senders).where(lately) for lately in paid_lately(_senders.c.value))
)
_PAID = union_all(
    _payments.where(_TRANSFER.c.intent_id.in_(select(listed("intents").c.value))),
    _payments.where(
        _TRANSFER.c.turn_key != "",
        _TRANSFER.c.turn_key.in_(select(listed("turns").c.value)),
        _TRANSFER.c.created_at > bindparam("since", type_=BigInteger),
    ),
)


@dataclass(slots=True)
class Books:
    """What was read. `holdings` and `counted` follow along while a batch reserves from them."""

    limits: Limits
    day: str
    wallets: dict[str, WalletRow] = field(default_factory=dict)  # by number; none closed
    accounts: dict[str, WalletRow] = field(default_factory=dict)  # the same, by account
    holdings: dict[tuple[str, str], Held] = field(default_factory=dict)  # by account, currency
    counted: dict[tuple[str, str], Counted] = field(default_factory=dict)  # by account, bucket
    recent: dict[str, list[Payment]] = field(default_factory=dict)  # by sender, newest first
    paid: dict[str, Payment] = field(default_factory=dict)  # by intent, and by turn
    disputes: dict[str, DisputeRow] = field(default_factory=dict)  # by id, of payments given back
    elsewhere: set[Listed] = field(default_factory=set)  # payees' wallets at other banks
    strangers: dict[str, str] = field(default_factory=dict)  # number by other banks' account

    def held(self, account_id: str, currency: Currency) -> Held:
        return self.holdings.get((account_id, currency), _NOTHING)

    def used(self, wallet: WalletRow, currency: Currency) -> Used:
        """As `menus.limits` wants it."""
        return self.limits.used(wallet.tier, currency, self.counter(wallet.account_id, currency))

    def counter(self, account_id: str, currency: Currency) -> Counted:
        return self.counted.get((account_id, self.limits.bucket(currency)), _UNUSED)

    def made(self, account_id: str) -> int:
        """How many wallets this one's payments have made today."""
        return self.counted.get((account_id, MADE), _UNUSED).count

    def add(self, wallet: WalletRow) -> None:
        """Know a wallet, as read or as about to be written."""
        self.wallets[wallet.msisdn] = wallet
        self.accounts[wallet.account_id] = wallet

    def caps(self, wallet: WalletRow, currency: Currency) -> Caps:
        return self.limits.caps(wallet.tier, currency)

    def reserve(self, src_account: str, dest_account: str, amount: Money) -> None:
        """Follow a payment that will be written, so that the next of the batch sees it."""
        currency = amount.currency.value
        src = self.holdings.get((src_account, currency), _NOTHING)
        self.holdings[src_account, currency] = src._replace(outgoing=src.outgoing + amount.minor)
        dest = self.holdings.get((dest_account, currency), _NOTHING)
        self.holdings[dest_account, currency] = dest._replace(incoming=dest.incoming + amount.minor)
        bucket, counted = self.limits.bucket(amount.currency), self.limits.counted(amount)
        used = self.counted.get((src_account, bucket), _UNUSED)
        self.counted[src_account, bucket] = Counted(
            used.day + counted, used.month + counted, used.count + 1
        )


_NOTHING = Held()
_UNUSED = Counted()


def open_books(
    connection: Connection,
    limits: Limits,
    now_ms: int,
    day: str,
    senders: Sequence[str],
    *,
    payees: Sequence[str] = (),
) -> Books:
    """Read what is known of these numbers: all of a sender, a payee's wallet and holdings."""
    books = Books(limits, day)
    everyone = in_list({*senders, *payees})
    _add_wallets(books, connection.execute(_WALLETS, {"msisdns": everyone}))
    if payees:
        books.elsewhere.update(listings.of_numbers(connection, payees))
    if books.accounts:
        asking = [books.wallets[number].account_id for number in senders if number in books.wallets]
        _read_holdings(connection, books)
        _read_counters(connection, books, asking)
        books.recent = read_recent(connection, asking, now_ms)
    return books


def open_books_of_accounts(
    connection: Connection, limits: Limits, day: str, accounts: Sequence[str]
) -> Books:
    """Read wallets, holdings and counters by account: what receipts tell."""
    books = Books(limits, day)
    rows = connection.execute(_WALLETS_BY_ACCOUNT, {"accounts": in_list(accounts)})
    _add_wallets(books, rows)
    if strangers := set(accounts) - books.accounts.keys():
        found = listings.of_accounts(connection, strangers)
        books.strangers = {at: number for number, at in found}
    if books.accounts:
        _read_holdings(connection, books)
        _read_counters(connection, books, list(books.accounts))
    return books


def read_languages(connection: Connection, msisdns: Sequence[str]) -> dict[str, str | None]:
    """The language each number chose; None or absent when it never did."""
    rows = connection.execute(_LANGUAGES, {"msisdns": in_list(msisdns)})
    return {msisdn: language for msisdn, language in rows}  # noqa: C416 - rows are not pairs to mypy


def read_paid(
    connection: Connection, intents: Iterable[str], turns: Iterable[str], now_ms: int
) -> dict[str, Payment]:
    """What these intents have paid, and these turns of late, whatever their intent was.

    A session that is lost and repeated from its first callback on has new intents and the same
    turns. Not for ever: some carriers count their sessions from zero again.
    """
    asked = {"intents": in_list(intents), "turns": in_list(turns), "since": now_ms - TURN_MS}
    paid: dict[str, Payment] = {}
    for row in connection.execute(_PAID, asked):
        payment = Payment._make(row)
        paid[payment.intent_id] = paid[payment.turn_key] = payment
    return paid


def _add_wallets(books: Books, rows: Iterable[Row[Any]]) -> None:
    for row in rows:
        books.add(WalletRow._make(row))


def _read_holdings(connection: Connection, books: Books) -> None:
    rows = connection.execute(_HOLDINGS, {"accounts": in_list(books.accounts)})
    for account, currency, *amounts in rows:
        books.holdings[account, currency] = Held(*amounts)


def _read_counters(connection: Connection, books: Books, accounts: list[str]) -> None:
    month = books.day[:7]
    asked = {"accounts": in_list(accounts), "day": books.day, "month": month}
    rows = connection.execute(_COUNTERS, asked)
    for account, bucket, period, amount, count in rows:
        known = books.counted.get((account, bucket), _UNUSED)
        books.counted[account, bucket] = (
            Counted(known.day, amount, known.count)
            if period == month
            else Counted(amount, known.month, count)
        )


def read_recent(
    connection: Connection, accounts: Iterable[str], now_ms: int
) -> dict[str, list[Payment]]:
    """What each sender paid in the last ten minutes or has not settled, newest first."""
    asked = {"accounts": in_list(accounts), "since": now_ms - RECENT_MS}
    recent: dict[str, list[Payment]] = {}
    for row in connection.execute(_RECENT, asked):
        payment = Payment._make(row)
        recent.setdefault(payment.src_account, []).append(payment)
    for payments in recent.values():
        payments.sort(key=lambda payment: (payment.created_at, payment.ref), reverse=True)
    return recent
