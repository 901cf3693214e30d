"""Who may talk to the simulator: this machine only, and no web page of another site.

A page elsewhere can make a browser post here, or rebind its own name to 127.0.0.1. Both carry a
Host or an Origin that is not ours.
"""

from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

OURS = ("127.0.0.1", "localhost", "::1")
POLICY = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@web.middleware
async def only_here(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse other hosts and origins; tell browsers what the page may load."""
    host = request.host
    if urlsplit(f"//{host}").hostname not in OURS:
        return web.Response(status=421, text="This is 127.0.0.1 only.\n")
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"http://{host}":
        return web.Response(status=403, text="Another site's page may not use the simulator.\n")
    return await handler(request)


async def add_policy(_request: web.Request, response: web.StreamResponse) -> None:
    """Headers for everything that is answered (a signal: errors pass here too)."""
    response.headers.update(POLICY)
