"""Progress in bytes at a pace a terminal can follow."""

from __future__ import annotations

from collections.abc import Callable

from deployctl.outcomes import Progress

#: Seconds between two reports: ten a second look continuous and cost nothing.
_PACE_S = 0.1


class Meter:
    """Reports ``done`` of ``total`` bytes, at most ten times a second, and always the end."""

    def __init__(
        self, progress: Progress, text: str, *, total: int | None, clock: Callable[[], float]
    ) -> None:
        self._progress = progress
        self._text = text
        self._total = total
        self._clock = clock
        self._next = clock()

    def at(self, done: int) -> None:
        """``done`` bytes of the whole file are there now."""
        now = self._clock()
        if now >= self._next or done == self._total:
            self._next = now + _PACE_S
            self._progress(self._text, done=done, total=self._total)
