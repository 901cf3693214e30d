"""Africa's Talking's callbacks over real HTTP: what is taken, what is dropped, what is refused."""

from urllib.parse import urlencode

import pytest
from clocks import seeded

from gateway.carriers import africastalking
from gateway.carriers.africastalking import AfricasTalking
from gateway.carriers.carrier import (
    Delivery,
    DeliveryReport,
    Lines,
    SmsMo,
    Unheard,
    UssdMo,
    UssdMt,
)
from gateway.carriers.http import Gate
from gateway.meters import Meters
from gateway.web import application
from menus.kinds import Msisdn

FORM_TYPE = {"Content-Type": "application/x-www-form-urlencoded"}
DIALLED = {
    "sessionId": "ATUid_0123456789abcdef0123456789abcdef",
    "phoneNumber": "+85512345601",
    "networkCode": "99999",
    "serviceCode": "*855#",
    "text": "",
}


class Heard:
    """The service's side, remembering what it was handed."""

    def __init__(self) -> None:
        self.ussd: list[UssdMo] = []
        self.sms: list[SmsMo] = []
        self.reports: list[DeliveryReport] = []
        self.unheard: list[Unheard] = []
        self.answer = UssdMt("1 Send money", end=False)

    def lines(self) -> Lines:
        async def ussd(mo: UssdMo) -> UssdMt:
            self.ussd.append(mo)
            return self.answer

        async def sms(mo: SmsMo) -> None:
            self.sms.append(mo)

        async def delivery(report: DeliveryReport) -> None:
            self.reports.append(report)

        return Lines(ussd, sms, delivery, self.unheard.append)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
async def client(serve, heard):
    carrier = AfricasTalking(Gate("s3cret"), africastalking._Sms("http://x", "u", "k"), "855")
    return await serve(application(carrier.routes(heard.lines()), {}, Meters(), seeded()))


async def post(client, fields, path="/africastalking/s3cret/ussd", **more):
    body = fields if isinstance(fields, bytes) else urlencode(fields).encode()
    return await client.post(path, data=body, headers=FORM_TYPE, **more)


@pytest.mark.parametrize(("end", "page"), [(False, "CON 1 Send money"), (True, "END 1 Send money")])
async def test_a_page_is_plain_text_and_begins_with_con_or_end(client, heard, end, page):
    heard.answer = UssdMt("1 Send money", end=end)
    reply = await post(client, DIALLED)
    assert (reply.status, reply.content_type) == (200, "text/plain")
    assert await reply.text() == page


async def test_an_unescaped_plus_arrives_as_a_space_and_is_understood(client, heard):
    body = urlencode(DIALLED).replace("%2B", "+").encode()
    assert (await post(client, body)).status == 200
    assert heard.ussd[0].msisdn == Msisdn("+85512345601")


async def test_an_absent_text_is_an_empty_one(client, heard):
    fields = {name: value for name, value in DIALLED.items() if name != "text"}
    assert (await post(client, fields)).status == 200
    assert heard.ussd[0].text == ""


async def test_a_strangers_secret_finds_nothing(client, heard):
    for path in ("/africastalking/other/ussd", "/africastalking//ussd", "/africastalking/ussd"):
        assert (await post(client, DIALLED, path=path)).status == 404
    assert heard.ussd == []


@pytest.mark.parametrize("missing", ["sessionId", "phoneNumber"])
async def test_a_missing_field_is_a_bad_request(client, heard, missing):
    fields = {name: value for name, value in DIALLED.items() if name != missing}
    assert (await post(client, fields)).status == 400
    assert heard.ussd == []


