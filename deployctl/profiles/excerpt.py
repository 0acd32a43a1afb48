"""A place in a profile, shown to the operator: ``file:line``, the line itself, a caret. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence

from deployctl.errors import Fault
from deployctl.model import Origin
from deployctl.visible import visible

#: The file name of values given on the command line; their "lines" are what was typed.
SETTINGS = "--set"

#: The same for what was typed after ``--model``, and what its file said.
MODEL = "--model"

#: The same for add-ons named after ``--with``, one a "line".
WITH = "--with"

#: The same for what this machine's facts decided; the "lines" are the reasons.
MACHINE = "this machine"

#: File name → its lines.
Sources = Mapping[str, Sequence[str]]

_WIDTH = 88


def where(at: Origin, lines: Sequence[str]) -> str:
    """``file:line``, or ``--set a.b`` for a value from the command line, or a machine's reason."""
    if at.file == MACHINE:
        return visible(_line(at, lines))
    if at.file in (MODEL, WITH):
        return f"{at.file} {visible(_line(at, lines))}"
    if at.file != SETTINGS:
        return str(at)
    return f"{SETTINGS} {visible(_line(at, lines).partition('=')[0])}"


def excerpt(at: Origin, lines: Sequence[str]) -> tuple[str, ...]:
    """The line and, below it, a caret under the column; nothing for a line that does not exist."""
    line = _line(at, lines)
    if not line:
        return ()
    start = max(0, at.column - 1 - _WIDTH // 2)
    shown = visible(line[start : start + _WIDTH])
    before = visible(line[start : at.column - 1])
    number = at.file if at.file in (SETTINGS, MODEL, WITH, MACHINE) else str(at.line)
    left, right = ("… " if start else ""), (" …" if len(line) > start + _WIDTH else "")
    pad = " " * (len(left) + sum(map(_columns, before)))
    return (f"{number} | {left}{shown}{right}", f"{' ' * len(number)} | {pad}^")


def fault(
    at: Origin,
    lines: Sequence[str],
    message: str,
    hint: str,
    *,
    code: str = "profile-invalid",
    more: tuple[str, ...] = (),
) -> Fault:
    """One fault with its place shown."""
    return Fault(
        code=code,
        message=message,
        hint=hint,
        where=where(at, lines),
        details=(*excerpt(at, lines), *more),
    )


def quoted(text: str, limit: int = 60) -> str:
    """The text between backticks, for a sentence: visible, and not longer than a line."""
    return f"`{visible(text if len(text) <= limit else text[: limit - 1] + '…')}`"


def _line(at: Origin, lines: Sequence[str]) -> str:
    return lines[at.line - 1] if 0 < at.line <= len(lines) else ""


def _columns(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
