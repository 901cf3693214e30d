"""The ledger as a process of its own: started, killed, started again."""

import asyncio
import json
import signal
import sys
import time

import grpc.aio
from town import Town, first_block, peer_keys

from ledger_client.keys import save_key


class _Elsewhere:
    """What a town needs to know of a server that is another process."""

    def __init__(self, address: str) -> None:
        self.address = address


async def start(folder, port: int = 0, peers: int = 1):
    keys = [part for n in range(peers) for part in ("--peer-key", str(folder / f"peer{n}.key"))]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sim.ledger",
        "--data", str(folder / "ledger"),
        "--genesis", str(folder / "genesis.json"),
        *keys,
        "--port", str(port),
        "--block-ms", "20",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    line = (await process.stdout.readline()).decode()
    return process, line


def prepare(folder, peers: int = 1) -> None:
    (folder / "genesis.json").write_text(json.dumps(first_block(peers=peers)))
    for number, each in enumerate(peer_keys(peers)):
        save_key(folder / f"peer{number}.key", each)


def reach(line: str, since: Town | None = None):
    address = line.split()[3].rstrip(",")
    channel = grpc.aio.insecure_channel(address)
    place = Town(_Elsewhere(address), channel)
    place.now = since.now if since else time.time_ns() // 1_000_000
    return place, channel


async def until_decided(bank: Town, signed) -> list[str]:
    for it in signed:
        async for _ in bank.stream(it.tx_hash):
            pass
    return [await bank.status(it) for it in signed]


async def test_a_killed_ledger_loses_its_queue_and_nothing_else(tmp_path):
    prepare(tmp_path)
    process, line = await start(tmp_path)
    bank, channel = reach(line)
    opening = bank.opening("alice@bank")
    await bank.send(*opening)
    assert await until_decided(bank, opening) == ["COMMITTED"] * 2
    payments = [bank.pay("treasury@bank", "alice@bank", "1") for _ in range(300)]
    await bank.send(*payments)
    process.kill()
    await process.wait()
    await channel.close()

    process, line = await start(tmp_path)
    again, channel = reach(line, bank)
    found = [await again.status(it) for it in payments]
    assert set(found) <= {"COMMITTED", "NOT_RECEIVED"}
    assert await again.riel("alice@bank") == found.count("COMMITTED")
    await again.send(*payments)
    await again.send(*payments)
    assert set(await until_decided(again, payments)) == {"COMMITTED"}
    assert await again.riel("alice@bank") == 300

    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 10) == 0
    assert await process.stderr.read() == b""
    await channel.close()


async def test_a_taken_port_names_the_option(tmp_path):
    prepare(tmp_path)
    process, line = await start(tmp_path)
    port = int(line.split()[3].rstrip(",").rpartition(":")[2])
    (tmp_path / "second").mkdir()
    prepare(tmp_path / "second")
    second, line = await start(tmp_path / "second", port)
    assert line == ""
    assert await second.wait() == 1
    assert "--port" in (await second.stderr.read()).decode()
    process.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_one_process_is_several_peers(tmp_path):
    prepare(tmp_path, peers=3)
    process, line = await start(tmp_path, peers=3)
    addresses = line.removeprefix("development ledger on ").partition(" height")[0]
    assert len([it for it in addresses.split(",") if it.strip()]) == 3
    bank, channel = reach(line)
    opening = bank.opening("alice@bank")
    await bank.send(*opening)
    assert await until_decided(bank, opening) == ["COMMITTED"] * 2
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 10) == 0
    await channel.close()
