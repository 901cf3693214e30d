import asyncio
import re

import pytest

from sim.handset import IDLE, NETWORK_PROBLEM, network_of
from sim.people import Person
from sim.repeats import AFTER_S, FOR_S
from sim.services import Application, Service
from sim.tower import NetworkError
from sim.ussd import IDLE_S, SESSION_S

DARA, THIDA = "+85512345601", "+85512345602"


async def test_a_session_has_one_id_and_its_whole_text(network, demo):
    await network.ussd.dial(DARA, "*855#")
    await network.ussd.reply(DARA, "1")
    await network.ussd.reply(DARA, "1")
    first, second, third = demo.of("ussd")
    assert first == {
        "sessionId": first["sessionId"],
        "phoneNumber": DARA,
        "networkCode": "45601",
        "serviceCode": "*855#",
        "text": "",
    }
    assert re.fullmatch(r"ATUid_[0-9a-f]{32}", first["sessionId"])
    assert [second["text"], third["text"]] == ["1", "1*1"]
    assert {first["sessionId"]} == {second["sessionId"], third["sessionId"]}


async def test_two_dials_are_two_sessions(network, demo):
    await network.ussd.dial(DARA, "*855#")
    network.ussd.end(DARA)
    await network.ussd.dial(DARA, "*855#")
    assert len({form["sessionId"] for form in demo.of("ussd")}) == 2


async def test_a_deep_dial_begins_with_its_text(network, demo):
    await network.ussd.dial(DARA, "*855*1*012345602*5000#")
    assert demo.of("ussd")[0]["text"] == "1*012345602*5000"


@pytest.mark.parametrize("code", ["*123#", "*8551#", "*855", "*855*1", "855#"])
async def test_another_code_never_leaves_the_phone(network, demo, code):
    screen = await network.ussd.dial(DARA, code)
    assert (screen.kind, screen.text) == ("error", NETWORK_PROBLEM)
    assert demo.forms == []


async def test_the_page_is_shown_without_its_first_word(network):
    screen = await network.ussd.dial(DARA, "*855#")
    assert (screen.kind, screen.text) == ("menu", "1 Send\n2 Change PIN")


async def test_an_end_page_closes_the_session_and_stays_on_the_screen(network, demo):
    demo.answers[""] = "END Bye"
    screen = await network.ussd.dial(DARA, "*855#")
    assert (screen.kind, screen.text) == ("end", "Bye")
    assert network.tower.handset(DARA).session is None
    with pytest.raises(NetworkError, match="dial first"):
        await network.ussd.reply(DARA, "1")


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("500|oops", "answered 500"),
        ("404|no", "answered 404"),
        ("302|", "answered 302"),
        ("Hello", "begins with `CON ` or `END `"),
        (" CON late", "begins with `CON ` or `END `"),
        ("con small", "begins with `CON ` or `END `"),
        ("", "begins with `CON ` or `END `"),
    ],
)
async def test_a_bad_answer_is_a_network_problem_on_the_phone(network, demo, answer, problem):
    demo.answers[""] = answer
    screen = await network.ussd.dial(DARA, "*855#")
    assert (screen.kind, screen.text) == ("error", NETWORK_PROBLEM)
    assert problem in screen.problem
    await network.tower.drain()
    assert demo.of("events")[0]["status"] == "Failed"


async def test_a_page_too_long_is_shown_with_a_complaint(network, demo):
    demo.answers[""] = "CON " + "ក" * 81
    screen = await network.ussd.dial(DARA, "*855#")
    assert screen.kind == "menu"
    assert screen.problem == "81 UCS-2 do not fit the 80 of a USSD page"


async def test_an_application_that_is_not_there_is_a_network_problem(carrier):
    network = carrier(Service(Application("http://127.0.0.1:1/ussd")))
    screen = await network.ussd.dial(DARA, "*855#")
    assert screen.kind == "error"
    assert "not listening" in screen.problem


