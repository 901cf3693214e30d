"""A line to a phone: through a running simulator, or straight to an application.

Both speak of a phone as the same JSON value (`Handset.as_json`), so that the terminal phone and
the scenario runner need not know which it is.
"""

from typing import Any, Protocol

import aiohttp

from sim.acts import BadAct, act
from sim.network import Network
from sim.tower import NetworkError

State = dict[str, Any]
TIMEOUT_S = 15.0


class LineError(Exception):
    """The line is dead or what was asked is refused; the message is for a person."""


class Line(Protocol):
    """What can be done with phones."""

    async def open(self, msisdn: str) -> State: ...
    async def look(self, msisdn: str) -> State: ...
    async def act(self, msisdn: str, name: str, **fields: str) -> State: ...


class DirectLine:
    """A network in this process; no SMS can reach it from outside."""

    def __init__(self, network: Network) -> None:
        self._network = network

    async def open(self, msisdn: str) -> State:
        return await self.look(msisdn)

    async def look(self, msisdn: str) -> State:
        return self._network.tower.handset(msisdn).as_json()

    async def act(self, msisdn: str, name: str, **fields: str) -> State:
        try:
            return await act(self._network, msisdn, name, dict(fields))
        except (NetworkError, BadAct) as error:
            raise LineError(str(error)) from error


class SimulatorLine:
    """The HTTP API of a running simulator."""

    def __init__(self, http: aiohttp.ClientSession, base: str) -> None:
        self._http = http
        self._base = base.rstrip("/")

    async def open(self, msisdn: str) -> State:
        return await self._call("POST", "/phones", {"msisdn": msisdn})

    async def look(self, msisdn: str) -> State:
        return await self._call("GET", f"/phones/{msisdn}")

    async def act(self, msisdn: str, name: str, **fields: str) -> State:
        return await self._call("POST", f"/phones/{msisdn}/{name}", fields)

    async def peers(self) -> State:
        """The ledger's peers, and how each behaves."""
        return await self._call("GET", "/peers")

    async def peer(self, number: int, manner: str) -> State:
        """Make one of them behave otherwise."""
        return await self._call("POST", f"/peers/{number}", {"manner": manner})

    async def _call(self, method: str, path: str, fields: dict[str, str] | None = None) -> State:
        url = f"{self._base}/api{path}"
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        try:
            async with self._http.request(method, url, json=fields, timeout=timeout) as response:
                state: State = await response.json()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise LineError(
                f"no simulator answers at {self._base}: start it with `make run`, or give --sim URL"
            ) from error
        if "error" in state:
            raise LineError(state["error"])
        return state
