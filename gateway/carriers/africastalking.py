"""Africa's Talking, as its callbacks and its SDK speak it.

USSD in: `POST …/ussd`, form fields `sessionId, phoneNumber, networkCode, serviceCode, text`.
`text` is empty first, then the whole history joined by `*`; a dialled `*855*1*2#` arrives as the
first `text` "1*2". There is no per-turn id and `*` inside an answer is not escaped, so only the
accepted prefix tells what is new. An unescaped `+` arrives as a space; `text` may be absent.
The reply is text/plain, `CON ` or `END ` and the page, within 10 seconds.

SMS in: `POST …/sms`, fields `from, to, text, date, id, linkId?, networkCode?`; posted every
minute again, for twelve hours, until a 200. So whatever a phone or another sender can cause gets
one: a `from` that is a name, a short code or empty cannot be answered, and a text longer than
phones write is no command; both are counted and dropped. Bytes that are no UTF-8 (half an emoji, a
sender's Latin-1) read as U+FFFD, and are answered. A form without an `id`, though, is none that
Africa's Talking documents: without it one message could be acted upon twice, so it is refused,
and the twelve hours are the time to mend whichever side is wrong before the message is lost.

Delivery reports: `POST …/delivery`, fields `id, status, phoneNumber, networkCode, failureReason?,
retryCount?`; only Success, Failed and Rejected are final.
End of session: `POST …/events`; it may be late, doubled or never come, and its `input` and
`lastAppResponse` may hold a PIN, so it is acknowledged unread.

SMS out: the official SDK's `SMSService.send`, pointed at a configurable base URL. It is
synchronous (3 s to connect, 9 s between two bytes of the answer, no retry), so it runs in threads
of its own. There is no idempotency key: what may have been sent is told apart from what surely was
not. Not sent: no connection, HTTP 4xx or 503, an answer that names no recipient, and the statuses
that say so. Perhaps sent: no answer in time, a torn or unreadable one, any other HTTP 5xx.

Sources: docs.africastalking.com (sms/callback, sms/notifications, sms/deliveryreports),
help.africastalking.com articles 484351, 742510 and 1284071, africastalking 2.0.3. No signature
scheme and no address list are published: the secret path and an allow-list stand in for them.
"""

import asyncio
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, Final

import requests
from africastalking.SMS import SMSService
from urllib3.exceptions import MaxRetryError

from gateway.carriers.carrier import (
    Delivery,
    DeliveryReport,
    Lines,
    SendFailed,
    SendRefused,
    SendUncertain,
    SmsMo,
    Unheard,
    UssdMo,
)
from gateway.carriers.http import Form, Gate, field
from gateway.config import Settings
from gateway.http import Refused, Request, Response, Route
from menus.encoding import SEPTETS_JOINED
from menus.kinds import Msisdn

TEXT_MAX = 1024
SMS_TEXT_MAX = 10 * SEPTETS_JOINED  # ten SMS joined: phones make no longer one
SEND_THREADS = 8
SEND_S: Final = 12.5  # a whole send, however slowly its answer trickles
ACCEPTED = (100, 101, 102)  # processed, sent, queued
MAY_BE_TRIED_AGAIN = (405, 500, 501, 502)  # balance used up, internal, gateway
_CREDENTIALS: Final = ": see GATEWAY_AFRICASTALKING_USER and GATEWAY_AFRICASTALKING_KEY"
_OK: Final = Response(b"ok")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_ID = re.compile(r"[\x21-\x7e]{1,128}")
_FINAL = {
    "Success": Delivery.DELIVERED,
    "Failed": Delivery.FAILED,
    "Rejected": Delivery.FAILED,
}


class _Sms(SMSService):  # type: ignore[misc]  # the SDK carries no types
    """The SDK's own service, with its base URL as a constructor argument.

    `send` returns the whole response: of an HTTP error the SDK would tell the text only, and
    whether a message may be sent again hangs on the status.
    """

    def __init__(self, base_url: str, username: str, api_key: str) -> None:
        self._chosen = base_url.rstrip("/") + "/version1"
        super().__init__(username, api_key)

    def _init_service(self) -> None:
        self._baseUrl = self._contentUrl = self._chosen

    def _make_request(
        self,
        url: str,
        method: str,
        *,
        callback: None = None,
        **request: Any,  # noqa: ANN401  # the SDK's own: headers, form, timeouts
    ) -> requests.Response:
        del callback  # its errors would be lost
        # A redirection would make a GET of it; the timeouts are the SDK's.
        return requests.request(method, url, allow_redirects=False, **request)  # noqa: S113  # they are among `request`


