r"""Templates: text with holes, as transcripts expect it and type it. Pure.

`{name}` stands for what is there; once seen it stands for the same text ever after. `{_}` stands
for anything, every time. A line of `...` stands for any lines or none. A backslash makes the next
character plain; `\n` and `\r` are what they always are.
"""

import re
from collections.abc import Mapping, Sequence

HOLE = re.compile(r"\\(.)|\{([a-z][a-z0-9_]*|_)\}", re.DOTALL)
ANY_LINES = "..."


def literal(text: str) -> str:
    """The template that matches exactly `text` (one line; line ends become escapes)."""
    escaped = text.replace("\\", "\\\\").replace("{", "\\{")
    escaped = escaped.replace("\n", "\\n").replace("\r", "\\r")
    return f"\\{escaped}" if escaped.strip() == ANY_LINES else escaped


def fill(template: str, holes: Mapping[str, str]) -> str:
    """What `template` says once its holes are known; an unknown hole is a `KeyError`."""

    def one(found: re.Match[str]) -> str:
        return _plain(found[1]) if found[1] else holes[found[2]]

    return HOLE.sub(one, template)


def match(lines: Sequence[str], text: str, holes: Mapping[str, str]) -> dict[str, str] | None:
    """The holes after `text` matched the template `lines`, or None when it does not.

    Trailing blanks of a line do not count: nobody sees them on a screen or in an editor.
    """
    expression, names = _expression(lines, holes)
    shown = "\n".join(line.rstrip(" ") for line in text.split("\n"))
    found = re.fullmatch(expression, shown)
    if found is None:
        return None
    return {**holes, **{name: found[name] for name in names}}


def _expression(lines: Sequence[str], holes: Mapping[str, str]) -> tuple[str, set[str]]:
    """A regular expression for `lines`, each followed by a line end but the last."""
    names: set[str] = set()
    parts: list[str] = []
    for position, line in enumerate(lines):
        last = position == len(lines) - 1
        if line.strip() == ANY_LINES:
            # Any lines or none; at the end of a page the line end before it is theirs.
            if last and parts:
                parts[-1] = parts[-1].removesuffix("\n") + r"(?:\n[\s\S]*)?"
            else:
                parts.append(r"[\s\S]*" if last else r"(?:.*\n)*?")
        else:
            parts.append(_line_expression(line.rstrip(" "), holes, names) + ("" if last else "\n"))
    return "".join(parts), names


def _line_expression(line: str, holes: Mapping[str, str], names: set[str]) -> str:
    parts: list[str] = []
    at = 0
    for found in HOLE.finditer(line):
        parts.append(re.escape(line[at : found.start()]))
        at = found.end()
        if found[1]:
            parts.append(re.escape(_plain(found[1])))
        elif found[2] == "_":
            parts.append(".*?")
        elif found[2] in holes:
            parts.append(re.escape(holes[found[2]]))
        elif found[2] in names:
            parts.append(f"(?P={found[2]})")
        else:
            names.add(found[2])
            parts.append(f"(?P<{found[2]}>.+?)")
    parts.append(re.escape(line[at:]))
    return "".join(parts)


def _plain(escaped: str) -> str:
    return {"n": "\n", "r": "\r"}.get(escaped, escaped)
