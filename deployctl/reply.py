"""A streamed reply of an engine, read event by event: what is answer, what is thought. Pure.

Engines call thoughts ``reasoning`` (vLLM) or ``reasoning_content`` (llama.cpp); an engine that
does not tell them apart leaves them at the beginning of the answer, between ``<think>`` and
``</think>``. Everywhere else those are words that the model wrote.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["answer", "reasoning"]

_OPEN, _CLOSE = "<think>", "</think>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Some more text of a reply."""

    kind: Kind
    text: str


class ReplyError(Exception):
    """An error came where the reply should go on; the text is the engine's or the frontend's."""


@dataclass(slots=True, kw_only=True)
class Reader:
    """Reads the events of one reply, in order; afterwards holds all of it.

    ``raw`` leaves ``<think>`` in the answer. ``usage`` and ``timings`` are the engine's own words.
    """

    raw: bool = False
    answer: str = ""
    reasoning: str = ""
    finish_reason: str | None = None
    usage: dict[str, Any] = field(default_factory=dict)
    timings: dict[str, Any] = field(default_factory=dict)
    _held: str = ""  # what may yet turn out to be a tag
    _place: Literal["start", "thoughts", "answer"] = "start"

    def event(self, payload: str) -> Iterator[Piece]:
        """Read one event's payload; :class:`ReplyError` when it is an error."""
        try:
            event = json.loads(payload)
        except ValueError:
            return  # "[DONE]", comments
        if not isinstance(event, dict):
            return
        if problem := event.get("error") or event.get("detail"):
            message = problem.get("message") if isinstance(problem, dict) else problem
            raise ReplyError(message if isinstance(message, str) else json.dumps(problem))
        self._figures(event)
        for choice in _dicts(event.get("choices")):
            reason = choice.get("finish_reason")
            self.finish_reason = reason if isinstance(reason, str) else self.finish_reason
            delta = choice.get("delta")
            if isinstance(delta, dict):
                yield from self._delta(delta)

    def end(self) -> Iterator[Piece]:
        """Say what was held back, when nothing more comes."""
        held, self._held = self._held, ""
        yield from self._said("reasoning" if self._place == "thoughts" else "answer", held)

    def _figures(self, event: dict[str, Any]) -> None:
        if isinstance(usage := event.get("usage"), dict):
            self.usage = usage
        if isinstance(timings := event.get("timings"), dict):
            self.timings = timings

    def _delta(self, delta: dict[str, Any]) -> Iterator[Piece]:
        thought = _text(delta, "reasoning_content", "reasoning")
        yield from self._said("reasoning", thought)
        if thought and self._place == "start":
            self._place = "answer"  # the engine tells them apart
        text = _text(delta, "content")
        if self.raw:
            yield from self._said("answer", text)
        else:
            yield from self._split(text)

    def _split(self, text: str) -> Iterator[Piece]:
        """Tell thoughts from answer by their tags, which may come in several pieces."""
        self._held += text
        if self._place == "start":
            begun = self._held.lstrip()
            if _OPEN.startswith(begun):
                return  # nothing yet, or a part of the tag
            thinks = begun.startswith(_OPEN)
            self._place = "thoughts" if thinks else "answer"
            self._held = begun.removeprefix(_OPEN)
        if self._place == "thoughts":
            thought, closed, rest = self._held.partition(_CLOSE)
            keep = 0 if closed else _begun(thought, _CLOSE)
            yield from self._said("reasoning", thought[: len(thought) - keep])
            self._held = rest if closed else thought[len(thought) - keep :]
            if not closed:
                return
            self._place = "answer"
        held, self._held = self._held, ""
        yield from self._said("answer", held)

    def _said(self, kind: Kind, text: str) -> Iterator[Piece]:
        if kind == "answer" and not self.answer and not self.raw:
            text = text.lstrip()  # templates leave empty lines behind the thoughts
        if not text:
            return
        if kind == "answer":
            self.answer += text
        else:
            self.reasoning += text
        yield Piece(kind=kind, text=text)


def _begun(text: str, tag: str) -> int:
    """How many characters at the end may be the beginning of ``tag``."""
    return next((n for n in range(len(tag) - 1, 0, -1) if text.endswith(tag[:n])), 0)


def _text(delta: dict[str, Any], *names: str) -> str:
    return next((text for name in names if isinstance(text := delta.get(name), str) and text), "")


def _dicts(value: object) -> list[dict[str, Any]]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