class AfricasTalking:
    """One account at Africa's Talking."""

    name = "africastalking"

    def __init__(self, gate: Gate, sms: _Sms, sender: str, *, send_s: float = SEND_S) -> None:
        self._gate = gate
        self._sms = sms
        self._sender = sender
        self._send_s = send_s
        self._threads = ThreadPoolExecutor(SEND_THREADS, thread_name_prefix="africastalking")

    @classmethod
    def from_settings(cls, settings: Settings, gate: Gate) -> "AfricasTalking":
        """As the settings say; development may leave user and key empty."""
        sms = _Sms(
            settings.africastalking_url,
            settings.africastalking_user or "sandbox",
            settings.africastalking_key or "none",
        )
        return cls(gate, sms, settings.shortcode)

    def routes(self, lines: Lines) -> Sequence[Route]:
        """Ussd, sms, delivery and events below `/africastalking/{secret}`."""

        async def ussd(form: Form) -> Response:
            mt = await lines.ussd(_ussd_mo(form))
            page = ("END " if mt.end else "CON ") + mt.text
            return Response(page.encode())

        async def sms(form: Form) -> Response:
            match _sms_mo(form):
                case SmsMo() as mo:
                    await lines.sms(mo)
                case Unheard() as why:
                    lines.unheard(why)
            return _OK

        async def delivery(form: Form) -> Response:
            await lines.delivery(_report(form))
            return _OK

        async def events(form: Form) -> Response:
            del form  # may hold a PIN; nothing depends on it
            return _OK

        base = "/africastalking/{secret}/"
        handlers = {"ussd": ussd, "sms": sms, "delivery": delivery, "events": events}
        routes = {name: self._gate.post(base + name, each) for name, each in handlers.items()}
        routes["sms"] = _forgiving(routes["sms"], lines)
        return [*routes.values()]

    async def send(self, to: Msisdn, text: str) -> str | None:
        """One SMS through the SDK, in a thread of its own."""
        sending = self._threads.submit(self._sms.send, text, [to.e164], self._sender)
        try:
            async with asyncio.timeout(self._send_s):
                response = await asyncio.wrap_future(sending)
        except TimeoutError:
            begun = not sending.cancelled()
            raise (SendUncertain if begun else SendFailed)("no answer in time") from None
        except requests.RequestException as error:
            # The error's own text may quote the request: its kind is all that may be told.
            fate = SendFailed if _surely_not_sent(error) else SendUncertain
            hint = " at GATEWAY_AFRICASTALKING_URL" if fate is SendFailed else ""
            raise fate(f"{type(error).__name__}{hint}") from None
        return _accepted(response)

    async def close(self) -> None:
        """Let running sends end; new ones are refused."""
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)


def _forgiving(route: Route, lines: Lines) -> Route:
    """The same route, where a body too big to be read is an SMS too long to be heard."""

    async def forgiving(request: Request) -> Response:
        try:
            return await route.answer(request)
        except Refused as refused:
            if refused.status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                raise
            lines.unheard(Unheard.TOO_LONG)
            return _OK

    return route._replace(answer=forgiving)


def _surely_not_sent(error: requests.RequestException) -> bool:
    """Whether the request cannot have reached the carrier."""
    if isinstance(error, requests.exceptions.SSLError):
        return "CERTIFICATE_VERIFY_FAILED" in str(error)  # others may come in mid-answer
    # It is told never to retry, and then gives up with this error only where it cannot connect.
    reason = error.args[0] if error.args else None
    return isinstance(error, requests.ConnectionError) and isinstance(reason, MaxRetryError)


def _accepted(response: requests.Response) -> str | None:
    """The message id of an accepted send; raises for everything else."""
    http = response.status_code
    if http // 100 != 2:  # noqa: PLR2004  # 2xx
        perhaps = (
            http >= HTTPStatus.INTERNAL_SERVER_ERROR and http != HTTPStatus.SERVICE_UNAVAILABLE
        )
        hint = _CREDENTIALS if http in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) else ""
        raise (SendUncertain if perhaps else SendFailed)(f"HTTP {http}{hint}")
    try:
        recipients = response.json()["SMSMessageData"]["Recipients"]
        code = int(recipients[0]["statusCode"]) if recipients else None
    except (KeyError, TypeError, ValueError):
        raise SendUncertain("an answer of an unknown form") from None
    if code in ACCEPTED:
        message_id = recipients[0].get("messageId")
        return str(message_id) if message_id not in (None, "None") else None
    if code is None or code in MAY_BE_TRIED_AGAIN:
        raise SendFailed("no recipient" if code is None else f"status {code}")
    raise SendRefused(f"status {code}")


def _number(written: str) -> Msisdn | None:
    number = "+" + written.strip().removeprefix("+")
    return Msisdn(number) if _E164.fullmatch(number) else None


def _id(form: Form, name: str) -> str:
    value = field(form, name, longest=128)
    if not _ID.fullmatch(value):
        raise Refused(HTTPStatus.BAD_REQUEST, f"{name} is not an id\n")
    return value


def _ussd_mo(form: Form) -> UssdMo:
    msisdn = _number(field(form, "phoneNumber", longest=32))
    if msisdn is None:
        raise Refused(HTTPStatus.BAD_REQUEST, "phoneNumber is not a phone number\n")
    return UssdMo(
        carrier=AfricasTalking.name,
        session=_id(form, "sessionId"),
        msisdn=msisdn,
        network=field(form, "networkCode", longest=16, default=""),
        service_code=field(form, "serviceCode", longest=32, default=""),
        text=field(form, "text", longest=TEXT_MAX, default=""),
    )


def _sms_mo(form: Form) -> SmsMo | Unheard:
    message_id = _id(form, "id")
    msisdn, text = _number(form.get("from", "")), form.get("text", "")
    if msisdn is None:
        return Unheard.NO_NUMBER
    if len(text) > SMS_TEXT_MAX:
        return Unheard.TOO_LONG
    shortcode = field(form, "to", longest=32, default="")
    return SmsMo(AfricasTalking.name, message_id, msisdn, shortcode, text)


def _report(form: Form) -> DeliveryReport:
    status = field(form, "status", longest=64)
    reason = field(form, "failureReason", longest=64, default="")
    return DeliveryReport(
        carrier_id=_id(form, "id"),
        delivery=_FINAL.get(status, Delivery.ON_ITS_WAY),
        failure=reason if _ID.fullmatch(reason) else None,
    )
