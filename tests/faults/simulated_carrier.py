"""The carrier's network: brings callbacks to some gateway process, twice if need be.

A callback without an answer is brought again, perhaps to another process; some are brought again
although they were answered, in parallel or much later. The phone sees the first answer, or none.
"""

import asyncio

from gateway.carriers.carrier import SmsMo, UssdMo
from menus.kinds import Msisdn

ANSWER_S = 15.0
TRIES = 3


class Network:
    """Between phones and gateways."""

    def __init__(self, town) -> None:
        self._town = town
        self._chance = town.chances.stream("network")

    async def ussd(self, number: str, session: str, text: str):
        """One turn; what the phone is shown, or None."""
        mo = UssdMo("africastalking", session, Msisdn(number), "", "*855#", text)
        if self._chance.random() < self._town.weather.repeat:
            for _ in range(self._chance.randint(1, 3)):
                wait_s = self._chance.choice((0, 0, 0.01, 1.0, 6.0))
                self._town.spawn(self._again(mo, wait_s))
        reply = await self._bring(mo)
        if self._chance.random() < self._town.weather.reply_lost:
            return None
        return reply

    async def _again(self, mo: UssdMo, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        await self._one(lambda gateway: gateway.turns.take(mo))

    async def _bring(self, mo: UssdMo):
        for _ in range(TRIES):
            await asyncio.sleep(0.02 * self._chance.random())
            reply = await self._one(lambda gateway: gateway.turns.take(mo))
            if reply is not None:
                return reply
        return None

    async def sms(self, number: str, message_id: str, text: str) -> None:
        """One SMS, brought until it is acknowledged."""
        mo = SmsMo("africastalking", message_id, Msisdn(number), "855", text)
        if self._chance.random() < self._town.weather.repeat:
            self._town.spawn(self._sms_again(mo, self._chance.choice((0, 0, 0.01, 1.0, 9.0))))
        while not await self._one(lambda gateway: _acknowledged(gateway, mo)):
            await asyncio.sleep(1 + 3 * self._chance.random())

    async def _sms_again(self, mo: SmsMo, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        await self._one(lambda gateway: _acknowledged(gateway, mo))

    async def _one(self, call):
        """One callback to one process; None when no answer came."""
        process = self._town.some_process(self._chance)
        if process is None:
            await asyncio.sleep(1.0)
            return None
        task = process.run(call(process.gateway))
        await asyncio.wait({task}, timeout=ANSWER_S)
        if not task.done():
            task.add_done_callback(lambda late: late.cancelled() or late.exception())
            return None
        if task.cancelled():
            return None
        if task.exception() is not None:
            return None  # the carrier is told of a fault, and tries again
        return task.result()


async def _acknowledged(gateway, mo: SmsMo) -> bool:
    await gateway.inbox.take(mo)
    return True