async def test_a_late_answer_finds_nobody(network, demo):
    gate = asyncio.Event()
    answer = demo.ussd

    async def slow(request):
        await gate.wait()
        return await answer(request)

    poster = network.ussd._poster
    post = poster.post

    async def held(*args, **kwargs):
        await gate.wait()
        return await post(*args, **kwargs)

    poster.post = held
    dialling = asyncio.ensure_future(network.ussd.dial(DARA, "*855#"))
    await asyncio.sleep(0)
    with pytest.raises(NetworkError, match="not back yet"):
        await network.ussd.reply(DARA, "1")
    network.ussd.end(DARA)
    gate.set()
    assert await dialling is IDLE


async def test_hop_metadata_comes_back_and_is_summed_up_at_the_end(network, demo):
    demo.headers["at-ussd-hop-metadata"] = "home"
    await network.ussd.dial(DARA, "*855#")
    await network.ussd.reply(DARA, "1")
    network.ussd.end(DARA)
    await network.tower.drain()
    assert "at-ussd-hop-metadata" not in demo.seen_headers[0]
    assert demo.seen_headers[1]["at-ussd-hop-metadata"] == "home"
    assert demo.of("events")[0]["hopsMetadata"] == "home|home"


async def test_the_end_of_a_session_is_told(network, demo, now):
    await network.ussd.dial(DARA, "*855#")
    now.seconds += 3
    await network.ussd.reply(DARA, "1")
    network.ussd.end(DARA)
    await network.tower.drain()
    event = demo.of("events")[0]
    assert event["status"] == "Incomplete"
    assert event["durationInMillis"] == "3000"
    assert event["hopsCount"] == "2"
    assert event["input"] == "1"
    assert event["lastAppResponse"] == "CON Send to which number?"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", event["date"])


async def test_silence_times_a_session_out(network, now):
    await network.ussd.dial(DARA, "*855#")
    now.seconds += IDLE_S
    network.tick()
    assert network.tower.handset(DARA).session is not None
    now.seconds += 1
    network.tick()
    handset = network.tower.handset(DARA)
    assert (handset.session, handset.screen.text) == (None, "Session timed out.")


async def test_a_busy_session_times_out_too(network, demo, now):
    demo.answers.update({"*".join("1" * n): "CON more" for n in range(1, 9)})
    await network.ussd.dial(DARA, "*855#")
    for _ in range(7):
        now.seconds += SESSION_S / 6
        network.tick()
        if network.tower.handset(DARA).session is None:
            return
        await network.ussd.reply(DARA, "1")
    pytest.fail("it goes on for ever")


# --- what eyes may see ---------------------------------------------------------------------


async def test_the_wire_log_shows_no_pin(network, demo):
    await network.ussd.dial(DARA, "*855#")
    for text in ("1", "012345602", "730264"):
        await network.ussd.reply(DARA, text)
    network.sms.send(DARA, "yes 4711 730264")
    network.sms.send(DARA, "730264")
    network.sms.send(DARA, "SEND 5000 012345602")
    await network.tower.drain()
    assert demo.of("ussd")[-1]["text"] == "1*012345602*730264"
    assert demo.of("sms")[0]["text"] == "yes 4711 730264"
    seen = repr(list(network.tower.wire)) + repr(network.tower.handset(DARA).as_json())
    assert "730264" not in seen
    assert "1*012345602*••••" in seen
    assert "SEND 5000 012345602" in seen


async def test_a_menu_that_only_names_a_pin_hides_nothing(network):
    await network.ussd.dial(DARA, "*855#")
    await network.ussd.reply(DARA, "2")
    assert [exchange.sent for exchange in network.tower.wire] == ["(dialled)", "2"]


# --- SMS -----------------------------------------------------------------------------------


async def test_an_sms_is_posted_with_id_and_date(network, demo):
    sms = network.sms.send(DARA, "BAL")
    await network.tower.drain()
    form = demo.of("sms")[0]
    assert form["id"] == sms.id
    assert (form["from"], form["to"], form["text"]) == (DARA, "855", "BAL")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", form["date"])
    assert sms.state == "sent"


