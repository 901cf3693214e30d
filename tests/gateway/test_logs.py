"""Logs never hold a whole phone number, wherever it hides; and they may fail."""

import logging
import os
import sys

import pytest
import structlog

from gateway import logs
from gateway.logs import mask_numbers


@pytest.mark.parametrize(
    ("value", "logged"),
    [
        ("+85512345601", "..601"),
        ("85512345601@bank", "..601@bank"),
        ("85512345601_2@bank", "..601_2@bank"),
        ("85512345602@bank/opened", "..602@bank/opened"),
        ("ATUid_0123456789abcdef", "ATUid_0123456789abcdef"),
        ("REF12345", "REF12345"),
        ("a04f730264731bc0", "a04f730264731bc0"),
    ],
)
def test_a_number_keeps_its_last_three_digits(value, logged):
    assert mask_numbers(None, "info", {"event": "x", "what": value, "height": 123456789}) == {
        "event": "x",
        "what": logged,
        "height": 123456789,
    }


@pytest.fixture
def _logging_as_before():
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.basicConfig(level=level, handlers=handlers, force=True)
    structlog.reset_defaults()


@pytest.mark.usefixtures("_logging_as_before")
def test_a_disk_without_room_for_a_line_stops_nobody(monkeypatch):
    full = os.fdopen(os.open("/dev/full", os.O_WRONLY), "w", buffering=1)
    monkeypatch.setattr(sys, "stderr", full)
    logs.set_up("info")
    logs.get("room").info("happened")
    logging.getLogger("library").warning("something")
    monkeypatch.undo()
    with pytest.raises(OSError, match="No space"):
        full.close()
