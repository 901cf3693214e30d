"""Ports that stay ours while the process behind them is killed and started again."""

import contextlib
import itertools
import os
import random
import socket
from typing import Final

# Below the range the kernel takes the ports of outgoing connections from: a server that is down
# for a moment must not find its port taken by some client.
_FIRST: Final = 12_000
# Each process of a test run has a lane of its own, and gives no port twice before its lane is
# through: what one has been told of may be bound much later.
_LANES: Final = 16
_BLOCKS: Final = 156  # of a lane
_BLOCK: Final = 8  # ports
_lane = int(os.environ.get("PYTEST_XDIST_WORKER", f"gw{_LANES - 1}").removeprefix("gw")) % _LANES
_blocks = itertools.count(random.SystemRandom().randrange(_BLOCKS))


def quiet_port() -> int:
    """A port on loopback that nobody listens on and no client is given."""
    return quiet_ports()[0]


def quiet_ports() -> range:
    """A few of them, one after the other."""
    while True:
        first = _FIRST + (_lane * _BLOCKS + next(_blocks) % _BLOCKS) * _BLOCK
        found = range(first, first + _BLOCK)
        if all(map(_is_free, found)):
            return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.bind(("127.0.0.1", port))
        return True
    return False
