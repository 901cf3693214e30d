"""One HTTP/1.1 connection: bytes in, requests answered one after another, bytes out.

Parsed by llhttp (httptools), which takes no request that two readers could read differently. What
a carrier needs and no more: small whole bodies, keep-alive, pipelining. It is here because a
general server's layers, the first row of `make bench`, would be nearly a third of a turn. Who may
connect, and for how long, is door.py's; what is answered is web.py's.

Reference: RFC 9112 (HTTP/1.1 messages and connections), RFC 9110 (Date, Expect, HEAD, Allow).
"""

import asyncio
from collections import deque
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time
from typing import Final, NamedTuple, Protocol, cast
from urllib.parse import unquote

from httptools import (
    HttpParserError,
    HttpParserUpgrade,
    HttpRequestParser,
    parse_url,
)

from gateway.http import Answer, Request, Response

HEAD_BYTES_MAX: Final = 16 * 1024
PIPELINED_MOST: Final = 16  # requests that are sent before the answers to those before them
_STAYS: Final = b"Connection: keep-alive\r\n"
_CLOSES: Final = b"Connection: close\r\n"
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_FIRST_LINES = {int(each): f"HTTP/1.1 {each} {each.phrase}\r\n".encode() for each in HTTPStatus}


class Porter(Protocol):
    """Who let a connection in: told what it does, so that silence can be timed."""

    closing: bool

    def works(self, connection: "Connection") -> None:
        """A request is being answered."""

    def rests(self, connection: "Connection") -> None:
        """All that was asked is answered."""

    def leaves(self, connection: "Connection") -> None:
        """It closes as soon as its caller has read what was written."""

    def gone(self, connection: "Connection") -> None:
        """It is closed."""


class _Asked(NamedTuple):
    """A request, and what its head says of the connection."""

    request: Request
    stays: bool  # the caller may ask again
    announced: bool  # HTTP/1.0, where staying is said
    waits: bool  # before it sends its body, to be told to go on


