"""Changing a PIN: the same key under another one, and its owner told by SMS in the same commit.

The old PIN opens the key (through the guard, so it is counted like any other), the new one, kept
from an earlier turn, seals it again if it is another. The row changes only while it is as it was
when it was opened. Its new salt says that this very conversation has changed it, however often its
turn is repeated. No PIN comes into this room but the old one, on its way to guard and keeper.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy import Connection, not_, select, update

from gateway.batch import Batcher
from gateway.clock import Clock
from gateway.desk.attempts import Judgement
from gateway.desk.books import IS_BEING_REPLACED, read_languages
from gateway.desk.directory import Directory
from gateway.desk.keep import CHOSEN, Keeper, KeptPin
from gateway.desk.locks import lock_wallets
from gateway.desk.pins import Opened, PinGuard
from gateway.desk.times import from_ms, to_ms
from gateway.desk.wallets import by_salt
from gateway.messages import Outgoing, enqueue
from gateway.origin import Origin
from gateway.stores.sql import Sql
from gateway.stores.tables import Wallet, table_of
from gateway.vault import Sealed, Vault
from menus.effects import (
    ChangePin,
    ChangePinOutcome,
    KeptExpired,
    PinChanged,
    PinNotNew,
    Unavailable,
)
from menus.kinds import Msisdn, Pin
from menus.receipts import PinChangedNotice
from menus.text.load import Texts

_WALLET = table_of(Wallet)


@dataclass(frozen=True, slots=True)
class Resealing:
    """The same key under another PIN; happens only to the row as it was when opened."""

    account_id: str
    owner: Msisdn
    old: Sealed = field(repr=False)
    new: Sealed = field(repr=False)
    at_ms: int


class PinChanges:
    """The handler of `ChangePin`. `queued` tells the sender to look now."""

    def __init__(
        self,
        sql: Sql,
        texts: Texts,
        *,
        vault: Vault,
        keeper: Keeper,
        guard: PinGuard,
        directory: Directory,
        queued: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._vault = vault
        self._keeper = keeper
        self._guard = guard
        self._directory = directory
        self._queued = queued
        self._clock = clock
        self._reseal: Batcher[Resealing, bool] = Batcher(
            partial(sql.run, partial(reseal, texts)), key=lambda item: item.account_id
        )

    async def change_pin(self, effect: ChangePin, origin: Origin) -> ChangePinOutcome:
        kept = self._keeper.kept(effect.token, CHOSEN, origin)
        if kept is None:
            return KeptExpired()
        seen = await self._directory.wallets(origin.msisdn)
        if by_salt(seen, kept.key):
            return PinChanged()
        if kept.expired:
            return KeptExpired()
        if not seen or seen[-1].state == "closed":
            return Unavailable()
        opened = await self._open(seen[-1].account_id, kept, effect.old, origin)
        if isinstance(opened, Opened):
            version = opened.sealed.key_version
            new = self._vault.seal(opened.account_id, version, opened.key.seed, kept.key)
            now_ms = to_ms(self._clock.now())
            changed = await self._reseal(
                Resealing(opened.account_id, origin.msisdn, opened.sealed, new, now_ms)
            )
            self._queued()
            return PinChanged() if changed else Unavailable()
        # Refused, perhaps because this same turn, elsewhere, has changed it a moment ago.
        seen = await self._directory.wallets(origin.msisdn)
        return PinChanged() if by_salt(seen, kept.key) else opened

    async def _open(
        self, account_id: str, kept: KeptPin, old: Pin, origin: Origin
    ) -> Opened | PinNotNew | Judgement:
        opened = await self._guard.open(account_id, old, origin.turn_key)
        if isinstance(opened, Opened):
            return await self._keeper.refusal(kept, old) or opened
        return opened


def reseal(texts: Texts, connection: Connection, items: Sequence[Resealing]) -> Sequence[bool]:
    """Put the new layers where the old ones are, and tell; False where somebody was faster."""
    lock_wallets(connection, [item.account_id for item in items])
    changed = {}
    for item in sorted(items, key=lambda item: item.account_id):
        row = _WALLET.c.account_id == item.account_id
        new = item.new
        done = connection.execute(
            update(_WALLET)
            # A key that is being replaced will not be sealed under this PIN, but under another.
            .where(row, _WALLET.c.sealed_key == item.old.blob, not_(IS_BEING_REPLACED))
            .values(salt=new.salt, sealed_key=new.blob, kek_version=new.kek_version)
        ).rowcount
        if done:
            _tell(texts, connection, item)
        salt = connection.execute(select(_WALLET.c.salt).where(row)).scalar_one_or_none()
        changed[item.account_id] = salt == new.salt
    return [changed[item.account_id] for item in items]


def _tell(texts: Texts, connection: Connection, item: Resealing) -> None:
    """Queue an SMS to the owner, in case it was somebody else."""
    language = read_languages(connection, [item.owner.e164]).get(item.owner.e164)
    text = PinChangedNotice(from_ms(item.at_ms)).say(texts, language)
    id_ = f"pin-changed/{item.account_id}/{item.at_ms}"
    enqueue(connection, [Outgoing(id_, item.owner, "notice", text)], item.at_ms)
