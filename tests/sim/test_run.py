import asyncio
import os

import aiohttp
import pytest
from going import going
from rich.console import Console

from sim.lines import DirectLine, LineError, SimulatorLine
from sim.load import Load, bodies, run_load
from sim.phone import TerminalPhone, international
from sim.record import Recorder
from sim.run import play, run_files
from sim.serve import Serving, network_for
from sim.services import Application, Service
from sim.templates import literal
from sim.transcript import parse, write

DARA, THIDA = "+85512345601", "+85512345602"
GOOD = f"""\
# It is sent
phone {DARA} en
dial *855#
  | 1 Send
  | ...
1
012345602
  | ...
  | Enter your PIN
{{pin}}
  | Sent. Ref {{ref}}
  (end)
"""


@pytest.fixture
def console():
    return Console(record=True, width=100, file=open(os.devnull, "w"))  # noqa: PTH123


@going(params=["direct", "simulator"])
async def line(request, network, simulator):
    if request.param == "direct":
        yield DirectLine(network)
    else:
        async with aiohttp.ClientSession() as http:
            yield SimulatorLine(http, simulator)


async def test_a_transcript_that_holds_is_played_to_its_end(line, demo):
    played = await play(parse(GOOD), line, holes={"pin": "730264"})
    assert played.difference is None
    assert demo.of("ussd")[-1]["text"] == "1*012345602*730264"


async def test_a_difference_names_file_and_line(line, tmp_path, console, network):
    good, bad, broken = tmp_path / "good.txt", tmp_path / "bad.txt", tmp_path / "broken.txt"
    good.write_text(GOOD)
    bad.write_text(GOOD.replace("| Enter your PIN", "| Type your PIN"))
    broken.write_text("dial *855#")
    failed = await run_files([good, bad, broken], line, console, holes={"pin": "730264"})
    told = console.export_text()
    assert failed == 2
    assert "✓ It is sent" in told
    assert f"{bad}:7" in told
    assert "| Type your PIN" in told
    assert "| Enter your PIN" in told
    assert f"{broken}:1: a transcript begins with its title" in told
    assert network.tower.handset(DARA).session is None


async def test_an_expected_sms_is_waited_for(line, network):
    text = f"# t\nphone {DARA}\nsms BAL\nsms to {THIDA} | You have {{money}}"
    network.sms.deliver(THIDA, "855", "You have nothing")  # an old one does not count
    playing = asyncio.ensure_future(play(parse(text), line, sms_wait_s=5))
    while not network.tower.handset(DARA).messages:
        await asyncio.sleep(0.01)
    network.sms.deliver(THIDA, "855", "You have 5 KHR")
    assert (await playing).difference is None


async def test_an_sms_that_does_not_come_is_a_difference(line):
    text = f"# t\nphone {DARA}\nsms to {THIDA} | hello"
    played = await play(parse(text), line, sms_wait_s=0)
    assert "no SMS like that came" in str(played.difference)


async def test_a_page_that_fails_is_told_with_its_reason(line, demo):
    demo.answers[""] = "500|oops"
    played = await play(parse(GOOD), line)
    assert "answered 500" in str(played.difference)


ANY_PAGE = f"# t\nphone {DARA}\ndial *855#\n  | ...\n"


@pytest.mark.parametrize("answer", ["404|gone", "500|", "200|neither CON nor END"])
@pytest.mark.parametrize("more", ["", "1", "1\n  | ...", "1\n  | {_}\n  (end)"])
async def test_no_wildcard_takes_a_dead_application_for_a_page(line, demo, answer, more):
    demo.answers[""] = answer
    played = await play(parse(ANY_PAGE + more), line)
    assert played.difference is not None
    assert played.difference.line == 3
    assert played.difference.why


async def test_an_answer_where_no_session_is_open_is_a_difference(line):
    played = await play(parse(ANY_PAGE + "end\n1\n  | ...\n"), line)
    assert "no session" in str(played.difference)


async def test_a_complaint_may_be_expected_word_by_word(line):
    first = await play(parse(f"{ANY_PAGE}end\n1\n"), line)
    expected = literal(first.difference.got)
    played = await play(parse(f"{ANY_PAGE}end\n1\n  | {expected}\n"), line)
    assert played.difference is None


