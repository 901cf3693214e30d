"""An attempt is counted before it is tried; only a wrong PIN stays counted."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
from clocks import FakeClock
from custody_parts import (
    ACCOUNT,
    ATTEMPT,
    DARA,
    MESSAGE,
    OTHER,
    PIN,
    SUBSCRIBER,
    TEXTS,
    WALLET,
    DyingSql,
    begin_anew,
    change,
    make_guard,
    make_vault,
    make_wallet,
    ms,
    only,
    rows,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from gateway import vault as vault_module
from gateway.desk.attempt_rows import KEPT_MS
from gateway.desk.attempts import JUDGING_MS, LEASE_MS
from gateway.desk.pins import Opened, PinGuard
from gateway.stores.runners import InlineSql, open_sql
from gateway.stores.sql import Sql
from gateway.vault import Vault
from ledger_client.keys import SigningKey, verify
from menus.effects import PinLocked, Unavailable, Unconfirmed, WalletHeld, WrongPin
from menus.kinds import Msisdn, Pin
from menus.receipts import PinLockedNotice

HALF_HOUR, DAY = timedelta(minutes=30), timedelta(days=1)


@pytest.fixture
async def guard(sqlite_sql, clock) -> PinGuard:
    await make_wallet(sqlite_sql)
    return make_guard(sqlite_sql, clock)


async def wrong(guard: PinGuard, turn: str) -> object:
    return await guard.open(ACCOUNT, OTHER, turn)


async def test_the_right_pin_gives_a_key_that_signs_for_the_wallet(sql, clock):
    key = await make_wallet(sql)
    opened = await make_guard(sql, clock).open(ACCOUNT, PIN, "t1")
    assert isinstance(opened, Opened)
    assert verify(key.public_key, b"payload", opened.key.sign(b"payload"))
    assert (await only(sql, ATTEMPT))["state"] == "right"
    assert key.seed.hex() not in repr(opened)


async def test_three_wrong_lock_for_half_an_hour_five_for_a_day_ten_hold(sql, clock):
    await make_wallet(sql)
    guard = make_guard(sql, clock)
    assert [await wrong(guard, f"a{i}") for i in range(2)] == [WrongPin(2), WrongPin(1)]
    assert await wrong(guard, "a2") == PinLocked(clock.now() + HALF_HOUR)
    await clock.advance(1799)
    assert await guard.open(ACCOUNT, PIN, "a3") == PinLocked(clock.now() + timedelta(seconds=1))
    await clock.advance(1)
    assert await wrong(guard, "b0") == WrongPin(1)
    assert await wrong(guard, "b1") == PinLocked(clock.now() + DAY)
    await clock.advance(24 * 3600)
    assert [await wrong(guard, f"c{i}") for i in range(4)] == [WrongPin(i) for i in (4, 3, 2, 1)]
    assert await wrong(guard, "c4") == WalletHeld()
    await clock.advance(JUDGING_MS / 1000)
    assert await guard.open(ACCOUNT, PIN, "d0") == WalletHeld()
    assert (await only(sql, WALLET))["state"] == "held"


async def test_each_lock_and_the_hold_are_told_once_in_the_owners_language(
    sqlite_sql, clock, guard
):
    def speak(connection: Connection, _items: Sequence[None]) -> Sequence[None]:
        connection.execute(
            SUBSCRIBER.insert().values(msisdn=DARA.e164, language="en", lookup_day="", lookups=0)
        )
        return [None]

    await sqlite_sql.run(speak, [None])
    until = None
    for turn in range(10):
        said = await wrong(guard, f"t{turn}")
        await wrong(guard, f"t{turn}")  # the carrier repeats itself
        if isinstance(said, PinLocked):
            assert await wrong(guard, f"more{turn}") == said
            until = until or said.until
            await clock.advance((said.until - clock.now()).total_seconds())
    told = await rows(sqlite_sql, MESSAGE)
    assert [message["kind"] for message in told] == ["notice"] * 3
    assert {message["msisdn"] for message in told} == {DARA.e164}
    assert told[0]["text"] == PinLockedNotice(until).say(TEXTS, "en")


async def test_a_right_pin_begins_the_count_anew(sqlite_sql, clock, guard):
    for round_ in range(5):
        assert await wrong(guard, f"{round_}a") == WrongPin(2)
        assert await wrong(guard, f"{round_}b") == WrongPin(1)
        assert isinstance(await guard.open(ACCOUNT, PIN, f"{round_}c"), Opened)
    assert (await only(sqlite_sql, WALLET))["wrong_pins"] == 0


async def test_a_judged_turn_gets_its_judgement_again_without_a_count(sqlite_sql, guard):
    assert await wrong(guard, "t1") == await wrong(guard, "t1") == WrongPin(2)
    # Also when the repeat brings the right PIN: this turn has been judged.
    assert await guard.open(ACCOUNT, PIN, "t1") == WrongPin(2)
    assert (await only(sqlite_sql, WALLET))["wrong_pins"] == 1


async def test_a_turn_judged_right_opens_again_but_does_not_guess_for_free(sqlite_sql, guard):
    for _ in range(4):
        assert isinstance(await guard.open(ACCOUNT, PIN, "t1"), Opened)
    assert await wrong(guard, "t1") == WrongPin(2)
    assert (await only(sqlite_sql, WALLET))["wrong_pins"] == 1


async def test_a_turn_key_belongs_to_one_wallet(sqlite_sql, clock, guard):
    await make_wallet(sqlite_sql, number := Msisdn("+85512345602"))
    assert await wrong(guard, "t1") == WrongPin(2)
    other = f"{number.e164[1:]}@bank"
    assert await guard.open(other, PIN, "t1") == Unavailable()
    assert (await only(sqlite_sql, WALLET, account_id=other))["wrong_pins"] == 0


@pytest.mark.parametrize("state", ["held", "closed"])
async def test_held_and_closed_wallets_try_nothing(sqlite_sql, guard, state):
    await change(sqlite_sql, WALLET, state=state)
    refused = WalletHeld() if state == "held" else Unavailable()
    assert await guard.open(ACCOUNT, PIN, "t1") == refused
    assert await rows(sqlite_sql, ATTEMPT) == []


async def test_an_account_that_is_not_ours_is_unavailable(guard):
    assert await guard.open("else@other", PIN, "t1") == Unavailable()


# ---- what gives an attempt back


async def given_back(sql: Sql) -> bool:
    wallet = await only(sql, WALLET)
    attempts = await rows(sql, ATTEMPT)
    return wallet["wrong_pins"] == wallet["locked_until"] == 0 and [
        attempt["state"] for attempt in attempts
    ] == ["given_back"]


@pytest.mark.parametrize(
    "damage",
    [{"sealed_key": b"\x01" + bytes(80)}, {"kek_version": 7}, {"public_key": "ab" * 32}],
    ids=["outer layer", "lost KEK", "another's public key"],
)
async def test_a_key_that_cannot_be_tried_costs_no_attempt(sqlite_sql, guard, damage):
    before = await only(sqlite_sql, WALLET)
    await change(sqlite_sql, WALLET, **damage)
    assert await guard.open(ACCOUNT, PIN, "t1") == Unavailable()
    assert await given_back(sqlite_sql)
    await change(sqlite_sql, WALLET, **{name: before[name] for name in damage})
    assert isinstance(await guard.open(ACCOUNT, PIN, "t1"), Opened)


async def test_a_machine_too_busy_for_argon2_costs_no_attempt(sqlite_sql, clock, guard):
    busy = make_guard(sqlite_sql, clock, make_vault(waiting_most=0))
    assert await wrong(busy, "t1") == Unavailable()
    assert await given_back(sqlite_sql)
    assert await wrong(guard, "t1") == WrongPin(2)


async def test_an_attempt_given_back_lifts_the_lock_it_caused(sqlite_sql, clock, guard):
    await wrong(guard, "t1")
    await wrong(guard, "t2")
    busy = make_guard(sqlite_sql, clock, make_vault(waiting_most=0))
    assert await wrong(busy, "t3") == Unavailable()
    assert await wrong(guard, "t4") == PinLocked(clock.now() + HALF_HOUR)


async def test_a_broken_executor_costs_no_attempt_and_is_not_hidden(sqlite_sql, clock, guard):
    threads = ThreadPoolExecutor(1)
    threads.shutdown()
    with pytest.raises(RuntimeError):
        await wrong(make_guard(sqlite_sql, clock, make_vault(threads)), "t1")
    assert await given_back(sqlite_sql)


# ---- crashes


@pytest.mark.parametrize("pin", [PIN, OTHER], ids=["right", "wrong"])
@pytest.mark.parametrize("after_commit", [False, True])
@pytest.mark.parametrize("at", [1, 2])
async def test_the_same_turn_after_a_crash_is_counted_once(sql, clock, pin, at, after_commit):
    await make_wallet(sql)
    dying = DyingSql(sql, at, after_commit=after_commit)
    assert await make_guard(dying, clock).open(ACCOUNT, pin, "t1") == Unavailable()
    await clock.advance(LEASE_MS / 1000)
    fresh = make_guard(sql, clock)
    said = await fresh.open(ACCOUNT, pin, "t1")
    if pin is PIN:
        assert isinstance(said, Opened)
    else:
        assert said == WrongPin(2)
    assert (await only(sql, WALLET))["wrong_pins"] == (pin is OTHER)
    assert (await only(sql, ATTEMPT))["state"] == ("wrong" if pin is OTHER else "right")


async def test_a_turn_whose_worker_died_is_tried_again_under_the_lock_that_it_caused(
    sqlite_sql, clock, guard
):
    for turn in ("t1", "t2"):
        await wrong(guard, turn)
    dying = make_guard(DyingSql(sqlite_sql, 2, after_commit=False), clock)
    await dying.open(ACCOUNT, PIN, "t3")
    await clock.advance(LEASE_MS / 1000)
    assert isinstance(await guard.open(ACCOUNT, OTHER, "t4"), PinLocked)
    assert isinstance(await guard.open(ACCOUNT, PIN, "t3"), Opened)


async def test_a_turn_that_locked_is_told_when_that_is_over_how_many_tries_the_next_lock_leaves(
    sqlite_sql, clock, guard
):
    for turn in ("t1", "t2", "t3"):
        await wrong(guard, turn)
    assert await wrong(guard, "t3") == PinLocked(clock.now() + HALF_HOUR)
    await clock.advance(1800)
    assert await wrong(guard, "t3") == WrongPin(2)


async def test_a_right_pin_forgets_the_wallets_own_old_attempts_and_no_others(
    sqlite_sql, clock, guard
):
    await make_wallet(sqlite_sql, Msisdn("+85512345602"))
    other = "85512345602@bank"
    await guard.open(ACCOUNT, PIN, "t1")
    await guard.open(other, PIN, "t2")
    await clock.advance(KEPT_MS / 1000 + 1)
    await guard.open(ACCOUNT, PIN, "t3")
    assert sorted(row["turn_key"] for row in await rows(sqlite_sql, ATTEMPT)) == ["t2", "t3"]


@pytest.mark.parametrize("form", ["raw", "multihash"])
async def test_a_key_opens_in_the_form_that_its_wallet_has_on_the_ledger(sqlite_sql, clock, form):
    key = await make_wallet(sqlite_sql)
    known = SigningKey.from_seed(key.seed, form).public_key
    await change(sqlite_sql, WALLET, public_key=known)
    opened = await make_guard(sqlite_sql, clock).open(ACCOUNT, PIN, "t1")
    assert isinstance(opened, Opened)
    assert opened.key.public_key == known


async def test_an_attempt_being_tried_is_not_tried_beside_itself(sqlite_sql, clock, guard):
    dying = make_guard(DyingSql(sqlite_sql, 2, after_commit=False), clock)
    await dying.open(ACCOUNT, OTHER, "t1")
    assert await guard.open(ACCOUNT, OTHER, "t1") == Unconfirmed()


async def test_crashes_before_every_judgement_still_lock(sqlite_sql, clock, guard):
    """Killing workers must not buy guesses."""
    for turn in range(3):
        dying = make_guard(DyingSql(sqlite_sql, 2, after_commit=False), clock)
        assert await dying.open(ACCOUNT, OTHER, f"t{turn}") == Unavailable()
    until = clock.now() + HALF_HOUR
    assert await guard.open(ACCOUNT, PIN, "t8") == Unconfirmed(), "they may be judged yet"
    await clock.advance(LEASE_MS / 1000)
    assert await guard.open(ACCOUNT, PIN, "t9") == PinLocked(until)
    await clock.advance(1800)
    assert isinstance(await guard.open(ACCOUNT, PIN, "t9"), Opened)
    assert (await only(sqlite_sql, WALLET))["wrong_pins"] == 0


async def test_a_tenth_attempt_that_nobody_judged_holds_the_wallet(sqlite_sql, clock, guard):
    await change(sqlite_sql, WALLET, wrong_pins=9)
    dying = make_guard(DyingSql(sqlite_sql, 2, after_commit=False), clock)
    await dying.open(ACCOUNT, OTHER, "t1")
    assert await guard.open(ACCOUNT, PIN, "t2") == Unconfirmed()
    await clock.advance(JUDGING_MS / 1000)
    assert await guard.open(ACCOUNT, PIN, "t3") == WalletHeld()
    assert (await only(sqlite_sql, WALLET))["state"] == "held"
    assert len(await rows(sqlite_sql, MESSAGE)) == 1


async def test_a_judged_turn_hears_of_the_hold_that_is_due_though_nobody_has_set_it(
    sqlite_sql, clock, guard
):
    await change(sqlite_sql, WALLET, wrong_pins=8)
    dying = make_guard(DyingSql(sqlite_sql, 2, after_commit=False), clock)
    await dying.open(ACCOUNT, OTHER, "t1")
    assert await wrong(guard, "t2") == Unconfirmed(), "t1 might still be right"
    await clock.advance(JUDGING_MS / 1000)
    assert await wrong(guard, "t2") == WalletHeld()


async def test_a_wallet_that_is_being_opened_becomes_no_held_one(sqlite_sql, guard):
    """Held, it would never open with its block."""
    await change(sqlite_sql, WALLET, wrong_pins=9, state="opening")
    assert await wrong(guard, "t1") == WalletHeld()
    (wallet,) = await rows(sqlite_sql, WALLET)
    assert (wallet["state"], wallet["wrong_pins"]) == ("opening", 10)
    assert not await rows(sqlite_sql, MESSAGE)


async def test_a_wrong_pin_beside_one_being_tried_is_told_of_no_lock_that_may_be_lifted(
    sqlite_sql, clock, guard
):
    await change(sqlite_sql, WALLET, wrong_pins=1)
    gate = Gate(make_vault())
    (slow,) = await under_way(gate, [make_guard(sqlite_sql, clock, gate).open(ACCOUNT, PIN, "t1")])
    assert await wrong(guard, "t2") == Unconfirmed()
    assert not await rows(sqlite_sql, MESSAGE)
    gate.open_it.set()
    assert isinstance(await slow, Opened)
    assert await wrong(guard, "t3") == WrongPin(2)


# ---- many at once


class Gate:
    """Holds argon2 back until the test opens it: the attempts are then all under way."""

    def __init__(self, vault: Vault) -> None:
        self._vault, self.open_it, self.waiting = vault, asyncio.Event(), 0

    async def open(self, *arguments):
        self.waiting += 1
        await self.open_it.wait()
        return await self._vault.open(*arguments)


async def under_way(gate: Gate, attempts: Sequence[Awaitable[object]]) -> list[asyncio.Future]:
    tasks = [asyncio.ensure_future(attempt) for attempt in attempts]
    while gate.waiting < len(tasks):
        await asyncio.sleep(0.001)
    return tasks


async def test_right_pins_in_two_sessions_at_once_both_open(sqlite_sql, clock):
    await make_wallet(sqlite_sql)
    gate = Gate(make_vault())
    guard = make_guard(sqlite_sql, clock, gate)
    tasks = await under_way(gate, [guard.open(ACCOUNT, PIN, f"t{i}") for i in range(3)])
    assert await guard.open(ACCOUNT, PIN, "t9") == Unconfirmed()  # a fourth, by what is not certain
    gate.open_it.set()
    assert all(isinstance(said, Opened) for said in await asyncio.gather(*tasks))
    wallet = await only(sqlite_sql, WALLET)
    assert (wallet["wrong_pins"], wallet["locked_until"]) == (0, 0)


async def test_a_wrong_pin_judged_after_a_right_one_is_counted_after_it(sqlite_sql, clock):
    await make_wallet(sqlite_sql)
    late, soon = Gate(make_vault()), Gate(make_vault())
    (wrongly,) = await under_way(
        late, [make_guard(sqlite_sql, clock, late).open(ACCOUNT, OTHER, "t1")]
    )
    soon.open_it.set()
    opened = await make_guard(sqlite_sql, clock, soon).open(ACCOUNT, PIN, "t2")
    assert isinstance(opened, Opened)
    late.open_it.set()
    assert await wrongly == WrongPin(2)
    assert (await only(sqlite_sql, WALLET))["wrong_pins"] == 1


async def test_a_right_pin_opens_nothing_that_an_operator_has_held_meanwhile(sqlite_sql, clock):
    await make_wallet(sqlite_sql)
    gate = Gate(make_vault())
    (slow,) = await under_way(gate, [make_guard(sqlite_sql, clock, gate).open(ACCOUNT, PIN, "t1")])
    await change(sqlite_sql, WALLET, state="held")
    gate.open_it.set()
    assert await slow == WalletHeld()


async def test_a_wrong_pin_in_a_wallet_that_an_operator_has_held_meanwhile_is_told_nothing(
    sqlite_sql, clock
):
    await make_wallet(sqlite_sql, wrong_pins=9)
    gate = Gate(make_vault())
    guard = make_guard(sqlite_sql, clock, gate)
    (slow,) = await under_way(gate, [guard.open(ACCOUNT, OTHER, "t1")])
    await change(sqlite_sql, WALLET, state="held")
    gate.open_it.set()
    assert await slow == WalletHeld()
    assert await rows(sqlite_sql, MESSAGE) == []


async def test_an_attempt_that_could_not_be_tried_after_a_right_one_is_given_back_once(
    sqlite_sql, clock
):
    await make_wallet(sqlite_sql)
    gate = Gate(make_vault(waiting_most=0))
    (late,) = await under_way(gate, [make_guard(sqlite_sql, clock, gate).open(ACCOUNT, PIN, "t1")])
    assert isinstance(await make_guard(sqlite_sql, clock).open(ACCOUNT, PIN, "t2"), Opened)
    assert await make_guard(sqlite_sql, clock).open(ACCOUNT, OTHER, "t3") == WrongPin(2)
    gate.open_it.set()
    assert await late == Unavailable()
    assert (await only(sqlite_sql, WALLET))["wrong_pins"] == 1, "of t3"


async def test_a_worker_that_lost_its_lease_learns_nothing(sqlite_sql, clock, guard):
    await make_wallet(sqlite_sql, Msisdn("+85512345602"))
    gate = Gate(make_vault())
    (slow,) = await under_way(gate, [make_guard(sqlite_sql, clock, gate).open(ACCOUNT, PIN, "t1")])
    await clock.advance(LEASE_MS / 1000)
    assert await guard.open(ACCOUNT, OTHER, "t1") == WrongPin(2)
    gate.open_it.set()
    assert await slow == Unconfirmed()
    assert (await only(sqlite_sql, WALLET, account_id=ACCOUNT))["wrong_pins"] == 1


async def test_a_worker_that_lost_its_lease_does_not_judge_for_the_one_that_has_it(
    sqlite_sql, clock, guard
):
    gates = [Gate(make_vault()) for _ in range(2)]
    workers = [make_guard(sqlite_sql, clock, gate) for gate in gates]
    (slow,) = await under_way(gates[0], [workers[0].open(ACCOUNT, OTHER, "t1")])
    await clock.advance(LEASE_MS / 1000)
    (other,) = await under_way(gates[1], [workers[1].open(ACCOUNT, PIN, "t1")])
    gates[0].open_it.set()
    assert await slow == Unconfirmed()
    gates[1].open_it.set()
    assert isinstance(await other, Opened)
    assert (await only(sqlite_sql, WALLET))["wrong_pins"] == 0


async def test_a_thousand_guesses_at_once_try_three(database_url, clock, monkeypatch):
    """Two processes' worth of guards on one store, argon2 in threads, all PINs different."""
    tried = Counter[str]()
    real = vault_module._argon2

    def counting(pin, salt, cost):
        tried[pin.digits] += 1
        return real(pin, salt, cost)

    async with AsyncExitStack() as stack:
        sqls = [open_sql(database_url) for _ in range(2)]
        for sql in sqls:
            stack.push_async_callback(sql.close)
        await make_wallet(sqls[0])
        monkeypatch.setattr(vault_module, "_argon2", counting)
        threads = stack.enter_context(ThreadPoolExecutor(4))
        guards = [make_guard(sql, clock, make_vault(threads, at_once=4)) for sql in sqls]
        said = await asyncio.gather(
            *(
                guards[i % 2].open(ACCOUNT, Pin(f"{i:06}"), f"session{i // 4}/turn{i % 4}")
                for i in range(1000)
            )
        )
        assert sum(tried.values()) == 3
        assert {type(one) for one in said} <= {PinLocked, WrongPin, Unconfirmed}
        assert (await only(sqls[0], WALLET))["wrong_pins"] == 3
        assert [r["state"] for r in await rows(sqls[0], ATTEMPT)] == ["wrong"] * 3
        assert len(await rows(sqls[0], MESSAGE)) == 1


