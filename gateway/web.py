"""What is answered at an address: carriers' callbacks, health, readiness and metrics.

Every request carries a request id into the logs. A callback that meets an unexpected fault still
answers as its carrier needs it: a USSD turn with an END page, an SMS with a 503 so that the
carrier brings it again. No access log: paths hold the secret, bodies hold PINs.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from itertools import count

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from gateway import logs
from gateway.clock import Entropy
from gateway.http import Answer, Refused, Request, Response, Route
from gateway.meters import Meters

Check = Callable[[], Awaitable[str | None]]
"""A part's health: None, or in a few words what is wrong with it."""

REMARKS = frozenset({"payments"})  # of checks: told, and no reason to send no callbacks here
LOG = logs.get("web")


def application(
    routes: Sequence[Route], checks: dict[str, Check] | None, meters: Meters, entropy: Entropy
) -> Answer:
    """Who answers at one address; never raises. `checks` decide `/ready`.

    Without them it tells strangers no more than `/health`: readiness and metrics are elsewhere.
    """
    process, numbers = entropy(6).hex(), count(1)
    own = [Route("GET", "/health", _health)]
    if checks is not None:
        own += [Route("GET", "/ready", _ready(checks)), Route("GET", "/metrics", _metrics(meters))]
    at: dict[str, dict[str, Answer]] = {}
    for route in (*routes, *own):
        at.setdefault(route.path, {})[route.method] = route.answer

    async def answer(request: Request) -> Response:
        logs.REQUEST_ID.set(f"{process}-{next(numbers):x}")
        methods = at.get(request.path)
        if methods is None:
            return Response(b"Not Found\n", HTTPStatus.NOT_FOUND)
        asked = methods.get("GET" if request.method == "HEAD" else request.method)
        if asked is None:
            allow = ", ".join(sorted(methods)).encode()
            return Response(b"Method Not Allowed\n", HTTPStatus.METHOD_NOT_ALLOWED, allow=allow)
        try:
            return await asked(request)
        except Refused as refused:
            return refused.response
        except Exception as error:  # noqa: BLE001  # the last line of defence
            meters.faults.labels("web").inc()
            LOG.error("callback failed", error=error)
            return Response(b"not now\n", HTTPStatus.SERVICE_UNAVAILABLE)

    return answer


async def _health(_request: Request) -> Response:
    return _json({"status": "ok"})


def _ready(checks: dict[str, Check]) -> Answer:
    async def ready(_request: Request) -> Response:
        words = {name: await check() for name, check in checks.items()}
        well = not any(word for name, word in words.items() if name not in REMARKS)
        told = {"ready": well, **{name: word or "ok" for name, word in words.items()}}
        return _json(told, HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE)

    return ready


def _metrics(meters: Meters) -> Answer:
    async def metrics(_request: Request) -> Response:
        text = generate_latest(meters.registry)
        return Response(text, content_type=CONTENT_TYPE_LATEST.encode())

    return metrics


def _json(told: object, status: int = HTTPStatus.OK) -> Response:
    return Response(json.dumps(told).encode(), status, b"application/json; charset=utf-8")
