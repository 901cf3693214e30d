"""A kept PIN is good for three minutes, in its own session and field, and says nothing."""

import base64
from dataclasses import replace

import pytest
from custody_parts import DARA, OTHER, PIN, make_vault, origin

from gateway.desk.keep import Keeper
from menus.effects import Compare, Different, Keep, Kept, KeptExpired, Same, Unavailable
from menus.kinds import Msisdn


@pytest.fixture
def keeper(clock) -> Keeper:
    return Keeper(make_vault(), clock)


async def kept_token(keeper: Keeper) -> str:
    kept = await keeper.keep(Keep("pin", PIN), origin(1))
    assert isinstance(kept, Kept)
    return kept.token


async def test_the_repeated_pin_is_the_same_and_another_is_not(keeper):
    token = await kept_token(keeper)
    assert await keeper.compare(Compare("pin", token, PIN), origin(2)) == Same()
    assert await keeper.compare(Compare("pin", token, OTHER), origin(2)) == Different()


async def test_a_kept_pin_lasts_three_minutes(keeper, clock):
    token = await kept_token(keeper)
    await clock.advance(179.9)
    assert await keeper.compare(Compare("pin", token, PIN), origin(2)) == Same()
    await clock.advance(0.1)
    assert await keeper.compare(Compare("pin", token, PIN), origin(2)) == KeptExpired()


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"msisdn": Msisdn("+85512345602")},
        {"carrier": "other"},
        {"session": "s2"},
    ],
)
async def test_a_token_means_nothing_elsewhere(keeper, elsewhere):
    token = await kept_token(keeper)
    there = replace(origin(2), **elsewhere)
    assert await keeper.compare(Compare("pin", token, PIN), there) == KeptExpired()
    assert await keeper.compare(Compare("other", token, PIN), origin(2)) == KeptExpired()


async def test_a_token_cannot_be_made_to_live_longer(keeper, clock):
    token = await kept_token(keeper)
    raw = base64.urlsafe_b64decode(token)
    later = base64.urlsafe_b64encode(b"\xff" * 8 + raw[8:]).decode()
    assert await keeper.compare(Compare("pin", later, PIN), origin(2)) == KeptExpired()


async def test_a_token_with_anything_else_in_it_is_none(keeper):
    token = await kept_token(keeper)
    for spoilt in (f"{token}!", f"!{token}", f"{token[:8]}\n{token[8:]}"):
        assert await keeper.compare(Compare("pin", spoilt, PIN), origin(2)) == KeptExpired()
    assert await keeper.compare(Compare("pin", token, PIN), origin(2)) == Same()


@pytest.mark.parametrize("token", ["", "!", "AAAA", "កខគ", "A" * 400, "A" * 401])
async def test_what_is_no_token_is_a_kept_pin_that_expired(keeper, token):
    assert await keeper.compare(Compare("pin", token, PIN), origin(2)) == KeptExpired()


async def test_equal_pins_make_tokens_that_differ_and_do_not_show_them(keeper):
    tokens = [await kept_token(keeper) for _ in range(2)]
    assert tokens[0] != tokens[1]
    for token in tokens:
        raw = base64.urlsafe_b64decode(token)
        kept = keeper.kept(token, "pin", origin())
        assert kept is not None
        for secret in (PIN.digits.encode(), kept.key.key):
            assert secret not in raw
            assert secret.hex() not in repr(kept)


async def test_a_busy_machine_says_so(clock):
    busy = Keeper(make_vault(waiting_most=0), clock)
    assert await busy.keep(Keep("pin", PIN), origin(1)) == Unavailable()
    token = await kept_token(Keeper(make_vault(), clock))
    assert await busy.compare(Compare("pin", token, PIN), origin(2)) == Unavailable()
    kept = busy.kept(token, "pin", origin())
    assert kept
    assert await busy.refusal(kept, OTHER) == Unavailable()


async def test_a_token_survives_a_restart(clock):
    token = await kept_token(Keeper(make_vault(seed="before"), clock))
    after = Keeper(make_vault(seed="after"), clock)
    assert await after.compare(Compare("pin", token, PIN), origin(2)) == Same()
    assert after.kept(token, "pin", origin(9, msisdn=DARA)) is not None
