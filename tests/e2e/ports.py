"""Ports that stay ours while the process behind them is killed and started again."""

import random
import socket

# Below the range the kernel takes the ports of outgoing connections from: a server that is down
# for a moment must not find its port taken by some client.
_FIRST, _LAST = 12_000, 32_000


def quiet_port() -> int:
    """A port on loopback that nobody listens on and no client is given."""
    chance = random.SystemRandom()
    while True:
        port = chance.randrange(_FIRST, _LAST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
