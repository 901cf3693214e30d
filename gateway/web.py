"""The HTTP server: carriers' callbacks, health, readiness and metrics.

Every request carries a request id into the logs. A callback that meets an unexpected fault still
answers as its carrier needs it: a USSD turn with an END page, an SMS with a 503 so that the
carrier brings it again. No access log: paths hold the secret, bodies hold PINs.
"""

from collections.abc import Awaitable, Callable, Sequence
from itertools import count

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from gateway import logs
from gateway.carriers.http import BODY_BYTES_MAX
from gateway.clock import Entropy
from gateway.meters import Meters

Check = Callable[[], Awaitable[str | None]]
"""A part's health: None, or in a few words what is wrong with it."""

Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]
LOG = logs.get("web")


def application(
    routes: Sequence[web.RouteDef],
    checks: dict[str, Check] | None,
    meters: Meters,
    entropy: Entropy,
) -> web.Application:
    """One address's application. `checks` decide `/ready`.

    Without them it tells strangers no more than `/health`: readiness and metrics are elsewhere.
    """
    process, numbers = entropy(6).hex(), count(1)

    def traced(route: web.RouteDef) -> web.RouteDef:
        # Around the handler and not a middleware: aiohttp walks a middleware's chain anew for
        # every request, which takes longer than all of this.
        handle: Handle = route.handler

        async def handler(request: web.Request) -> web.StreamResponse:
            logs.REQUEST_ID.set(f"{process}-{next(numbers):x}")
            try:
                return await handle(request)
            except web.HTTPException as refusal:
                # Plain text instead of aiohttp's page; the reason is ours and quotes nothing.
                return web.Response(status=refusal.status, text=refusal.text or refusal.reason)
            except Exception as error:  # noqa: BLE001  # the last line of defence
                meters.faults.labels("web").inc()
                LOG.error("callback failed", error=error)
                return web.Response(status=503, text="not now\n")

        return web.RouteDef(route.method, route.path, handler, route.kwargs)

    async def health(_request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def ready(_request: web.Request) -> web.Response:
        words = {name: await check() for name, check in (checks or {}).items()}
        status = 200 if not any(words.values()) else 503
        return web.json_response(
            {"ready": status == 200, **{name: word or "ok" for name, word in words.items()}},  # noqa: PLR2004
            status=status,
        )

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(meters.registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    own = [web.get("/health", health)]
    if checks is not None:
        own += [web.get("/ready", ready), web.get("/metrics", metrics)]
    app = web.Application(client_max_size=BODY_BYTES_MAX)
    app.add_routes([traced(route) for route in (*routes, *own)])
    return app
