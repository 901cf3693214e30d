"""`ussd-sim phone`: a phone in the terminal.

Pages and SMS are drawn by rich; what is typed at a page that asks for a PIN is not echoed. The
terminal is read by a thread of its own with `os.read`, so that Ctrl-C, Ctrl-D and an arriving SMS
all find the event loop free.
"""

import asyncio
import contextlib
import os
import re
import sys
import termios
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

from rich.console import Console
from rich.control import Control
from rich.panel import Panel
from rich.segment import ControlType
from rich.text import Text

from sim.lines import Line, LineError, State
from sim.record import Recorder

POLL_S = 0.3
PHNOM_PENH = timezone(timedelta(hours=7))  # receipts tell the time there, so the phone does
WIDTH = 40
HELP = (
    "dial a code, like *855#, or:  sms TEXT   inbox   quit\n"
    "in a session everything typed is the answer;  /end  leaves it"
)


def international(number: str) -> str:
    """+855… of a number as people here write it; anything else as it is."""
    bare = re.sub(r"[\s()-]", "", number)
    return f"+855{bare[1:]}" if bare.startswith("0") else bare


class TerminalPhone:
    """One phone at one terminal."""

    def __init__(
        self, line: Line, msisdn: str, console: Console, *, recorder: Recorder | None = None
    ) -> None:
        self._line = line
        self._msisdn = msisdn
        self._console = console
        self._recorder = recorder
        self._state: State = {}
        self._seen: set[str] = set()

    async def run(self, typed: "asyncio.Queue[str | None]") -> None:
        """Until `quit`, or a None while no session is open."""
        self._state = await self._line.open(self._msisdn)
        self._seen = {sms["id"] for sms in self._state["messages"]}
        self._console.print(Text(f"{self._title()}\n{HELP}", "dim"))
        self._show_page()
        receiving = asyncio.get_running_loop().create_task(self._receive())
        try:
            while True:
                self._prompt()
                with _hidden(self._secret):
                    words = await typed.get()
                if self._secret:
                    self._console.print()  # the line end was not echoed either
                if words is None and self._in_session:
                    words = "/end"
                if words is None or not await self._obey(words):
                    break
        finally:
            receiving.cancel()
            if self._in_session:
                with contextlib.suppress(LineError):
                    await self._line.act(self._msisdn, "end")

    @property
    def _in_session(self) -> bool:
        return bool(self._state.get("in_session"))

    @property
    def _secret(self) -> bool:
        return self._in_session and bool(self._state["screen"]["secret"])

    def _title(self) -> str:
        name = self._state["name"]
        return f"{name} {self._msisdn}" if name else self._msisdn

    def _prompt(self) -> None:
        sign = "PIN> " if self._secret else "> " if self._in_session else "phone> "
        self._console.print(Text(sign, "bold"), end="")

    def _clear_prompt(self) -> None:
        """What comes unasked begins on a fresh line: over the prompt, or below it in a file."""
        if self._console.is_terminal:
            self._console.control(
                Control((ControlType.ERASE_IN_LINE, 2), ControlType.CARRIAGE_RETURN)
            )
        else:
            self._console.print()

    async def _obey(self, words: str) -> bool:
        """Do what was typed; False to leave."""
        command = words.strip()
        try:
            if self._in_session and command != "/end":
                await self._answer(words)
            elif command in ("/end", "end"):
                self._state = await self._line.act(self._msisdn, "end")
                self._console.print(Text("session ended", "dim"))
            elif command in ("quit", "exit", "/quit"):
                return False
            elif command == "inbox":
                self._state = await self._line.look(self._msisdn)
                self._show_inbox()
            elif command.startswith("sms "):
                await self._send(command[4:].strip())
            elif command.removeprefix("dial ").strip("*#0123456789") == "" and command:
                await self._dial(command.removeprefix("dial "))
            elif command:
                self._console.print(Text(HELP, "dim"))
        except LineError as error:
            self._console.print(Text(str(error), "red"))
            self._state = await self._line.look(self._msisdn)
        return True

    async def _dial(self, code: str) -> None:
        self._state = await self._line.act(self._msisdn, "dial", code=code)
        self._show_page()
        if self._recorder:
            self._recorder.dialled(code, self._page(), ended=not self._in_session)

    async def _answer(self, text: str) -> None:
        secret = self._secret
        self._state = await self._line.act(self._msisdn, "reply", text=text)
        self._show_page()
        if self._recorder:
            ended = not self._in_session
            self._recorder.typed(text, self._page(), secret=secret, ended=ended)

    async def _send(self, text: str) -> None:
        await self._line.act(self._msisdn, "sms", text=text)
        if self._recorder:
            self._recorder.sent(text)

    async def _receive(self) -> None:
        """Show each SMS as it arrives, then the prompt again."""
        while True:
            await asyncio.sleep(POLL_S)
            with contextlib.suppress(LineError):
                state = await self._line.look(self._msisdn)
                fresh = [m for m in state["messages"] if m["id"] not in self._seen]
                self._seen |= {sms["id"] for sms in fresh}
                arrived = [sms for sms in fresh if not sms["outgoing"]]
                if arrived:
                    self._clear_prompt()
                for sms in arrived:
                    self._show_sms(sms)
                    if self._recorder:
                        self._recorder.received(sms["text"])
                    await self._line.act(self._msisdn, "read", id=sms["id"])
                if self._in_session and not state["in_session"]:
                    self._state = state
                    if not arrived:
                        self._clear_prompt()
                    self._show_page()
                    self._prompt()
                elif arrived:
                    self._prompt()

    # --- drawing -------------------------------------------------------------------------------

    def _page(self) -> str:
        text: str = self._state["screen"]["text"]
        return text

    def _show_page(self) -> None:
        screen = self._state["screen"]
        if screen["kind"] == "idle":
            return
        size = screen["size"]
        style = {"menu": "cyan", "end": "green"}.get(screen["kind"], "red")
        self._console.print(
            Panel(
                Text(screen["text"]),
                width=WIDTH,
                border_style=style,
                title=self._title(),
                title_align="left",
                subtitle=f"{size['encoding']} {size['used']}/{size['room']}",
                subtitle_align="right",
            )
        )
        if screen["problem"]:
            self._console.print(Text(f"  {screen['problem']}", "yellow"))

    def _show_sms(self, sms: dict[str, Any]) -> None:
        at = datetime.fromtimestamp(sms["at"], PHNOM_PENH).strftime("%H:%M")
        who = f"SMS to {sms['peer']}" if sms["outgoing"] else f"SMS from {sms['peer']}"
        self._console.print(
            Panel(
                Text(sms["text"]),
                width=WIDTH,
                border_style="magenta",
                title=f"{who}  {at}",
                title_align="left",
            )
        )

    def _show_inbox(self) -> None:
        if not self._state["messages"]:
            self._console.print(Text("no messages", "dim"))
        for sms in self._state["messages"][-10:]:
            self._show_sms(sms)


