"""The one transaction that an operator may have sent, and how it ends."""

from networks import OPENER, begun, key, the, wrong

from ledger_client.check import State
from ledger_client.check.probe import DETAIL
from ledger_client.ledger import SetAccountDetail
from ledger_client.transaction import commands_of
from sim.ledger import Settings
from sim.ledger.misbehaviour import ClockOff

QUICK = Settings(block_ms=20)


async def test_it_is_committed_and_timed(tmp_path):
    async with begun(tmp_path, settings=QUICK) as place:
        found = await place.look(probing=True)
        assert wrong(found) == {}
        assert the("probe", found).says.startswith("was sent and committed after")
        block = place.server.peers[0]._peer.block(2)
        (transaction,) = block.block_v1.payload.transactions
        assert commands_of(transaction) == (SetAccountDetail(OPENER, DETAIL, str(place.now)),)


async def test_nothing_is_sent_unless_asked_for(tmp_path):
    async with begun(tmp_path, settings=QUICK) as place:
        await place.look()
        assert place.server.peers[0].height == 1


async def test_a_network_that_decides_nothing(tmp_path):
    async with begun(tmp_path, settings=QUICK) as place:
        place.server.pause()
        found = await place.look(probing=True, patience_s=1.0)
        assert the("probe", found).says.startswith("was sent, and is in no block after 1 s")


async def test_why_it_was_refused_is_told(tmp_path):
    async with begun(tmp_path, settings=QUICK) as place:
        place.server.peers[0].misbehave(ClockOff(-600_000))
        said = the("probe", await place.look(probing=True))
        assert said.state is State.MISSING
        assert "future" in said.says


async def test_with_another_key_it_is_refused(tmp_path):
    async with begun(tmp_path, settings=QUICK) as place:
        said = the("probe", await place.look(probing=True, key=key("another")))
        assert "rejected: " in said.says


async def test_it_cannot_be_sent_where_nobody_listens(tmp_path):
    async with begun(tmp_path) as place:
        said = the("probe", await place.look(probing=True, peers=["127.0.0.1:9"]))
        assert said.says.startswith("could not be sent")
