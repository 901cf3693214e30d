"""Opening wallets.

One atomic ledger batch (the opener creates the account and publishes its number for other banks,
the new wallet grants the recoverer the right to replace its key) stored in ONE commit with the
wallet's row and its exact signed bytes; only then does the outbox send it, and the follower opens
it when a block holds it.

The salt of a kept PIN says what was done with it: a wallet whose row bears that salt was opened,
or had its PIN changed, by this very conversation. That makes both happen once, however often a
turn is repeated, and needs no table of its own. No PIN comes into this room.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, insert

from gateway import logs
from gateway.batch import Batcher, Overloaded
from gateway.clock import Clock, Entropy
from gateway.desk.directory import OPENING, Directory, WalletSeen
from gateway.desk.keep import CHOSEN, Keeper, KeptPin
from gateway.desk.listings import published
from gateway.desk.times import to_ms
from gateway.desk.waiters import Waiters
from gateway.origin import Origin
from gateway.stores.dialects import insert_ignore
from gateway.stores.sql import Sql, StoreUnavailable
from gateway.stores.tables import Holding, Submission, Wallet, table_of
from gateway.vault import PinKey, Sealed, Vault
from ledger_client.keys import KeyForm, SigningKey
from ledger_client.ledger import CreateAccount, GrantPermission, SetAccountDetail, Signed
from ledger_client.transaction import build, build_batch
from menus.effects import (
    KeptExpired,
    OpenWallet,
    OpenWalletOutcome,
    Unavailable,
    WalletExists,
    WalletOpened,
    WalletOpening,
)
from menus.kinds import Currency, Msisdn

LOG: Final = logs.get("wallets")
GRANTED: Final = ("can_add_my_signatory", "can_remove_my_signatory")
_PURPOSES: Final = (OPENING, "grant")
_SUBMISSION = table_of(Submission)


@dataclass(frozen=True, slots=True)
class Profile:
    """What the bank knows of a new wallet's owner; somebody who dials is known by number only."""

    name: str = ""
    tier: str = "basic"
    role: str = "subscriber"
    till: str | None = None
    dollars: bool = False


@dataclass(frozen=True, slots=True)
class Bank:
    """Whose wallets these are, and who opens them."""

    domain: str
    opener: SigningKey
    key_form: KeyForm = "raw"  # of new wallets' keys; the only one that a stock irohad takes

    @property
    def opener_id(self) -> str:
        return f"opener@{self.domain}"

    def no_op(self, now_ms: int) -> bytes:
        """A signed transaction that changes nothing of worth: it makes the ledger make a block."""
        command = SetAccountDetail(self.opener_id, "alive", str(now_ms))
        return build(self.opener_id, [command], now_ms, key=self.opener).data

    @property
    def recoverer_id(self) -> str:
        return f"recoverer@{self.domain}"


@dataclass(frozen=True, slots=True)
class Opening:
    """A wallet drawn up and signed for, ready for its one commit."""

    account_id: str
    number: str
    profile: Profile
    public_key: str
    sealed: Sealed = field(repr=False)
    signed: Sequence[Signed] = field(repr=False)
    now_ms: int


