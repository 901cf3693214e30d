"""`python relay.py PORT TO`: whatever comes to PORT goes on to port TO, and back.

Between the gateway and a part that lives in the test's own process, so that it can be frozen.
"""

import asyncio
import contextlib
import sys

HOST = "127.0.0.1"
AT_ONCE = 65536


async def relay(port: int, to: int) -> None:
    """Until it is stopped."""

    async def come(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            inner_reader, inner_writer = await asyncio.open_connection(HOST, to)
            await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))

    async with await asyncio.start_server(come, HOST, port) as server:
        await server.serve_forever()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while some := await reader.read(AT_ONCE):
            writer.write(some)
            await writer.drain()
    writer.close()


if __name__ == "__main__":
    asyncio.run(relay(int(sys.argv[1]), int(sys.argv[2])))
