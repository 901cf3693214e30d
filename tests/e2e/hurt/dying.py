"""`python dying.py POINT ARMED`: `ussd-gateway serve`, killed as by `kill -9` at a named point.

The product holds no hooks for faults: its parts are wrapped here, before it starts. Nothing happens
until the file ARMED exists; from then on the first to reach the point takes the process with it.
"""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial, wraps
from pathlib import Path
from typing import Any

from gateway.__main__ import main
from gateway.carriers.africastalking import AfricasTalking
from gateway.stores import runners
from ledger_client.iroha1 import Iroha1

NOTHING = [[]]  # what an operation answers that takes what is due, when nothing is
Die = Callable[[], None]


def before_commit(name: str) -> Callable[[Die], None]:
    """The statements of an operation are done, and its commit is not."""

    def install(die: Die) -> None:
        inner = runners.run_once

        def run_once(engine: Any, operation: Any, items: Sequence[Any]) -> Any:
            if _name(operation) != name:
                return inner(engine, operation, items)

            def cut_off(connection: Any, items: Sequence[Any]) -> Any:
                results = operation(connection, items)
                if results != NOTHING:
                    die()
                return results

            return inner(engine, cut_off, items)

        runners.run_once = run_once

    return install


def after_commit(name: str) -> Callable[[Die], None]:
    """An operation is committed, and nobody has heard of it."""

    def install(die: Die) -> None:
        inner = runners.run_once

        def run_once(engine: Any, operation: Any, items: Sequence[Any]) -> Any:
            results = inner(engine, operation, items)
            if _name(operation) == name and results != NOTHING:
                die()
            return results

        runners.run_once = run_once

    return install


def after_call(owner: type, name: str) -> Callable[[Die], None]:
    """Another part of the world has answered, and nothing is written of it."""

    def install(die: Die) -> None:
        inner = getattr(owner, name)

        @wraps(inner)
        async def call(*arguments: Any, **named: Any) -> Any:
            answer = await inner(*arguments, **named)
            die()
            return answer

        setattr(owner, name, call)

    return install


POINTS = {
    "a PIN is counted": after_commit("attempts.reserve"),
    "a PIN was right": after_commit("attempts.judge"),
    "a payment is written, not committed": before_commit("placing.place"),
    "a payment is signed": after_commit("placing.place"),
    "a payment is leased, not sent": after_commit("outbox.lease"),
    "a payment is sent": after_call(Iroha1, "submit"),
    "a block is settled, not committed": before_commit("blocks.settle"),
    "a block is settled": after_commit("blocks.settle"),
    "an SMS is leased": after_commit("sender._lease"),
    "an SMS is sent": after_call(AfricasTalking, "send"),
    "an SMS is marked, not committed": before_commit("sender._record"),
}


def _name(operation: Any) -> str:
    while isinstance(operation, partial):
        operation = operation.func
    return f"{operation.__module__.rpartition('.')[2]}.{operation.__name__}"


def serve_until(point: str, armed: Path) -> None:
    """Serve, and die at the point once `armed` is there."""

    def die() -> None:
        if armed.exists():
            os.kill(os.getpid(), signal.SIGKILL)

    POINTS[point](die)
    sys.argv[1:] = ["serve"]
    main()


if __name__ == "__main__":
    serve_until(sys.argv[1], Path(sys.argv[2]))
