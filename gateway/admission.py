"""Whether one more conversation may begin: not while those under way wait too long.

More load than a process can carry must not make everybody wait. What is measured is how long the
eldest turn under way has been waiting, of those that move no money and so wait for nobody but us:
this grows with whatever is short (processor, database, session store), and falls by itself. While
it is too long, new conversations are refused at once, with a kind page that costs next to nothing;
those that have begun go on. A bound on all turns under way keeps memory bounded.

No store and no text: only the clock and who is waiting.
"""

from typing import Final

from gateway.clock import Clock

WAITS_S: Final = 0.75  # half of what a turn may take
TURNS_MOST: Final = 4000  # under way at the same time, of whatever kind


class Admission:
    """Turns under way. Two entries in dictionaries are all that a turn costs here."""

    def __init__(
        self, clock: Clock, *, waits_s: float = WAITS_S, turns_most: int = TURNS_MOST
    ) -> None:
        self._clock = clock
        self._waits_s = waits_s
        self._turns_most = turns_most
        self._since: dict[str, float] = {}  # the eldest first
        self._patient: set[str] = set()

    def begin(self, turn: str) -> float:
        """A turn has come in; gives the time, in seconds of the clock."""
        now = self._since[turn] = self._clock.monotonic()
        return now

    def waits(self, turn: str) -> None:
        """From here on it waits for the ledger, or for a PIN to be tried: that is no crowd."""
        if self._since.pop(turn, None) is not None:
            self._patient.add(turn)

    def end(self, turn: str) -> None:
        """It has its page."""
        self._since.pop(turn, None)
        self._patient.discard(turn)

    @property
    def full(self) -> bool:
        """Must a conversation that has not begun come back later?"""
        if len(self._since) + len(self._patient) > self._turns_most:
            return True
        eldest = next(iter(self._since.values()), None)
        return eldest is not None and self._clock.monotonic() - eldest > self._waits_s