class Wallets:
    """The handler of `OpenWallet`. `poke` tells the outbox to look now."""

    def __init__(
        self,
        sql: Sql,
        bank: Bank,
        *,
        vault: Vault,
        keeper: Keeper,
        directory: Directory,
        waiters: Waiters,
        poke: Callable[[], None],
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._bank = bank
        self._vault = vault
        self._keeper = keeper
        self._directory = directory
        self._waiters = waiters
        self._poke = poke
        self._clock = clock
        self._entropy = entropy
        self._store: Batcher[Opening, bool] = Batcher(
            partial(sql.run, store_openings), key=lambda item: item.number
        )

    async def open_wallet(self, effect: OpenWallet, origin: Origin) -> OpenWalletOutcome:
        kept = self._keeper.kept(effect.token, CHOSEN, origin)
        if kept is None:
            return KeptExpired()
        return await self.open(origin.msisdn, kept, Profile(), origin.deadline)

    async def open(
        self, number: Msisdn, kept: KeptPin, profile: Profile, deadline: float
    ) -> OpenWalletOutcome:
        """Open a wallet under a kept PIN, or say how far the one opened with it has come."""
        seen = await self._directory.wallets(number)
        if by_salt(seen, kept.key) is None:
            if any(wallet.state != "closed" for wallet in seen):
                return WalletExists()
            if kept.expired:
                return KeptExpired()
            await self._store(self._draw_up(number, len(seen), kept.key, profile))
            try:
                # Stored or not: another process may have been faster, with the same token or not.
                seen = await self._directory.wallets(number)
            except (StoreUnavailable, Overloaded) as error:
                LOG.warning("a wallet is stored and cannot be read", error=error)
                self._poke()
                return WalletOpening()
        wallet = by_salt(seen, kept.key)
        if wallet is None:
            lives = any(wallet.state != "closed" for wallet in seen)
            return WalletExists() if lives else Unavailable()
        return await self._settled(wallet, deadline)

    def _draw_up(self, number: Msisdn, earlier: int, under: PinKey, profile: Profile) -> Opening:
        """Make the key, seal it, and sign for the account and its grants."""
        bank = self._bank
        name = number.e164.removeprefix("+") + (f"_{earlier + 1}" if earlier else "")
        account_id = f"{name}@{bank.domain}"
        key = SigningKey.generate(self._entropy, bank.key_form)
        now_ms = to_ms(self._clock.now())
        create = CreateAccount(name, bank.domain, key.public_key)
        listing = published(bank.opener_id, number.e164, account_id)
        grants = [GrantPermission(bank.recoverer_id, permission) for permission in GRANTED]
        signed = build_batch(
            [
                (bank.opener_id, [create, listing], now_ms, bank.opener),
                (account_id, grants, now_ms, key),
            ]
        )
        sealed = self._vault.seal(account_id, 1, key.seed, under)
        return Opening(account_id, number.e164, profile, key.public_key, sealed, signed, now_ms)

    async def _settled(self, wallet: WalletSeen, deadline: float) -> OpenWalletOutcome:
        state: str | None = wallet.state
        if state == "opening" and wallet.tx_hash is not None:
            self._poke()  # also for one whose process died before it could
            patience_s = deadline - self._clock.monotonic()
            state = await self._waiters.settled(wallet.tx_hash, patience_s)
        match state:
            case "open" | "held" | "committed":
                return WalletOpened()
            case None:
                return WalletOpening()
            case _:
                LOG.warning("a wallet was not opened", account=wallet.account_id, state=state)
                return Unavailable()


def by_salt(seen: Sequence[WalletSeen], key: PinKey) -> WalletSeen | None:
    """The wallet that was opened with this kept PIN, or took it since."""
    return next((wallet for wallet in seen if wallet.salt == key.salt), None)


def store_openings(connection: Connection, items: Sequence[Opening]) -> Sequence[bool]:
    """Write each wallet with what is to be sent for it, unless its number has one by now."""
    stored = {}
    for item in sorted(items, key=lambda item: item.number):
        free = insert_ignore(connection, Wallet, [_wallet_row(item)]) == 1
        if free:
            holdings = [{"account_id": item.account_id, "currency": c.value} for c in Currency]
            insert_ignore(connection, Holding, [{**row, **_EMPTY} for row in holdings])
            connection.execute(insert(_SUBMISSION), _submission_rows(item))
        stored[item.number] = free
    return [stored[item.number] for item in items]


_EMPTY: Final = {"settled": 0, "outgoing": 0, "incoming": 0}


def _wallet_row(item: Opening) -> dict[str, Any]:
    return {
        "account_id": item.account_id,
        "msisdn": item.number,
        "name": item.profile.name,
        "tier": item.profile.tier,
        "role": item.profile.role,
        "till": item.profile.till,
        "dollars": item.profile.dollars,
        "state": "opening",
        "public_key": item.public_key,
        "key_version": item.sealed.key_version,
        "kek_version": item.sealed.kek_version,
        "salt": item.sealed.salt,
        "sealed_key": item.sealed.blob,
        "wrong_pins": 0,
        "locked_until": 0,
        "opened_at": 0,
    }


def _submission_rows(item: Opening) -> list[dict[str, Any]]:
    return [
        {
            "tx_hash": signed.tx_hash,
            "purpose": purpose,
            "account_id": item.account_id,
            "batch": item.signed[0].tx_hash,
            "position": position,
            "created_time": signed.created_time,
            "data": signed.data,
            "state": "signed",
            "next_send_at": item.now_ms,
            "sends": 0,
        }
        for position, (purpose, signed) in enumerate(zip(_PURPOSES, item.signed, strict=True))
    ]
