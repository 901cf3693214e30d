"""What only the store on Redis promises: time to live, one slot, being told when it is away."""

import asyncio
import time

import pytest
from clocks import FakeClock
from redis.asyncio import Redis

from gateway.clock import SystemClock
from gateway.stores.sessions import SessionKey, SessionsUnavailable, open_sessions
from gateway.stores.sessions_redis import RedisSessions

KEY = SessionKey("+85512345601", "africastalking", "ATUid_1")
REDIAL = SessionKey("+85512345601", "africastalking", "ATUid_2")


@pytest.fixture
async def redis(redis_url):
    async with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
async def sessions(redis_url):
    sessions = RedisSessions(redis_url, FakeClock(skipping=True), timeout_s=30)
    yield sessions
    await sessions.close()


async def claim(sessions, key=KEY, worker="one", length=0):
    return await sessions.claim(key, worker=worker, length=length, lease_s=10.0, create=True)


async def test_every_key_has_a_time_to_live_at_every_moment(sessions, redis):
    async def lives_ms():
        keys = await redis.keys("*")
        assert keys in ([], [b"{+85512345601}:session"]), "one key, with the number as hash tag"
        return [await redis.pttl(key) for key in keys]

    await claim(sessions)
    assert 60_000 < (await lives_ms())[0] <= 70_000
    await sessions.finish(KEY, worker="one", record=b"page", ttl_s=600)
    assert 590_000 < (await lives_ms())[0] <= 600_000
    await claim(sessions, worker="two", length=1)
    assert 590_000 < (await lives_ms())[0] <= 600_000
    await claim(sessions, REDIAL)
    assert 0 < (await lives_ms())[0] <= 600_000
    await sessions.release(REDIAL, worker="one")
    assert 0 < (await lives_ms())[0] <= 600_000
    await claim(sessions, REDIAL)
    await sessions.finish(REDIAL, worker="one", record=b"page", ttl_s=180)
    assert 170_000 < (await lives_ms())[0] <= 180_000


async def test_two_processes_share_a_session(redis_url, sessions):
    async with asyncio.timeout(30):
        other = open_sessions(redis_url, SystemClock())
        await claim(sessions)
        waiting = asyncio.create_task(other.wait(KEY, version=0, timeout_s=4))
        assert (await claim(other, worker="two")).state == "busy"
        await sessions.finish(KEY, worker="one", record=b"page", ttl_s=600)
        assert await waiting == b"page"
        assert (await claim(other, worker="two", length=1)).record == b"page"
        await other.close()


async def test_what_is_asked_in_one_tick_is_one_command(sessions, redis):
    await claim(sessions)
    await redis.config_resetstat()
    keys = [SessionKey(f"+855123457{i:02}", "at", "s") for i in range(50)]
    await asyncio.gather(*(claim(sessions, key) for key in keys))
    assert (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"] == 1


async def test_a_server_that_forgot_the_script_is_given_it_again(sessions, redis):
    await claim(sessions)
    await redis.script_flush()
    assert (await claim(sessions, worker="two")).state == "busy"


async def test_a_connection_that_broke_is_replaced(sessions, redis):
    await claim(sessions)
    await redis.client_kill_filter(_type="normal", skipme=True)
    states = []
    for _ in range(2):  # the first may find out the hard way
        try:
            states.append((await claim(sessions, worker="two")).state)
        except SessionsUnavailable:
            states.append("unavailable")
    assert states[-1] == "busy"


async def test_a_server_that_is_away_is_said_at_once(port):
    sessions = open_sessions(f"redis://127.0.0.1:{port}", SystemClock())
    began = time.monotonic()
    with pytest.raises(SessionsUnavailable, match="GATEWAY_REDIS_URL"):
        await claim(sessions)
    with pytest.raises(SessionsUnavailable):
        await sessions.wait(KEY, version=0, timeout_s=30)
    assert time.monotonic() - began < 5, "one second, on a machine with nothing else to do"
    await sessions.close()


async def test_a_server_that_never_answers_is_said_in_time():
    async def never(reader, writer):
        await reader.read()
        writer.close()

    server = await asyncio.start_server(never, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    sessions = RedisSessions(f"redis://127.0.0.1:{port}", SystemClock(), timeout_s=0.05)
    with pytest.raises(SessionsUnavailable):
        await claim(sessions)
    await sessions.close()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("url", ["http://127.0.0.1", "redis+cluster://", "redis+cluster://a:b"])
def test_a_url_of_something_else_names_the_setting(url):
    with pytest.raises(ValueError, match="GATEWAY_REDIS_URL"):
        open_sessions(url, SystemClock())
