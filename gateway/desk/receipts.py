"""Who is told what by SMS when payments end and wallets open, in each one's language.

Composed inside the commit that makes it true, after its changes: a receipt shows the balance that
this commit leaves. Ids follow from the fact, so a fact is told once however often it is settled.
"""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from gateway.desk.books import (
    Books,
    DisputeRow,
    open_books_of_accounts,
    read_languages,
)
from gateway.desk.limits import Limits
from gateway.desk.listings import Banks
from gateway.desk.replacement import Changed
from gateway.desk.settlement import EndedPayment
from gateway.desk.times import from_ms
from gateway.desk.unclaimed import Terms
from gateway.messages import Kind, Outgoing
from menus.disputes import AskedBack
from menus.kinds import Currency, Money, Msisdn, masked_name
from menus.receipts import (
    AskedBackNotice,
    CameBack,
    GivenBack,
    HeldNotice,
    Invitation,
    NotGivenBack,
    Notice,
    NotSent,
    Opened,
    OpeningFailed,
    PinChangedNotice,
    PinKept,
    PinReset,
    Received,
    Sent,
    StillWaits,
    WentBack,
)
from menus.text.load import Texts


class Arrival(NamedTuple):
    """Money that a block brought into a wallet of ours."""

    tx_hash: str
    command_index: int
    account_id: str
    src_account: str
    currency: str
    amount: int
    ref: str
    at_ms: int


class Waiting(NamedTuple):
    """What waits in a wallet that nobody has claimed, and until when the first of it does."""

    id: str
    number: Msisdn
    amounts: tuple[Money, ...]
    until: datetime


class Fact(NamedTuple):
    """One thing to tell the owner of one account."""

    id: str
    account_id: str
    kind: Kind
    notice: Notice


