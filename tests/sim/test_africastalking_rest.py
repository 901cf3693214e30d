import asyncio

import aiohttp
import pytest
from africastalking.Service import AfricasTalkingException
from africastalking.SMS import SMSService

DARA, THIDA = "+85512345601", "+85512345602"


class LocalSMS(SMSService):
    """The official SDK, pointed at the simulator."""

    def __init__(self, base, username="sandbox", api_key="a-key"):
        self._local = base
        super().__init__(username, api_key)

    def _init_service(self):
        self._baseUrl = self._contentUrl = self._local + "/version1"


def send(base, *args, **kwargs):
    return asyncio.to_thread(LocalSMS(base).send, *args, **kwargs)


async def test_the_official_sdk_delivers_into_inboxes(simulator, network, demo):
    answer = await send(simulator, "សួស្តី", [DARA, THIDA], "855")
    recipients = answer["SMSMessageData"]["Recipients"]
    assert answer["SMSMessageData"]["Message"] == "Sent to 2/2 Total Cost: KHR 0.0000"
    assert [(r["statusCode"], r["status"], r["number"]) for r in recipients] == [
        (101, "Success", DARA),
        (101, "Success", THIDA),
    ]
    (sms,) = network.tower.handset(THIDA).messages
    assert (sms.peer, sms.text, sms.id) == ("855", "សួស្តី", recipients[1]["messageId"])
    await network.tower.drain()
    assert [form["id"] for form in demo.of("delivery")] == [r["messageId"] for r in recipients]


async def test_enqueued_is_told_as_queued(simulator):
    answer = await send(simulator, "hi", [DARA], "855", enqueue=True)
    assert answer["SMSMessageData"]["Recipients"][0]["statusCode"] == 102


async def test_a_wrong_key_is_refused(simulator, network):
    with pytest.raises(AfricasTalkingException, match="authentication is invalid"):
        await asyncio.to_thread(LocalSMS(simulator, api_key="other").send, "hi", [DARA])
    assert not network.tower.handset(DARA).messages


async def test_a_number_can_be_refused_and_nothing_arrives(simulator, network, rest):
    rest.refused[DARA] = 406
    answer = await send(simulator, "hi", [DARA, "+1234"])
    codes = [r["statusCode"] for r in answer["SMSMessageData"]["Recipients"]]
    assert codes == [406, 403]
    assert answer["SMSMessageData"]["Message"].startswith("Sent to 0/2")
    assert not network.tower.handset(DARA).messages


async def test_what_phones_sent_can_be_polled(simulator, network):
    network.sms.send(DARA, "BAL")
    network.sms.send(DARA, "HELP")
    fetch = LocalSMS(simulator).fetch_messages
    first, second = (await asyncio.to_thread(fetch))["SMSMessageData"]["Messages"]
    assert (first["from"], first["text"], first["to"]) == (DARA, "BAL", "855")
    later = await asyncio.to_thread(fetch, first["id"])
    assert later["SMSMessageData"]["Messages"] == [second]


async def test_a_form_without_a_message_is_400(simulator):
    async with aiohttp.ClientSession() as http:
        form = {"username": "sandbox", "to": DARA}
        url = f"{simulator}/version1/messaging"
        async with http.post(url, data=form, headers={"apiKey": "a-key"}) as response:
            assert response.status == 400
            assert "message" in await response.text()
