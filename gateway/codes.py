"""One-time codes: what proves that who answers an SMS holds the phone it went to.

Only a keyed hash of a code is stored, bound to the number and the intent: a code of one is no code
of another. The code itself is in the SMS and nowhere else.
"""

from typing import Final, Protocol

from gateway.clock import Entropy
from menus.kinds import Msisdn

CODE_DIGITS: Final = 4


class Macs(Protocol):
    """The vault, as far as codes need it."""

    def mac(self, purpose: str, data: bytes) -> bytes: ...
    def is_mac(self, purpose: str, data: bytes, mac: bytes) -> bool: ...


def fresh_code(entropy: Entropy) -> str:
    """A code that nobody can guess in the few tries there are."""
    return f"{int.from_bytes(entropy(8)) % 10**CODE_DIGITS:0{CODE_DIGITS}}"


def code_mac(macs: Macs, msisdn: Msisdn, intent: str, code: str) -> bytes:
    """What is stored of a code."""
    return macs.mac("code", _bound(msisdn, intent, code))


def is_code(macs: Macs, msisdn: Msisdn, intent: str, code: str, mac: bytes) -> bool:
    """Is it the code that was sent to this number for this intent?"""
    return macs.is_mac("code", _bound(msisdn, intent, code), mac)


def _bound(msisdn: Msisdn, intent: str, code: str) -> bytes:
    return f"{msisdn.e164}/{intent}/{code}".encode()
