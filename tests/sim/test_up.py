"""`ussd-sim up`, as a person would run it: the whole world in one command."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
import urllib.error
import urllib.request
from pathlib import Path

from typer.testing import CliRunner

from sim.__main__ import app

STARTS_S = 60
CHEAP_PINS = {"GATEWAY_ARGON2_MIB": "1", "GATEWAY_ARGON2_OPS": "1"}
TRANSCRIPTS = Path(__file__).parents[1] / "transcripts"
SEND = """\
# Money moves
phone +85512345601 en
dial *855*1*012345602#
  | ...
> 1
  | ...
6000
  | ...
{pin}
  | {_}6,000 KHR{_}
  | ...
  (end)
sms to +85512345602 | {_}6,000 KHR{_}
"""

ACROSS = """\
# Money goes to another bank, and back
phone +85512345601 en
dial *855*1#
  | ...
> 012345603
  | At which bank?
  | 1 Mekong Bank
  | 2 Tonle Bank
  | ...
> 2
  | ...
> 1
  | ...
> 6000
  | ...
{pin}
  | {_}6,000 KHR{_}
  | ...
  (end)
sms to +85512345603 | {_}6,000 KHR{_}Mekong Bank{_}

phone +85512345611 en
dial *856*1*012345601*1*7000#
  | ...
{pin}
  | {_}7,000 KHR{_}
  | ...
  (end)
sms to +85512345601 | {_}7,000 KHR{_}Tonle Bank{_}

phone +85512345601 en
dial *855*7#
  | To which bank?
  | 1 Tonle Bank
  | ...
"""


STILL = """\
# Whatever one peer does
phone +85512345601 en
dial *855*1*012345602*1*6100#
  | ...
{pin}
  | ...
  (end)
