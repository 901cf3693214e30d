"""What is said of peers: dead, silent, behind, of another network, with another time."""

import asyncio

import pytest
from networks import OPENER, begun, first_block, key, the, wrong

from ledger_client.asking import Asking, Health
from ledger_client.check import State, check
from ledger_client.check.findings import Terms, spoken
from ledger_client.check.peers import Seen, of_peer
from sim.ledger.misbehaviour import ClockOff, Refuses, Silent

DEAD = "127.0.0.1:9"


async def test_a_network_as_it_should_be(tmp_path):
    async with begun(tmp_path, peers=4) as place:
        await place.blocks(3)
        found = await place.look()
        assert wrong(found) == {}
        first = place.server.addresses[0]
        assert the(f"peer {first}", found).says == "answers: no TLS, height 4"
        assert the(f"clock of {first}", found).says == "agrees with this host's"
        assert not any(finding.remedy for finding in found)


async def test_a_dead_peer_among_others_is_named_and_the_rest_is_looked_at(tmp_path):
    async with begun(tmp_path, peers=4) as place:
        found = await place.look(peers=[DEAD, *place.server.addresses])
        assert set(wrong(found)) == {f"peer {DEAD}"}
        dead = the(f"peer {DEAD}", found)
        assert dead.says.startswith("does not answer: UNAVAILABLE")
        assert "the addresses of the peers" in dead.remedy


async def test_all_peers_dead_is_said_at_once(tmp_path):
    async with begun(tmp_path) as place:
        async with asyncio.timeout(15):
            found = await place.look(peers=[DEAD, "127.0.0.1:7"])
        assert [finding.state for finding in found] == [
            State.MISSING,
            State.MISSING,
            State.UNKNOWN,
        ]


async def test_nothing_hangs_on_a_peer_that_takes_calls_and_never_answers(tmp_path):
    async with begun(tmp_path, peers=4) as place:
        place.server.peers[1].misbehave(Silent())
        found = await place.look(patience_s=0.5)
        silent = the(f"peer {place.server.addresses[1]}", found)
        assert silent.says == "does not answer: too slow: still not done after 0.5 s"


async def test_a_peer_that_refuses_calls_does_not_answer(tmp_path):
    async with begun(tmp_path, peers=4) as place:
        place.server.peers[2].misbehave(Refuses())
        assert set(wrong(await place.look())) == {f"peer {place.server.addresses[2]}"}


async def test_over_tls_a_peer_that_speaks_none_is_told_with_the_setting(tmp_path):
    async with begun(tmp_path) as place:
        found = await place.look(tls_ca=b"-----BEGIN CERTIFICATE-----\n")
        assert "the trusted certificates" in found[0].remedy


async def test_a_peer_far_behind_is_left_behind_and_one_a_little_behind_is_fine(tmp_path):
    async with begun(tmp_path, peers=4) as place:
        place.server.peers[3].pause()
        about = f"peer {place.server.addresses[3]}"
        await place.blocks(3)
        found = await place.look()
        assert wrong(found) == {}
        assert the(about, found).says == "answers: no TLS, height 1, 3 behind"
        await place.blocks(9)
        found = await place.look()
        assert wrong(found) == {about: "is left behind: no TLS, height 1, 12 behind"}
        assert "take it out of" in the(about, found).remedy


@pytest.mark.parametrize(
    ("minutes", "says"),
    [
        (7, "is 7 min ahead of this host's"),
        (-7, "is 7 min behind this host's"),
        (300, "is 5 h ahead of this host's"),
        (-300, "is 5 h behind this host's"),
        (1000, "and this host's are many hours apart"),
        (-1000, "and this host's are many hours apart"),
    ],
)
async def test_a_clock_that_is_off_is_measured_without_being_told(tmp_path, minutes, says):
    """And is no reason to find nothing else, although a peer refuses what is dated ahead."""
    async with begun(tmp_path, peers=4) as place:
        place.server.peers[0].misbehave(ClockOff(minutes * 60_000))
        about = f"clock of {place.server.addresses[0]}"
        found = await place.look()
        assert the(about, found).says == says
        assert "NTP" in the(about, found).remedy
        blind = {f"peer {place.server.addresses[0]}"} if minutes == -1000 else set()
        assert set(wrong(found)) == {about} | blind


async def test_a_clock_a_little_off_is_told_and_no_fault(tmp_path):
    async with begun(tmp_path) as place:
        place.server.peers[0].misbehave(ClockOff(40_000))
        found = await place.look()
        assert wrong(found) == {}
        about = f"clock of {place.server.address}"
        assert the(about, found).says == "is 40 s ahead of this host's"


async def test_this_hosts_clock_is_as_easily_wrong(tmp_path):
    async with begun(tmp_path) as place:
        found = await place.look(now=place.now + 600_000)
        assert wrong(found) == {
            f"clock of {place.server.address}": "is 10 min behind this host's",
        }


async def test_a_peer_that_says_it_is_not_well(tmp_path):
    async with begun(tmp_path) as place:
        asking = Asking(
            place.server.address,
            OPENER,
            key(OPENER),
            tls_ca=None,
            deadline_s=5.0,
            now_ms=lambda: place.now,
            entropy=bytes,
        )
        unwell = Seen(asking, health=Health(healthy=False, syncing=True, height=5), height=5)
        (said, _) = of_peer(unwell, 5, Terms())
        assert said.state is State.MISSING
        assert said.says == "answers, and says it is not well: no TLS, height 5, catching up"
        await asking.close()


async def test_a_peer_that_dies_while_it_is_looked_at(tmp_path):
    """What is not known any more is said to be unknown."""
    async with begun(tmp_path) as place:
        await place.blocks(1)
        found = []
        looking = check(place.network, now_ms=lambda: place.now, deadline_s=5.0)
        async for finding in looking:
            found.append(finding)
            if finding.about == "keys":
                await place.server.peers[0].stop()
        assert found[-1].about == "the rest"
        assert found[-1].state is State.UNKNOWN


async def test_peers_of_two_networks_are_told_apart(tmp_path):
    """The other network has the same bank, so it knows our opener."""
    other_block = first_block(peers=2)
    async with (
        begun(tmp_path / "ours") as ours,
        begun(tmp_path / "other", other_block, peers=2) as other,
    ):
        found = await ours.look(peers=[*ours.server.addresses, *other.server.addresses])
        said = the("first block", found)
        assert said.state is State.MISSING
        assert said.says.startswith("differs: ")
        assert all(address in said.says for address in other.server.addresses)


async def test_a_peer_that_does_not_know_our_key_is_of_another_network(tmp_path):
    strange = first_block(opener=key("another opener"))
    async with (
        begun(tmp_path / "ours") as ours,
        begun(tmp_path / "other", strange) as other,
    ):
        about = f"peer {other.server.address}"
        found = await ours.look(peers=[ours.server.address, other.server.address])
        assert f"does not know {OPENER}" in [it.says for it in found if it.about == about][-1]


@pytest.mark.parametrize(
    ("ms", "said"),
    [
        (0, "0 ms"),
        (-999, "999 ms"),
        (1000, "1 s"),
        (119_000, "119 s"),
        (120_000, "2 min"),
        (7_200_000, "2 h"),
        (47 * 3_600_000, "47 h"),
        (72 * 3_600_000, "3 days"),
    ],
)
def test_spans_of_time_are_told_as_one_would_say_them(ms, said):
    assert spoken(ms) == said
