"""Phones and the wire log are what they were when the simulator starts again, and hold no PIN."""

import pytest

from sim.callbacks import Reply
from sim.handset import MESSAGES_KEPT
from sim.memory import Memory
from sim.serve import Serving, network_for
from sim.services import Application, Service
from sim.wire import LENGTH

DARA, THIDA, NEW = "+85512345601", "+85512345602", "+85597123456"
PIN = "730264"


@pytest.fixture
def again(carrier, tmp_path):
    """A network that remembers the one before."""

    def start():
        network = carrier(Service(Application("http://127.0.0.1:1/")))
        memory = Memory(tmp_path / "phones.json", network.tower)
        memory.recall()
        return network, memory

    return start


async def test_messages_the_wire_log_and_added_phones_survive_a_restart(again):
    network, memory = again()
    network.sms.deliver(THIDA, "855", "អ្នកបានទទួល 5,000 រៀល")
    network.sms.send(DARA, "BAL")  # its application is not there
    network.tower.put(network.tower.handset(NEW))
    await network.ussd.dial(DARA, "*855#")
    memory.save()
    before, (network, memory) = network, again()
    for msisdn in (DARA, THIDA, NEW):
        assert network.tower.handset(msisdn).messages == before.tower.handset(msisdn).messages
    assert network.tower.handset(NEW).shown
    assert list(network.tower.wire) == list(before.tower.wire) != []
    await network.ussd.dial(DARA, "*855#")
    numbers = [exchange.number for exchange in network.tower.wire]
    assert numbers == sorted(set(numbers))


async def test_what_was_still_being_sent_has_failed(again, base):
    network, memory = again()
    sms = network.sms.send(DARA, "BAL")
    sms.state = "waiting"
    memory.save()
    network, _ = again()
    assert network.tower.handset(DARA).messages[0].state == "failed"


async def test_it_is_as_bounded_as_memory_and_for_its_owner_only(again, tmp_path):
    network, memory = again()
    for number in range(2 * MESSAGES_KEPT):
        network.sms.deliver(THIDA, "855", f"{number} " + "a" * 300)
    for _ in range(2 * LENGTH):
        network.tower.log("ussd", DARA, "1*" * 400, Reply(200, "CON " + "a" * 5000, 1.0))
    memory.save()
    file = tmp_path / "phones.json"
    assert file.stat().st_size < 1_000_000
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(again()[0].tower.handset(THIDA).messages) == MESSAGES_KEPT


@pytest.mark.parametrize("content", ["", "{", "[]", '{"phones": [{}], "wire": []}', "\udcff"])
async def test_a_spoilt_file_begins_anew(again, tmp_path, content):
    (tmp_path / "phones.json").write_text(content, errors="surrogateescape")
    network, memory = again()
    network.sms.deliver(DARA, "855", "hello")
    memory.save()
    assert len(again()[0].tower.handset(DARA).messages) == 1


async def test_a_simulator_writes_what_is_new_when_it_stops(tmp_path):
    serving = Serving((Service(Application("http://127.0.0.1:1/")),), memory=tmp_path / "it.json")
    for expected in (0, 1):
        async with network_for(serving) as network:
            assert len(network.tower.handset(DARA).messages) == expected
            network.sms.deliver(DARA, "855", "hello")


async def test_no_pin_reaches_the_file_wherever_it_was_typed(carrier, base, demo, tmp_path):
    network = carrier(Service(Application.under(base)))
    memory = Memory(tmp_path / "phones.json", network.tower)
    demo.answers[f"1*{PIN}"] = "CON Send 730,264 KHR to C***?\nEnter your PIN"
    await network.ussd.dial(DARA, "*855#")
    await network.ussd.reply(DARA, "1")
    await network.ussd.reply(DARA, PIN)  # at the wrong prompt
    network.ussd.end(DARA)
    await network.ussd.dial(DARA, f"*855*{PIN}#")
    for text in (PIN, f"SEND 5000 012345602 {PIN}", f"YES 4821 {PIN}", f"my pin is {PIN}!"):
        network.sms.send(DARA, text)
        network.sms.send(DARA, text, to=THIDA)
    await network.tower.drain()
    memory.save()
    kept = (tmp_path / "phones.json").read_text()
    assert PIN not in kept
    assert "730,264" not in kept
    assert "Send •••• KHR to C***?" in kept
    assert "SEND 5000 012345602 ••••" in kept
