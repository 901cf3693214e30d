"""What several property tests of the desk stand on."""

import asyncio
from collections.abc import Iterator

import pytest
from sqlmodel import SQLModel

from gateway.stores.runners import InlineSql


@pytest.fixture(scope="session")
def inline_sql() -> Iterator[InlineSql]:
    """One in memory for all examples, since each would prepare every statement anew.

    An example begins with `custody_parts.begin_anew`.
    """
    sql = InlineSql()
    SQLModel.metadata.create_all(sql._engine)
    yield sql
    asyncio.run(sql.close())
