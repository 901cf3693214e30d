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
from gateway.desk.books import (
    IS_ALIVE,
    IS_BEING_REPLACED,
    RECENT_MS,
    Books,
    Payment,
    open_books,
    paid_lately,
    read_recent,
)
from gateway.desk.disputable import NO_DISPUTES, DisputeTerms
from gateway.desk.dispute_reads import held as held_back
from gateway.desk.dispute_reads import is_open, oldest_against
from gateway.desk.last_payment import Asked, Last, last_payments
from gateway.desk.limits import Counted, Limits
from gateway.desk.listings import Banks
from gateway.desk.times import from_ms, to_ms
from gateway.origin import Origin
from gateway.stores.dialects import Prepared, in_list, listed
from gateway.stores.sql import Sql, StoreUnavailable
from gateway.stores.tables import (
    Counter,
    Dispute,
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
    LastPaymentOutcome,
    ReadBalance,
    ReadLastPayment,
    Unavailable,
)
from menus.facts import Recent, WalletFacts
from menus.kinds import Currency, Money, Msisdn
from menus.limits import Sendable, business_day, sendable

LOG = logs.get("reads")
FACTS_S: Final = 0.6  # who comes during a read that hangs waits for two
_CURRENCIES: Final = tuple(Currency)

_WALLET, _TRANSFER, _RECEIPT = table_of(Wallet), table_of(Transfer), table_of(Receipt)
_SUBSCRIBER, _HOLDING, _COUNTER = table_of(Subscriber), table_of(Holding), table_of(Counter)
_DISPUTE = table_of(Dispute)


class Known(NamedTuple):
    """What SQL knows of a number: its part of `Facts`."""

    language: str | None
    wallet: WalletFacts | None


class Spendable(NamedTuple):
    """What a wallet may spend; empty without a wallet. `held` is asked back, and beside it."""

    amounts: tuple[Money, ...] = ()
    held: tuple[Money, ...] = ()


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
        *,
        terms: DisputeTerms = NO_DISPUTES,
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
        self._balances: Batcher[str, Spendable] = Batcher(
            lambda numbers: sql.run(partial(balances, limits, business_day(clock.now())), numbers)
        )
        self._last: Batcher[Asked, Last] = Batcher(
            lambda items: sql.run(partial(last_payments, banks, terms, to_ms(clock.now())), items)
        )

    async def facts(self, msisdn: Msisdn) -> Known:
        """Raises `StoreUnavailable`: without it there is no turn."""
        return await self._known(msisdn.e164)

    async def read_balance(self, _effect: ReadBalance, origin: Origin) -> BalanceOutcome:
        """What the wallet of this number may spend."""
        try:
            amounts, held = await self._balances(origin.msisdn.e164)
        except (StoreUnavailable, Overloaded) as error:
            LOG.warning("a balance cannot be read", error=error)
            return Unavailable()
        return Balance(amounts, self._stale_since(), held) if amounts else Unavailable()

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
    columns.append(IS_BEING_REPLACED.label("renewing"))
    lately = or_(*(exists().where(paid) for paid in paid_lately(account)))
    columns.append(lately.label("lately"))
    columns.append(exists().where(_DISPUTE.c.dest_account == account, is_open(_DISPUTE.c.state)))
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
    senders = [row[2] for row in rows if row[10]]
    recent = read_recent(connection, senders, now_ms) if senders else {}
    receivers = [row[2] for row in rows if row[11]]
    asked_back = oldest_against(connection, receivers) if receivers else {}
    found: dict[str, Known] = {}
    for row in rows:
        number, language, account, tier, state, role, dollars, pin, claim, *rest = row
        renewing, _, _, *figures = rest
        wallet = None
        if account:
            left, paid = _Left(limits, tier, figures), _recent(banks, recent.get(account))
            waits, asks = bool(claim) and any(figures[::4]), asked_back.get(account)
            has = (bool(dollars), bool(pin), bool(renewing))
            wallet = WalletFacts(state, role, *has, waits, left, paid, asks)
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
) -> list[Spendable]:
    """Unreserved amounts: riel always, dollars when switched on or there are some."""
    books = open_books(connection, limits, 0, day, [], payees=numbers)
    held = held_back(connection, [wallet.account_id for wallet in books.wallets.values()])
    return [_balances(books, held, number) for number in numbers]


def _balances(books: Books, held: Mapping[tuple[str, str], int], number: str) -> Spendable:
    wallet = books.wallets.get(number)
    if wallet is None:
        return Spendable()
    amounts = {one: books.held(wallet.account_id, one).available for one in Currency}
    shown = [one for one in Currency if one is Currency.KHR or wallet.dollars or amounts[one]]
    asked = {one: held.get((wallet.account_id, one.value), 0) for one in Currency}
    return Spendable(
        tuple(Money(one, amounts[one]) for one in shown),
        tuple(Money(one, minor) for one, minor in asked.items() if minor),
    )
