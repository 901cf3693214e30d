"""Ed25519 with SHA3-512 in place of SHA-512: the scheme of a stock irohad.

RFC 8032 with one hash exchanged, built from libsodium's group and scalar arithmetic (constant
time where a secret is involved). Only the mathematics lives here: no key forms, no hex, no
pre-hash. Verification takes canonical encodings and points of the prime-order group only.
"""

from dataclasses import dataclass, field
from hashlib import sha3_512
from typing import Self

from nacl.bindings import (
    crypto_core_ed25519_is_valid_point,
    crypto_core_ed25519_scalar_add,
    crypto_core_ed25519_scalar_mul,
    crypto_core_ed25519_scalar_reduce,
    crypto_core_ed25519_sub,
    crypto_scalarmult_ed25519_base_noclamp,
    crypto_scalarmult_ed25519_noclamp,
)

SEED_BYTES = 32
SIGNATURE_BYTES = 64
_ORDER = 2**252 + 27742317777372353535851937790883648493


@dataclass(frozen=True, slots=True)
class Expanded:
    """A seed made ready to sign with; hold it while the key is needed, not longer."""

    scalar: bytes = field(repr=False)
    prefix: bytes = field(repr=False)
    public: bytes

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """Derive scalar, nonce prefix and public key."""
        digest = sha3_512(seed).digest()
        clamped = bytearray(digest[:32])
        clamped[0] &= 248
        clamped[31] &= 127
        clamped[31] |= 64
        scalar = bytes(clamped)
        return cls(scalar, digest[32:], crypto_scalarmult_ed25519_base_noclamp(scalar))

    def sign(self, message: bytes) -> bytes:
        """Return R || S."""
        nonce = _reduced(self.prefix + message)
        point = crypto_scalarmult_ed25519_base_noclamp(nonce)
        challenge = _reduced(point + self.public + message)
        scalar = crypto_core_ed25519_scalar_reduce(self.scalar + bytes(32))
        product = crypto_core_ed25519_scalar_mul(challenge, scalar)
        return point + crypto_core_ed25519_scalar_add(product, nonce)


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Is `signature` over `message` by `public`? Malformed input is a plain no."""
    if len(signature) != SIGNATURE_BYTES or len(public) != SEED_BYTES:
        return False
    point, scalar = signature[:32], signature[32:]
    if not 0 < int.from_bytes(scalar, "little") < _ORDER:
        return False
    challenge = _reduced(point + public + message)
    try:
        expected = crypto_core_ed25519_sub(
            crypto_scalarmult_ed25519_base_noclamp(scalar),
            crypto_scalarmult_ed25519_noclamp(challenge, public),
        )
    except RuntimeError:  # libsodium refuses what `is_public` does, and the identity as a result
        return False
    # Comparing with our own canonical encoding refuses every other encoding of R.
    return expected == point


def is_public(public: bytes) -> bool:
    """Is it a canonical point of the prime-order group (so not of small order)?"""
    return len(public) == SEED_BYTES and crypto_core_ed25519_is_valid_point(public)


def _reduced(text: bytes) -> bytes:
    return crypto_core_ed25519_scalar_reduce(sha3_512(text).digest())
