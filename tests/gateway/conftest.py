"""An address of the gateway, opened for one test, and a client of it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import aiohttp
import pytest

from gateway.door import Door, Patience
from gateway.http import Answer
from gateway.meters import Meters

Serve = Callable[[Answer], Awaitable[aiohttp.ClientSession]]
SHUTDOWN_S = 5.0


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Opens a door for an application and gives a client of it."""
    async with AsyncExitStack() as stack:

        async def opened(answer: Answer) -> aiohttp.ClientSession:
            door = Door(answer, Patience(), Meters().cut, SHUTDOWN_S)
            await door.open("127.0.0.1", 0)
            stack.push_async_callback(door.close)
            session = aiohttp.ClientSession(f"http://127.0.0.1:{door.port}")
            return await stack.enter_async_context(session)

        yield opened
