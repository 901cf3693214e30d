"""`ussd-sim run`: play transcript files on a line and say exactly where they differ."""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from sim.lines import Line, LineError, State
from sim.perform import Answer, Cue, Difference, perform
from sim.transcript import Dial, ExpectSms, SendSms, Step, Transcript, TranscriptError, Type, parse

POLL_S = 0.05
SMS_WAIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Played:
    """One transcript, played to its end or to its first difference."""

    transcript: Transcript
    difference: Difference | None
    seconds: float


async def play(
    transcript: Transcript,
    line: Line,
    *,
    holes: Mapping[str, str] | None = None,
    sms_wait_s: float = SMS_WAIT_S,
) -> Played:
    """Play it on fresh phones: open sessions are ended, old messages do not count."""
    started = time.perf_counter()
    stage = _Stage(line, sms_wait_s)
    await stage.open(transcript.phones)
    playing = perform(transcript, holes)
    difference = None
    try:
        cue = next(playing)
        while True:
            cue = playing.send(await stage.answer(cue))
    except StopIteration:
        pass
    except Difference as found:
        difference = found
    finally:
        await stage.close()
    return Played(transcript, difference, time.perf_counter() - started)


class _Stage:
    """Does what a cue asks for."""

    def __init__(self, line: Line, sms_wait_s: float) -> None:
        self._line = line
        self._sms_wait_s = sms_wait_s
        self._old: dict[str, set[str]] = {}
        self._deadline = 0.0

    async def open(self, phones: tuple[str, ...]) -> None:
        for msisdn in phones:
            await self._line.open(msisdn)
            state = await self._line.act(msisdn, "end")
            self._old[msisdn] = {sms["id"] for sms in state["messages"]}

    async def close(self) -> None:
        """Leave no session open behind a transcript that stopped in the middle."""
        for msisdn in self._old:
            with contextlib.suppress(LineError):
                if (await self._line.look(msisdn))["in_session"]:
                    await self._line.act(msisdn, "end")

    async def answer(self, cue: Cue) -> Answer | None:
        step, msisdn = cue.step, cue.phone.msisdn
        if isinstance(step, ExpectSms):
            return await self._inbox(step, cue.tries)
        try:
            return _page(await self._do(step, msisdn, cue.text))
        except LineError as error:
            if isinstance(step, Dial | Type):
                return Answer(f"({error})", ended=True, fault=str(error))
            raise LineError(f"line {step.line}: {error}") from error

    async def _do(self, step: Step, msisdn: str, text: str) -> State:
        if isinstance(step, Dial):
            return await self._line.act(msisdn, "dial", code=text)
        if isinstance(step, Type):
            return await self._line.act(msisdn, "reply", text=text)
        if isinstance(step, SendSms):
            return await self._line.act(msisdn, "sms", text=text)
        return await self._line.act(msisdn, type(step).__name__.lower())

    async def _inbox(self, step: ExpectSms, tries: int) -> Answer | None:
        if tries == 0:
            self._deadline = time.monotonic() + self._sms_wait_s
        elif time.monotonic() > self._deadline:
            return None
        else:
            await asyncio.sleep(POLL_S)
        messages = (await self._line.look(step.msisdn))["messages"]
        old = self._old[step.msisdn]
        texts = [m["text"] for m in messages if not m["outgoing"] and m["id"] not in old]
        return Answer(inbox=tuple(texts))


def _page(state: State) -> Answer:
    screen = state["screen"]
    if screen["kind"] != "error":
        return Answer(screen["text"], ended=screen["kind"] != "menu")
    problem = screen["problem"] or screen["text"]
    return Answer(f"{screen['text']}\n({problem})", ended=True, fault=problem)


class Unreadable(Exception):
    """A path that cannot be read as text; the message says why, for a person."""


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise Unreadable("no such file") from None
    except IsADirectoryError:
        raise Unreadable("is a folder, not a transcript") from None
    except UnicodeDecodeError:
        raise Unreadable("is not UTF-8 text") from None
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from None


async def run_files(
    files: list[Path],
    line: Line,
    console: Console,
    *,
    holes: Mapping[str, str] | None = None,
    sms_wait_s: float = SMS_WAIT_S,
) -> int:
    """Play every file; returns how many differ or cannot be read."""
    failed = 0
    for file in files:
        try:
            transcript = parse(_read(file), str(file))
            played = await play(transcript, line, holes=holes, sms_wait_s=sms_wait_s)
        except (Unreadable, TranscriptError, LineError) as error:
            failed += 1
            console.print(Text.assemble(("✗ ", "bold red"), f"{file}\n  {error}"), soft_wrap=True)
            continue
        if played.difference is None:
            took = (f"  {played.seconds:.1f} s", "dim")
            console.print(
                Text.assemble(("✓ ", "bold green"), transcript.title, took), soft_wrap=True
            )
        else:
            failed += 1
            where = f"\n  {file}:{played.difference.line}\n"
            report = Text(played.difference.report(), "red")
            console.print(
                Text.assemble(("✗ ", "bold red"), transcript.title, where, report), soft_wrap=True
            )
    return failed
