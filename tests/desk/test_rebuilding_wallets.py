"""A wallet of ours that a block makes and no row knows, as after a restore from backup."""

import pytest
from audit_parts import found
from clocks import FakeClock, seeded
from money_parts import DARA, THIDA, TRANSFER, account, fetch, holding, khr
from replacement_parts import FIRST, OPENER, SECOND
from structlog.testing import capture_logs
from test_rebuilding import settled
from unclaimed_parts import BOPHA, SREY, Town, TownLedger

from gateway.desk import recount, rotation
from gateway.desk.openings import Bank, Profile, grants
from gateway.desk.rotation import rotate
from ledger_client.keys import SigningKey
from ledger_client.ledger import Block, CreateAccount, GrantPermission, TransferAsset
from menus.effects import KeyRenewing, PayeeFound, WalletExists, WalletOpening
from menus.kinds import Msisdn

BANK = Bank("bank", OPENER)
LOST = SigningKey.generate(seeded("lost"))
REF = "A1B2C3D4"
GRANTS = grants("recoverer@bank")


@pytest.fixture
async def town(sql, clock: FakeClock) -> Town:
    town = Town(sql, TownLedger(), clock)
    await town.begin(DARA, THIDA)
    return town


def made(town: Town, number: Msisdn = SREY, *, paid: int = 0, owned: bool = True) -> Block:
    """A block in which the wallet is opened, or made by receiving from Dara."""
    members = BANK.opening(account(number), LOST, 0, number=number if owned else None)
    own = [(creator, commands) for creator, commands, _, _ in members]
    if paid:
        own.append((account(DARA), [pay(DARA, number, paid)]))
    return town.ledger.block(*own)


def pay(src: Msisdn, to: Msisdn, amount: int, ref: str = REF) -> TransferAsset:
    return TransferAsset(account(src), account(to), "khr#nbc", str(amount), ref)


async def opened(town: Town, number: Msisdn):
    """What the number hears that dials and opens a wallet."""
    return await town.wallets.open(number, await town.kept(), Profile(), 0.0)


async def recover(town: Town, number: Msisdn) -> None:
    asked = await town.recovery.begin(number, "forgotten", FIRST, town.ledger)
    await town.recovery.finish(asked.signed_by(SECOND, town.clock.now()))
    await town.through()


async def test_it_is_written_again_and_held_and_its_owner_told(town: Town):
    done = await settled(town.desk, block := made(town))
    assert (done.keyless, done.stranded, done.told) == ((account(SREY),), (), 1)
    wallet = await town.wallet(SREY)
    assert (wallet["msisdn"], wallet["state"], wallet["tier"]) == (SREY.e164, "held", "basic")
    assert (wallet["salt"], wallet["sealed_key"], wallet["claim"]) == (b"", b"", "")
    assert wallet["opened_at"] == block.created_time
    (told,) = await town.inbox(SREY)
    assert "cannot send now" in told
    assert await town.look_up(DARA, SREY) == PayeeFound(SREY, account(SREY), "")
    assert await opened(town, SREY) == WalletExists()


async def test_it_is_a_fault_that_names_it_and_a_drift(town: Town):
    with capture_logs() as lines:
        assert await town.desk.follower._settle(made(town))
    (told,) = (line for line in lines if "`ussd-gateway recover`" in line["event"])
    assert told["account"] == account(SREY)
    assert town.desk.meters.faults.labels("follower")._value.get() == 1
    assert town.desk.meters.drifts.labels("block")._value.get() == 1


@pytest.mark.parametrize("owned", [True, False])
async def test_what_came_with_its_making_and_later_is_its_owners(town: Town, owned):
    """Also of one that was made by receiving: we have no key by which it could go back."""
    done = await settled(town.desk, made(town, paid=5_000, owned=owned))
    assert len(done.rebuilt) == 1
    assert await holding(town.sql, SREY) == (5_000, 0, 0)
    (row,) = await fetch(town.sql, TRANSFER)
    assert (row["src_msisdn"], row["dest_msisdn"]) == (DARA.e164, SREY.e164)
    await town.desk.pay(DARA, SREY, khr(2_000), wait_s=0.001)
    await town.through()
    assert await holding(town.sql, SREY) == (7_000, 0, 0)
    assert await town.states() == []
    assert not await found(town.desk, town.desk.journal)


