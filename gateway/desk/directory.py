"""Numbers and the people behind them: the only place that maps a number to an account.

Wallets of ours are rows here; those that other banks keep are in `listings`. A number may have
several, and then whoever pays it is asked which is meant.

Looking other people up is what an enumerator wants, so every subscriber may do it a few dozen
times a day, whether or not there is a wallet at the other end; people already paid cost nothing.
Known and unknown numbers take the same statements, and names leave masked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, NamedTuple

from sqlalchemy import Connection, and_, bindparam, case, literal_column, or_, select, update

from gateway.batch import Batcher
from gateway.clock import Clock
from gateway.desk import listings
from gateway.desk.books import IS_ALIVE
from gateway.desk.listings import Banks
from gateway.origin import Origin
from gateway.stores.dialects import Prepared, in_list, insert_ignore, listed, upsert
from gateway.stores.sql import Sql
from gateway.stores.tables import Submission, Subscriber, Transfer, Wallet, table_of
from menus.effects import (
    FindPayee,
    FindPayeeOutcome,
    JustOpening,
    LanguageSet,
    NoOwnerYet,
    NoWallet,
    PayeeFound,
    PayeesFound,
    SetLanguage,
    SetLanguageOutcome,
    TooManyLookups,
)
from menus.kinds import Msisdn, masked_name
from menus.limits import business_day

LOOKUPS_PER_DAY: Final = 50
OPENING: Final = "opening"
_RECEIVING: Final = ("open", "held")

_WALLET, _SUBSCRIBER = table_of(Wallet), table_of(Subscriber)
_TRANSFER, _SUBMISSION = table_of(Transfer), table_of(Submission)


class WalletSeen(NamedTuple):
    """A wallet of a number, closed ones too. `tx_hash` is the transaction that created it."""

    account_id: str
    msisdn: str
    state: str
    salt: bytes
    tx_hash: str | None


_CREATED = and_(_SUBMISSION.c.account_id == _WALLET.c.account_id, _SUBMISSION.c.purpose == OPENING)
_WALLETS_OF = (
    select(*(_WALLET.c[name] for name in WalletSeen._fields[:-1]), _SUBMISSION.c.tx_hash)
    .outerjoin_from(_WALLET, _SUBMISSION, _CREATED)
    .where(_WALLET.c.msisdn.in_(select(listed("numbers").c.value)))
    .order_by(_WALLET.c.state != "closed", _WALLET.c.account_id)
)


@dataclass(frozen=True, slots=True)
class Lookup:
    """`asker` wants to know who `to` is, on business day `day`."""

    asker: str
    to: str
    day: str


class Directory:
    """Finds wallets by number; the handlers of `FindPayee` and `SetLanguage`."""

    def __init__(
        self,
        sql: Sql,
        clock: Clock,
        *,
        banks: Banks = Banks(),  # noqa: B008 - frozen
        lookups_per_day: int = LOOKUPS_PER_DAY,
        unclaimed: bool = False,  # may numbers without a wallet be paid?
    ) -> None:
        self._clock = clock
        self._seen: Batcher[str, Sequence[WalletSeen]] = Batcher(partial(sql.run, wallets_of))
        self._look_up: Batcher[Lookup, FindPayeeOutcome] = Batcher(
            partial(sql.run, partial(look_up, lookups_per_day, banks, unclaimed=unclaimed)),
            key=lambda item: item.asker,
        )
        self._speak: Batcher[tuple[str, str], None] = Batcher(
            partial(sql.run, speak), key=lambda item: item[0]
        )

    async def wallets(self, number: Msisdn) -> Sequence[WalletSeen]:
        """Every wallet this number has had with us, the one that is not closed last."""
        return await self._seen(number.e164)

    async def find_payee(self, effect: FindPayee, origin: Origin) -> FindPayeeOutcome:
        day = business_day(self._clock.now())
        return await self._look_up(Lookup(origin.msisdn.e164, effect.to.e164, day))

    async def set_language(self, effect: SetLanguage, origin: Origin) -> SetLanguageOutcome:
        await self.speaks(origin.msisdn, effect.language)
        return LanguageSet(effect.language)

    async def speaks(self, number: Msisdn, language: str) -> None:
        """Remember the language of a number."""
        await self._speak((number.e164, language))


def wallets_of(connection: Connection, numbers: Sequence[str]) -> Sequence[Sequence[WalletSeen]]:
    """The wallets of each number."""
    found = connection.execute(_WALLETS_OF, {"numbers": in_list(numbers)})
    seen: dict[str, list[WalletSeen]] = {number: [] for number in numbers}
    for row in found:
        wallet = WalletSeen._make(row)
        seen[wallet.msisdn].append(wallet)
    return [seen[number] for number in numbers]


# ---- looking up


# Locked in one order, so that two processes never wait for each other; SQLite has one writer.
_asker = _SUBSCRIBER.alias("asker")
_ASKERS = (
    select(_asker.c.msisdn)
    .where(_asker.c.msisdn.in_(select(listed("askers").c.value)))
    .order_by(_asker.c.msisdn)
    .with_for_update()
)
_COUNT = (
    update(_SUBSCRIBER)
    .where(
        _SUBSCRIBER.c.msisdn.in_(_ASKERS),
        or_(
            and_(_SUBSCRIBER.c.lookup_day != bindparam("today"), bindparam("most") > 0),
            _SUBSCRIBER.c.lookups < bindparam("most"),
        ),
    )
    .values(
        lookups=case(
            (_SUBSCRIBER.c.lookup_day == bindparam("today"), _SUBSCRIBER.c.lookups + 1), else_=1
        ),
        lookup_day=bindparam("today"),
    )
    .returning(_SUBSCRIBER.c.msisdn)
)
_PAYEES = Prepared(
    select(*(_WALLET.c[name] for name in ("msisdn", "account_id", "name", "state", "claim"))).where(
        _WALLET.c.msisdn.in_(select(listed("payees").c.value)), IS_ALIVE
    )
)
_PAID = Prepared(
    select(_WALLET.c.msisdn, _TRANSFER.c.dest_msisdn)
    .distinct()
    .join(_WALLET, _WALLET.c.account_id == _TRANSFER.c.src_account)
    .where(
        _WALLET.c.msisdn.in_(select(listed("askers").c.value)),
        IS_ALIVE,
        _TRANSFER.c.dest_msisdn.in_(select(listed("payees").c.value)),
        _TRANSFER.c.state == literal_column("'committed'"),  # spelt out, for the index of these
    )
)


def look_up(
    most: int,
    banks: Banks,
    connection: Connection,
    items: Sequence[Lookup],
    *,
    unclaimed: bool = False,
) -> Sequence[FindPayeeOutcome]:
    """Who each number is, as far as its asker may still know today."""
    askers, numbers = in_list(item.asker for item in items), in_list(item.to for item in items)
    found: dict[str, list[PayeeFound]] = {item.to: [] for item in items}
    opening = set[str]()
    for number, account_id, name, state, claim in _PAYEES.rows(connection, {"payees": numbers}):
        if state not in _RECEIVING:
            opening.add(number)
        elif not claim:
            found[number].append(PayeeFound(Msisdn(number), account_id, masked_name(name)))
    for number, account_id in listings.of_numbers(connection, found):
        elsewhere = banks.name(account_id)
        found[number].append(PayeeFound(Msisdn(number), account_id, "", elsewhere))
    paid = set(_PAID.rows(connection, {"askers": askers, "payees": numbers}))
    counted = _count(
        connection, most, [item for item in items if (item.asker, item.to) not in paid]
    )
    nobody = NoOwnerYet if unclaimed else NoWallet
    return [
        _payee(banks, found[item.to])
        or (JustOpening if item.to in opening else nobody)(Msisdn(item.to))
        if (item.asker, item.to) in paid or item.asker in counted
        else TooManyLookups()
        for item in items
    ]


def _payee(banks: Banks, found: Sequence[PayeeFound]) -> PayeeFound | PayeesFound | None:
    """The one wallet of a number, or all of them, each with the name of its bank."""
    if len(found) <= 1:
        return found[0] if found else None
    named = [replace(one, bank=one.bank or banks.own_name) for one in found]
    return PayeesFound(found[0].to, tuple(named))


def _count(connection: Connection, most: int, items: Sequence[Lookup]) -> set[str]:
    """Count one look-up more for each asker; those who had one left."""
    counted = set[str]()
    for day in {item.day for item in items}:  # one, but at midnight
        askers = {item.asker for item in items if item.day == day}
        asked = {"askers": in_list(askers), "today": day, "most": most}
        counted.update(connection.execute(_COUNT, asked).scalars())
        strangers = sorted(askers - counted)  # or people who have none left
        if insert_ignore(connection, Subscriber, map(_stranger, strangers)):
            asked["askers"] = in_list(strangers)
            counted.update(connection.execute(_COUNT, asked).scalars())
    return counted


def _stranger(number: str) -> dict[str, object]:
    return {"msisdn": number, "language": None, "lookup_day": "", "lookups": 0}


# ---- language


def speak(connection: Connection, items: Sequence[tuple[str, str]]) -> Sequence[None]:
    """Remember the language of numbers."""
    rows = [{**_stranger(number), "language": language} for number, language in sorted(items)]
    upsert(connection, Subscriber, rows, update=["language"])
    return [None] * len(items)