async def test_a_field_given_twice_is_a_bad_request(client, heard):
    assert (await post(client, [*DIALLED.items(), ("text", "1")])).status == 400
    assert heard.ussd == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("phoneNumber", "855-not-a-number"),
        ("phoneNumber", "+" + "8" * 40),
        ("phoneNumber", "+៨៥៥១២៣៤៥៦០១"),
        ("sessionId", "a b"),
        ("sessionId", "x" * 200),
        ("text", "1" * 2000),
        ("serviceCode", "*" * 100),
    ],
)
async def test_a_field_of_the_wrong_form_is_a_bad_request(client, heard, field, value):
    assert (await post(client, DIALLED | {field: value})).status == 400
    assert heard.ussd == []


async def test_bodies_over_four_kibibytes_are_refused(client, heard):
    assert (await post(client, DIALLED | {"text": "1" * 10_000})).status == 413
    assert heard.ussd == []


async def test_multipart_json_and_chunked_bodies_are_refused(client, heard):
    path = "/africastalking/s3cret/ussd"
    assert (await client.post(path, json=DIALLED)).status == 415
    multipart = {"Content-Type": "multipart/form-data; boundary=x"}
    assert (await client.post(path, data=b"--x--", headers=multipart)).status == 415

    async def chunks():
        yield urlencode(DIALLED).encode()

    assert (await client.post(path, data=chunks(), headers=FORM_TYPE)).status == 411
    assert heard.ussd == []


async def test_a_compressed_body_is_refused(client, heard):
    import zlib  # noqa: PLC0415

    body = zlib.compress(urlencode(DIALLED | {"text": "1" * 200_000}).encode())
    for coding in ("deflate", "gzip"):
        reply = await client.post(
            "/africastalking/s3cret/ussd",
            data=body,
            headers={**FORM_TYPE, "Content-Encoding": coding},
        )
        assert reply.status in (400, 415)
    assert heard.ussd == []


async def test_a_failure_reason_that_is_no_word_is_dropped(client, heard):
    report = {"id": "ATXid_1", "status": "Failed", "failureReason": "a\0b"}
    assert (await post(client, report, path="/africastalking/s3cret/delivery")).status == 200
    assert heard.reports == [DeliveryReport("ATXid_1", Delivery.FAILED, None)]


@pytest.mark.parametrize("body", [b"%ff=1", b"text=%ff%fe", b"\xff\xfe", b"&" * 100, b"a=1&" * 50])
async def test_bytes_that_are_no_form_are_refused(client, heard, body):
    assert (await post(client, body)).status == 400
    assert heard.ussd == []


async def test_only_allowed_addresses_find_the_callback(serve, heard):
    for allowed, status in ((["127.0.0.0/8"], 200), (["192.0.2.1"], 404)):
        carrier = AfricasTalking(
            Gate("s3cret", allowed), africastalking._Sms("http://x", "u", "k"), "855"
        )
        app = application(carrier.routes(heard.lines()), {}, Meters(), seeded())
        assert (await post(await serve(app), DIALLED)).status == status


async def test_an_sms_and_its_delivery_report_reach_the_service(client, heard):
    sms = {"from": "+85512345601", "to": "855", "text": "BAL", "id": "m1", "date": "2026-11-22"}
    assert (await post(client, sms, path="/africastalking/s3cret/sms")).status == 200
    assert heard.sms == [SmsMo("africastalking", "m1", Msisdn("+85512345601"), "855", "BAL")]
    report = {"id": "ATXid_1", "status": "Failed", "failureReason": "UserInBlackList"}
    assert (await post(client, report, path="/africastalking/s3cret/delivery")).status == 200
    assert heard.reports == [DeliveryReport("ATXid_1", Delivery.FAILED, "UserInBlackList")]


@pytest.mark.parametrize(
    "sender", ["METFONE", "855", "12345", "", "+0123", "+" + "8" * 40, "+៨៥៥១២៣៤៥៦០១", "A B\0"]
)
async def test_an_sms_that_nobody_can_be_answered_for_is_taken_and_dropped(client, heard, sender):
    """A 4xx would bring it again every minute for twelve hours."""
    sms = {"from": sender, "to": "855", "text": "You have won", "id": "m1"}
    reply = await post(client, sms, path="/africastalking/s3cret/sms")
    assert (reply.status, heard.sms, heard.unheard) == (200, [], [Unheard.NO_NUMBER])