async def test_many_people_at_once_are_each_counted_for_themselves(database_url, clock):
    """Two processes, whole batches, right and wrong PINs mixed."""
    numbers = [Msisdn(f"+855123456{i:02}") for i in range(40)]
    async with AsyncExitStack() as stack:
        sqls = [open_sql(database_url) for _ in range(2)]
        for sql in sqls:
            stack.push_async_callback(sql.close)
        for number in numbers:
            await make_wallet(sqls[0], number)
        guards = [make_guard(sql, clock) for sql in sqls]
        said = await asyncio.gather(
            *(
                guards[(i + turn) % 2].open(
                    f"{number.e164[1:]}@bank", PIN if i % 3 else OTHER, f"{i}/{turn}"
                )
                for turn in range(2)
                for i, number in enumerate(numbers)
            )
        )
        assert sum(isinstance(one, Opened) for one in said) == 2 * 26
        assert sum(isinstance(one, WrongPin) for one in said) == 2 * 14
        wallets = await rows(sqls[0], WALLET)
        assert Counter(wallet["wrong_pins"] for wallet in wallets) == {0: 26, 2: 14}


# ---- the rule, against a model


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["right", "wrong", "wrong", "wrong", "busy", "crash", "repeat"]),
            st.sampled_from([0, 1, 5, 60, 1800, 86400]),
        ),
        max_size=40,
    )
)
def test_any_history_counts_as_the_rule_says(inline_sql, steps):
    """Wrong ones since the last right one, crashes among them; busy machines never."""
    asyncio.run(_history(inline_sql, steps))


