"""What nobody has claimed in time goes back to whom it came from, each his own amount.

A return is an ordinary transfer with a ref of its own, signed by the wallet's key, which no PIN
guards yet. It uses no limit, and whoever gets his own money back has room for it: a wallet that is
then over its cap, or is no more, is flagged. Of a wallet all that is due goes back in ONE commit,
which begins only if nobody claims the wallet (`unclaimed`): a process that dies has begun all of it
or nothing, and two that try at once begin it once. What the ledger refuses waits on, may be claimed
meanwhile, and is tried again a day later. Receipts of both sides are the settling commit's.

Any number of processes may sweep; stopped by cancelling `run`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Final, NamedTuple

from sqlalchemy import Connection, bindparam, select

from gateway import logs
from gateway.clock import Clock, Entropy
from gateway.desk import listings
from gateway.desk.amounts import Assets
from gateway.desk.checks import Want
from gateway.desk.journal import Journal
from gateway.desk.limits import Limits
from gateway.desk.pins import named_key
from gateway.desk.reservations import Order
from gateway.desk.return_commits import Begun, GoingBack, place
from gateway.desk.signing import MaySign, at_once, command_of, fresh_ref
from gateway.desk.times import to_ms
from gateway.desk.unclaimed import Back
from gateway.meters import Meters
from gateway.stores.dialects import in_list, listed
from gateway.stores.sql import Sql, StoreUnavailable
from gateway.stores.tables import Receipt, Unclaimed, Wallet, table_of
from gateway.vault import DoesNotOpen, Sealed, Vault
from ledger_client.keys import SigningKey
from ledger_client.transaction import build
from menus.kinds import Currency, Money, Msisdn

LOG = logs.get("returns")
EVERY_S: Final = 60.0
WALLETS_MOST: Final = 50  # of one commit

_WALLET, _RECEIPT, _UNCLAIMED = table_of(Wallet), table_of(Receipt), table_of(Unclaimed)


class Due(NamedTuple):
    """One arrival whose time is over."""

    tx_hash: str
    command_index: int
    account_id: str
    src_account: str
    currency: str
    amount: int
    ref: str | None  # of a return that came to nothing


@dataclass(frozen=True, slots=True)
class Overdue:
    """A wallet nobody has claimed, and what of it is due."""

    account_id: str
    number: str
    public_key: str
    sealed: Sealed
    due: tuple[Due, ...]
    numbers: dict[str, str]  # of whom it came from, by account, as far as we know


class Returns:
    """Sweeps now and then, in the background. `poke` tells the outbox to look now."""

    def __init__(
        self,
        sql: Sql,
        vault: Vault,
        limits: Limits,
        *,
        journal: Journal,
        poke: Callable[[], None],
        clock: Clock,
        entropy: Entropy,
        meters: Meters,
        assets: Assets = Assets(),  # noqa: B008 - frozen
        may_sign: MaySign = at_once,
        settled: Callable[[], int] = lambda: 0,
    ) -> None:
        """`settled`: the height of the last block that this process has seen settled."""
        self._may_sign = may_sign
        self._settled = settled
        self._sql = sql
        self._vault = vault
        self._limits = limits
        self._journal = journal
        self._poke = poke
        self._clock = clock
        self._entropy = entropy
        self._meters = meters
        self._assets = assets

    async def run(self) -> None:
        """Sweep until cancelled: what is stored is sent by whoever comes next."""
        while True:
            try:
                if await self._may_sign(EVERY_S):
                    await self.sweep()
            except StoreUnavailable as error:
                LOG.warning("returns wait for the database", error=error)
            await self._clock.sleep(EVERY_S)

    async def sweep(self) -> None:
        """Begin every return that is due."""
        after = ""
        while True:
            asked = Asked(to_ms(self._clock.now()), after)
            (found,) = await self._sql.run(find, [asked], only_reads=True)
            if not found:
                return
            after = found[-1].account_id
            going = [one for one in map(self._sign, found) if one]
            place_now = partial(place, self._journal, self._limits, self._settled())
            for begun in await self._sql.run(place_now, going):
                self._tell(begun)

    def _sign(self, wallet: Overdue) -> GoingBack | None:
        try:
            seed = self._vault.open_without_pin(wallet.account_id, wallet.sealed)
        except DoesNotOpen as error:
            self._meters.faults.labels("returns").inc()
            LOG.error("a key without a PIN does not open", account=wallet.account_id, error=error)
            return None
        key, at_ms = named_key(seed, wallet.public_key), to_ms(self._clock.now())
        orders = tuple(self._order(wallet, due, key, at_ms) for due in wallet.due)
        backs = tuple(
            Back(due.tx_hash, due.command_index, order.ref)
            for due, order in zip(wallet.due, orders, strict=True)
        )
        return GoingBack(wallet.account_id, wallet.sealed.key_version, backs, orders, at_ms)

    def _order(self, wallet: Overdue, due: Due, key: SigningKey, at_ms: int) -> Order:
        if due.ref:
            self._meters.returns.labels("again").inc()
            LOG.warning("a return came to nothing and is tried again", ref=due.ref)
        ref = fresh_ref(self._entropy)
        number = wallet.numbers.get(due.src_account)
        want = Want(
            f"return/{ref}",
            "",
            Msisdn(wallet.number),
            Msisdn(number) if number else None,
            due.src_account,
            Money(Currency(due.currency), due.amount),
            again=True,
            channel="return",
        )
        command = command_of(want, due.account_id, ref, self._assets)
        signed = build(due.account_id, [command], at_ms, key=key)
        return Order(want, ref, due.account_id, wallet.sealed.key_version, signed, at_ms)

    def _tell(self, begun: Begun) -> None:
        if begun.short:
            self._meters.faults.labels("returns").inc()
            LOG.error("a wallet holds less than is due back from it", account=begun.short)
        if not begun.refs:
            return  # claimed, or begun by another process
        self._poke()
        self._meters.returns.labels("begun").inc(len(begun.refs))
        LOG.info("unclaimed money goes back", refs=begun.refs)
        for flag, refs in (("over cap", begun.over_cap), ("gone", begun.gone)):
            if refs:
                self._meters.returns.labels(flag).inc(len(refs))
                LOG.warning("a return needs looking at", why=flag, refs=refs)


# ---- operations


@dataclass(frozen=True, slots=True)
class Asked:
    """What is due at a moment, in wallets after this account."""

    now_ms: int
    after: str


_is_due = (_UNCLAIMED.c.state == "waiting", _UNCLAIMED.c.due_at <= bindparam("now"))
_OVERDUE = (
    select(
        *(_WALLET.c[name] for name in ("account_id", "msisdn", "public_key")),
        *(_WALLET.c[name] for name in ("key_version", "kek_version", "salt", "sealed_key")),
    )
    .where(
        _WALLET.c.claim == "waiting",
        _WALLET.c.state == "open",
        _WALLET.c.account_id > bindparam("after"),
        _WALLET.c.account_id.in_(select(_UNCLAIMED.c.account_id).where(*_is_due)),
    )
    .order_by(_WALLET.c.account_id)
    .limit(WALLETS_MOST)
)
_DUE = (
    select(
        *(_UNCLAIMED.c[name] for name in ("tx_hash", "command_index", "account_id")),
        *(_RECEIPT.c[name] for name in ("src_account", "currency", "amount")),
        _UNCLAIMED.c.ref,
        _WALLET.c.msisdn,
    )
    .join(
        _RECEIPT,
        (_RECEIPT.c.tx_hash == _UNCLAIMED.c.tx_hash)
        & (_RECEIPT.c.command_index == _UNCLAIMED.c.command_index),
    )
    .outerjoin(_WALLET, _WALLET.c.account_id == _RECEIPT.c.src_account)
    .where(*_is_due, _UNCLAIMED.c.account_id.in_(select(listed("accounts").c.value)))
    .order_by(_UNCLAIMED.c.account_id, _UNCLAIMED.c.due_at, _UNCLAIMED.c.tx_hash)
)


def find(connection: Connection, asked: Sequence[Asked]) -> list[list[Overdue]]:
    """Some wallets nobody has claimed in which something is due, in order of accounts."""
    return [_find(connection, one) for one in asked]


def _find(connection: Connection, asked: Asked) -> list[Overdue]:
    wallets = connection.execute(_OVERDUE, {"now": asked.now_ms, "after": asked.after}).all()
    if not wallets:
        return []
    accounts = in_list(wallet.account_id for wallet in wallets)
    rows = connection.execute(_DUE, {"now": asked.now_ms, "accounts": accounts}).all()
    numbers = {row.src_account: row.msisdn for row in rows if row.msisdn}
    elsewhere = listings.of_accounts(connection, {row.src_account for row in rows} - numbers.keys())
    numbers |= {account_id: number for number, account_id in elsewhere}
    due = {
        account_id: tuple(Due(*row[:-1]) for row in group)
        for account_id, group in groupby(rows, key=lambda row: row.account_id)
    }
    return [
        Overdue(account_id, number, public_key, Sealed(*sealed), due[account_id], numbers)
        for account_id, number, public_key, *sealed in wallets
        if account_id in due  # begun by another process between these two questions
    ]
