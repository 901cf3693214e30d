"""What only the store on a cluster promises: every slot, slots that move, nodes that are away."""

import asyncio
import time

import pytest
from clocks import FakeClock
from ports import quiet_port
from valkey_cluster import THIRD, slot_of

from gateway.clock import SystemClock
from gateway.stores.sessions import Claim, SessionKey, SessionsUnavailable, open_sessions
from gateway.stores.sessions_cluster import Cluster
from gateway.stores.sessions_redis import RedisSessions

KEYS = [SessionKey(f"+855123{i:05}", "at", f"s{i}") for i in range(300)]
KEY = KEYS[0]


@pytest.fixture
async def sessions(cluster):
    sessions = RedisSessions(cluster.url, FakeClock(skipping=True), timeout_s=30)
    yield sessions
    await sessions.close()


@pytest.fixture
async def hasty(cluster):
    """Gives up as soon as in production: for nodes that hang."""
    sessions = RedisSessions(cluster.url, SystemClock())
    async with asyncio.timeout(30):
        await claim(sessions, KEYS[-1])
        yield sessions
        await sessions.close()


async def claim(sessions, key=KEY, length=0):
    return await sessions.claim(key, worker=key.session, length=length, lease_s=10.0, create=True)


async def finish(sessions, key=KEY):
    return await sessions.finish(key, worker=key.session, record=key.session.encode(), ttl_s=600)


def of_node(cluster, node):
    return [key for key in KEYS if cluster.holder(key.msisdn) is node]


async def test_numbers_of_all_slots_are_asked_for_at_once(cluster, sessions):
    assert all(of_node(cluster, node) for node in cluster.nodes)
    await asyncio.gather(*(claim(sessions, key) for key in KEYS))
    assert all(await asyncio.gather(*(finish(sessions, key) for key in KEYS)))
    found = await asyncio.gather(*(claim(sessions, key, length=1) for key in KEYS))
    assert [each.record for each in found] == [key.session.encode() for key in KEYS]
    for node in cluster.nodes:
        kept = {f"{{{key.msisdn}}}:session".encode() for key in of_node(cluster, node)}
        assert set(node.client.keys()) == kept


async def test_what_is_asked_of_a_node_in_one_tick_is_one_trip(cluster, sessions):
    def reads():
        return [node.client.info("stats")["total_reads_processed"] for node in cluster.nodes]

    await asyncio.gather(*(claim(sessions, key) for key in KEYS[:30]))
    before = reads()
    await asyncio.gather(*(finish(sessions, key) for key in KEYS[:30]))
    ours_and_this_one = 2
    assert [after - was for after, was in zip(reads(), before, strict=True)] == [
        ours_and_this_one
    ] * 3


async def test_a_slot_that_moved_is_followed_and_then_known(cluster, sessions):
    await claim(sessions)
    home, other = cluster.holder(KEY.msisdn), cluster.another(KEY.msisdn)
    home.client.flushall()
    home.client.config_resetstat()
    with cluster.taken_over([KEY.msisdn], other, knowing=cluster.nodes):
        assert await claim(sessions) == Claim("fresh")
        assert await finish(sessions)
        assert (await claim(sessions, length=1)).record == b"s0"
    assert home.client.info("errorstats")["errorstat_MOVED"] == {"count": 1}


async def test_a_session_goes_on_while_its_slot_is_being_moved(cluster, sessions):
    await claim(sessions)
    await finish(sessions)
    with cluster.on_its_way(KEY.msisdn, cluster.another(KEY.msisdn)):
        assert await claim(sessions, length=1) == Claim("claimed", b"s0", version=1)
        assert await finish(sessions)
        assert await sessions.wait(KEY, version=1, timeout_s=0) == b"s0"


