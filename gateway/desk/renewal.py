"""A wallet's owner gets a new key: with a first PIN, or because the old one may be stolen.

Both choose a PIN that `keep` has kept, and end in one transaction that the old key signs; what
that key is opened with tells them apart. A wallet made by receiving gets its owner so, and in one
atomic batch with the key its number is published for other banks. The salt of the kept PIN says
what was done with it, as in `wallets`, so a repeated turn finds its own replacement, however far
that is. A PIN comes into this room only on its way to guard and keeper.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple

from sqlalchemy import Connection, and_, bindparam, literal_column, select

from gateway import logs
from gateway.batch import Batcher
from gateway.clock import Clock, Entropy
from gateway.desk import replacement, unclaimed
from gateway.desk.attempts import Judgement
from gateway.desk.books import IS_ALIVE
from gateway.desk.keep import CHOSEN, Keeper, KeptPin
from gateway.desk.locks import lock_wallets
from gateway.desk.openings import Bank
from gateway.desk.pins import Opened, PinGuard, named_key
from gateway.desk.replacement import IS_REPLACEABLE, NewKey, Present, Reason, exchange
from gateway.desk.times import to_ms
from gateway.desk.waiters import Waiters
from gateway.origin import Origin
from gateway.stores.sql import Sql
from gateway.stores.tables import Replacement, Wallet, table_of
from gateway.vault import DoesNotOpen, PinKey, Sealed, Vault
from ledger_client.keys import SigningKey
from ledger_client.ledger import Signed
from ledger_client.transaction import build, build_batch
from menus.effects import (
    ChoosePin,
    ChoosePinOutcome,
    KeptExpired,
    KeyRenewed,
    KeyRenewing,
    PinNotNew,
    RenewKey,
    RenewKeyOutcome,
    Unavailable,
)
from menus.kinds import Pin

LOG: Final = logs.get("renewal")
_WALLET, _REPLACEMENT = table_of(Wallet), table_of(Replacement)


class Mine(NamedTuple):
    """The replacement that a kept PIN stands for."""

    tx_hash: str
    state: str


class Standing(NamedTuple):
    """A number's wallet and its key, and what was done with one kept PIN."""

    account_id: str
    ready: bool  # on the ledger, and no replacement is under way
    public_key: str
    sealed: Sealed
    unpublished: str  # its number, if nobody has claimed it; else empty
    mine: Mine | None


@dataclass(frozen=True, slots=True)
class Ask:
    """What became of the kept PIN with this salt, for the wallet of this number?"""

    number: str
    salt: bytes


@dataclass(frozen=True, slots=True)
class Order:
    """A replacement that the old key has signed, for the row as it was when that was opened."""

    new: NewKey
    old: Present
    signed: tuple[Signed, ...] = field(repr=False)  # the new key's, and the number's if published


NotOpened = Judgement | PinNotNew
Opens = Callable[[Standing], Awaitable[Opened | NotOpened]]


