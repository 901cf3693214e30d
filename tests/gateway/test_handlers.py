"""What an effect that did not answer is told as, and what is counted as a fault of ours."""

import inspect

import pytest
from clocks import FakeClock

from gateway.handlers import Handlers
from gateway.meters import Meters
from gateway.origin import Origin
from gateway.stores.sql import StoreUnavailable
from menus.effects import ChoosePin, OpenWallet, Unavailable, Unconfirmed
from menus.kinds import Msisdn

PARTS = [name for name in inspect.signature(Handlers).parameters if name not in ("clock", "meters")]


@pytest.mark.parametrize("effect", [OpenWallet("kept"), ChoosePin("kept")])
@pytest.mark.parametrize(
    ("error", "outcome", "faults"),
    [
        (StoreUnavailable("gone", maybe_committed=True), Unconfirmed(), 0),
        (StoreUnavailable("gone"), Unavailable(), 0),
        (ZeroDivisionError(), Unconfirmed(), 1),
    ],
)
async def test_a_database_that_is_away_is_no_fault_of_ours(effect, error, outcome, faults):
    async def fails(_effect, _origin):
        raise error

    clock, meters = FakeClock(), Meters()
    handlers = Handlers(**dict.fromkeys(PARTS, fails), clock=clock, meters=meters)
    origin = Origin(Msisdn("+85512345601"), "ussd", "africastalking", "s1", 3, clock.monotonic())
    assert await handlers(effect, origin) == outcome
    assert meters.faults.labels("handlers")._value.get() == faults
