"""What everything is compared with: aiohttp on uvloop, the carrier's form in, a fixed page out.

    python -m tests.bench.bare PORT

No secret, no session, no store, no thought: what aiohttp itself costs for this form.
"""

import sys

import uvloop
from aiohttp import web

PAGE = "CON 1 Send money\n2 Balance\n3 Last payment\n4 Change PIN\n5 Language"


async def ussd(request: web.Request) -> web.Response:
    form = await request.post()
    return web.Response(text=PAGE if "text" in form else "END ")


if __name__ == "__main__":
    app = web.Application()
    app.router.add_post("/ussd", ussd)
    web.run_app(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        access_log=None,
        print=lambda *_: None,
        loop=uvloop.new_event_loop(),
    )
