"""Looking without touching: what a turn must know, a balance, the last payment.

`facts` runs in every turn, so the questions of one tick of the loop are asked together.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select

from gateway import logs
from gateway.batch import Batcher, Overloaded
from gateway.clock import Clock
from gateway.desk.books import Books, open_books, read_languages
from gateway.desk.limits import Limits
from gateway.desk.times import from_ms, to_ms
from gateway.origin import Origin
from gateway.stores.sql import Sql, StoreUnavailable
from gateway.stores.tables import Receipt, Transfer, Wallet, table_of
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
from menus.limits import business_day, sendable

LOG = logs.get("reads")

_WALLET, _TRANSFER, _RECEIPT = table_of(Wallet), table_of(Transfer), table_of(Receipt)
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


class Reads:
    """Answers what asks for no PIN and changes nothing.

    `stale_since` is the follower's: since when the ledger has been silent, None while it is not.
    """

    def __init__(
        self, sql: Sql, limits: Limits, clock: Clock, stale_since: Callable[[], datetime | None]
    ) -> None:
        self._clock = clock
        self._stale_since = stale_since
        self._known: Batcher[str, Known] = Batcher(
            lambda numbers: sql.run(
                partial(known, limits, to_ms(clock.now()), business_day(clock.now())), numbers
            )
        )
        self._balances: Batcher[str, tuple[Money, ...]] = Batcher(
            lambda numbers: sql.run(partial(balances, limits, business_day(clock.now())), numbers)
        )
        self._last: Batcher[str, LastPayment | NoPayment] = Batcher(partial(sql.run, last_payments))

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
        self, _effect: ReadLastPayment, origin: Origin
    ) -> LastPaymentOutcome:
        """What became of the last payment of this number, out or in."""
        try:
            return await self._last(origin.msisdn.e164)
        except (StoreUnavailable, Overloaded) as error:
            LOG.warning("a last payment cannot be read", error=error)
            return Unavailable()


# ---- operations


def known(
    limits: Limits, now_ms: int, day: str, connection: Connection, numbers: Sequence[str]
) -> list[Known]:
    """Languages and wallets of these numbers."""
    languages = read_languages(connection, numbers)
    books = open_books(connection, limits, now_ms, day, numbers)
    wallets: dict[str, WalletFacts | None] = {
        number: _wallet_facts(books, number) for number in set(numbers)
    }
    return [Known(languages.get(number), wallets[number]) for number in numbers]


def _wallet_facts(books: Books, number: str) -> WalletFacts | None:
    wallet = books.wallets.get(number)
    if wallet is None:
        return None
    account = wallet.account_id
    return WalletFacts(
        state=wallet.state,
        role=wallet.role,
        dollars=wallet.dollars,
        sendable={
            currency: sendable(
                books.caps(wallet, currency),
                books.used(wallet, currency),
                books.held(account, currency).available,
            )
            for currency in Currency
        },
        recent=tuple(
            Recent(
                Msisdn(payment.dest_msisdn),
                Money(Currency(payment.currency), payment.amount),
                from_ms(payment.created_at),
                payment.state != "signed",
                payment.ref,
            )
            for payment in books.recent.get(account, ())
        ),
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
_ACCOUNT = select(_WALLET.c.account_id).where(
    _WALLET.c.msisdn == bindparam("number"), _WALLET.c.state != "closed"
)
_OTHER = select(_WALLET.c.name, _WALLET.c.msisdn).where(
    _WALLET.c.account_id == bindparam("account")
)


def last_payments(connection: Connection, numbers: Sequence[str]) -> list[LastPayment | NoPayment]:
    """The most recent payment of each, made or received."""
    return [_last_payment(connection, number) for number in numbers]


def _last_payment(connection: Connection, number: str) -> LastPayment | NoPayment:
    account = connection.execute(_ACCOUNT, {"number": number}).scalar()
    out = connection.execute(_OUT, {"account": account}).first()
    received = connection.execute(_IN, {"account": account}).first()
    if out is not None and (received is None or out.created_at >= received.at):
        return LastPayment(
            _STATES[out.state],
            out.ref,
            Money(Currency(out.currency), out.amount),
            _other(connection, out.dest_account),
            from_ms(out.created_at),
        )
    if received is None:
        return NoPayment()
    return LastPayment(
        PaymentState.RECEIVED,
        received.ref,
        Money(Currency(received.currency), received.amount),
        _other(connection, received.src_account),
        from_ms(received.at),
    )


def _other(connection: Connection, account_id: str) -> str:
    row = connection.execute(_OTHER, {"account": account_id}).first()
    return shown_other(masked_name(row.name), Msisdn(row.msisdn)) if row else ""