@pytest.mark.parametrize(
    "text", ["a" * 1531, "a" * 9000, "ក" * 800], ids=["chars", "body", "khmer"]
)
async def test_an_sms_longer_than_phones_write_is_taken_and_dropped(client, heard, text):
    sms = {"from": "+85512345601", "to": "855", "text": text, "id": "m1"}
    reply = await post(client, sms, path="/africastalking/s3cret/sms")
    assert (reply.status, heard.sms, heard.unheard) == (200, [], [Unheard.TOO_LONG])


async def test_an_sms_as_long_as_phones_write_is_heard(client, heard):
    sms = {"from": "+85512345601", "to": "855", "text": "a" * 1530, "id": "m1"}
    assert (await post(client, sms, path="/africastalking/s3cret/sms")).status == 200
    assert [len(mo.text) for mo in heard.sms] == [1530]


@pytest.mark.parametrize("message_id", [None, "", "a b", "x" * 200])
async def test_an_sms_without_an_id_is_refused_so_that_the_carrier_keeps_it(
    client, heard, message_id
):
    sms = {"from": "+85512345601", "to": "855", "text": "BAL"}
    if message_id is not None:
        sms["id"] = message_id
    assert (await post(client, sms, path="/africastalking/s3cret/sms")).status == 400
    assert (heard.sms, heard.unheard) == ([], [])


NO_UTF8 = [b"caf%E9", b"BAL+%ED%A0%BD%ED%B8%80", b"BAL \xff", b"%C3"]


@pytest.mark.parametrize("text", NO_UTF8)
async def test_an_sms_that_is_not_utf_8_is_heard(client, heard, text):
    """A 4xx would bring it again every minute for twelve hours."""
    body = b"from=%2B85512345601&to=855&id=m1&text=" + text
    assert (await post(client, body, path="/africastalking/s3cret/sms")).status == 200
    assert ["\ufffd" in mo.text for mo in heard.sms] == [True]


@pytest.mark.parametrize("text", NO_UTF8)
async def test_a_ussd_input_that_is_not_utf_8_gets_a_page(client, heard, text):
    body = urlencode(DIALLED | {"text": ""}).encode() + text
    assert (await post(client, body)).status == 200
    assert ["\ufffd" in mo.text for mo in heard.ussd] == [True]


async def test_ids_and_numbers_are_utf_8_or_none(client, heard):
    sms = b"to=855&text=BAL"
    path = "/africastalking/s3cret/sms"
    reply = await post(client, sms + b"&from=%2B85512345601&id=m%FF", path=path)
    assert (reply.status, heard.sms) == (400, [])
    reply = await post(client, sms + b"&from=%2B8551234560%FF&id=m1", path=path)
    assert (reply.status, heard.sms, heard.unheard) == (200, [], [Unheard.NO_NUMBER])
    for name in ("sessionId", "phoneNumber"):
        body = urlencode(DIALLED).replace(f"{name}=", f"{name}=%FF").encode()
        assert (await post(client, body)).status == 400
    assert heard.ussd == []


async def test_a_stranger_drops_nothing(client, heard):
    for body in ({"from": "METFONE", "id": "m1"}, {"text": "a" * 9000}):
        assert (await post(client, body, path="/africastalking/other/sms")).status == 404
    assert heard.unheard == []


async def test_the_end_of_a_session_is_acknowledged_unread(client, heard):
    event = DIALLED | {"status": "Success", "input": "1*730264", "lastAppResponse": "END ok"}
    assert (await post(client, event, path="/africastalking/s3cret/events")).status == 200


async def test_the_end_of_a_session_is_acknowledged_also_where_it_is_not_utf_8(client):
    body = urlencode(DIALLED).encode() + b"&input=caf%E9"
    assert (await post(client, body, path="/africastalking/s3cret/events")).status == 200