async def test_an_sms_is_posted_again_each_minute_until_200(network, demo, now):
    demo.sms_statuses = [503, 404]
    sms = network.sms.send(DARA, "BAL")
    await network.tower.drain()
    assert sms.state == "waiting"
    for seconds, posts in ((AFTER_S - 1, 1), (1, 2), (AFTER_S, 3), (AFTER_S, 3)):
        now.seconds += seconds
        network.tick()
        await network.tower.drain()
        assert len(demo.of("sms")) == posts
    assert len({form["id"] for form in demo.of("sms")}) == 1
    assert sms.state == "sent"


async def test_an_sms_is_given_up_after_twelve_hours(network, demo, now):
    demo.sms_statuses = [500, 500]
    sms = network.sms.send(DARA, "BAL")
    await network.tower.drain()
    now.seconds += FOR_S
    network.tick()
    await network.tower.drain()
    assert sms.state == "failed"


async def test_no_two_messages_share_an_id(network):
    ids = [network.sms.send(DARA, "BAL").id for _ in range(5)]
    assert len(set(ids)) == 5


async def test_an_sms_to_a_friend_goes_to_the_friend(network, demo):
    network.sms.send(DARA, "hello", THIDA)
    await network.tower.drain()
    assert demo.forms == []
    assert [(m.peer, m.text) for m in network.tower.handset(THIDA).messages] == [(DARA, "hello")]


async def test_what_is_delivered_is_unread_and_reported(network, demo):
    message_id = network.sms.deliver(THIDA, "855", "hello")
    await network.tower.drain()
    handset = network.tower.handset(THIDA)
    assert handset.as_json()["unread"] == 1
    network.sms.read(THIDA, message_id)
    assert handset.as_json()["unread"] == 0
    assert demo.of("delivery") == [
        {
            "id": message_id,
            "status": "Success",
            "phoneNumber": THIDA,
            "networkCode": "45601",
            "retryCount": "0",
        }
    ]


@pytest.mark.parametrize(
    ("msisdn", "expected"),
    [
        ("+85512345601", ("Cellcard", "45601")),
        ("+85510345601", ("Smart", "45606")),
        ("+855971234567", ("Metfone", "45608")),
        ("+85552345601", ("Sandbox", "99999")),
        ("+254711000111", ("Sandbox", "99999")),
    ],
)
def test_the_operator_follows_from_the_prefix(msisdn, expected):
    assert network_of(msisdn) == expected


# --- several applications -----------------------------------------------------------------------


async def test_each_code_and_each_shortcode_has_its_own_application(base, carrier, demo):
    theirs = Service(Application(f"{base}/ussd"), "*856#", "856", people=(Person(THIDA, "T", "x"),))
    network = carrier(Service(Application.under(base), people=(Person(DARA, "D", "y"),)), theirs)
    for code in ("*855#", "*856*1#"):
        await network.ussd.dial(DARA, code)
        network.ussd.end(DARA)
    assert [form["serviceCode"] for form in demo.of("ussd")] == ["*855#", "*856#"]
    await network.tower.drain()
    assert [form["serviceCode"] for form in demo.of("events")] == ["*855#"]  # theirs has no such
    assert network.sms.send(THIDA, "BAL").peer == "856"
    assert network.sms.send(DARA, "BAL", "856").state == "failed"
    screen = await network.ussd.dial(DARA, "*1#")
    assert screen.problem == "only *855# and *856# are served"


async def test_who_is_with_two_banks_has_one_phone(base, carrier):
    people = (Person(DARA, "Sok Dara", "agent"),), (Person(DARA, "Sok Dara", "subscriber at B"),)
    services = (Service(Application(base), people=one) for one in people)
    handset = carrier(*services).tower.handset(DARA)
    assert handset.about == "agent · also subscriber at B"
