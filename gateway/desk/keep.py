"""A newly chosen PIN, kept for three minutes without being kept.

What leaves is a token: the argon2id-derived key with its salt, sealed under the key-encryption
key and bound to number, carrier, session, field and expiry. It opens nothing by itself, means
nothing in another session, and the PIN cannot be read from it. Nothing is stored here.
"""

import base64
import binascii
import struct
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from gateway.clock import Clock
from gateway.desk.times import to_ms
from gateway.origin import Origin
from gateway.vault import Cost, PinKey, Vault, VaultBusy, VaultError
from menus.effects import (
    Compare,
    CompareOutcome,
    Different,
    Keep,
    KeepOutcome,
    Kept,
    KeptExpired,
    PinNotNew,
    Same,
    Unavailable,
)
from menus.kinds import Pin

CHOSEN: Final = "pin"  # the field under which a wallet's new PIN is kept
LIFE: Final = timedelta(minutes=3)
_PURPOSE: Final = "kept-pin"
_EXPIRY: Final = struct.Struct(">Q")  # ms
_COST: Final = struct.Struct(">II")
_SALT: Final = slice(_COST.size, _COST.size + 16)


@dataclass(frozen=True, slots=True)
class KeptPin:
    """What a token holds. When `expired`, it is good for recognising what it was used for only."""

    key: PinKey
    expired: bool


class Keeper:
    """Makes and opens tokens; the handlers of `Keep` and `Compare`."""

    def __init__(self, vault: Vault, clock: Clock) -> None:
        self._vault = vault
        self._clock = clock

    async def keep(self, effect: Keep, origin: Origin) -> KeepOutcome:
        try:
            key = await self._vault.derive(effect.pin)
        except VaultBusy:
            return Unavailable()
        expiry = _EXPIRY.pack(to_ms(self._clock.now() + LIFE))
        secret = _COST.pack(key.cost.passes, key.cost.kib) + key.salt + key.key
        sealed = self._vault.wrap(_PURPOSE, _address(origin, effect.field, expiry), secret)
        return Kept(base64.urlsafe_b64encode(expiry + sealed).decode())

    async def compare(self, effect: Compare, origin: Origin) -> CompareOutcome:
        kept = self.kept(effect.token, effect.field, origin)
        if kept is None or kept.expired:
            return KeptExpired()
        try:
            return Same() if await self._holds(kept, effect.pin) else Different()
        except VaultBusy:
            return Unavailable()

    async def refusal(self, kept: KeptPin, old: Pin) -> PinNotNew | Unavailable | None:
        """Why the kept PIN cannot follow `old`, which was right; None if it can.

        Asked only once `old` has been tried and counted: before, a wrong one would cost nothing.
        """
        try:
            return PinNotNew() if await self._holds(kept, old) else None
        except VaultBusy:
            return Unavailable()

    async def _holds(self, kept: KeptPin, pin: Pin) -> bool:
        key = await self._vault.derive_like(pin, kept.key)
        return key.same(kept.key)

    def kept(self, token: str, field: str, origin: Origin) -> KeptPin | None:
        """What `token` holds, or None when it is not of this session and field."""
        try:
            raw = base64.b64decode(token, altchars=b"-_", validate=True)
            expiry, sealed = raw[: _EXPIRY.size], raw[_EXPIRY.size :]
            secret = self._vault.unwrap(_PURPOSE, _address(origin, field, expiry), sealed)
        except (binascii.Error, ValueError, VaultError):
            return None
        passes, kib = _COST.unpack_from(secret)
        key = PinKey(Cost(passes, kib), secret[_SALT], secret[_SALT.stop :])
        (until,) = _EXPIRY.unpack(expiry)
        return KeptPin(key, expired=to_ms(self._clock.now()) >= until)


def _address(origin: Origin, field: str, expiry: bytes) -> tuple[str, ...]:
    return (origin.msisdn.e164, origin.carrier, origin.session, field, expiry.hex())