# --- the keyboard --------------------------------------------------------------------------------


def typed_lines(loop: asyncio.AbstractEventLoop, fd: int) -> "asyncio.Queue[str | None]":
    """What is typed, line by line; None for the end key: it leaves a session, then the phone."""
    queue: asyncio.Queue[str | None] = asyncio.Queue()

    def put(line: str | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            loop.call_soon_threadsafe(queue.put_nowait, line)

    def read() -> None:
        rest = b""
        while chunk := os.read(fd, 4096):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                put(line.decode("utf-8", "replace"))
            if not lines and os.isatty(fd):  # Ctrl-D in the middle of a line
                continue
        if rest:
            put(rest.decode("utf-8", "replace"))
        put(None)
        if os.isatty(fd):  # Ctrl-D ended a session; the terminal can still be typed at
            read()
        else:
            put(None)  # the first may have ended a session only

    threading.Thread(target=read, daemon=True, name="keyboard").start()
    return queue


@contextlib.contextmanager
def _hidden(secret: bool) -> Iterator[None]:  # noqa: FBT001  # reads as what it is
    """Do not echo while a PIN is typed."""
    if not secret or not sys.stdin.isatty():
        yield
        return
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    quiet = termios.tcgetattr(fd)
    quiet[3] &= ~termios.ECHO
    termios.tcsetattr(fd, termios.TCSADRAIN, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
