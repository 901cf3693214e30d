"""Africa's Talking's side of a callback: a form posted to the application, and what it answered.

A USSD turn is posted once, and its answer is judged here as the network would judge it.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from menus.encoding import Encoding, encoding_of, size
from sim.handset import NETWORK_PROBLEM, SEPTETS_MAX, UNITS_MAX, Screen

TURN_TIMEOUT_S = 10.0
REPLY_BYTES_MAX = 64 * 1024
HOP_HEADER = "at-ussd-hop-metadata"
HOP_METADATA_MAX = 99
OK = 200


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; `status` 0 and a `problem` when nothing did."""

    status: int
    body: str
    ms: float
    hop_metadata: str | None = None
    problem: str = ""


class Poster:
    """Posts forms. Follows no redirect and no proxy, as a carrier's callback would not."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http

    async def post(
        self,
        url: str,
        form: Mapping[str, str],
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = TURN_TIMEOUT_S,
    ) -> Reply:
        started = time.perf_counter()

        def took() -> float:
            return (time.perf_counter() - started) * 1000

        try:
            async with self._http.post(
                url,
                data=form,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout_s),
            ) as response:
                raw = await _body(response)
                metadata = response.headers.get(HOP_HEADER)
                return Reply(response.status, raw.decode("utf-8", "replace"), took(), metadata)
        except TimeoutError:
            return Reply(0, "", took(), problem=f"no answer within {timeout_s:g} s")
        except aiohttp.ClientConnectorError:
            return Reply(0, "", took(), problem="the application is not listening there")
        except aiohttp.ClientError as error:
            problem = f"the connection broke: {type(error).__name__}"
            return Reply(0, "", took(), problem=problem)


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """The beginning of a body: an application that never stops writing cannot fill our memory."""
    read = bytearray()
    async for chunk in response.content.iter_chunked(REPLY_BYTES_MAX):
        read += chunk
        if len(read) >= REPLY_BYTES_MAX:
            break
    return bytes(read[:REPLY_BYTES_MAX])


def screen_of(reply: Reply) -> Screen:
    """What a phone shows for an answer, and what is wrong with it if anything."""
    if reply.problem:
        return Screen("error", NETWORK_PROBLEM, reply.problem)
    if reply.status not in (OK, 201):
        return Screen("error", NETWORK_PROBLEM, f"answered {reply.status} instead of 200")
    word, text = reply.body[:4], reply.body[4:]
    if word not in ("CON ", "END "):
        begin = reply.body[:12] or "nothing"
        problem = f"an answer begins with `CON ` or `END `, this one with {begin!r}"
        return Screen("error", NETWORK_PROBLEM, problem)
    return Screen("menu" if word == "CON " else "end", text, _complaint(text, reply.hop_metadata))


def _complaint(text: str, metadata: str | None) -> str:
    """What a network would spoil, though this one lets it pass."""
    encoding = encoding_of(text)
    room = SEPTETS_MAX if encoding is Encoding.GSM7 else UNITS_MAX
    if size(text) > room:
        return f"{size(text)} {encoding.value} do not fit the {room} of a USSD page"
    if not text.strip():
        return "the page is empty"
    if metadata is not None and (len(metadata) > HOP_METADATA_MAX or "|" in metadata):
        return f"{HOP_HEADER} holds at most {HOP_METADATA_MAX} characters and no `|`"
    return ""
