r"""Reads an answer: thoughts that were opened and closed, and the box behind them. Pure.

Engines that tell thoughts from answer hand them over apart; of the others they stand in the text,
between ``<think>`` and ``</think>``, of which a template may have written the first one itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from deployctl.evals.nouns import Row

_OPEN, _CLOSE = "<think>", "</think>"

#: Where a box begins; ``\fbox`` is what some models write instead.
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")


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
    """What stands in the last box whose braces are balanced, if there is anything in it."""
    for start in reversed(list(_BOX.finditer(text))):
        inside = _balanced(text, start.end())
        if inside is not None and inside.strip():
            return inside.strip()
    return None


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
