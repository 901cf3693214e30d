"""Opening wallets for their owners.

One atomic ledger batch (`openings`) stored in ONE commit with the wallet's row and its exact signed
bytes; only then does the outbox send it, and the follower opens it when a block holds it.

The salt of a kept PIN says what was done with it: a wallet whose row bears that salt was opened,
or had its PIN changed, by this very conversation. That makes both happen once, however often a
turn is repeated, and needs no table of its own. No PIN comes into this room.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from gateway import logs
from gateway.batch import Batcher, Overloaded
from gateway.clock import Clock, Entropy
from gateway.desk.directory import Directory, WalletSeen
from gateway.desk.keep import CHOSEN, Keeper, KeptPin
from gateway.desk.openings import Bank, Opening, Profile, store_openings
from gateway.desk.times import to_ms
from gateway.desk.waiters import Waiters
from gateway.origin import Origin
from gateway.stores.sql import Sql, StoreUnavailable
from gateway.vault import PinKey, Vault
from ledger_client.keys import SigningKey
from ledger_client.transaction import build_batch
from menus.effects import (
    KeptExpired,
    OpenWallet,
    OpenWalletOutcome,
    Unavailable,
    WalletExists,
    WalletOpened,
    WalletOpening,
)
from menus.kinds import Msisdn

LOG: Final = logs.get("wallets")


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
        account_id = self._bank.account_of(number, earlier)
        key = SigningKey.generate(self._entropy, self._bank.key_form)
        now_ms = to_ms(self._clock.now())
        signed = build_batch(self._bank.opening(account_id, key, now_ms, number=number))
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
