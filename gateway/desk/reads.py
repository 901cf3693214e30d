"""Looking without touching: what a turn must know, a balance, the last payment.

`facts` runs in every turn, so the questions of one tick of the loop are asked together.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    exists,
    func,
    or_,
    select,
)

from gateway import logs
from gateway.batch import Batcher, Overloaded
from gateway.clock import Clock
from gateway.desk import listings
from gateway.desk.books import (
    IS_ALIVE,
    RECENT_MS,
    Books,
    Payment,
    open_books,
    paid_lately,
    read_recent,
)
from gateway.desk.limits import Counted, Limits
from gateway.desk.listings import Banks
from gateway.desk.times import from_ms, to_ms
from gateway.origin import Origin
from gateway.stores.dialects import Prepared, in_list, listed
from gateway.stores.sql import Sql, StoreUnavailable
from gateway.stores.tables import (
    Counter,
    Holding,
    Receipt,
    Subscriber,
    Transfer,
    Wallet,
    table_of,
)
from menus.effects import (
    Balance,
    BalanceOutcome,
    LastPayment,
    LastPaymentOutcome,
    NoPayment,
    PaymentState,
    ReadBalance,
    ReadLastPayment,
    Unavailable,
)
from menus.facts import Recent, WalletFacts
from menus.kinds import Currency, Money, Msisdn, masked_name, shown_other
from menus.limits import Sendable, business_day, sendable

LOG = logs.get("reads")
FACTS_S: Final = 0.6  # who comes during a read that hangs waits for two
_CURRENCIES: Final = tuple(Currency)

_WALLET, _TRANSFER, _RECEIPT = table_of(Wallet), table_of(Transfer), table_of(Receipt)
_SUBSCRIBER, _HOLDING, _COUNTER = table_of(Subscriber), table_of(Holding), table_of(Counter)
_STATES = {
    "signed": PaymentState.IN_PROGRESS,
    "committed": PaymentState.PAID,
    "rejected": PaymentState.NOT_PAID,
    "cancelled": PaymentState.NOT_PAID,
    "expired": PaymentState.NOT_PAID,
}


class Known(NamedTuple):
    """What SQL knows of a number: its part of `Facts`."""

    language: str | None
    wallet: WalletFacts | None


class Asked(NamedTuple):
    """Whose payment; empty `ref`: the last."""

    number: str
    ref: str


class Reads:
    """Answers what asks for no PIN and changes nothing.

    `stale_since` is the follower's: since when the ledger has been silent, None while it is not.
    """

    def __init__(
        self,
        sql: Sql,
        limits: Limits,
        clock: Clock,
        stale_since: Callable[[], datetime | None],
        banks: Banks = Banks(),  # noqa: B008 - frozen
    ) -> None:
        self._clock = clock
        self._stale_since = stale_since
        self._known: Batcher[str, Known] = Batcher(
            lambda numbers: sql.run(
                partial(known, limits, to_ms(clock.now()), business_day(clock.now()), banks=banks),
                numbers,
                timeout_s=FACTS_S,
                only_reads=True,
            )
        )
        self._balances: Batcher[str, tuple[Money, ...]] = Batcher(
            lambda numbers: sql.run(partial(balances, limits, business_day(clock.now())), numbers)
        )
        self._last: Batcher[Asked, LastPayment | NoPayment] = Batcher(
            partial(sql.run, partial(last_payments, banks))
        )

    async def facts(self, msisdn: Msisdn) -> Known:
        """Raises `StoreUnavailable`: without it there is no turn."""
        return await self._known(msisdn.e164)

    async def read_balance(self, _effect: ReadBalance, origin: Origin) -> BalanceOutcome:
        """What the wallet of this number may spend."""
        try:
            amounts = await self._balances(origin.msisdn.e164)
        except (StoreUnavailable, Overloaded) as error:
            LOG.warning("a balance cannot be read", error=error)
            return Unavailable()
        return Balance(amounts, self._stale_since()) if amounts else Unavailable()

    async def read_last_payment(
        self, effect: ReadLastPayment, origin: Origin
    ) -> LastPaymentOutcome:
        """What became of the last payment of this number, or of a named one, out or in."""
        try:
            return await self._last(Asked(origin.msisdn.e164, effect.ref))
        except (StoreUnavailable, Overloaded) as error:
            LOG.warning("a last payment cannot be read", error=error)
            return Unavailable()


# ---- operations


def _known_statement() -> Select[Any]:
    """One row per number: language, wallet, and for each currency what is available and used.

    Every turn asks this, so it is one statement; the day and month of a counter are its two rows.
    What was paid lately is only said to be there or not: nearly always there is nothing.
    """
    number = listed("numbers")
    account = _WALLET.c.account_id
    columns: list[ColumnElement[Any]] = [number.c.value, _SUBSCRIBER.c.language, account]
    columns += (_WALLET.c[name] for name in ("tier", "state", "role", "dollars"))
    columns += (func.length(_WALLET.c.salt), _WALLET.c.claim)  # no salt without a PIN
    lately = or_(*(exists().where(paid) for paid in paid_lately(account)))
    columns.append(lately.label("lately"))
    tables = number.outerjoin(_SUBSCRIBER, _SUBSCRIBER.c.msisdn == number.c.value).outerjoin(
        _WALLET, and_(_WALLET.c.msisdn == number.c.value, IS_ALIVE)
    )
    for currency in Currency:
        held, day, month = _HOLDING.alias(), _COUNTER.alias(), _COUNTER.alias()
        bucket: BindParameter[str] = bindparam(f"bucket_{currency.value}")
        tables = tables.outerjoin(
            held, and_(held.c.account_id == account, held.c.currency == currency.value)
        )
        for counter, period in ((day, "day"), (month, "month")):
            tables = tables.outerjoin(
                counter,
                and_(
                    counter.c.account_id == account,
                    counter.c.bucket == bucket,
                    counter.c.period == bindparam(period),
                ),
            )
        figures = (held.c.settled - held.c.outgoing, day.c.amount, month.c.amount, day.c.count)
        columns += (func.coalesce(figure, 0) for figure in figures)
    return select(*columns).select_from(tables)


_KNOWN = Prepared(_known_statement())


def known(
    limits: Limits,
    now_ms: int,
    day: str,
    connection: Connection,
    numbers: Sequence[str],
    *,
    banks: Banks,
) -> list[Known]:
    """Languages and wallets of these numbers."""
    asked = {f"bucket_{one.value}": limits.bucket(one) for one in Currency}
    asked |= {"numbers": in_list(set(numbers)), "day": day, "month": day[:7]}
    rows = _KNOWN.rows(connection, asked | {"since": now_ms - RECENT_MS})
    senders = [row[2] for row in rows if row[9]]
    recent = read_recent(connection, senders, now_ms) if senders else {}
    found: dict[str, Known] = {}
    for row in rows:
        number, language, account, tier, state, role, dollars, pin, claim, _, *figures = row
        wallet = None
        if account:
            left, paid = _Left(limits, tier, figures), _recent(banks, recent.get(account))
            waits = bool(claim) and any(figures[::4])
            wallet = WalletFacts(state, role, bool(dollars), bool(pin), waits, left, paid)
        found[number] = Known(language, wallet)
    return [found[number] for number in numbers]


class _Left(Mapping[Currency, Sendable]):
    """What limits and balance leave, worked out when a page asks: most pages never do."""

    __slots__ = ("_figures", "_limits", "_tier")

    def __init__(self, limits: Limits, tier: str, figures: Sequence[int]) -> None:
        self._limits, self._tier, self._figures = limits, tier, figures

    def __getitem__(self, currency: Currency) -> Sendable:
        at = 4 * _CURRENCIES.index(currency)  # as `_known_statement` has them
        available, *counted = self._figures[at : at + 4]
        used = self._limits.used(self._tier, currency, Counted(*counted))
        return sendable(self._limits.caps(self._tier, currency), used, available)

    def __iter__(self) -> Iterator[Currency]:
        return iter(_CURRENCIES)

    def __len__(self) -> int:
        return len(_CURRENCIES)


def _recent(banks: Banks, payments: Sequence[Payment] | None) -> tuple[Recent, ...]:
    return tuple(
        Recent(
            banks.paid(payment),
            Money(Currency(payment.currency), payment.amount),
            from_ms(payment.created_at),
            payment.state != "signed",
            payment.ref,
        )
        for payment in payments or ()
    )


def balances(
    limits: Limits, day: str, connection: Connection, numbers: Sequence[str]
) -> list[tuple[Money, ...]]:
    """Unreserved amounts: riel always, dollars when switched on or there are some."""
    books = open_books(connection, limits, 0, day, [], payees=numbers)
    return [_balances(books, number) for number in numbers]


def _balances(books: Books, number: str) -> tuple[Money, ...]:
    wallet = books.wallets.get(number)
    if wallet is None:
        return ()
    amounts = {one: books.held(wallet.account_id, one).available for one in Currency}
    shown = [one for one in Currency if one is Currency.KHR or wallet.dollars or amounts[one]]
    return tuple(Money(one, amounts[one]) for one in shown)


_OUT = (
    select(
        _TRANSFER.c.state,
        _TRANSFER.c.ref,
        _TRANSFER.c.currency,
        _TRANSFER.c.amount,
        _TRANSFER.c.dest_account,
        _TRANSFER.c.dest_msisdn,
        _TRANSFER.c.beneficiary,
        _TRANSFER.c.created_at,
    )
    .where(_TRANSFER.c.src_account == bindparam("account"))
    .order_by(_TRANSFER.c.created_at.desc(), _TRANSFER.c.ref)
    .limit(1)
)
_IN = (
    select(
        _RECEIPT.c.ref,
        _RECEIPT.c.currency,
        _RECEIPT.c.amount,
        _RECEIPT.c.src_account,
        _RECEIPT.c.at,
    )
    .where(_RECEIPT.c.account_id == bindparam("account"))
    .order_by(_RECEIPT.c.at.desc(), _RECEIPT.c.ref)
    .limit(1)
)
_OUT_NAMED = _OUT.where(_TRANSFER.c.ref == bindparam("ref"))
_IN_NAMED = _IN.where(_RECEIPT.c.ref == bindparam("ref"))
_ACCOUNT = select(_WALLET.c.account_id).where(
    _WALLET.c.msisdn == bindparam("number"), _WALLET.c.state != "closed"
)
_OTHER = select(_WALLET.c.name, _WALLET.c.msisdn).where(
    _WALLET.c.account_id == bindparam("account")
)


def last_payments(
    banks: Banks, connection: Connection, items: Sequence[Asked]
) -> list[LastPayment | NoPayment]:
    """The most recent payment of each, made or received, or the one of theirs that is named."""
    return [_last_payment(banks, connection, asked) for asked in items]


def _last_payment(banks: Banks, connection: Connection, asked: Asked) -> LastPayment | NoPayment:
    account = connection.execute(_ACCOUNT, {"number": asked.number}).scalar()
    named = {"ref": asked.ref} if asked.ref else {}
    outgoing, incoming = (_OUT_NAMED, _IN_NAMED) if named else (_OUT, _IN)
    out = connection.execute(outgoing, {"account": account, **named}).first()
    received = connection.execute(incoming, {"account": account, **named}).first()
    if out is not None and (received is None or out.created_at >= received.at):
        return LastPayment(
            _STATES[out.state],
            out.ref,
            Money(Currency(out.currency), out.amount),
            shown_other("", banks.paid(out))
            if out.beneficiary
            else _other(banks, connection, out.dest_account),
            from_ms(out.created_at),
        )
    if received is None:
        return NoPayment()
    return LastPayment(
        PaymentState.RECEIVED,
        received.ref,
        Money(Currency(received.currency), received.amount),
        _other(banks, connection, received.src_account),
        from_ms(received.at),
    )


def _other(banks: Banks, connection: Connection, account_id: str) -> str:
    row = connection.execute(_OTHER, {"account": account_id}).first()
    if row:
        return shown_other(masked_name(row.name), Msisdn(row.msisdn))
    numbers = [Msisdn(number) for number, _ in listings.of_accounts(connection, [account_id])]
    return shown_other(banks.elsewhere(account_id), numbers[0] if numbers else None)
