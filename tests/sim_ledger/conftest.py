from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from town import Town, town


@pytest.fixture
async def bank(tmp_path: Path) -> AsyncIterator[Town]:
    async with town(tmp_path) as place:
        yield place
