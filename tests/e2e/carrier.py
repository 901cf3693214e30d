"""Africa's Talking on the other side of the gateway's SMS, from the simulator's own parts.

It runs in a thread of its own, for as long as a stack stands; tests come and go with their loops.
"""

import asyncio
import concurrent.futures
import threading
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from sim.network import Network
from sim.serve import Serving, simulator
from sim.services import Account, Application, Service

T = TypeVar("T")
START_S = 20.0


class Carrier:
    """Takes the official SDK's calls, fills inboxes, posts delivery reports back."""

    def __init__(self, port: int, callbacks: str, account: Account) -> None:
        service = Service(Application.under(callbacks), account=account)
        self._serving = Serving((service,), port=port)
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._up: concurrent.futures.Future[Network] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._live, name="carrier", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._up.result(START_S)

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(START_S)

    def remember(self, msisdn: str) -> None:
        """From now on this phone keeps every message, unlike others: receipts are looked for."""

        def keep(network: Network) -> None:
            handset = network.tower.handset(msisdn)
            handset.messages = deque(handset.messages)

        self._ask(keep)

    def inbox(self, msisdn: str) -> list[str]:
        """What this phone has received, oldest first."""

        def read(network: Network) -> list[str]:
            messages = network.tower.handset(msisdn).messages
            return [sms.text for sms in messages if not sms.outgoing]

        return self._ask(read)

    def _ask(self, question: Callable[[Network], T]) -> T:
        network = self._up.result(START_S)

        async def answer() -> T:
            return question(network)

        return asyncio.run_coroutine_threadsafe(answer(), self._loop).result(START_S)

    def _live(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:
            if not self._up.done():
                self._up.set_exception(error)
            raise
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        async with simulator(self._serving) as network:
            self._up.set_result(network)
            await self._stop.wait()
