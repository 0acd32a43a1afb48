"""What ``docker buildx build --progress=plain`` says, followed: current step, last lines. Pure.

Its lines are ``#7 [2/9] RUN …`` (a step begins or goes on), ``#7 12.34 text`` (its output, with
seconds since it began), ``#7 CACHED``, ``#7 DONE 3.2s`` and ``#7 ERROR: …``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_LINE = re.compile(r"#(\d+) (.*)")
_HEADER = re.compile(r"\[(?:(?P<stage>[^\]\s]+) +)?(?P<number>\d+)/(?P<total>\d+)\] (?P<what>.*)")
_OUTPUT = re.compile(r"\d+\.\d+ (.*)")
_FLAG = re.compile(r"--[a-z]+=\S+\s+")

_KEPT_LINES, _NAME_WIDTH = 20, 60


@dataclass(slots=True)
class Step:
    """One step of a Dockerfile while it runs."""

    place: str  # 2/9, or compile 2/5 in a named stage
    what: str
    started: float
    lines: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Short enough for a progress line."""
        text = " ".join(_FLAG.sub("", self.what).split())
        return text if len(text) <= _NAME_WIDTH else text[: _NAME_WIDTH - 1] + "…"

    def __str__(self) -> str:
        return f"[{self.place}] {self.name}"


@dataclass(slots=True)
class BuildLog:
    """The build as its output tells it. Feed it every line with the time it came."""

    steps: dict[str, Step] = field(default_factory=dict)
    running: list[str] = field(default_factory=list)
    failed: str | None = None

    def line(self, text: str, now: float) -> None:
        """Take in one line of output; ``now`` in seconds on any clock."""
        found = _LINE.match(text)
        if found is None:
            return
        number, rest = found[1], found[2]
        header = _HEADER.match(rest)
        if header is not None:
            self._begin(number, header, now)
        elif number in self.steps:
            self._go_on(number, rest)

    def _begin(self, number: str, header: re.Match[str], now: float) -> None:
        if number not in self.steps:
            stage = f"{header['stage']} " if header["stage"] else ""
            place = f"{stage}{header['number']}/{header['total']}"
            self.steps[number] = Step(place=place, what=header["what"], started=now)
        if number not in self.running:
            self.running.append(number)

    def _go_on(self, number: str, rest: str) -> None:
        if rest == "CACHED" or rest.startswith(("DONE", "CANCELED", "ERROR")):
            if number in self.running:
                self.running.remove(number)
            if rest.startswith("ERROR") and self.failed is None:
                self.failed = number
            return
        output = _OUTPUT.match(rest)
        lines = self.steps[number].lines
        lines.append(output[1] if output else rest)
        del lines[:-_KEPT_LINES]

    @property
    def current(self) -> Step | None:
        """The step that is worked on: the one that began last and is not done."""
        return self.steps[self.running[-1]] if self.running else None

    @property
    def failure(self) -> Step | None:
        """The first step that failed."""
        return self.steps[self.failed] if self.failed is not None else None
