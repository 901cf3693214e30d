"""A database from an hour ago learns from the ledger what it lacks, before anything is signed."""

import pytest
from callers import town_of
from restores import restore
from stands import Ground


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_a_database_restored_from_backup_learns_of_its_payments_before_it_signs(
    ground: Ground, kind: str
):
    with ground.stack(kind) as stack:
        stack.start()
        async with town_of(stack) as town:
            done = await restore(town)
    assert done.remark == "nothing is signed until the ledger's blocks are settled"
    assert not done.signed_too_early
    assert done.pages == ("END Not confirmed. Look at Last payment before you pay again.",)
    assert not done.found.wrong
