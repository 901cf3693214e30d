"""A full disk costs payments for as long as it lasts, and nothing that was promised."""

from callers import town_of
from full_disk import fill
from stands import Ground


async def test_a_full_disk_is_a_kind_page_and_all_goes_on_once_there_is_room(ground: Ground):
    with ground.stack("sqlite") as stack:
        stack.start()
        async with town_of(stack) as town:
            full = await fill(town)
    assert not full.broken
    assert not full.paid_meanwhile
    assert not full.found.wrong
    assert full.found.paid
