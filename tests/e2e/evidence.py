"""Looks for what must not be found: rows that drift, and PINs, in every place that keeps anything.

Six digits are found by chance in hexadecimal hashes, so a PIN counts where no other letter or
digit touches it; in tables every value is looked at by itself. A PIN behind a `*`, as carriers
accumulate it, and a PIN in hexadecimal count anywhere.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import redis
from sqlmodel import SQLModel
from stack import Stack

SEARCHED = ("*.log", "gateway.db*")


def no_drift_in(stack: Stack) -> None:
    """By the product's own command, beside whatever runs."""
    stack.heal()
    reconciling = stack.process("reconcile", "reconcile")
    reconciling.start()
    assert reconciling.wait(60.0) == 0, reconciling.tail()


def no_secret_in(stack: Stack) -> None:
    """Neither in a file, nor in a table, nor in Redis."""
    found = [
        f"{where}: …{trace!r}…"
        for where, kept in (*_files(stack), *_values(stack), *_redis(stack))
        for trace in traces_of(stack.secrets, kept)
    ]
    assert not found, f"secrets were found: {found}"


def traces_of(secrets: Iterable[str], kept: bytes) -> Iterator[bytes]:
    """Where one of these was left behind, with a little of what surrounds it."""
    for secret in secrets:
        for form in (secret.encode(), secret.encode().hex().encode()):
            at = kept.find(form)
            while at >= 0:
                end = at + len(form)
                before, after = kept[max(0, at - 1) : at], kept[end : end + 1]
                by_itself = not before.isalnum() and not after.isalnum()
                if by_itself or before == b"*" or len(form) > len(secret):
                    yield kept[max(0, at - 20) : end + 20]
                at = kept.find(form, end)


def _files(stack: Stack) -> Iterator[tuple[str, bytes]]:
    for pattern in SEARCHED:
        for path in stack.folder.glob(pattern):
            yield path.name, path.read_bytes()


def _values(stack: Stack) -> Iterator[tuple[str, bytes]]:
    """Every value of every row, by itself."""
    for table in SQLModel.metadata.sorted_tables:
        for row in stack.rows(f'SELECT * FROM "{table.name}"'):  # noqa: S608
            for column, value in row.items():
                kept = value if isinstance(value, bytes) else str(value).encode()
                yield f"{table.name}.{column}", kept


def _redis(stack: Stack) -> Iterator[tuple[str, bytes]]:
    if stack.redis_url is not None:
        for key, value in redis_values(stack.redis_url).items():
            yield f"redis {key!r}", key + b" " + value


def redis_values(url: str) -> dict[bytes, bytes]:
    """All that Redis holds, whatever its type."""
    with redis.Redis.from_url(url) as client:
        return {key: b"\n".join(_parts(client, key)) for key in client.scan_iter(count=1000)}


def _parts(client: redis.Redis, key: bytes) -> list[bytes]:
    kind = client.type(key)
    assert kind == b"hash", f"{key!r} is of type {kind!r}: say here how to read it"
    return [part for pair in client.hgetall(key).items() for part in pair]


def sessions_expire(url: str) -> bool:
    """Does every key go away by itself?"""
    with redis.Redis.from_url(url) as client:
        return all(client.ttl(key) > 0 for key in client.scan_iter(count=1000))


def log_lines(folder: Path) -> Iterator[str]:
    for path in folder.glob("gateway*.log"):
        yield from path.read_text("utf-8", "replace").splitlines()
