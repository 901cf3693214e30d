"""What of a carrier's accumulated text has been accepted, remembered without its PINs.

Carriers like Africa's Talking send the whole history of a session in every turn. `Accepted` tells
a repeat from new input and keeps a typed `*` inside one input, knowing only a length, where PINs
stood, and a keyed hash of the text with every PIN's characters replaced: nothing can be guessed
from it. Pure; the text itself is never kept.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

Mac = Callable[[bytes], bytes]
"""A keyed hash whose key lives outside database and session store."""

SEPARATOR = "*"


@dataclass(frozen=True, slots=True)
class Repeat:
    """The text is the accepted one: the same turn once more."""


@dataclass(frozen=True, slots=True)
class Fresh:
    """The text goes on from the accepted one by `text`."""

    text: str

    def __repr__(self) -> str:
        return f"Fresh({len(self.text)} characters)"


@dataclass(frozen=True, slots=True)
class Diverged:
    """The text is shorter than the accepted one, or another."""


class Accepted(NamedTuple):
    """A prefix: its length, the spans in it that were secret, and its masked keyed hash."""

    length: int
    masks: tuple[tuple[int, int], ...]
    mac: str

    @classmethod
    def first(cls, text: str, parts_used: int, mac: Mac) -> "Accepted":
        """The text of a session's first turn, of whose dialled parts `parts_used` were wanted.

        The unwanted rest may be a PIN that somebody dialled, so it is masked.
        """
        used = SEPARATOR.join(text.split(SEPARATOR)[:parts_used])
        masks = ((len(used), len(text)),) if len(used) < len(text) else ()
        return cls(len(text), masks, _mac(text, masks, mac))

    def then(self, text: str, *, secret: bool, mac: Mac) -> "Accepted":
        """The longer text, whose new input is masked when it was asked for as a secret."""
        masks = (*self.masks, (self.length, len(text))) if secret else self.masks
        return Accepted(len(text), masks, _mac(text, masks, mac))

    def read(self, text: str, mac: Mac) -> Repeat | Fresh | Diverged:
        """What is new in `text`?"""
        if len(text) < self.length or _mac(text[: self.length], self.masks, mac) != self.mac:
            return Diverged()
        if len(text) == self.length:
            return Repeat()
        if self.length == 0:
            return Fresh(text)
        if text[self.length] != SEPARATOR:
            return Diverged()
        return Fresh(text[self.length + 1 :])


def _mac(text: str, masks: tuple[tuple[int, int], ...], mac: Mac) -> str:
    """The keyed hash of a text whose secrets are masked."""
    for start, end in masks:
        text = text[:start] + "?" * (end - start) + text[end:]
    return mac(text.encode("utf-8", "surrogatepass")).hex()