class Connection(asyncio.Protocol):
    """Speaks with one caller. `leave_s`: how long the rest of a refused body is waited for."""

    def __init__(self, answer: Answer, porter: Porter, leave_s: float) -> None:
        self._answer = answer
        self._porter = porter
        self._leave_s = leave_s
        self._loop = asyncio.get_running_loop()
        self._parser = HttpRequestParser(self)
        self._url, self._headers = b"", dict[bytes, bytes]()
        self._head_bytes = 0  # of a head that is not whole yet
        self._arriving: Request | None = None  # its body is not whole yet
        self._unparsed = 0  # bytes of that body that are not the parser's to read
        self._work: asyncio.Task[None] | None = None
        self._waiting: deque[_Asked] = deque()
        self._deaf = False  # nothing that comes now is read
        self._clogged = False  # the caller does not read
        self._lost = False

    def close(self) -> None:
        """Hang up, once what was written has left."""
        self._deaf = True
        self._waiting.clear()
        self._porter.leaves(self)
        self._transport.close()

    def abort(self) -> None:
        """Hang up at once, and stop what is being answered."""
        work, self._work = self._work, None
        if work is not None:
            work.cancel()
        self._transport.abort()

    # ---- what the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        name = transport.get_extra_info("peername")
        self._peer = str(name[0]) if name else ""

    def data_received(self, data: bytes) -> None:
        if self._unparsed:
            data = self._taken(data)
        if self._deaf:
            return
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            self._stay(data[upgrade.args[0] :])
        except HttpParserError:
            self._unreadable(HTTPStatus.BAD_REQUEST)
        else:
            if self._head_bytes:
                self._head_bytes += len(data)
                if self._head_bytes > HEAD_BYTES_MAX:
                    self._unreadable(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def eof_received(self) -> bool:
        """The caller says no more; what it has asked is answered all the same."""
        self._deaf = True
        self._tear()
        return self._work is not None

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._deaf = self._lost = True
        self._waiting.clear()
        self._tear()
        if self._work is None:
            self._porter.gone(self)

    def pause_writing(self) -> None:
        self._clogged = True

    def resume_writing(self) -> None:
        self._clogged = False
        if self._waiting and self._work is None:
            self._begin(self._waiting.popleft())

    # ---- what the parser calls

    def on_message_begin(self) -> None:
        self._url, self._headers, self._head_bytes = b"", {}, 1

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        held = self._headers.get(name)
        self._headers[name] = value if held is None else held + b", " + value

    def on_headers_complete(self) -> None:
        self._head_bytes = 0
        parser = self._parser
        method = parser.get_method().decode()
        request = self._arriving = Request(method, _path(self._url), self._headers, self._peer)
        version = parser.get_http_version()
        waits = version == "1.1" and self._headers.get(b"expect", b"").lower() == b"100-continue"
        asked = _Asked(request, parser.should_keep_alive(), version == "1.0", waits)
        if self._work is None and not self._clogged:
            self._begin(asked)
        elif len(self._waiting) < PIPELINED_MOST:
            self._waiting.append(asked)
        else:
            self._deaf = True

    def on_body(self, body: bytes) -> None:
        if self._arriving is not None:
            self._arriving.add(body)

    def on_message_complete(self) -> None:
        if self._arriving is not None and not self._parser.should_upgrade():
            self._arriving.end()
            self._arriving = None

    # ---- what the parser leaves to us

    def _stay(self, data: bytes) -> None:
        """Go on in HTTP/1.1 with who offers another protocol, as RFC 9110 lets a server (7.8).

        The parser takes all that follows such a head for that protocol, and reads no more. So its
        body is cut off here, and a new parser reads what is behind it. Where no length says how
        long it is, as in a tunnel, nothing more is read.
        """
        request, self._parser = self._arriving, HttpRequestParser(self)
        if request is None or request.method == "CONNECT" or b"transfer-encoding" in self._headers:
            self._deaf = True
        else:
            self._unparsed = request.length or 0
        self.data_received(self._taken(data))

    def _taken(self, data: bytes) -> bytes:
        """What is behind the body, of which `data` is some or all."""
        body, behind = data[: self._unparsed], data[self._unparsed :]
        self._unparsed -= len(body)
        self.on_body(body)
        if not self._unparsed:
            self.on_message_complete()
        return behind

    # ---- answering

    def _begin(self, asked: _Asked) -> None:
        self._porter.works(self)
        self._work = self._loop.create_task(self._answered(asked))

    async def _answered(self, asked: _Asked) -> None:
        """Answer one request, and go on with what was asked meanwhile."""
        request = asked.request
        if asked.waits and not self._deaf and request.is_wanted():
            self._transport.write(_CONTINUE)
        response = await self._answer(request)
        self._work = None
        if self._lost:
            self._porter.gone(self)
            return
        more = asked.stays and request.whole and bool(self._waiting)
        stays = more or (
            asked.stays and request.whole and not self._deaf and not self._porter.closing
        )
        said = b"" if stays and not asked.announced else _STAYS if stays else _CLOSES
        self._transport.write(_written(response, said, bodiless=request.method == "HEAD"))
        if not stays:
            self._leave()
        elif more and not self._clogged:
            self._begin(self._waiting.popleft())
        else:
            self._porter.rests(self)

    def _unreadable(self, status: HTTPStatus) -> None:
        """What comes is no HTTP, so nothing after it can be trusted either."""
        self._deaf = True
        self._tear()
        if self._work is None:
            self._transport.write(
                _written(Response(f"{status.phrase}\n".encode(), status), _CLOSES)
            )
            self._leave()

    def _leave(self) -> None:
        """Close; but a caller that is still sending must be able to read its answer first."""
        if (self._arriving is None and not self._head_bytes) or not self._transport.can_write_eof():
            self.close()
            return
        self._deaf = True
        self._waiting.clear()
        self._porter.leaves(self)
        self._transport.write_eof()
        self._loop.call_later(self._leave_s, self._transport.close)

    def _tear(self) -> None:
        """The rest of a body will not come."""
        if self._arriving is not None:
            self._arriving.torn()
            self._arriving = None


@lru_cache(maxsize=1)
def _date(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode()


def _path(url: bytes) -> str:
    """The path of a request's target, which may be a whole address; no query."""
    if not url.startswith(b"/"):
        try:
            url = parse_url(url).path or b""
        except HttpParserError:
            return ""
    path = url.partition(b"?")[0].decode("latin-1")
    return unquote(path) if "%" in path else path


def _written(response: Response, said: bytes, *, bodiless: bool = False) -> bytes:
    body, status, content_type, allow = response
    if allow:
        said += b"Allow: %b\r\n" % allow
    return b"%bDate: %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n%b\r\n%b" % (
        _FIRST_LINES[status],
        _date(int(time())),
        content_type,
        len(body),
        said,
        b"" if bodiless else body,
    )
