"""One progress line for several images that are worked on side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable

from deployctl.outcomes import Progress

#: How one image says what happens to it.
Say = Callable[[str], None]


class Board:
    """Joins what each image says last; safe from several threads."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._lines: dict[str, str] = {}
        self._lock = threading.Lock()

    def line(self, name: str) -> Say:
        """The place of one image; saying nothing empties it."""

        def say(text: str) -> None:
            with self._lock:
                if self._lines.get(name) == text:
                    return
                self._lines[name] = text
                shown = " · ".join(f"{n}: {t}" for n, t in self._lines.items() if t)
                self._progress(shown)

        return say