async def test_nobody_listening_is_no_page():
    async with network_for(Serving((Service(Application("http://127.0.0.1:1/")),))) as network:
        played = await play(parse(ANY_PAGE), DirectLine(network))
    assert played.difference.why


async def test_a_path_that_is_no_text_is_told_in_words(line, tmp_path, console):
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    assert await run_files([tmp_path / "none.txt", tmp_path, binary], line, console) == 3
    told = console.export_text()
    assert "none.txt\n  no such file" in told
    assert f"{tmp_path}\n  is a folder, not a transcript" in told
    assert "is not UTF-8 text" in told
    assert "Errno" not in told


async def test_no_simulator_is_one_sentence():
    async with aiohttp.ClientSession() as http:
        with pytest.raises(LineError, match="start it with `make run`, or give --sim URL"):
            await SimulatorLine(http, "http://127.0.0.1:1").look(DARA)


# --- the terminal phone ------------------------------------------------------------------------


async def use(line, words, console, recorder=None):
    queue = asyncio.Queue()
    for word in [*words, None, None]:
        queue.put_nowait(word)
    await TerminalPhone(line, DARA, console, recorder=recorder).run(queue)
    return console.export_text()


async def test_a_session_in_the_terminal_is_recorded_and_plays_again(line, console, demo, network):
    recorder = Recorder(literal("Sent"), DARA)
    words = ["*855#", "1", "012345602", "730264", "sms BAL", "inbox", "quit"]
    told = await use(line, words, console, recorder)
    assert "Sent. Ref R1" in told
    assert "SMS to 855" in told
    await network.tower.drain()
    assert demo.of("sms")[0]["text"] == "BAL"
    written = write(recorder.transcript)
    assert "730264" not in written
    assert "{pin}" in written
    assert (await play(parse(written), line, holes={"pin": "730264"})).difference is None


async def test_the_end_of_typing_ends_the_session(line, console, network):
    await use(line, ["*855#"], console)
    assert network.tower.handset(DARA).session is None


async def test_an_sms_begins_on_a_fresh_line(network, console):
    queue = asyncio.Queue()
    using = asyncio.ensure_future(TerminalPhone(DirectLine(network), DARA, console).run(queue))
    while "phone>" not in console.export_text(clear=False):
        await asyncio.sleep(0.01)
    network.sms.deliver(DARA, "855", "You have 5 KHR")
    while "You have 5 KHR" not in console.export_text(clear=False):
        await asyncio.sleep(0.01)
    queue.put_nowait(None)
    await using
    lines = console.export_text().split("\n")
    assert next(line for line in lines if "SMS from 855" in line).startswith("╭")


@pytest.mark.parametrize("written", ["012345602", "012 345 602", THIDA, "+855 12 345 602"])
def test_a_number_may_be_written_as_people_do(written):
    assert international(written) == THIDA


async def test_nonsense_gets_help(line, console):
    assert "dial a code" in await use(line, ["hello", "/end", "quit"], console)


# --- load --------------------------------------------------------------------------------------


def test_load_accumulates_text_as_the_carrier_does():
    texts = [body.decode().rpartition("text=")[2] for body in bodies(Load("", ("", "1", "2")), 0)]
    assert texts == ["", "1", "1%2A2"]
    (deep,) = bodies(Load("", ("1*2",)), 7)
    assert deep.endswith(b"text=1%2A2")
    assert b"phoneNumber=%2B85510000007&" in deep


async def test_load_reports_turns_and_what_was_bad(base, demo):
    demo.answers["1*1"] = "500|"
    report = await run_load(Load(f"{base}/ussd", ("", "1", "1"), connections=3, seconds=0.05))
    assert report.turns == len(demo.of("ussd"))
    assert report.turns % 3 == 0
    assert report.bad == report.turns // 3
    assert report.percentile(50) <= report.percentile(99)
    sessions = {form["sessionId"] for form in demo.of("ussd")}
    assert len(sessions) == report.turns // 3
