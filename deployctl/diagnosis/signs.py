"""What a sign is: a text that betrays a cause, the words about it, and the way out. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deployctl.visible import harmless, visible

if TYPE_CHECKING:
    from deployctl.diagnosis.nouns import Evidence, Way

#: How near a text is to the cause: the text itself, one that others follow from, one around many.
ROOT, BROAD, WRAPPER = 0, 1, 2

#: Characters of a word out of a log that go into a sentence.
_LONG = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A sign seen, with the words of the text that its pattern names."""

    words: Mapping[str, str]
    evidence: Evidence
    way: Way

    def word(self, name: str) -> str:
        """One of the words, safe to show; empty where the text has none."""
        text = _one_line(self.words.get(name) or "").strip()
        return text if len(text) <= _LONG else f"{text[:_LONG]}…"


Remedy = Callable[[Found], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """One text that betrays a cause.

    ``about`` is who says it: an engine's kind, ``engine`` (any), ``webui`` or ``docker``.
    ``seen``, ``cause`` and ``way_out`` are the row of the documentation; ``message`` says the cause
    with the words of the text, ``{name}`` for each. ``fatal`` is false for what is only warned of,
    ``serving`` true for what can also end a service that has served; the rest explains starts only.
    """

    code: str
    about: str
    pattern: re.Pattern[str]
    seen: str
    cause: str
    way_out: str
    remedy: Remedy
    sample: str  # a line that has it, as it was seen or as the source has it
    message: str | Callable[[Found], str] | None = None
    rank: int = ROOT
    fatal: bool = True
    serving: bool = False

    def says(self, found: Found) -> str:
        """The cause in a sentence, for this text."""
        if callable(self.message):
            return self.message(found)
        words = {name: found.word(name) for name in found.words}
        return (self.message or self.cause).format_map(words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The sign that explains a text best, and the text's lines that show it."""

    sign: Sign
    words: Mapping[str, str] = field(default_factory=dict)
    lines: tuple[str, ...] = ()


def pattern(text: str) -> re.Pattern[str]:
    """Compile a pattern; all of them are searched for in one line at a time."""
    return re.compile(text)


#: Characters of a line that are looked at, and kept as evidence.
_WIDE, _SHOWN = 4000, 400
_EVIDENCE_LINES = 8


def best(signs: tuple[Sign, ...], lines: tuple[str, ...]) -> Match | None:
    """The sign nearest to the cause; of several as near, the one that is said first."""
    found: list[tuple[int, int, Sign, re.Match[str]]] = []
    for index, line in enumerate(lines):
        for sign in signs:
            if (seen := sign.pattern.search(line[:_WIDE])) is not None:
                found.append((sign.rank, index, sign, seen))
    if not found:
        return None
    _, at, sign, seen = min(found, key=lambda each: each[:2])
    words = {name: value or "" for name, value in seen.groupdict().items()}
    shown = {at - 1, at, at + 1, *(index for _, index, _, _ in found)}
    return Match(sign=sign, words=words, lines=evidence(lines, shown, at))


def worth_showing(line: str) -> bool:
    """Whether a line can tell anybody anything.

    llama.cpp's image sets LLAMA_ARG_HOST, and every start warns that our own option wins over it.
    """
    return bool(line.strip()) and "LLAMA_ARG_HOST environment variable is set" not in line


def evidence(lines: tuple[str, ...], shown: set[int], at: int) -> tuple[str, ...]:
    """The lines to show, in their order, those nearest to the one that matters first."""
    wanted = sorted(
        (i for i in shown if 0 <= i < len(lines) and worth_showing(lines[i])),
        key=lambda i: abs(i - at),
    )
    return tuple(shown_line(lines[i]) for i in sorted(wanted[:_EVIDENCE_LINES]))


def shown_line(line: str) -> str:
    """One line of a log, made safe to show; what is beyond its width is left out."""
    return _one_line(line[:_SHOWN])


def _one_line(text: str) -> str:
    """Harmless, and nothing in it that moves what follows: no end of a line, no tab."""
    return visible(harmless(text).replace("\n", " ").replace("\t", " "))
