"""What phones and wire log remember when the simulator starts again: one file, replaced whole.

As bounded as they are in memory, and as masked. A file that cannot be read is not worth a phone
that does not start: everything then begins empty.
"""

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from sim.handset import Handset, Sms
from sim.tower import Change, Tower
from sim.wire import Exchange

SAVE_S: Final = 1.0
_UNSENT: Final = ("sending", "waiting")  # nobody tries again after a restart


class Memory:
    """Reads `file` into a tower, and writes it while the tower lives."""

    def __init__(self, file: Path, tower: Tower) -> None:
        self._file = file
        self._tower = tower
        self._changed = False
        tower.watch(self._notice)

    def recall(self) -> None:
        """Put what is kept into phones and wire log."""
        try:
            kept = json.loads(self._file.read_text(encoding="utf-8"))
            phones = [
                (str(it["msisdn"]), bool(it["shown"]), _messages(it)) for it in kept["phones"]
            ]
            exchanges = [Exchange(**it) for it in kept["wire"]]
        except (OSError, ValueError, TypeError, KeyError):
            return
        for msisdn, shown, messages in phones:
            handset = self._tower.handset(msisdn)
            handset.shown = handset.shown or shown
            handset.messages.extend(messages)
        self._tower.wire.resume(exchanges)

    async def keep(self) -> None:
        """Write what is new, once a second, for ever."""
        while True:
            await asyncio.sleep(SAVE_S)
            self.save()

    def save(self) -> None:
        """Write everything, if anything is new."""
        if not self._changed:
            return
        self._changed = False
        handsets = self._tower.handsets.values()
        kept = {
            "phones": [_phone(it) for it in handsets if it.messages or it.shown],
            "wire": [asdict(exchange) for exchange in self._tower.wire],
        }
        unfinished = self._file.with_suffix(".new")
        handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(kept, file, ensure_ascii=False)
        unfinished.replace(self._file)

    def _notice(self, _change: Change) -> None:
        self._changed = True


def _phone(handset: Handset) -> dict[str, object]:
    messages = [asdict(sms) for sms in handset.messages]
    return {"msisdn": handset.msisdn, "shown": handset.shown, "messages": messages}


def _messages(phone: Mapping[str, Any]) -> list[Sms]:
    messages = [Sms(**it) for it in phone["messages"]]
    for sms in messages:
        if sms.state in _UNSENT:
            sms.state = "failed"
    return messages
