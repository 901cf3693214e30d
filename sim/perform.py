"""Playing a transcript against anything, without doing any I/O itself.

`perform` yields what a phone does next and is sent what came back. Whoever drives it (the pure
core, the scenario runner, a test) does the doing; expecting, comparing and remembering holes
happens here, once.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass

from sim.templates import ANY_LINES, HOLE, fill, match
from sim.transcript import (
    Dial,
    End,
    ExpectSms,
    Expire,
    Note,
    Page,
    Phone,
    SendSms,
    Transcript,
    Type,
)


class Difference(AssertionError):
    """What happened is not what the transcript says; `line` is where."""

    def __init__(self, line: int, step: str, expected: str, got: str, why: str = "") -> None:
        self.line = line
        self.step = step
        self.expected = expected
        self.got = got
        self.why = why
        super().__init__(self.report())

    def report(self) -> str:
        """Expected and got, one under the other."""
        told = f" ({self.why})" if self.why else ""
        return (
            f"line {self.line}, after `{self.step}`{told}\n"
            f"  expected\n{_indent(self.expected)}\n  got\n{_indent(self.got)}"
        )


def _indent(text: str) -> str:
    return "\n".join(f"    | {line}" for line in text.split("\n"))


@dataclass(frozen=True, slots=True)
class Answer:
    """What the phone showed; for `ExpectSms`, all SMS since the beginning, oldest first.

    `fault`: why this is no page of the application, but the network's or the line's own complaint.
    """

    text: str = ""
    ended: bool = False
    inbox: tuple[str, ...] = ()
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Cue:
    """What happens next, on which phone; `text` is what is dialled, typed or sent, holes filled.

    `ExpectSms` is cued again (`tries` counts) until an SMS fits or the driver sends None.
    """

    step: Dial | Type | SendSms | ExpectSms | End | Expire
    phone: Phone
    text: str
    tries: int = 0


def perform(
    transcript: Transcript, holes: Mapping[str, str] | None = None
) -> Generator[Cue, Answer | None, dict[str, str]]:
    """Yield cues, be sent answers, raise `Difference`; returns the holes as they ended.

    Dial and Type need an `Answer`; SendSms, End and Expire do not look at it. ExpectSms takes
    `Answer(inbox=…)`, again and again while more may come, and None when nothing more will.
    """
    known = dict(holes or {})
    taken: dict[str, list[int]] = {}
    phone = Phone("")
    for step in transcript.steps:
        match step:
            case Note():
                continue
            case Phone():
                phone = step
            case ExpectSms():
                known = yield from _await_sms(step, phone, known, taken)
            case Dial(code, page) | Type(code, page):
                answer = yield Cue(step, phone, _filled(step.line, code, known))
                known = _check_page(step, page, answer, known)
            case SendSms(text):
                yield Cue(step, phone, _filled(step.line, text, known))
            case End() | Expire():
                yield Cue(step, phone, "")
    return known


def _await_sms(
    step: ExpectSms, phone: Phone, known: dict[str, str], taken: dict[str, list[int]]
) -> Generator[Cue, Answer | None, dict[str, str]]:
    """`inbox` is the whole inbox since the transcript began; each SMS serves one expectation."""
    used = taken.setdefault(step.msisdn, [])
    seen: tuple[str, ...] = ()
    tries = 0
    while (answer := (yield Cue(step, phone, "", tries))) is not None:
        seen = answer.inbox
        tries += 1
        for index, text in enumerate(seen):
            if index not in used and (found := match(step.lines, text, known)) is not None:
                used.append(index)
                return found
    unused = [text for index, text in enumerate(seen) if index not in used]
    raise Difference(
        step.line,
        f"sms to {step.msisdn}",
        "\n".join(step.lines),
        "\n\n".join(unused) or "(no SMS)",
        "no SMS like that came",
    )


def _check_page(
    step: Dial | Type, page: Page | None, answer: Answer | None, known: dict[str, str]
) -> dict[str, str]:
    got = answer or Answer("(nothing)")
    words = f"dial {step.code}" if isinstance(step, Dial) else step.text
    if got.fault and not (page and _is_literal(page)):
        expected = "\n".join(page.lines) if page and page.lines else "(a page)"
        raise Difference(step.line, words, expected, got.text, got.fault)
    if page is None:
        return known
    found = match(page.lines, got.text, known) if page.lines else dict(known)
    if found is None:
        values = "; ".join(
            f"{name} is {known[name]!r}"
            for line in page.lines
            for _, name in HOLE.findall(line)
            if name in known
        )
        raise Difference(step.line, words, "\n".join(page.lines), got.text, values)
    if page.ended and not got.ended:
        raise Difference(step.line, words, "(the session ends)", got.text, "it goes on")
    return found


def _is_literal(page: Page) -> bool:
    """Nothing in it stands for just any text: only then may a complaint be what is expected."""
    holes = any(name for line in page.lines for _, name in HOLE.findall(line))
    return bool(page.lines) and not holes and ANY_LINES not in map(str.strip, page.lines)


def _filled(line: int, template: str, known: Mapping[str, str]) -> str:
    try:
        return fill(template, known)
    except KeyError as missing:
        raise Difference(
            line, template, f"a value for {{{missing.args[0]}}}", "(none was seen so far)"
        ) from None
