"""What the hurt stand on: the end-to-end tests' world, and the run's PostgreSQL."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from stands import Ground

_tests = itertools.count()


@pytest.fixture
def ground(world: Path, _postgres: str, tmp_path: Path, worker: str) -> Iterator[Ground]:
    return Ground(world, _postgres, tmp_path, f"{worker}_hurt{next(_tests)}")
