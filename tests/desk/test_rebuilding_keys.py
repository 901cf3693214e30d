"""Keys that a block gives to wallets of ours, and no row: lost with a database, or a thief's."""

import pytest
from clocks import FakeClock, seeded
from money_parts import DARA, THIDA, TRANSFER, account, fetch, holding
from replacement_parts import FIRST, SECOND
from structlog.testing import capture_logs
from test_rebuilding import settled
from unclaimed_parts import BOPHA, Town, TownLedger

from gateway.desk.replacement import exchange
from ledger_client.keys import SigningKey
from ledger_client.ledger import Block, TransferAsset
from menus.effects import KeyRenewing, PayeeFound
from menus.kinds import Msisdn

LOST = SigningKey.generate(seeded("lost")).public_key


@pytest.fixture
async def town(sqlite_sql, clock: FakeClock) -> Town:
    """Dara has sent Bopha, who has no wallet, 5,000 riel."""
    town = Town(sqlite_sql, TownLedger(), clock)
    await begin(town)
    return town


async def begin(town: Town) -> None:
    await town.begin(DARA, THIDA)
    await town.send(DARA, BOPHA, 5_000)
    await town.through()


async def exchanged(town: Town, number: Msisdn) -> Block:
    """A block in which the wallet gets another key."""
    wallet = await town.wallet(number)
    town.ledger.keys[account(number)] = {wallet["public_key"]}
    commands = exchange(account(number), new=LOST, old=[wallet["public_key"]])
    return town.ledger.block((account(number), commands))


@pytest.mark.parametrize("restored", [True, False])
async def test_it_is_a_fault_that_names_the_wallet(town: Town, restored):
    block = await exchanged(town, DARA)
    town.desk.follower._restored = restored
    with capture_logs() as lines:
        assert await town.desk.follower._settle(block)
    (told,) = (line for line in lines if "`ussd-gateway recover`" in line["event"])
    assert told["account"] == account(DARA)
    assert told["tx_hash"] == block.transactions[0].tx_hash
    assert town.desk.meters.faults.labels("follower")._value.get() == 1


async def test_keys_that_we_have_replaced_are_none(town: Town):
    await town.claim(BOPHA)
    await town.desk.outbox.round()
    done = await settled(town.desk, town.ledger.block())
    assert done.committed == 2
    assert done.rekeyed == ()


async def test_a_wallet_that_was_claimed_after_the_backup_has_its_owner(sql, clock):
    """Else its money would go back, as soon as we have a key of it again, and be nobody's."""
    town = Town(sql, TownLedger(), clock)
    await begin(town)
    done = await settled(town.desk, await exchanged(town, BOPHA), restored=True)
    assert [account for account, _ in done.rekeyed] == [account(BOPHA)]
    wallet = await town.wallet(BOPHA)
    assert (wallet["claim"], wallet["tier"]) == ("", "basic")
    assert await town.states() == ["claimed"]
    assert await town.look_up(DARA, BOPHA) == PayeeFound(BOPHA, account(BOPHA), "")
    src = account(BOPHA)
    paid = TransferAsset(src, account(THIDA), "khr#nbc", "700", "A1B2C3D4")
    await settled(town.desk, town.ledger.block((src, [paid])))
    (row,) = await fetch(sql, TRANSFER, ref="A1B2C3D4")
    assert (row["state"], row["channel"]) == ("committed", "ussd")
    await town.later(days=31)
    await town.go_back()
    assert await holding(sql, BOPHA) == (4_300, 0, 0)


async def test_its_owner_pays_again_once_it_is_recovered(town: Town):
    await settled(town.desk, await exchanged(town, BOPHA), restored=True)
    asked = await town.recovery.begin(BOPHA, "forgotten", FIRST, town.ledger)
    await town.recovery.finish(asked.signed_by(SECOND, town.clock.now()))
    await town.through()
    assert await town.claim(BOPHA) == KeyRenewing()
    await town.through()
    (key,) = town.ledger.keys[account(BOPHA)]
    wallet = await town.wallet(BOPHA)
    assert (wallet["public_key"], wallet["claim"]) == (key, "")
    assert wallet["salt"]


async def test_a_process_that_has_met_the_end_of_the_chain_gives_no_wallet_away(town: Town):
    await settled(town.desk, await exchanged(town, BOPHA))
    assert (await town.wallet(BOPHA))["claim"] == "waiting"
    assert await town.states() == ["waiting"]