async def _history(sql: InlineSql, steps) -> None:
    clock = FakeClock()
    await begin_anew(sql)
    await make_wallet(sql)
    wrongs, until, held, last = 0, 0, False, None
    for number, (step, wait_s) in enumerate(steps):
        await clock.advance(wait_s)
        turn = f"t{number}"
        blocked = held or wrongs >= 10 or until > ms(clock)
        if step == "repeat":
            if last is not None and ms(clock) - last[1] <= KEPT_MS:
                again = await make_guard(sql, clock).open(ACCOUNT, PIN, last[0])
                assert not isinstance(again, Opened)
            continue
        if step == "busy":
            guard = make_guard(sql, clock, make_vault(waiting_most=0))
        elif step == "crash":
            guard = make_guard(DyingSql(sql, 2, after_commit=False), clock)
        else:
            guard = make_guard(sql, clock)
        said = await guard.open(ACCOUNT, PIN if step == "right" else OTHER, turn)
        if blocked:
            assert isinstance(said, PinLocked | WalletHeld)
            held = held or (wrongs >= 10 and until <= ms(clock))
        elif step == "right":
            assert isinstance(said, Opened)
            wrongs = until = 0
        elif step == "busy":
            assert said == Unavailable()
        else:
            wrongs += 1
            locks = {3: 30, 5: 1440, 10: JUDGING_MS / 60_000}
            until = ms(clock, locks[wrongs]) if wrongs in locks else until
            last = (turn, ms(clock)) if step == "wrong" else last
        wallet = await only(sql, WALLET)
        assert wallet["wrong_pins"] == wrongs
        assert wallet["locked_until"] == (0 if wrongs == 0 else wallet["locked_until"])
        if until > ms(clock):
            assert wallet["locked_until"] == until
