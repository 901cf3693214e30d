"""A carrier's network: phones, USSD and SMS, towards applications in Africa's Talking's form.

Composes the rooms that do the work and keeps their time. It knows no page, no money and no
wallet: what an application means is not its business.
"""

import asyncio
from collections.abc import Callable, Sequence

from sim.callbacks import Poster
from sim.services import Service
from sim.sms import SmsCentre
from sim.tower import Tower
from sim.ussd import Ussd

TICK_S = 0.5


class Network:
    """All phones, and the applications behind their service codes and shortcodes."""

    def __init__(
        self,
        services: Sequence[Service],
        poster: Poster,
        *,
        now: Callable[[], float],
        entropy: Callable[[int], bytes],
    ) -> None:
        self.tower = Tower(now=now, entropy=entropy)
        self.services = services
        self.ussd = Ussd(self.tower, services, poster)
        self.sms = SmsCentre(self.tower, services, poster)
        for service in services:
            self.tower.add(service)

    def tick(self) -> None:
        """Do what is due now."""
        self.ussd.expire_due()
        self.sms.post_due()

    async def run(self) -> None:
        """Tick for ever."""
        while True:
            self.tick()
            await asyncio.sleep(TICK_S)
