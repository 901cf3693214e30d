"""A wrong clock, a jump, and the end of a business day in mid-flight change no payment's day."""

from callers import town_of
from clocks_wrong import keep_time
from stands import Ground


async def test_payments_count_on_the_day_they_were_made_whatever_the_clock_does(ground: Ground):
    with ground.stack("sqlite") as stack:
        stack.start()
        async with town_of(stack) as town:
            kept = await keep_time(town)
    assert not kept.wrong
    assert kept.found.paid
    assert kept.days > 1
