"""The PIN guard: the only way to a wallet's key.

An attempt is counted and committed before argon2 runs (`attempts`), then the key is opened
(`gateway.vault`), then the attempt is judged and that is committed before anybody hears of it. Only
the inner layer can say that a PIN is wrong: whatever else goes wrong gives the attempt back.

A caller must not be cancelled half-way; if it is, or dies, its attempt stays counted until the same
turn is taken again or a right PIN comes.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Final

from gateway import logs
from gateway.batch import Batcher, Overloaded
from gateway.clock import Clock
from gateway.desk import attempts
from gateway.desk.attempts import Judge, Judgement, PinRules, Reserve, Reserved, Verdict
from gateway.desk.spraying import MINUTE_MS, Budget, Exhausted
from gateway.desk.times import to_ms
from gateway.meters import Meters
from gateway.stores.sql import Sql, StoreUnavailable
from gateway.vault import DoesNotOpen, Sealed, Vault, VaultError, WrongPinKey
from ledger_client.keys import MULTIHASH, SigningKey
from menus.effects import Unavailable
from menus.kinds import Pin
from menus.text.load import Texts

LOG: Final = logs.get("pins")


@dataclass(frozen=True, slots=True)
class Opened:
    """The PIN was right. `sealed` is the row that it opened."""

    account_id: str
    key: SigningKey = field(repr=False)
    sealed: Sealed = field(repr=False)


class PinGuard:
    """Opens wallets' keys, a few wrong PINs at a time."""

    def __init__(
        self,
        sql: Sql,
        vault: Vault,
        clock: Clock,
        texts: Texts,
        *,
        meters: Meters,
        budget: Budget,
        rules: PinRules | None = None,
    ) -> None:
        self._vault = vault
        self._clock = clock
        self._meters = meters
        self._alarmed_ms = 0
        rules = rules or PinRules()
        reserve = partial(attempts.reserve, rules, budget, texts)
        judge = partial(attempts.judge, rules, texts)
        self._reserve: Batcher[Reserve, Reserved | Judgement | Exhausted] = Batcher(
            partial(sql.run, reserve), key=lambda item: item.account_id
        )
        self._judge: Batcher[Judge, Judgement | None] = Batcher(
            partial(sql.run, judge), key=lambda item: item.account_id
        )

    async def open(self, account_id: str, pin: Pin, turn_key: str) -> Opened | Judgement:
        """The key, or why not. The same turn may ask again; it is counted once."""
        try:
            reserved = await self._reserve(Reserve(account_id, turn_key, self._now_ms()))
            if isinstance(reserved, Exhausted):
                return self._alarm(reserved)
            if not isinstance(reserved, Reserved):
                return reserved
            opened = await self._try(account_id, pin, turn_key, reserved)
        except (StoreUnavailable, Overloaded) as error:
            LOG.warning("a PIN could not be counted or judged", error=error)
            return Unavailable()
        return opened

    async def _try(
        self, account_id: str, pin: Pin, turn_key: str, reserved: Reserved
    ) -> Opened | Judgement:
        key: SigningKey | None = None
        verdict: Verdict = "given_back"
        try:
            key = await self._key(account_id, reserved, pin)
            verdict = "right"
        except WrongPinKey:
            verdict = "wrong"
        except VaultError as error:
            LOG.warning("a key could not be tried", account=account_id, error=error)
        finally:
            refusal = await self._judge(
                Judge(account_id, turn_key, reserved.at, verdict, self._now_ms())
            )
        if key is None or refusal is not None:
            return refusal or Unavailable()
        return Opened(account_id, key, reserved.sealed)

    async def _key(self, account_id: str, reserved: Reserved, pin: Pin) -> SigningKey:
        seed = await self._vault.open(account_id, reserved.sealed, pin)
        return named_key(seed, reserved.public_key)

    def _alarm(self, exhausted: Exhausted) -> Unavailable:
        """Say no more than that it cannot be tried now, but tell the bank, once a minute."""
        self._meters.not_tried.labels(exhausted.of).inc()
        now_ms = self._now_ms()
        if now_ms >= self._alarmed_ms + MINUTE_MS:
            self._alarmed_ms = now_ms
            hint = "many wrong PINs: somebody may be guessing over many numbers"
            LOG.error("no PIN is tried", of=exhausted.of, block=exhausted.block, hint=hint)
        return Unavailable()

    def _now_ms(self) -> int:
        return to_ms(self._clock.now())


def named_key(seed: bytes, public_key: str) -> SigningKey:
    """The key of an opened seed; raises `DoesNotOpen` when its row names another."""
    key = SigningKey.from_seed(seed, "multihash" if public_key.startswith(MULTIHASH) else "raw")
    if key.public_key != public_key:
        raise DoesNotOpen("the sealed key is not the one that the row names")
    return key
