"""The hardened edge that every HTTP callback passes before its carrier reads a byte.

A callback is a small form, posted with the secret in its path by an allowed address, whole
within five seconds. Everything else gets a 4xx and is not looked at. No reply echoes input.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import parse_qsl

from aiohttp import web

BODY_BYTES_MAX = 4096
FIELDS_MAX = 16
RECEIVE_S = 5.0

Form = Mapping[str, str]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Gate:
    """Who may post, and how much."""

    def __init__(self, secret: str, allow: Sequence[str] = ()) -> None:
        self._secret = secret.encode()
        self._allow: list[IPv4Network | IPv6Network] = [
            ip_network(entry, strict=False) for entry in allow
        ]

    def post(self, path: str, handle: Callable[[Form], Awaitable[web.Response]]) -> web.RouteDef:
        """A route at `path` (which holds `{secret}`) whose handler gets the checked form."""

        async def checked(request: web.Request) -> web.StreamResponse:
            self._admit(request)
            return await handle(await _form(request))

        return web.post(path, checked)

    def _admit(self, request: web.Request) -> None:
        given = request.match_info["secret"].encode()
        if not hmac.compare_digest(given, self._secret) or not self._allowed(request.remote):
            raise web.HTTPNotFound

    def _allowed(self, remote: str | None) -> bool:
        if not self._allow:
            return True
        if remote is None:
            return False
        address = ip_address(remote)
        return any(address in network for network in self._allow)


async def _form(request: web.Request) -> Form:
    """The fields of a small urlencoded form; raises the 4xx that fits."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise web.HTTPUnsupportedMediaType(text="application/x-www-form-urlencoded only\n")
    length = request.content_length
    if length is None:
        raise web.HTTPLengthRequired(text="Content-Length is needed\n")
    if length > BODY_BYTES_MAX:
        raise web.HTTPRequestEntityTooLarge(BODY_BYTES_MAX, length)
    try:
        async with asyncio.timeout(RECEIVE_S):
            body = await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    try:
        # `+` is a space in a form, and carriers forget to escape it: numbers put it back (field).
        pairs = parse_qsl(
            body.decode(),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=FIELDS_MAX,
        )
    except ValueError:  # UnicodeDecodeError is one
        raise web.HTTPBadRequest(text="the form cannot be read\n") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise web.HTTPBadRequest(text="a field is given twice\n")
    return form


def field(form: Form, name: str, *, longest: int, default: str | None = None) -> str:
    """A field of at most `longest` characters; 400 naming it when missing or longer."""
    value = form.get(name, default)
    if value is None or (default is None and not value):
        raise web.HTTPBadRequest(text=f"{name} is missing\n")
    if len(value) > longest:
        raise web.HTTPBadRequest(text=f"{name} is too long\n")
    return value
