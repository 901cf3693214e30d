"""People to start with, in development: opened as anybody is, paid by ordinary transfers.

Reads a TOML file of people and gives everyone with `holds` a wallet through the desk's own path,
then pays them from the bank's treasury. It may be cut off anywhere and run again: a wallet that
exists is left alone, and a payment is stored under the wallet's lock, once for each currency of
each wallet, before a byte of it leaves. Outbox and follower must be running beside it.
"""

import asyncio
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, insert, select

from gateway.clock import Clock, Entropy, fresh_id
from gateway.desk.amounts import Assets, from_decimal, to_decimal
from gateway.desk.directory import Directory, WalletSeen
from gateway.desk.endings import SEED
from gateway.desk.keep import KeptPin
from gateway.desk.locks import lock_wallets
from gateway.desk.openings import Profile
from gateway.desk.times import to_ms
from gateway.desk.waiters import Waiters
from gateway.desk.wallets import Wallets
from gateway.stores.sql import Sql
from gateway.stores.tables import Submission, table_of
from gateway.vault import Vault
from ledger_client.keys import SigningKey
from ledger_client.ledger import Signed, TransferAsset
from ledger_client.transaction import build
from menus.effects import WalletExists, WalletOpened, WalletOpening
from menus.kinds import Currency, Money, Msisdn, Pin

PATIENCE_S: Final = 30.0
AT_ONCE: Final = 16
TIER_OF_ROLE: Final = {"agent": "full", "merchant": "full"}
_SUBMISSION = table_of(Submission)


class SeedError(ValueError):
    """Refused, or not finished; the message says what to mend. Running it again is harmless."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody to open a wallet for."""

    msisdn: Msisdn
    pin: Pin
    profile: Profile
    holds: tuple[Money, ...]
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Treasury:
    """Whose money it is at first."""

    account_id: str
    key: SigningKey


@dataclass(frozen=True, slots=True)
class Payment:
    """Seed money, signed; happens once for its wallet and currency."""

    account_id: str
    currency: Currency
    signed: Signed = field(repr=False)
    now_ms: int

    @property
    def batch(self) -> str:
        return f"{SEED}/{self.account_id}/{self.currency}"


# ---- the file


