"""The HTTP server: carriers' callbacks, health, readiness and metrics.

Every request carries a request id into the logs. A callback that meets an unexpected fault still
answers as its carrier needs it: a USSD turn with an END page, an SMS with a 503 so that the
carrier brings it again. No access log: paths hold the secret, bodies hold PINs.
"""

from collections.abc import Awaitable, Callable, Sequence

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from gateway import logs
from gateway.carriers.http import BODY_BYTES_MAX
from gateway.clock import Entropy
from gateway.meters import Meters

Check = Callable[[], Awaitable[str | None]]
"""A part's health: None, or in a few words what is wrong with it."""

Next = Callable[[web.Request], Awaitable[web.StreamResponse]]
READ_BUFFER_BYTES = 2**14
LOG = logs.get("web")


def application(
    routes: Sequence[web.RouteDef], checks: dict[str, Check], meters: Meters, entropy: Entropy
) -> web.Application:
    """The server's application; `checks` decide `/ready`."""

    @web.middleware
    async def traced(request: web.Request, handler: Next) -> web.StreamResponse:
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=entropy(6).hex())
        try:
            return await handler(request)
        except web.HTTPException as refusal:
            # Plain text instead of aiohttp's page; the reason is ours and quotes nothing.
            return web.Response(status=refusal.status, text=refusal.text or refusal.reason)
        except Exception as error:  # noqa: BLE001  # the last line of defence
            meters.faults.labels("web").inc()
            LOG.error("callback failed", error=error)
            return web.Response(status=503, text="not now\n")

    async def health(_request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def ready(_request: web.Request) -> web.Response:
        words = {name: await check() for name, check in checks.items()}
        status = 200 if not any(words.values()) else 503
        return web.json_response(
            {"ready": status == 200, **{name: word or "ok" for name, word in words.items()}},  # noqa: PLR2004
            status=status,
        )

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(meters.registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    app = web.Application(middlewares=[traced], client_max_size=BODY_BYTES_MAX)
    app.add_routes(
        [
            *routes,
            web.get("/health", health),
            web.get("/ready", ready),
            web.get("/metrics", metrics),
        ]
    )
    return app
