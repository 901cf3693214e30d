"""Africa's Talking's SMS REST API, as its official SDK calls it.

    POST /version1/messaging    apiKey header; form username, to (comma list), message, from,
                                bulkSMSMode, enqueue  ->  201, statusCode per recipient
    GET  /version1/messaging    ?username&lastReceivedId  ->  what phones have sent since
    wrong key or name           401, and a sentence

An answer is typed exactly `application/json`: with a charset behind it the SDK hands out text.
Accepted messages are in the phone's inbox at once; the delivery report follows by callback.
"""

import json
import re
import time

from aiohttp import web

from menus.encoding import segments
from sim.callbacks import Reply
from sim.network import Network
from sim.services import Service

E164 = re.compile(r"\+[1-9][0-9]{6,14}")
SENT, QUEUED = 101, 102
NAMES = {
    101: "Success",
    102: "Queued",
    401: "RiskHold",
    402: "InvalidSenderId",
    403: "InvalidPhoneNumber",
    404: "UnsupportedNumberType",
    405: "InsufficientBalance",
    406: "UserInBlacklist",
    407: "CouldNotRoute",
    409: "DoNotDisturbRejection",
    500: "InternalServerError",
    501: "GatewayError",
    502: "RejectedByGateway",
}
COST = "0.0000"
DEFAULT_SENDER = "AFRICASTKNG"


class RestApi:
    """`refused` maps a number to the statusCode that it answers with: a fault to try.

    Each service has an account of its own: who calls tells whose SMS it is.
    """

    def __init__(self, network: Network) -> None:
        self.refused: dict[str, int] = {}
        self._network = network

    def add_to(self, app: web.Application) -> None:
        """Serve it on the paths of the real one."""
        app.router.add_post("/version1/messaging", self.send)
        app.router.add_get("/version1/messaging", self.fetch, allow_head=False)

    async def send(self, request: web.Request) -> web.Response:
        """One message to each number of a comma-separated list."""
        started = time.perf_counter()
        form = await request.post()
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        service = self._whose(request, fields.get("username", ""))
        if service is None:
            return _refusal(401, "The supplied authentication is invalid")
        missing = [name for name in ("username", "to", "message") if not fields.get(name)]
        if missing:
            return _refusal(400, f"Request is missing required form field '{missing[0]}'")
        numbers = [number.strip() for number in fields["to"].split(",")]
        recipients = [self._one(service, number, fields) for number in numbers]
        sent = sum(one["statusCode"] in (SENT, QUEUED) for one in recipients)
        summary = f"Sent to {sent}/{len(numbers)} Total Cost: KHR {COST}"
        ms = (time.perf_counter() - started) * 1000
        for one in recipients:
            reply = Reply(201, f"{one['statusCode']} {one['status']}", ms)
            self._network.tower.log("rest", str(one["number"]), fields["message"], reply)
        return _bare_json({"SMSMessageData": {"Message": summary, "Recipients": recipients}}, 201)

    async def fetch(self, request: web.Request) -> web.Response:
        """What phones have sent, after the last id the application has seen."""
        service = self._whose(request, request.query.get("username", ""))
        if service is None:
            return _refusal(401, "The supplied authentication is invalid")
        last = request.query.get("lastReceivedId", "0")
        after = int(last) if last.isascii() and last.isdigit() else 0
        messages = [
            {
                "id": int(sms.id),
                "from": sms.peer,
                "to": service.shortcode,
                "text": sms.text,
                "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(sms.at)),
                "linkId": None,
            }
            for sms in self._network.sms.sent_to(service)
            if int(sms.id) > after
        ]
        return _bare_json({"SMSMessageData": {"Messages": messages}}, 200)

    def _whose(self, request: web.Request, username: str) -> Service | None:
        """The service whose account this is; None lets nobody in."""
        given = request.headers.get("apiKey"), username
        for service in self._network.services:
            account = service.account
            if not account.api_key or given == (account.api_key, account.username):
                return service
        return None

    def _one(self, service: Service, number: str, fields: dict[str, str]) -> dict[str, object]:
        code = self.refused.get(number, SENT if E164.fullmatch(number) else 403)
        if code == SENT and fields.get("enqueue") == "1":
            code = QUEUED
        accepted = code in (SENT, QUEUED)
        message_id = "None"
        if accepted:
            sender = fields.get("from") or DEFAULT_SENDER
            message_id = self._network.sms.deliver(number, sender, fields["message"], service)
        return {
            "statusCode": code,
            "number": number,
            "status": NAMES.get(code, "InternalServerError"),
            "cost": f"KHR {COST}" if accepted else "0",
            "messageId": message_id,
            "messageParts": len(segments(fields["message"])),
        }


def _refusal(status: int, sentence: str) -> web.Response:
    return web.Response(status=status, text=sentence)


def _bare_json(value: object, status: int) -> web.Response:
    body = json.dumps(value, ensure_ascii=False).encode()
    return web.Response(status=status, body=body, headers={"Content-Type": "application/json"})
