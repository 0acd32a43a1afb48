r"""Reads an answer: thoughts that were opened and closed, and the box behind them. Pure.

Engines that tell thoughts from answer hand them over apart; of the others they stand in the text,
between ``<think>`` and ``</think>``, of which a template may have written the first one itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from deployctl.evals.nouns import Row

_OPEN, _CLOSE = "<think>", "</think>"

#: Where a box begins. ``\fbox`` is what some models write instead, and others around a remark.
_BOXES = (re.compile(r"\\boxed(?![A-Za-z])\s*(\{?)"), re.compile(r"\\fbox\s*(\{)"))

#: What a box without braces holds: TeX takes one character, and models mean a whole number.
_BARE = re.compile(r"[-+]?\d+(?:[.,]\d+)*(?:/\d+)?|[A-Za-z](?![A-Za-z])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """One answer, taken apart. ``boxed``: what stands in the last whole box of the answer."""

    opened: bool
    closed: bool
    answer: str
    boxed: str | None
    stopped: bool  # the model ended it itself
    truncated: bool  # the limit of tokens ended it

    def complete(self, *, reasons: bool) -> bool:
        """Whether nothing is missing: thoughts opened and closed, if it thinks, and then a box."""
        thought = self.opened and self.closed if reasons or self.opened else True
        return thought and self.boxed is not None and self.stopped


def chain_of(row: Row) -> Chain:
    """Take a row apart."""
    opened, closed, answer = _split(row)
    return Chain(
        opened=opened,
        closed=closed,
        answer=answer,
        boxed=last_box(answer),
        stopped=row.finish_reason == "stop",
        truncated=row.finish_reason == "length",
    )


def thinks(row: Row) -> bool:
    """Whether there are thoughts in it."""
    return _split(row)[0]


def _split(row: Row) -> tuple[bool, bool, str]:
    """(thoughts begun, thoughts ended, the answer behind them)."""
    text = row.answer
    _, tag, behind = text.rpartition(_CLOSE)
    if tag:
        return True, True, behind.strip()
    if text.lstrip().startswith(_OPEN):
        return True, False, ""
    if row.reasoning.strip():  # what the engine took for the answer is behind them
        return True, bool(text.strip()), text.strip()
    return False, False, text.strip()


def last_box(text: str) -> str | None:
    r"""What stands in the last whole ``\boxed`` that holds anything, else in such an ``\fbox``."""
    for kind in _BOXES:
        for start in reversed(list(kind.finditer(text))):
            inside = _balanced(text, start.end()) if start[1] else _bare(text, start.end())
            if inside is not None and inside.strip():
                return inside.strip()
    return None


def _bare(text: str, start: int) -> str | None:
    found = _BARE.match(text, start)
    return found[0] if found else None


def _balanced(text: str, start: int) -> str | None:
    depth, at = 1, start
    while at < len(text):
        char = text[at]
        if char == "\\":
            at += 2  # an escaped brace is a brace of a set, not of TeX
            continue
        depth += {"{": 1, "}": -1}.get(char, 0)
        if not depth:
            return text[start:at]
        at += 1
    return None


# ── what only repeats the question ────────────────────────────────────────────────────────────

#: Spaces, sizes and letters of TeX, and its other words for the same thing.
_SPACING = re.compile(
    r"\\(?:left|right)\.|\\[,;:! ]|[$~]"
    r"|\\(?:left|right|displaystyle|quad|qquad|text|textbf|mathrm|mbox)(?![A-Za-z])"
)
_SAME = ((r"[dt]frac", r"\\frac "), (r"(?:cdot|times)", "* "), (r"div", "/ "))

_TOKEN = re.compile(r"\d+(?:[.,]\d+)*|\\[A-Za-z]+|\\.|\S")

#: One number, or one fraction of two: a value, whichever way it is written.
_VALUE = re.compile(r"(?:[-+] )?(?:\d+(?:[.,]\d+)*|\\frac \d+ \d+|\d+ / \d+)(?: \\%| \^ \\circ)?")

#: What makes an expression of values and names: something is left to be worked out.
_WORK = re.compile(r"[-+*/^!(\[|=]|\\[A-Za-z]")


def restates(box: str, question: str, key: str) -> bool:
    """Whether a box only repeats an expression that the question asks to work out.

    Nothing is known of mathematics here, only of notation: spaces, sizes of brackets, braces.
    Numbers, fractions of two and words are no expressions, and where the right answer itself is an
    expression of the question, as in "which of these", whatever means the same is an answer.
    """
    given, asked, right = _plain(box), _plain(question), _plain(key)
    if given == right or _VALUE.fullmatch(given) or not _WORK.search(given):
        return False
    if _within(right, asked) and not _VALUE.fullmatch(right):
        return False
    return _within(given, asked)


def _within(part: str, text: str) -> bool:
    """Whether the tokens of one stand together in the other."""
    return f" {part} " in f" {text} "


def _plain(text: str) -> str:
    """The tokens of an expression, a space between any two; braces only group, and are left out."""
    text = _SPACING.sub(" ", text)
    for written, meant in _SAME:
        text = re.sub(rf"\\{written}(?![A-Za-z])", meant, text)
    text = re.sub(r"_\s*(\d)(?=\d)", r"_ \1 ", text)  # TeX takes one digit
    text = re.sub(r"\\frac\s*(\d)\s*(\d)", r"\\frac \1 {\2}", text)
    return " ".join(word for word in _TOKEN.findall(text) if word not in "{}").rstrip(" .")
