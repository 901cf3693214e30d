"""Africa's Talking, as its callbacks and its SDK speak it.

USSD in: `POST …/ussd`, form fields `sessionId, phoneNumber, networkCode, serviceCode, text`.
`text` is empty first, then the whole history joined by `*`; a dialled `*855*1*2#` arrives as the
first `text` "1*2". There is no per-turn id and `*` inside an answer is not escaped, so only the
accepted prefix tells what is new. An unescaped `+` arrives as a space; `text` may be absent.
The reply is text/plain, `CON ` or `END ` and the page, within 10 seconds.

SMS in: `POST …/sms`, fields `from, to, text, date, id, linkId?, networkCode?`; posted every
minute again until a 200. Delivery reports: `POST …/delivery`, fields `id, status, phoneNumber,
networkCode, failureReason?, retryCount?`; only Success, Failed and Rejected are final.
End of session: `POST …/events`; it may be late, doubled or never come, and its `input` and
`lastAppResponse` may hold a PIN, so it is acknowledged unread.

SMS out: the official SDK's `SMSService.send`, pointed at a configurable base URL. It is
synchronous (`requests`, 3 s to connect and 9 s to read, no retry), so it runs in threads of its
own. A timeout is ambiguous and there is no idempotency key: a message may be sent twice.

Sources: docs.africastalking.com (sms/callback, sms/notifications, sms/deliveryreports),
help.africastalking.com articles 484351, 742510 and 1284071, africastalking 2.0.3. No signature
scheme and no address list are published: the secret path and an allow-list stand in for them.
"""

import asyncio
import json
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from africastalking.Service import AfricasTalkingException
from africastalking.SMS import SMSService
from aiohttp import web
from requests import RequestException

from gateway.carriers.carrier import (
    Delivery,
    DeliveryReport,
    Lines,
    SendFailed,
    SendRefused,
    SmsMo,
    UssdMo,
)
from gateway.carriers.http import Form, Gate, field
from gateway.config import Settings
from menus.kinds import Msisdn

TEXT_MAX = 1024
SEND_THREADS = 8
ACCEPTED = (100, 101, 102)  # processed, sent, queued
MAY_BE_TRIED_AGAIN = (405, 500, 501, 502)  # balance used up, internal, gateway
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_ID = re.compile(r"[\x21-\x7e]{1,128}")
_FINAL = {
    "Success": Delivery.DELIVERED,
    "Failed": Delivery.FAILED,
    "Rejected": Delivery.FAILED,
}


class _Sms(SMSService):  # type: ignore[misc]  # the SDK carries no types
    """The SDK's own service with its base URL as a constructor argument."""

    def __init__(self, base_url: str, username: str, api_key: str) -> None:
        self._chosen = base_url.rstrip("/") + "/version1"
        super().__init__(username, api_key)

    def _init_service(self) -> None:
        self._baseUrl = self._contentUrl = self._chosen


class AfricasTalking:
    """One account at Africa's Talking."""

    name = "africastalking"

    def __init__(self, gate: Gate, sms: _Sms, sender: str) -> None:
        self._gate = gate
        self._sms = sms
        self._sender = sender
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

    def routes(self, lines: Lines) -> Sequence[web.RouteDef]:
        """Ussd, sms, delivery and events below `/africastalking/{secret}`."""

        async def ussd(form: Form) -> web.Response:
            mt = await lines.ussd(_ussd_mo(form))
            page = ("END " if mt.end else "CON ") + mt.text
            # Bytes: given a text, aiohttp looks for its encoding first.
            return web.Response(body=page.encode(), content_type="text/plain", charset="utf-8")

        async def sms(form: Form) -> web.Response:
            await lines.sms(_sms_mo(form))
            return web.Response(text="ok")

        async def delivery(form: Form) -> web.Response:
            await lines.delivery(_report(form))
            return web.Response(text="ok")

        async def events(form: Form) -> web.Response:
            del form  # may hold a PIN; nothing depends on it
            return web.Response(text="ok")

        base = "/africastalking/{secret}/"
        handlers = {"ussd": ussd, "sms": sms, "delivery": delivery, "events": events}
        return [self._gate.post(base + name, handler) for name, handler in handlers.items()]

    async def send(self, to: Msisdn, text: str) -> str | None:
        """One SMS through the SDK, in a thread of its own."""
        send = partial(self._sms.send, text, [to.e164], self._sender)
        try:
            answer = await asyncio.get_running_loop().run_in_executor(self._threads, send)
        except (AfricasTalkingException, RequestException, ValueError) as error:
            # The SDK's text may quote the request: its kind is all that may be told.
            raise SendFailed(type(error).__name__) from None
        return _accepted(answer)

    async def close(self) -> None:
        """Let running sends end; new ones are refused."""
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)


def _accepted(answer: Any) -> str | None:  # noqa: ANN401  # whatever a carrier answers
    """The message id of an accepted send; raises for everything else."""
    try:
        # The SDK parses only a bare application/json; with a charset it hands the text on.
        body = json.loads(answer) if isinstance(answer, str) else answer
        recipient = body["SMSMessageData"]["Recipients"][0]
        code = int(recipient["statusCode"])
    except (KeyError, IndexError, TypeError, ValueError):
        raise SendFailed("an answer of an unknown form") from None
    if code in ACCEPTED:
        message_id = recipient.get("messageId")
        return str(message_id) if message_id not in (None, "None") else None
    if code in MAY_BE_TRIED_AGAIN:
        raise SendFailed(f"status {code}")
    raise SendRefused(f"status {code}")


def _msisdn(form: Form, name: str) -> Msisdn:
    digits = field(form, name, longest=32).strip().removeprefix("+")
    number = "+" + digits
    if not _E164.fullmatch(number):
        raise web.HTTPBadRequest(text=f"{name} is not a phone number\n")
    return Msisdn(number)


def _id(form: Form, name: str) -> str:
    value = field(form, name, longest=128)
    if not _ID.fullmatch(value):
        raise web.HTTPBadRequest(text=f"{name} is not an id\n")
    return value


def _ussd_mo(form: Form) -> UssdMo:
    return UssdMo(
        carrier=AfricasTalking.name,
        session=_id(form, "sessionId"),
        msisdn=_msisdn(form, "phoneNumber"),
        network=field(form, "networkCode", longest=16, default=""),
        service_code=field(form, "serviceCode", longest=32, default=""),
        text=field(form, "text", longest=TEXT_MAX, default=""),
    )


def _sms_mo(form: Form) -> SmsMo:
    return SmsMo(
        carrier=AfricasTalking.name,
        message_id=_id(form, "id"),
        msisdn=_msisdn(form, "from"),
        shortcode=field(form, "to", longest=32, default=""),
        text=field(form, "text", longest=TEXT_MAX, default=""),
    )


def _report(form: Form) -> DeliveryReport:
    status = field(form, "status", longest=64)
    reason = field(form, "failureReason", longest=64, default="")
    return DeliveryReport(
        carrier_id=_id(form, "id"),
        delivery=_FINAL.get(status, Delivery.ON_ITS_WAY),
        failure=reason if _ID.fullmatch(reason) else None,
    )
