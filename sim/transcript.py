r"""Transcripts: one text format for goldens, scenarios, documentation and recordings.

This is its only parser and its only writer; `templates.py` says what matches, and `perform.py`
plays it against anything: the pure core, the gateway over HTTP, a test. No I/O here.

    # Send money, well                            the title; later `#` lines are notes
    phone +85512345601 en                         from here on this phone acts (language optional)
    dial *855#                                    what is dialled …
      | 1 Send money                              … and the page that must answer, line by line
      | ...                                       any lines, or none
    1                                             anything else is typed into the session
      | Send to which number?
      | 0 Back
    sms SEND 5000 012345602                       the phone sends an SMS to the shortcode
    sms to +85512345602 | You received {amount}   this phone must have got this SMS …
      | Ref {ref}.                                … its second line
    end                                           the person presses the end key
    expire                                        the network times the session out

A page whose last line is `  (end)` must end the session. `{hole}` matches what stands there; the
same hole means the same text ever after, also in what is typed (`sms YES {code} 730264`), and
`{_}` matches anything every time. A backslash makes the next character plain (`\{`, `\...`, `\\`)
and `\n`, `\r` are what they always are. `> ` before something typed or sent keeps it from being
read as a command (`> end`, `> ` for nothing at all).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Never

NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
LANGUAGE = re.compile(r"[a-z]{2,3}")
COMMANDS = ("phone", "dial", "sms", "end", "expire", "#", ">")


class TranscriptError(ValueError):
    """A file that is no transcript: says where and why."""

    def __init__(self, line: int, problem: str, source: str = "") -> None:
        self.line = line
        self.problem = problem
        self.source = source
        super().__init__(f"{source or 'line'}{':' if source else ' '}{line}: {problem}")


# --- the value --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Page:
    """What must be on the screen: one template per line; `ended`: the session must be over."""

    lines: tuple[str, ...]
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """A comment between steps."""

    text: str
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Phone:
    """The following steps happen on this phone."""

    msisdn: str
    language: str | None = None
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Dial:
    """A code is dialled; `page` is None when the transcript does not care about the answer."""

    code: str
    page: Page | None = None
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Type:
    """Something is typed into the session and sent."""

    text: str
    page: Page | None = None
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class SendSms:
    """The phone sends an SMS to the shortcode."""

    text: str
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class ExpectSms:
    """The phone of `msisdn` must have got an SMS that no earlier step has claimed."""

    msisdn: str
    lines: tuple[str, ...]
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class End:
    """The person presses the end key."""

    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Expire:
    """The network times the session out."""

    line: int = field(default=0, compare=False)


Step = Note | Phone | Dial | Type | SendSms | ExpectSms | End | Expire


@dataclass(frozen=True, slots=True)
class Transcript:
    """One scenario."""

    title: str
    steps: tuple[Step, ...]

    @property
    def phones(self) -> tuple[str, ...]:
        """Every number that acts or is expected to receive, in order of appearance."""
        numbers = [s.msisdn for s in self.steps if isinstance(s, Phone | ExpectSms)]
        return tuple(dict.fromkeys(numbers))


# --- reading -----------------------------------------------------------------------------------


def parse(text: str, source: str = "") -> Transcript:
    """Read one transcript; raises `TranscriptError` with the line's number."""
    reading = _Reading(source)
    # Not splitlines: a page may hold any of the odd characters it splits on.
    for number, line in enumerate(text.split("\n"), start=1):
        reading.take(number, line.removesuffix("\r"))
    return reading.finish()


