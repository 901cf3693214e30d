"""What of a carrier's accumulated text has been accepted, remembered without its PINs.

Carriers like Africa's Talking send the whole history of a session in every turn. `Accepted` tells
what is new in it and keeps a typed `*` inside one input, knowing only a length, where PINs may
have stood, and a keyed hash of the text with every PIN's characters replaced: nothing can be
guessed from it. Pure; the text itself is never kept.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

SEPARATOR = "*"


class Mac(Protocol):
    """A keyed hash whose key lives outside database and session store.

    It is made `like` an earlier one to be compared with that, since a session outlives the
    rotation of keys.
    """

    def __call__(self, masked: bytes, like: bytes = b"") -> bytes: ...


@dataclass(frozen=True, slots=True)
class Fresh:
    """The text goes on from the accepted one by `text`."""

    text: str

    def __repr__(self) -> str:
        return f"Fresh({len(self.text)} characters)"


class Accepted(NamedTuple):
    """A prefix: its length, the spans in it that may be secret, and its masked keyed hash."""

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
        return cls(len(text), masks, mac(_masked(text, masks)).hex())

    def then(self, text: str, *, secret: bool, mac: Mac) -> "Accepted":
        """The longer text, whose new input is masked when it was asked for as a secret.

        So is one with a separator in it: should a store have forgotten a turn unnoticed, it is
        two inputs, and the second may be a PIN.
        """
        masks = self.masks
        if secret or SEPARATOR in self._after(text):
            masks = (*masks, (self.length, len(text)))
        return Accepted(len(text), masks, mac(_masked(text, masks)).hex())

    def read(self, text: str, mac: Mac) -> Fresh | None:
        """What is new in `text`; None when it does not go on from the accepted one."""
        if len(text) <= self.length or (self.length and text[self.length] != SEPARATOR):
            return None
        known = bytes.fromhex(self.mac)
        if mac(_masked(text[: self.length], self.masks), known) != known:
            return None
        return Fresh(self._after(text))

    def _after(self, text: str) -> str:
        """What follows the prefix and its separator; the first input follows nothing."""
        return text[self.length + 1 :] if self.length else text


def _masked(text: str, masks: tuple[tuple[int, int], ...]) -> bytes:
    for start, end in masks:
        text = text[:start] + "?" * (end - start) + text[end:]
    return text.encode("utf-8", "surrogatepass")