def load_people(path: Path) -> list[Person]:
    """Everyone in the file who is to have a wallet; raises `SeedError` naming what is wrong."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SeedError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise SeedError(f"{path}: {error}") from None
    pin, people = document.get("pin"), document.get("people")
    if not isinstance(people, list) or not all(isinstance(entry, dict) for entry in people):
        raise SeedError(f"{path}: `[[people]]` is a list of tables")
    return [
        _person(f"{path}: person {number}", entry, pin)
        for number, entry in enumerate(people, start=1)
        if "holds" in entry
    ]


def _person(where: str, entry: Mapping[str, Any], pin: str | None) -> Person:
    try:
        number = Msisdn.read(entry["msisdn"])
        holds = {Currency(code): text for code, text in entry["holds"].items()}
        money = tuple(Money(code, from_decimal(text, code)) for code, text in holds.items())
        role = entry.get("role", "subscriber")
        chosen = entry.get("pin", pin)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SeedError(f"{where}: {error}") from None
    if not isinstance(number, Msisdn) or not isinstance(chosen, str):
        raise SeedError(f"{where}: `msisdn` is a mobile number and `pin` is text")
    profile = Profile(
        name=entry.get("name", ""),
        tier=entry.get("tier", TIER_OF_ROLE.get(role, "basic")),
        role=role,
        till=entry.get("till"),
        dollars=Currency.USD in holds,
    )
    return Person(number, Pin(chosen), profile, money, entry.get("language"))


# ---- doing it


class Seeder:
    """Gives people wallets and money."""

    def __init__(
        self,
        sql: Sql,
        wallets: Wallets,
        directory: Directory,
        *,
        vault: Vault,
        waiters: Waiters,
        poke: Callable[[], None],
        clock: Clock,
        entropy: Entropy,
        treasury: Treasury,
        assets: Assets | None = None,
    ) -> None:
        self._wallets = wallets
        self._directory = directory
        self._vault = vault
        self._waiters = waiters
        self._poke = poke
        self._clock = clock
        self._entropy = entropy
        self._treasury = treasury
        self._assets = assets or Assets()
        self._sql = sql
        self._places = asyncio.Semaphore(AT_ONCE)

    async def __call__(
        self, people: Sequence[Person], *, development: bool, patience_s: float = PATIENCE_S
    ) -> None:
        """Seed everyone; raises `SeedError` when somebody's wallet or money did not settle."""
        if not development:
            raise SeedError("seed is refused: GATEWAY_ENV is not development")
        deadline = self._clock.monotonic() + patience_s
        await asyncio.gather(*(self._seed(person, deadline) for person in people))

    async def _seed(self, person: Person, deadline: float) -> None:
        async with self._places:
            account_id = await self._wallet(person, deadline)
            for money in person.holds:
                if money.minor:
                    await self._pay(account_id, money, deadline)

    async def _wallet(self, person: Person, deadline: float) -> str:
        """The account of their wallet, once the ledger has it."""
        number = person.msisdn
        if not await self._alive(number):
            if person.language:
                await self._directory.speaks(number, person.language)
            kept = KeptPin(await self._vault.derive(person.pin), expired=False)
            outcome = await self._wallets.open(number, kept, person.profile, deadline)
            if not isinstance(outcome, WalletOpened | WalletOpening | WalletExists):
                raise SeedError(f"{number}: the wallet was refused; is the till taken?")
        wallet = await self._alive(number)
        if wallet is None:
            raise SeedError(f"{number}: the ledger refused the wallet")
        if wallet.state == "opening" and wallet.tx_hash is not None:
            await self._wait(wallet.tx_hash, f"the wallet of {number}", deadline)
        return wallet.account_id

    async def _alive(self, number: Msisdn) -> WalletSeen | None:
        seen = await self._directory.wallets(number)
        return seen[-1] if seen and seen[-1].state != "closed" else None

    async def _pay(self, account_id: str, money: Money, deadline: float) -> None:
        now_ms = to_ms(self._clock.now())
        command = TransferAsset(
            src=self._treasury.account_id,
            dest=account_id,
            asset_id=self._assets.id(money.currency),
            amount=to_decimal(money),
            description=fresh_id(self._entropy),
        )
        signed = build(self._treasury.account_id, [command], now_ms, key=self._treasury.key)
        payment = Payment(account_id, money.currency, signed, now_ms)
        (paid,) = await self._sql.run(store_payments, [payment])
        if paid.state == "signed":
            await self._wait(paid.tx_hash, f"{money.currency} for {account_id}", deadline)

    async def _wait(self, tx_hash: str, what: str, deadline: float) -> None:
        self._poke()
        patience_s = deadline - self._clock.monotonic()
        state = await self._waiters.settled(tx_hash, patience_s)
        if state != "committed":
            said = "is not settled yet" if state is None else f"was {state}"
            raise SeedError(f"{what} {said}; run `ussd-gateway seed` again")


class Paid(NamedTuple):
    """The one payment that stands for a wallet and currency."""

    tx_hash: str
    state: str


def store_payments(connection: Connection, items: Sequence[Payment]) -> Sequence[Paid]:
    """Store each payment, or find the one that was stored before and may still have been paid."""
    lock_wallets(connection, {item.account_id for item in items})
    return [_store_payment(connection, item) for item in items]


def _store_payment(connection: Connection, item: Payment) -> Paid:
    earlier = connection.execute(
        select(_SUBMISSION.c.tx_hash, _SUBMISSION.c.state).where(
            _SUBMISSION.c.batch == item.batch,
            _SUBMISSION.c.state.not_in(("rejected", "cancelled")),
        )
    ).first()
    if earlier is not None:
        return Paid(*earlier)
    row = {
        "tx_hash": item.signed.tx_hash,
        "purpose": SEED,
        "account_id": item.account_id,
        "batch": item.batch,
        "position": 0,
        "created_time": item.signed.created_time,
        "data": item.signed.data,
        "state": "signed",
        "next_send_at": item.now_ms,
        "sends": 0,
    }
    connection.execute(insert(_SUBMISSION), [row])
    return Paid(item.signed.tx_hash, "signed")
