"""A carrier's network: phones, USSD and SMS, towards any application in Africa's Talking's form.

Composes the rooms that do the work and keeps their time. It knows no page, no money and no
wallet: what an application means is not its business.
"""

import asyncio
from collections.abc import Callable

from sim.callbacks import Application, Poster
from sim.sms import SmsCentre
from sim.tower import Tower
from sim.ussd import Ussd

TICK_S = 0.5


class Network:
    """All phones, and the application behind the service code and the shortcode."""

    def __init__(
        self,
        application: Application,
        poster: Poster,
        *,
        now: Callable[[], float],
        entropy: Callable[[int], bytes],
        service_code: str = "*855#",
        shortcode: str = "855",
    ) -> None:
        self.tower = Tower(now=now, entropy=entropy)
        self.ussd = Ussd(self.tower, application, poster, service_code=service_code)
        self.sms = SmsCentre(self.tower, application, poster, shortcode=shortcode)

    def tick(self) -> None:
        """Do what is due now."""
        self.ussd.expire_due()
        self.sms.post_due()

    async def run(self) -> None:
        """Tick for ever."""
        while True:
            self.tick()
            await asyncio.sleep(TICK_S)