async def test_a_node_that_hangs_is_said_within_a_second_and_the_others_go_on(cluster, hasty):
    hanging = cluster.nodes[1]
    its, others = of_node(cluster, hanging), set(KEYS) - set(of_node(cluster, hanging))
    began = time.monotonic()
    with hanging.hanging():
        waiting = [asyncio.create_task(claim(hasty, key)) for key in its]
        for length in range(3):
            for each in await asyncio.gather(*(claim(hasty, key, length) for key in others)):
                assert each.state in ("fresh", "busy")
        assert not any(task.done() for task in waiting), "nobody waited for them"
        for failed in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(failed, SessionsUnavailable)
    assert time.monotonic() - began < 5, "one second, on a machine with nothing else to do"


async def test_who_took_over_from_a_node_is_found(cluster, hasty):
    lost, other = cluster.holder(KEY.msisdn), cluster.another(KEY.msisdn)
    alive = [node for node in cluster.nodes if node is not lost]
    kept = hasty._kept
    with lost.hanging(), cluster.taken_over([KEY.msisdn], other, knowing=alive):
        await kept._learning  # it may have looked again just now, and have seen who took over
        kept._holders[slot_of(KEY.msisdn)] = kept._node(("127.0.0.1", lost.port))
        kept._learn_again_at = 0.0
        with pytest.raises(SessionsUnavailable):
            await claim(hasty)
        await kept._learning
        assert await claim(hasty) == Claim("fresh")
        assert await finish(hasty)


async def test_one_host_that_answers_is_enough_to_begin(cluster):
    url = f"redis+cluster://127.0.0.1:{quiet_port()},127.0.0.1:{cluster.nodes[2].port}"
    sessions = RedisSessions(url, SystemClock(), timeout_s=30)
    assert {each.state for each in [await claim(sessions, key) for key in KEYS]} == {"fresh"}
    await sessions.close()


async def test_a_node_that_holds_nothing_any_longer_is_let_go(cluster, sessions):
    await claim(sessions)
    kept = sessions._kept
    kept._node(("127.0.0.1", quiet_port()))
    kept._learn_again_at = 0.0
    await kept._learn()
    assert len(kept._nodes) == 3
    assert (await claim(sessions)).state == "busy"


async def test_a_cluster_that_is_away_is_said_at_once(port):
    sessions = open_sessions(f"redis+cluster://127.0.0.1:{port}", SystemClock())
    began = time.monotonic()
    for _ in range(2):
        with pytest.raises(SessionsUnavailable, match="GATEWAY_REDIS_URL"):
            await claim(sessions)
    assert time.monotonic() - began < 5, "at once, on a machine with nothing else to do"
    await sessions.close()


async def test_a_server_that_is_no_cluster_is_said(redis_url):
    url = redis_url.replace("redis://", "redis+cluster://")
    sessions = RedisSessions(url, SystemClock(), timeout_s=30)
    with pytest.raises(SessionsUnavailable, match="as a node of a cluster"):
        await claim(sessions)
    await sessions.close()


async def test_a_cluster_that_is_taken_for_one_server_is_said(cluster):
    away = next(key for key in KEYS if slot_of(key.msisdn) >= THIRD)
    sessions = RedisSessions(
        f"redis://127.0.0.1:{cluster.nodes[0].port}", SystemClock(), timeout_s=30
    )
    with pytest.raises(SessionsUnavailable, match=r"write redis\+cluster://"):
        await claim(sessions, away)
    with pytest.raises(SessionsUnavailable, match=r"write redis\+cluster://"):
        await asyncio.gather(*(claim(sessions, key) for key in KEYS))
    await sessions.close()


def test_a_url_tells_hosts_login_and_options():
    cluster = Cluster("rediss+cluster://me:se@cret@one:7000,two,[::1]:7001/?ssl_ca_certs=ca", 1.0)
    assert list(cluster._nodes) == [("one", 7000), ("two", 6379), ("::1", 7001)]
    for (host, port), node in cluster._nodes.items():
        connection = node._server._connection
        assert (connection.host, connection.port) == (host, port)
        assert (connection.username, connection.password) == ("me", "se@cret")
        assert connection.ca_certs == "ca"
