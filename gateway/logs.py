"""Logs: one JSON object a line, with the request id of the turn they belong to.

What may be logged: names of things that happened, ids, refs, masked numbers, kinds of error and
where they were raised. What may not: a PIN, a raw carrier text, a message's text, a whole number.
Exceptions are logged by type and place only, because a message may quote what it choked on. A line
that cannot be written (the disk is full) is lost, and nothing else with it.
"""

import json
import logging
import re
import sys
import traceback
from collections.abc import MutableMapping
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, TextIO, cast

import structlog

# One variable of our own: structlog's clear and bind walk over all variables in every request.
REQUEST_ID: ContextVar[str] = ContextVar("request_id")
_NUMBER = re.compile(r"(?<![0-9A-Za-z])\+?[0-9]{5,}([0-9]{3})(?![0-9A-Za-z])")
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
Log = structlog.typing.FilteringBoundLogger


def set_up(level: str) -> None:
    """Send everything, other libraries' warnings too, to standard error as JSON."""
    structlog.configure(
        processors=[
            mask_numbers,
            _request_id,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _place_of_exception,
            structlog.processors.JSONRenderer(sort_keys=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _Spared())),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_Foreign()], force=True)


def get(room: str) -> Log:
    """The logger of one room of the gateway."""
    return structlog.get_logger(room=room)  # type: ignore[no-any-return]


class _Spared:
    """Standard error, of which nobody needs to know that it fails."""

    def write(self, text: str) -> None:
        with suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


class _Foreign(logging.Handler):
    """Warnings of libraries, without their arguments: those may hold what a phone sent."""

    def emit(self, record: logging.LogRecord) -> None:
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        line = {"event": "library", "room": record.name, "level": record.levelname.lower()}
        line["said"] = str(record.msg)[:200]
        if kind:
            line["error"] = kind
        _Spared().write(json.dumps(line) + "\n")


def mask_numbers(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Leave of every phone number its last three digits, also where an account or id holds it."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = _NUMBER.sub(r"..\1", value)
    return event


def _request_id(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    request_id = REQUEST_ID.get(None)
    return event if request_id is None else {"request_id": request_id, **event}


def _place_of_exception(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    error = event.pop("error", None)
    if isinstance(error, BaseException):
        event["error"] = type(error).__name__
        frames = traceback.extract_tb(error.__traceback__)[-4:]
        event["at"] = [f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}" for frame in frames]
    elif error is not None:
        event["error"] = error
    return event
