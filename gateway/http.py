"""The words of HTTP that carriers and operators are spoken to in.

A request, an answer, a refusal, a route. No socket and no parser: those are in connection.py. A
body is a small form or nothing, so it is held whole, and no more of it than BODY_BYTES_MAX.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final, NamedTuple

BODY_BYTES_MAX: Final = 4096
TEXT: Final = b"text/plain; charset=utf-8"


class Request:
    """One request whose head is whole; its body may still be on its way.

    Names of headers are in lower case; what came twice under one name is joined by commas.
    """

    __slots__ = ("_awaited", "_body", "headers", "method", "path", "peer", "whole")

    def __init__(self, method: str, path: str, headers: Mapping[bytes, bytes], peer: str) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.peer = peer  # the address that the connection comes from
        self.whole = False
        self._body = b""
        self._awaited: asyncio.Future[None] | None = None

    @property
    def length(self) -> int | None:
        """What the head says of the body's bytes; None of a body sent in chunks, or not at all."""
        length = self.headers.get(b"content-length")
        return None if length is None else int(length)

    def is_wanted(self) -> bool:
        """Whether none of its body has come, and all of it would be read."""
        return not self._body and 0 < (self.length or 0) <= BODY_BYTES_MAX

    async def body(self) -> bytes:
        """All of it, when it has come; raises `Refused` if the caller hangs up before."""
        if not self.whole:  # it nearly always came with its head
            self._awaited = asyncio.get_running_loop().create_future()
            await self._awaited
        return self._body

    def add(self, body: bytes) -> None:
        """Some more of the body has come."""
        if len(self._body) <= BODY_BYTES_MAX:  # a longer one is refused by its length, unread
            self._body += body

    def end(self) -> None:
        """The body is whole."""
        self.whole = True
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_result(None)

    def torn(self) -> None:
        """The rest will not come."""
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_exception(Refused(HTTPStatus.BAD_REQUEST, "the body is torn\n"))


class Response(NamedTuple):
    """One answer."""

    body: bytes
    status: int = HTTPStatus.OK
    content_type: bytes = TEXT
    allow: bytes = b""  # of a 405: what would be allowed


class Refused(Exception):
    """An answer of 4xx, whose text is ours and quotes nothing."""

    def __init__(self, status: int, text: str = "") -> None:
        super().__init__(text)
        self.response = Response((text or f"{HTTPStatus(status).phrase}\n").encode(), status)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.response.status


Answer = Callable[[Request], Awaitable[Response]]


class Route(NamedTuple):
    """Who answers at a path."""

    method: str
    path: str
    answer: Answer