sms to +85512345602 | {_}6,100 KHR{_}
"""


async def sim(*args):
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sim", *map(str, args)),
        env={**os.environ, **CHEAP_PINS, "COLUMNS": "160"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


def up(tmp_path, ports, *more):
    port, gateway, ledger = ports
    return sim(
        *("up", "--state", tmp_path / "state", "--port", port),
        *("--gateway-port", gateway, "--ledger-port", ledger, *more),
    )


async def running(process):
    told = ""
    async with asyncio.timeout(STARTS_S):
        while "Ctrl-C" not in told:
            line = await process.stdout.readline()
            assert line, told
            told += line.decode()
    return told


async def stopped(process, how=signal.SIGINT):
    process.send_signal(how)
    async with asyncio.timeout(STARTS_S):
        rest = await process.stdout.read()
        return await process.wait(), rest.decode()


def balances(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/state", timeout=5) as answer:
        accounts = json.load(answer)["ledger"]["accounts"]
    return {account["id"]: account["balances"].get("khr#nbc") for account in accounts}


async def plays(port, *files):
    playing = await sim("run", *files, "--sim", f"http://127.0.0.1:{port}")
    said, _ = await playing.communicate()
    assert playing.returncode == 0, said.decode()


def nobody_listens(ports):
    for port in ports:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return False
    return True


async def test_all_starts_pays_stops_remembers_and_tells_of_a_killed_gateway(tmp_path, ports):
    process = await up(tmp_path, ports)
    try:
        told = await running(process)
        assert f"http://127.0.0.1:{ports[0]}" in told
        file = tmp_path / "send.txt"
        file.write_text(SEND)
        await plays(ports[0], file)
        assert await asyncio.to_thread(balances, ports[0]) | {
            "85512345601@bank": "394000",
            "85512345602@bank": "56000",
        } == await asyncio.to_thread(balances, ports[0])
        another = await up(tmp_path, ports)
        code, said = await another.wait(), (await another.stdout.read()).decode()
        assert code == 2
        assert f"Port {ports[1]} is taken and the gateway needs it" in said
        assert "make run GATEWAY_PORT=" in said
    finally:
        code, said = await stopped(process)
    assert (code, "Traceback" in said) == (0, False)
    assert nobody_listens(ports)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "state/keys").iterdir()}
    assert {mode for name, mode in modes.items() if not name.endswith(".pub")} == {0o600}

    log = tmp_path / "state/logs/gateway.log"
    with log.open("a") as earlier:
        earlier.write("what an earlier run wrote\n")
    process = await up(tmp_path, ports)
    try:
        told = await running(process)
        assert (await asyncio.to_thread(balances, ports[0]))["85512345601@bank"] == "394000"
        # Every transcript that the pure core plays, now over HTTP through the real gateway.
        await plays(ports[0], *sorted(TRANSCRIPTS.glob("*.txt")))
        assert f" phone +85512345601 --sim http://127.0.0.1:{ports[0]}" in told
        gateway = re.search(r"Gateway +http://127.0.0.1:\d+ \(process (\d+)\)", told)
        os.kill(int(gateway[1]), signal.SIGKILL)
        async with asyncio.timeout(STARTS_S):
            said = (await process.stdout.read()).decode()
        assert await process.wait() == 1
    finally:
        if process.returncode is None:
            await stopped(process)
    assert f"the gateway was killed by SIGKILL; its log is {log}" in said
    assert "`make run` starts everything again and settles what was begun" in said
    assert "earlier run" not in said
    assert nobody_listens(ports)


async def peers_are(port, *words):
    telling = await sim("peer", *words, "--sim", f"http://127.0.0.1:{port}")
    said, _ = await telling.communicate()
    assert telling.returncode == 0, said.decode()
    return [line.split()[-1] for line in said.decode().splitlines()]


async def test_two_banks_pay_though_a_peer_is_stopped_and_one_lies(tmp_path, ports):
    process = await up(tmp_path, ports, "--banks", 2, "--peers", 4)
    try:
        told = await running(process)
        assert re.search(rf"http://127.0.0.1:{ports[1] + 1} \(process \d+\) of Tonle Bank", told)
        file = tmp_path / "across.txt"
        file.write_text(ACROSS)
        await plays(ports[0], file)
        held = await asyncio.to_thread(balances, ports[0])
        assert (held["85512345603@tonle"], held["85512345611@tonle"]) == ("106000", "293000")
        assert held["85512345601@bank"] == "401000"
        await peers_are(ports[0], 1, "stopped")
        assert nobody_listens([ports[2]])
        assert await peers_are(ports[0], 2, "lying") == ["stopped", "lying", "up", "up"]
        file.write_text(STILL)
        await plays(ports[0], file)
    finally:
        code, _ = await stopped(process, signal.SIGTERM)
    assert code == 0
    assert nobody_listens([*ports, ports[1] + 1])
    state = tmp_path / "state"
    assert "peer 2 lying" in (state / "logs/ledger.log").read_text()
    log = (state / "logs/gateway.log").read_text()
    assert "Traceback" not in log


async def test_a_dead_part_is_named_with_the_end_of_its_log(tmp_path, ports):
    state = tmp_path / "state"
    (state / "ledger").mkdir(parents=True)
    (state / "ledger" / "genesis.json").write_text("{}")
    process = await up(tmp_path, ports)
    async with asyncio.timeout(STARTS_S):
        said = (await process.stdout.read()).decode()
    assert await process.wait() == 1
    assert "the development ledger ended with exit code" in said
    assert "`make run` starts everything again" in said
    assert "cannot be read" in said
    assert nobody_listens(ports)


def test_no_help_speaks_of_python_types():
    for name in ("up", "serve", "phone", "peer", "run"):
        told = CliRunner().invoke(app, [name, "--help"])
        assert (told.exit_code, "list[" in told.output) == (0, False)


async def test_a_port_that_is_none_is_one_sentence(tmp_path):
    process = await up(tmp_path, [99999, 1, 2])
    said = (await process.stdout.read()).decode()
    assert await process.wait() == 2
    assert "Invalid value for '--port'" in said
    assert "65535" in said
    assert "Traceback" not in said


async def test_two_worlds_do_not_share_a_folder(tmp_path, ports):
    state = tmp_path / "state"
    state.mkdir()
    (state / "up.pid").write_text(str(os.getpid()))
    process = await up(tmp_path, ports)
    said = (await process.stdout.read()).decode()
    assert await process.wait() == 2
    assert f"process {os.getpid()} runs on" in said
