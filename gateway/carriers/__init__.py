"""Carriers: one file each, whose docstring is the wire contract, and one line in the registry."""

from collections.abc import Callable, Mapping

from gateway.carriers.africastalking import AfricasTalking
from gateway.carriers.carrier import Carrier
from gateway.carriers.http import Gate
from gateway.config import Settings

REGISTRY: Mapping[str, Callable[[Settings, Gate], Carrier]] = {
    "africastalking": AfricasTalking.from_settings,
}