class Receipts:
    """Composes the SMS of a settling commit."""

    def __init__(
        self,
        texts: Texts,
        limits: Limits,
        banks: Banks,
        service_code: str,
        terms: Terms = Terms(),  # noqa: B008 - frozen
    ) -> None:
        self.terms = terms
        self._texts = texts
        self.limits = limits
        self._banks = banks
        self._service_code = service_code
        self._opened = Opened(banks.own_name, service_code)
        self._pin_reset = PinReset(service_code)
        self._pin_kept = PinKept(service_code)

    def of_payments(
        self,
        connection: Connection,
        day: str,
        at_ms: int,
        *,
        sent: Sequence[EndedPayment] = (),
        not_sent: Sequence[EndedPayment] = (),
        arrived: Sequence[Arrival] = (),
        returned: Sequence[EndedPayment] = (),
        given_back: AbstractSet[str] = frozenset(),
    ) -> list[Outgoing]:
        """Receipts of both sides. `day` is today, for what may still be sent.

        `given_back` are hashes of arrivals that somebody had asked for.
        """
        ended = (*sent, *not_sent, *returned)
        accounts = {one for p in ended for one in (p.src_account, p.dest_account)}
        accounts.update(one for a in arrived for one in (a.account_id, a.src_account))
        if not accounts:
            return []
        books = open_books_of_accounts(connection, self.limits, day, sorted(accounts))
        facts = [self._sent(books, payment, at_ms) for payment in sent]
        facts += [self._not_sent(books, payment) for payment in not_sent]
        back = {payment.tx_hash for payment in returned}
        others = (arrival for arrival in arrived if arrival.tx_hash not in back)
        facts += [self._received(books, one, one.tx_hash in given_back) for one in others]
        facts += [fact for one in returned for fact in self._returned(books, one, at_ms)]
        return self._say(connection, facts, books)

    def of_openings(
        self,
        connection: Connection,
        opened: Sequence[tuple[str, str]],
        failed: Sequence[tuple[str, str]],
        keyless: Sequence[tuple[str, str]] = (),
    ) -> list[Outgoing]:
        """Notices for (account, number) of wallets that have opened, could not be, or are held."""
        if not opened and not failed and not keyless:
            return []
        told = (*opened, *failed, *keyless)
        languages = read_languages(connection, [number for _, number in told])
        notices: list[tuple[str, str, Notice]] = [
            *((f"{account}/opened", number, self._opened) for account, number in opened),
            *((f"{account}/not_opened", number, OpeningFailed()) for account, number in failed),
            *((f"{account}/keyless", number, HeldNotice()) for account, number in keyless),
        ]
        return [
            Outgoing(id_, Msisdn(number), "notice", notice.say(self._texts, languages.get(number)))
            for id_, number, notice in notices
        ]

    def of_replacements(
        self,
        connection: Connection,
        day: str,
        at_ms: int,
        *,
        done: Sequence[Changed],
        failed: Sequence[Changed],
    ) -> list[Outgoing]:
        """Notices to whose keys were replaced, or could not be."""
        accounts = {one.account_id for one in (*done, *failed)}
        if not accounts:
            return []
        books = open_books_of_accounts(connection, self.limits, day, sorted(accounts))
        facts = [self._replaced(one, at_ms) for one in done]
        facts += [
            Fact(f"{one.tx_hash}/not_replaced", one.account_id, "notice", self._pin_kept)
            for one in failed
        ]
        return self._say(connection, facts, books)

    def of_waiting(self, connection: Connection, waiting: Sequence[Waiting]) -> list[Outgoing]:
        """Invitations to numbers that have not been told of all that waits for them."""
        languages = read_languages(connection, [one.number.e164 for one in waiting])
        return [
            Outgoing(
                one.id,
                one.number,
                "invitation",
                StillWaits(one.amounts, one.until, self._service_code).say(
                    self._texts, languages.get(one.number.e164)
                ),
            )
            for one in waiting
        ]

    def of_dispute(
        self,
        connection: Connection,
        row: DisputeRow,
        asked: AskedBack,
        code: str,
        held_until: int | None,
    ) -> list[Outgoing]:
        """To the receiver: what is asked back, the code that agrees, and until when it is held."""
        notice = AskedBackNotice(
            row.ref,
            asked.amount,
            asked.payer,
            asked.name,
            code,
            self._service_code,
            from_ms(held_until) if held_until else None,
        )
        number = row.dest_msisdn
        text = notice.say(self._texts, read_languages(connection, [number]).get(number))
        return [Outgoing(f"{row.id}/asked_back", Msisdn(number), "notice", text)]

    def of_kept(
        self,
        connection: Connection,
        day: str,
        kept: Sequence[DisputeRow],
        why: type[NotGivenBack] = NotGivenBack,
    ) -> list[Outgoing]:
        """To each payer: the money does not come back, or has come otherwise."""
        if not kept:
            return []
        accounts = {at for row in kept for at in (row.src_account, row.dest_account)}
        books = open_books_of_accounts(connection, self.limits, day, sorted(accounts))
        facts = [self._kept(books, row, why) for row in kept]
        return self._say(connection, facts, books)

    def _kept(self, books: Books, row: DisputeRow, why: type[NotGivenBack]) -> Fact:
        amount, keeper = Money(Currency(row.currency), row.amount), Msisdn(row.dest_msisdn)
        notice = why(row.ref, amount, keeper, self._name(books, row.dest_account))
        return Fact(f"{row.id}/kept", row.src_account, "notice", notice)

    def _replaced(self, one: Changed, at_ms: int) -> Fact:
        notice: Notice = self._pin_reset
        if one.claimed:
            notice = self._opened
        elif one.has_pin:
            notice = PinChangedNotice(from_ms(at_ms))
        return Fact(f"{one.tx_hash}/replaced", one.account_id, "notice", notice)

    def _sent(self, books: Books, payment: EndedPayment, at_ms: int) -> Fact:
        currency = Currency(payment.currency)
        wallet = books.accounts.get(payment.src_account)
        tier = wallet.tier if wallet else ""
        counted = books.counter(payment.src_account, currency)
        payee = books.accounts.get(payment.dest_account)
        notice = Sent(
            payment.ref,
            Money(currency, payment.amount),
            self._banks.paid(payment),
            self._name(books, payment.dest_account),
            from_ms(at_ms),
            _balance(books, payment.src_account, currency),
            self.limits.left_today(tier, currency, counted),
            from_ms(self.terms.due_at(at_ms)) if payee and payee.claim else None,
        )
        return Fact(f"{payment.ref}/sent", payment.src_account, "receipt", notice)

    def _not_sent(self, books: Books, payment: EndedPayment) -> Fact:
        currency = Currency(payment.currency)
        notice = NotSent(
            payment.ref,
            Money(currency, payment.amount),
            self._name(books, payment.dest_account),
            _balance(books, payment.src_account, currency),
            self._banks.paid(payment),
        )
        return Fact(f"{payment.ref}/not_sent", payment.src_account, "receipt", notice)

    def _received(self, books: Books, arrival: Arrival, given_back: bool) -> Fact:  # noqa: FBT001 - one of two wordings
        currency = Currency(arrival.currency)
        sender = books.accounts.get(arrival.src_account)
        number = sender.msisdn if sender else books.strangers.get(arrival.src_account)
        amount, paid_by = Money(currency, arrival.amount), Msisdn(number) if number else None
        name = self._name(books, arrival.src_account)
        id_ = received_id(arrival.tx_hash, arrival.command_index)
        receiver = books.accounts.get(arrival.account_id)
        if receiver and receiver.claim:
            until = from_ms(self.terms.due_at(arrival.at_ms))
            invitation = Invitation(arrival.ref, amount, paid_by, name, until, self._service_code)
            return Fact(id_, arrival.account_id, "invitation", invitation)
        balance = _balance(books, arrival.account_id, currency)
        told = GivenBack if given_back else Received
        notice = told(arrival.ref, amount, paid_by, name, from_ms(arrival.at_ms), balance)
        return Fact(id_, arrival.account_id, "receipt", notice)

    def _returned(self, books: Books, payment: EndedPayment, at_ms: int) -> Iterator[Fact]:
        """Tell the sender whose money came back, and the number that has not claimed it.

        Always both: a return is told once, and the budget of invitations is for repeats.
        """
        ref, to = payment.ref, payment.dest_account
        amount = Money(Currency(payment.currency), payment.amount)
        sender = Msisdn(payment.dest_msisdn) if payment.dest_msisdn else None
        balance = _balance(books, to, amount.currency)
        back = CameBack(ref, amount, Msisdn(payment.src_msisdn), from_ms(at_ms), balance)
        yield Fact(f"{ref}/came_back", to, "receipt", back)
        went = WentBack(ref, amount, sender, self._name(books, to))
        yield Fact(f"{ref}/went_back", payment.src_account, "notice", went)

    def _name(self, books: Books, account_id: str) -> str:
        """Masked, of one of ours; of others the bank that keeps the account, if it is another."""
        wallet = books.accounts.get(account_id)
        return masked_name(wallet.name) if wallet else self._banks.elsewhere(account_id)

    def _say(self, connection: Connection, facts: Sequence[Fact], books: Books) -> list[Outgoing]:
        languages = read_languages(connection, list(books.wallets))
        return [
            Outgoing(
                fact.id,
                Msisdn(wallet.msisdn),
                fact.kind,
                fact.notice.say(self._texts, languages.get(wallet.msisdn)),
            )
            for fact in facts
            # A closed wallet has nobody to tell: its number may be another person's by now.
            if (wallet := books.accounts.get(fact.account_id)) is not None
        ]


def received_id(tx_hash: str, command_index: int) -> str:
    """The id of the SMS that tells of this arrival."""
    return f"{tx_hash}/{command_index}/received"


def _balance(books: Books, account_id: str, currency: Currency) -> Money:
    return Money(currency, books.held(account_id, currency).available)