async def test_what_left_it_meanwhile_is_written_too(town: Town):
    await settled(town.desk, made(town, paid=5_000))
    spent = town.ledger.block((account(SREY), [pay(SREY, THIDA, 700, "A1B2C3D5")]))
    assert len((await settled(town.desk, spent)).rebuilt) == 1
    assert await holding(town.sql, SREY) == (4_300, 0, 0)
    assert not await found(town.desk, town.desk.journal)


async def test_its_owner_chooses_a_pin_once_it_is_recovered(town: Town):
    await settled(town.desk, made(town, paid=5_000))
    await recover(town, SREY)
    wallet = await town.wallet(SREY)
    assert (wallet["state"], wallet["wrong_pins"]) == ("open", 0)
    assert await town.claim(SREY) == KeyRenewing()
    await town.through()
    wallet = await town.wallet(SREY)
    assert wallet["salt"]
    assert town.ledger.keys[account(SREY)] == {wallet["public_key"]}


async def test_it_is_found_by_a_comparison_with_the_ledger_until_it_is_recovered(town: Town):
    async def lost() -> list[str]:
        steps = recount.keys(town.sql, town.ledger, FakeClock(skipping=True))
        return [drift.row async for step in steps for drift in step.drifts]

    await settled(town.desk, made(town))
    assert account(SREY) in await lost()
    await recover(town, SREY)
    assert account(SREY) not in await lost()


async def test_a_rotation_has_no_key_of_it_to_move(town: Town):
    await settled(town.desk, made(town))
    assert (await rotate(town.sql, town.vault)).stuck == ()
    assert await town.sql.run(rotation.count_older, [1]) == [0]


async def test_an_opening_that_came_before_it_was_seen_gives_way(town: Town):
    """Its number dials while the database that went back is read again."""
    assert await opened(town, SREY) == WalletOpening()
    done = await settled(town.desk, made(town))
    assert (done.keyless, done.stranded) == ((account(SREY),), ())
    await town.through()
    wallet = await town.wallet(SREY)
    assert (wallet["state"], wallet["sealed_key"]) == ("held", b"")
    assert await opened(town, SREY) == WalletExists()


async def test_a_payment_that_would_have_made_it_fails_and_leaves_it(town: Town):
    await town.send(DARA, SREY, 5_000)
    assert (await settled(town.desk, made(town))).keyless == (account(SREY),)
    await town.through()
    wallet = await town.wallet(SREY)
    assert (wallet["state"], wallet["claim"]) == ("held", "")
    assert await holding(town.sql, SREY) == (0, 0, 0)
    assert await holding(town.sql, DARA) == (400_000, 0, 0)
    assert not await found(town.desk, town.desk.journal)


async def test_one_whose_number_has_another_is_named(town: Town):
    second = account(SREY).replace("@", "_2@")
    await settled(town.desk, made(town))
    members = BANK.opening(second, LOST, 0, number=SREY)
    block = town.ledger.block(*((creator, commands) for creator, commands, _, _ in members))
    with capture_logs() as lines:
        assert await town.desk.follower._settle(block)
    assert [line["account"] for line in lines if "its number has" in line["event"]] == [second]


async def test_those_of_ours_that_have_their_rows_are_left_alone(town: Town):
    await town.send(DARA, BOPHA, 5_000)
    assert await opened(town, SREY) == WalletOpening()
    await town.desk.outbox.round()
    done = await settled(town.desk, town.ledger.block())
    assert (done.keyless, done.stranded) == ((), ())
    assert [(await town.wallet(one))["state"] for one in (BOPHA, SREY)] == ["open", "open"]


OTHERS = {
    "another opener": ("treasury@bank", "85512345606", "bank", GRANTS),
    "another bank": ("opener@bank", "85512345606", "other", GRANTS),
    "no number": ("opener@bank", "cashier", "bank", GRANTS),
    "no grants": ("opener@bank", "85512345606", "bank", ()),
    "one grant": ("opener@bank", "85512345606", "bank", GRANTS[:1]),
    "others' grants": (
        "opener@bank",
        "85512345606",
        "bank",
        tuple(GrantPermission("helpdesk@bank", one.permission) for one in GRANTS),
    ),
}


@pytest.mark.parametrize("case", OTHERS)
async def test_what_the_bank_makes_otherwise_is_no_wallet_of_ours(town: Town, case):
    creator, name, domain, granted = OTHERS[case]
    create = CreateAccount(name, domain, LOST.public_key)
    block = town.ledger.block((creator, [create]), (f"{name}@{domain}", granted))
    done = await settled(town.desk, block, restored=True)
    assert (done.keyless, done.stranded) == ((), ())
    assert not await fetch(town.sql, TRANSFER)
