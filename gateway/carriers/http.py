"""The hardened edge that every HTTP callback passes before its carrier reads a byte.

A callback is a small form, posted with the secret in its path by an allowed address, whole
within four seconds. Everything else gets a 4xx and is not looked at. No reply echoes input.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from http import HTTPStatus
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import unquote_to_bytes

from gateway.http import BODY_BYTES_MAX, Refused, Request, Response, Route

FORM_TYPE: Final = b"application/x-www-form-urlencoded"
FIELDS_MAX = 16
RECEIVE_S = 4.0  # with the second that a door gives to leave: whoever trickles is gone in five

_ASCII: Final = {
    hexadecimal: chr(code) for code in range(128) for hexadecimal in (f"{code:02X}", f"{code:02x}")
}

Form = Mapping[str, str]
Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Gate:
    """Who may post, and how much.

    `allow` is everybody when empty. A proxy of `trusted` speaks for whom its X-Forwarded-For names.
    """

    def __init__(self, secret: str, allow: Sequence[str] = (), trusted: Sequence[str] = ()) -> None:
        self._secret = secret
        self._allow, self._trusted = _networks(allow), _networks(trusted)

    def post(self, path: str, handle: Callable[[Form], Awaitable[Response]]) -> Route:
        """A route at `path` (which holds `{secret}`) whose handler gets the checked form.

        The secret is part of the route, so that a callback is found in one look at a dictionary,
        and nothing at any other path. How long that takes tells nobody a part of the secret: paths
        are compared by their hashes, which are keyed anew in each process.
        """
        if not self._secret:
            raise ValueError("no callback without a secret in its path")

        async def checked(request: Request) -> Response:
            if self._allow and not self._allowed(request):
                raise Refused(HTTPStatus.NOT_FOUND)
            return await handle(await _form(request))

        return Route("POST", path.replace("{secret}", self._secret), checked)

    def _allowed(self, request: Request) -> bool:
        forwarded = request.headers.get(b"x-forwarded-for", b"").decode("latin-1")
        hops = forwarded.split(",") if forwarded else ()
        try:
            return _within(caller(request.peer, hops, self._trusted), self._allow)
        except ValueError:  # no address, or a trusted proxy was told nonsense
            return False


def caller(peer: str, forwarded: Sequence[str], trusted: Sequence[Network]) -> Address:
    """Whom a request is from: the last address that no trusted proxy has.

    Each proxy adds whom it heard from at the right. So the rightmost word is as good as the peer
    that said it, and so on to the left; what stands left of a stranger may be that stranger's
    invention and is not looked at. ValueError for what is no address.
    """
    hops = [hop for header in forwarded for hop in header.split(",")]
    address = _address(peer)
    while hops and _within(address, trusted):
        address = _address(hops.pop())
    return address


@lru_cache(maxsize=1024)  # a carrier calls from few addresses, and again and again
def _address(text: str) -> Address:
    address = ip_address(text.strip())
    # A socket for both families spells IPv4 in IPv6; the lists need not know.
    return getattr(address, "ipv4_mapped", None) or address


def _within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def _networks(entries: Sequence[str]) -> tuple[Network, ...]:
    return tuple(ip_network(entry, strict=False) for entry in entries)


async def _form(request: Request) -> Form:
    """The fields of a small urlencoded form; raises the 4xx that fits."""
    headers = request.headers
    kind = headers.get(b"content-type", b"")
    if kind != FORM_TYPE and kind.partition(b";")[0].strip().lower() != FORM_TYPE:
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"{FORM_TYPE.decode()} only\n")
    if b"content-encoding" in headers:
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "a form is not compressed\n")
    length = request.length
    if length is None:
        raise Refused(HTTPStatus.LENGTH_REQUIRED, "Content-Length is needed\n")
    if length > BODY_BYTES_MAX:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{BODY_BYTES_MAX} bytes at most\n")
    try:
        pairs = read_form((await _body(request)).decode(errors="replace"))
    except ValueError:
        raise Refused(HTTPStatus.BAD_REQUEST, "the form cannot be read\n") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise Refused(HTTPStatus.BAD_REQUEST, "a field is given twice\n")
    return form


async def _body(request: Request) -> bytes:
    """The whole body, which a carrier has five seconds to send."""
    if request.whole:  # it came with its head, as nearly always: nothing to time
        return await request.body()
    try:
        async with asyncio.timeout(RECEIVE_S):
            return await request.body()
    except TimeoutError:
        raise Refused(HTTPStatus.REQUEST_TIMEOUT) from None


def read_form(body: str) -> list[tuple[str, str]]:
    """Names and values, as `urllib.parse.parse_qsl` reads them in three times the time.

    A name without `=` has an empty value; what is not UTF-8 reads as U+FFFD, which is neither
    letter nor digit. ValueError for too many.
    """
    if body.count("&") >= FIELDS_MAX:
        raise ValueError("too many fields")
    pairs = []
    for part in filter(None, body.split("&")):
        name, _, value = part.partition("=")
        if "%" in part or "+" in part:  # most have nothing to undo
            name, value = _unescaped(name), _unescaped(value)
        pairs.append((name, value))
    return pairs


def _unescaped(text: str) -> str:
    # `+` is a space in a form, and carriers forget to escape it: numbers put it back.
    text = text.replace("+", " ")
    first, *escaped = text.split("%")
    try:
        return first + "".join([_ASCII[part[:2]] + part[2:] for part in escaped])
    except KeyError:  # of another alphabet, whose letters take several escapes, or no escape
        return unquote_to_bytes(text).decode(errors="replace")


def field(form: Form, name: str, *, longest: int, default: str | None = None) -> str:
    """A field of at most `longest` characters; 400 naming it when missing or longer."""
    value = form.get(name, default)
    if value is None or (default is None and not value):
        raise Refused(HTTPStatus.BAD_REQUEST, f"{name} is missing\n")
    if len(value) > longest:
        raise Refused(HTTPStatus.BAD_REQUEST, f"{name} is too long\n")
    return value
