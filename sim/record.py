"""Writes down what happens on a phone, as a transcript that can be played again."""

import re

from sim.templates import literal
from sim.transcript import Dial, ExpectSms, Page, Phone, SendSms, Step, Transcript, Type
from sim.wire import mask_sms

_LAST_DIGITS = re.compile(r"\d+(?=\D*$)")


class Recorder:
    """No PIN is written: it becomes the hole `{pin}`, which `ussd-sim run --pin` fills."""

    def __init__(self, title: str, msisdn: str) -> None:
        self._title = title
        self._msisdn = msisdn
        self._steps: list[Step] = [Phone(msisdn)]

    def dialled(self, code: str, page: str, *, ended: bool) -> None:
        self._steps.append(Dial(code, _page(page, ended=ended)))

    def typed(self, text: str, page: str, *, secret: bool, ended: bool) -> None:
        words = "{pin}" if secret else literal(text)
        self._steps.append(Type(words, _page(page, ended=ended)))

    def sent(self, text: str) -> None:
        safe = text if mask_sms(text) == text else None
        words = literal(text) if safe else _LAST_DIGITS.sub("{pin}", literal(text))
        self._steps.append(SendSms(words))

    def received(self, text: str) -> None:
        lines = tuple(literal(line) for line in text.split("\n"))
        self._steps.append(ExpectSms(self._msisdn, lines))

    @property
    def transcript(self) -> Transcript:
        """What happened so far."""
        return Transcript(self._title, tuple(self._steps))


def _page(text: str, *, ended: bool) -> Page:
    return Page(tuple(literal(line) for line in text.split("\n")), ended)
