"""The peers of the development ledger, as a developer plays with them.

Knows what each was told to be; that they are, is seen by what the gateway and the page make of
it. It is told by a line to the ledger's process, whoever that is.
"""

from collections.abc import Callable, Sequence

from sim.manners import Manner, order


class NoSuchPeer(ValueError):
    """The ledger has fewer."""


class Peers:
    """Each peer's manner; `tell` gives the ledger's process one order."""

    def __init__(
        self, addresses: Sequence[str], tell: Callable[[str], None], needed: int = 1
    ) -> None:
        self._addresses = addresses
        self._needed = needed  # so many must run to make a block
        self._tell = tell
        self._manners = [Manner.UP] * len(addresses)
        self._watchers: set[Callable[[], None]] = set()

    def watch(self, watcher: Callable[[], None]) -> Callable[[], None]:
        """Tell `watcher` of every change, until what is returned is called."""
        self._watchers.add(watcher)
        return lambda: self._watchers.discard(watcher)

    def become(self, number: int, manner: Manner) -> None:
        """From now on the peer of this number, counted from 1, is so; raises `NoSuchPeer`."""
        if not 1 <= number <= len(self._manners):
            raise NoSuchPeer(f"the ledger has {len(self._manners)} peers, counted from 1")
        self._tell(order(number, manner))
        self._manners[number - 1] = manner
        for watcher in tuple(self._watchers):
            watcher()

    def as_json(self) -> dict[str, object]:
        """All of them, and how many must run."""
        return {
            "needed": self._needed,
            "peers": [
                {"number": number, "address": address, "manner": manner}
                for number, (address, manner) in enumerate(
                    zip(self._addresses, self._manners, strict=True), start=1
                )
            ],
        }