class _Reading:
    """The lines so far; a page is glued to the step above it."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.title: str | None = None
        self.steps: list[Step] = []
        self.has_phone = False

    def take(self, number: int, line: str) -> None:
        if not line.strip():
            return
        if line[0] in " \t":
            self._page_line(number, line.strip(" \t") if "|" not in line else line.lstrip(" \t"))
            return
        step = self._step(number, line)
        if step is not None:
            self.steps.append(step)

    def finish(self) -> Transcript:
        if self.title is None:
            raise TranscriptError(1, "a transcript begins with its title: `# title`", self.source)
        return Transcript(self.title, tuple(self.steps))

    def _page_line(self, number: int, line: str) -> None:
        above = self.steps[-1] if self.steps else None
        if not isinstance(above, Dial | Type | ExpectSms):
            self._fail(number, "a page line needs `dial`, something typed or `sms to` above it")
        text = line[2:] if line.startswith("| ") else line[1:] if line == "|" else None
        if isinstance(above, ExpectSms):
            if text is None:
                self._fail(number, "the next line of an SMS is written `  | text`")
            self.steps[-1] = ExpectSms(above.msisdn, (*above.lines, text), above.line)
            return
        page = above.page or Page(())
        if page.ended:
            self._fail(number, "nothing follows `(end)`: it closes a page")
        if text is None and line == "(end)":
            grown = Page(page.lines, ended=True)
        elif text is None:
            self._fail(number, f"a page line is written `  | text` or `  (end)`, not `{line}`")
        else:
            grown = Page((*page.lines, text))
        words = above.code if isinstance(above, Dial) else above.text
        self.steps[-1] = type(above)(words, grown, above.line)

    def _step(self, number: int, line: str) -> Step | None:  # noqa: PLR0911  # one per command
        if line.startswith("#"):
            text = line[1:].removeprefix(" ")
            if self.title is not None:
                return Note(text, number)
            self.title = text
            return None
        if self.title is None:
            self._fail(number, "a transcript begins with its title: `# title`")
        word, _, rest = line.partition(" ")
        if word == "phone":
            return self._phone(number, rest)
        if not self.has_phone:
            self._fail(number, "say which phone acts first: `phone +85512345601 en`")
        if word == "dial":
            return self._dial(number, rest.strip())
        if word == "sms":
            return self._sms(number, rest)
        if line in ("end", "expire"):
            return End(number) if line == "end" else Expire(number)
        return Type(rest if word == ">" else line, None, number)

    def _dial(self, number: int, code: str) -> Dial:
        if not re.fullmatch(r"[*#0-9]+", code):
            self._fail(number, f"a phone dials digits, * and #, not `{code}`")
        return Dial(code, None, number)

    def _phone(self, number: int, rest: str) -> Phone:
        msisdn, _, language = rest.strip().partition(" ")
        if not NUMBER.fullmatch(msisdn):
            self._fail(number, f"a phone number is written +85512345601, not `{msisdn}`")
        if language and not LANGUAGE.fullmatch(language):
            self._fail(number, f"a language is written `en` or `km`, not `{language}`")
        self.has_phone = True
        return Phone(msisdn, language or None, number)

    def _sms(self, number: int, rest: str) -> Step:
        if rest.startswith("> "):
            return SendSms(rest[2:], number)
        if not rest.startswith("to "):
            return SendSms(rest, number)
        msisdn, bar, text = rest[3:].partition(" |")
        if not bar or not NUMBER.fullmatch(msisdn):
            self._fail(
                number,
                "an expected SMS is written `sms to +85512345602 | text`"
                " (one sent, that begins with `to`: `sms > to …`)",
            )
        return ExpectSms(msisdn, (text.removeprefix(" "),), number)

    def _fail(self, number: int, problem: str) -> Never:
        raise TranscriptError(number, problem, self.source)


# --- writing -----------------------------------------------------------------------------------


def write(transcript: Transcript) -> str:
    """The text of a transcript; `parse(write(t)) == t`."""
    lines = [f"# {transcript.title}"]
    for step in transcript.steps:
        lines += _written(step)
    if any("\n" in line or "\r" in line for line in lines):
        raise ValueError("a template holds no line end: write it as \\n (see `literal`)")
    return "\n".join(lines) + "\n"


def _written(step: Step) -> Iterable[str]:  # noqa: PLR0911  # one per kind of step
    match step:
        case Note(text):
            return [f"# {text}"]
        case Phone(msisdn, language):
            return ["", f"phone {msisdn} {language}" if language else f"phone {msisdn}"]
        case Dial(code, page):
            return [f"dial {code}", *_page(page)]
        case Type(text, page):
            return [_guarded(text), *_page(page)]
        case SendSms(text):
            return [f"sms > {text}" if text.startswith(("to ", "> ")) else f"sms {text}"]
        case ExpectSms(msisdn, (first, *more)):
            return [f"sms to {msisdn} | {first}", *(f"  | {line}" for line in more)]
        case End():
            return ["end"]
        case Expire():
            return ["expire"]
    raise ValueError(f"an expected SMS has at least one line: {step}")


def _page(page: Page | None) -> list[str]:
    if page is None:
        return []
    return [*(f"  | {line}" for line in page.lines), *(["  (end)"] if page.ended else [])]


def _guarded(text: str) -> str:
    """Typed text that cannot be taken for a command, an indented line or nothing."""
    word = text.partition(" ")[0]
    plain = text.strip() == text and text and word not in COMMANDS and text[0] not in "#>"
    return text if plain else f"> {text}"