class Renewals:
    """The handlers of `ChoosePin` and `RenewKey`. `poke` tells the outbox to look now.

    Must not be cancelled half-way. Raises `StoreUnavailable` as it comes; when that says
    `maybe_committed` the turn is to be answered with `Unconfirmed`.
    """

    def __init__(
        self,
        sql: Sql,
        bank: Bank,
        *,
        vault: Vault,
        keeper: Keeper,
        guard: PinGuard,
        waiters: Waiters,
        poke: Callable[[], None],
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._vault = vault
        self._keeper = keeper
        self._guard = guard
        self._waiters = waiters
        self._poke = poke
        self._clock = clock
        self._entropy = entropy
        self._bank = bank
        self._look: Batcher[Ask, Standing | None] = Batcher(
            partial(sql.run, look), key=lambda item: item.number
        )
        self._place: Batcher[Order, bool] = Batcher(
            partial(sql.run, place), key=lambda item: item.new.account_id
        )

    async def choose_pin(self, effect: ChoosePin, origin: Origin) -> ChoosePinOutcome:
        kept = self._keeper.kept(effect.token, CHOSEN, origin)
        return KeptExpired() if kept is None else await self.first_pin(kept, origin)

    async def renew_key(self, effect: RenewKey, origin: Origin) -> RenewKeyOutcome:
        kept = self._keeper.kept(effect.token, CHOSEN, origin)
        return KeptExpired() if kept is None else await self.renew(kept, effect.old, origin)

    async def first_pin(self, kept: KeptPin, origin: Origin) -> ChoosePinOutcome:
        """The kept PIN is the first of a wallet that was made, or recovered, without its owner."""
        done = await self._renew(kept, "first_pin", self._open_without_pin, origin)
        # Nobody types a PIN here, so no PIN is refused.
        return done if isinstance(done, ChoosePinOutcome) else Unavailable()

    async def renew(self, kept: KeptPin, old: Pin, origin: Origin) -> RenewKeyOutcome:
        """Somebody may have the key, or know the PIN: another key, under the kept PIN."""

        async def with_old_pin(seen: Standing) -> Opened | NotOpened:
            opened = await self._guard.open(seen.account_id, old, origin.turn_key)
            if isinstance(opened, Opened):  # a PIN that somebody knows must not stay
                return await self._keeper.refusal(kept, old) or opened
            return opened

        return await self._renew(kept, "theft", with_old_pin, origin)

    async def _renew(
        self, kept: KeptPin, reason: Reason, open_old: Opens, origin: Origin
    ) -> RenewKeyOutcome:
        ask = Ask(origin.msisdn.e164, kept.key.salt)
        seen = await self._look(ask)
        if seen is None:
            return Unavailable()
        if seen.mine is None:
            if kept.expired:
                return KeptExpired()
            if not seen.ready:
                return Unavailable()  # before a PIN is tried for nothing
            opened = await open_old(seen)
            if isinstance(opened, Opened):
                order = self._draw_up(opened, kept.key, reason, seen.unpublished)
                if await self._place(order):
                    return await self._settled(Mine(order.new.tx_hash, "pending"), origin)
            # Refused, perhaps because this same turn, elsewhere, was faster.
            seen = await self._look(ask)
            if seen is None or seen.mine is None:
                return Unavailable() if isinstance(opened, Opened) else opened
        return await self._settled(seen.mine, origin)

    async def _open_without_pin(self, seen: Standing) -> Opened | Unavailable:
        if seen.sealed.has_pin:
            return Unavailable()  # chosen meanwhile
        try:
            seed = self._vault.open_without_pin(seen.account_id, seen.sealed)
            return Opened(seen.account_id, named_key(seed, seen.public_key), seen.sealed)
        except DoesNotOpen as error:
            LOG.error("a key without a PIN does not open", account=seen.account_id, error=error)
            return Unavailable()

    def _draw_up(self, opened: Opened, under: PinKey, reason: Reason, publish: str) -> Order:
        """Make the key, seal it, and let the old one sign for it."""
        account_id, old = opened.account_id, opened.sealed
        new = SigningKey.generate(self._entropy, self._bank.key_form)
        sealed = self._vault.seal(account_id, old.key_version + 1, new.seed, under)
        now_ms = to_ms(self._clock.now())
        commands = exchange(account_id, new=new.public_key, old=[opened.key.public_key])
        if publish:
            listing = self._bank.listing(publish, account_id, now_ms)
            signed = build_batch([(account_id, commands, now_ms, opened.key), listing])
        else:
            signed = [build(account_id, commands, now_ms, key=opened.key)]
        key = NewKey(account_id, reason, new.public_key, sealed, signed[0].tx_hash, now_ms)
        return Order(key, Present(old.key_version, old.salt), tuple(signed))

    async def _settled(self, mine: Mine, origin: Origin) -> KeyRenewed | KeyRenewing | Unavailable:
        state: str | None = mine.state
        if state == "pending":
            self._poke()  # also for one whose process died before it could
            patience_s = origin.deadline - self._clock.monotonic()
            state = await self._waiters.settled(mine.tx_hash, patience_s)
        match state:
            case "done" | "committed":
                return KeyRenewed()
            case None:
                return KeyRenewing()
            case _:
                LOG.warning("a key was not replaced", tx_hash=mine.tx_hash, state=state)
                return Unavailable()


# ---- operations


_WITH_SALT = and_(
    _REPLACEMENT.c.account_id == _WALLET.c.account_id, _REPLACEMENT.c.salt == bindparam("salt")
)
_STANDING = (
    select(
        _WALLET.c.account_id,
        IS_REPLACEABLE,
        _WALLET.c.public_key,
        *(_WALLET.c[name] for name in ("key_version", "kek_version", "salt", "sealed_key")),
        _WALLET.c.claim,
        _REPLACEMENT.c.tx_hash,
        _REPLACEMENT.c.state,
    )
    .outerjoin_from(_WALLET, _REPLACEMENT, _WITH_SALT)
    .where(_WALLET.c.msisdn == bindparam("number"), IS_ALIVE)
    # Of two processes with one kept PIN, the second may have begun after the first had failed.
    .order_by(_REPLACEMENT.c.state == literal_column("'failed'"))
    .limit(1)
)


def look(connection: Connection, asked: Sequence[Ask]) -> list[Standing | None]:
    """The wallets of these numbers, and what became of these kept PINs."""
    return [_look(connection, one) for one in asked]


def _look(connection: Connection, asked: Ask) -> Standing | None:
    row = connection.execute(_STANDING, {"number": asked.number, "salt": asked.salt}).first()
    if row is None:
        return None
    account_id, ready, public_key, *sealed, claim, tx_hash, state = row
    mine = None if tx_hash is None else Mine(tx_hash, state)
    unpublished = asked.number if claim else ""
    return Standing(account_id, ready, public_key, Sealed(*sealed), unpublished, mine)


def place(connection: Connection, orders: Sequence[Order]) -> list[bool]:
    """Store each key with what is to be sent for it, unless its wallet's key or PIN has changed."""
    lock_wallets(connection, {order.new.account_id for order in orders})
    return [_place(connection, order) for order in orders]


def _place(connection: Connection, order: Order) -> bool:
    new = order.new
    if replacement.state_of(connection, new.tx_hash):
        return True  # this very commit has happened, and only its reply was lost
    if replacement.present(connection, new.account_id) != order.old:
        return False
    if not unclaimed.begin_claim(connection, new.account_id):
        raise AssertionError("a key may be replaced, and its wallet cannot be claimed")
    replacement.store(connection, new, "pending")
    replacement.send(
        connection,
        new.account_id,
        *((one.tx_hash, one.created_time, one.data) for one in order.signed),
        now_ms=new.created_at,
    )
    return True
