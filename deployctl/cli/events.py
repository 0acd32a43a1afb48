"""Talk for programs: one JSON object a line, on stderr, while a command works.

The result itself is the envelope on stdout; see ``docs/readiness.md`` for what each event has.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from typing import TextIO

from deployctl.cli.console import ended
from deployctl.talk import PhaseTalk

#: Raised when a key changes its meaning or goes away; additions do not count.
VERSION = 1

#: Seconds between two events that only say how far the same step is.
_PROGRESS_S = 1.0


class Events:
    """Talks in events; safe to use from several threads."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def write(self, event: str, **known: object) -> None:
        """Write one event; what is not known is left out."""
        data = {key: value for key, value in known.items() if value is not None}
        line = json.dumps({"version": VERSION, "event": event, **data})
        with self._lock:
            self._stream.write(line + "\n")
            self._stream.flush()

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[PhaseTalk]:
        """See :class:`deployctl.talk.Talk`."""
        phase = _Phase(name, self)
        phase.tell("begin")
        try:
            yield phase
        except BaseException as end:
            phase.tell("end", ok=False, summary=ended(end))
            raise
        phase.tell("end", ok=phase.ok, summary=phase.summary)

    def say(self, text: str) -> None:
        """See :class:`deployctl.talk.Talk`."""
        self.write("note", text=text)

    def warn(self, text: str) -> None:
        """See :class:`deployctl.talk.Talk`."""
        self.write("warning", text=text)


class _Phase:
    def __init__(self, name: str, events: Events) -> None:
        self._name = name
        self._events = events
        self._started = time.monotonic()
        self._step: str | None = None
        self._told = 0.0
        self._last: tuple[object, ...] = ()
        self.summary, self.ok = "", True

    def tell(self, event: str, **known: object) -> None:
        now = time.monotonic()
        self._told = now
        seconds = round(now - self._started, 3)
        self._events.write(event, phase=self._name, **known, seconds=seconds)

    def __call__(self, text: str, *, done: int | None = None, total: int | None = None) -> None:
        self._progress((text, done), text=text, step=self._step, done=done, total=total)

    def step(
        self,
        name: str,
        *,
        done: int | None = None,
        total: int | None = None,
        unit: str = "",
        detail: str = "",
    ) -> None:
        known = {"step": name, "done": done, "total": total}
        more = {"unit": unit or None, "detail": detail or None}
        if name != self._step:
            self._step, self._last = name, (done, total, detail)
            self.tell("step", **known, **more)
        else:
            self._progress((done, total, detail), **known, **more)

    def _progress(self, what: tuple[object, ...], **known: object) -> None:
        if what != self._last and time.monotonic() - self._told >= _PROGRESS_S:
            self._last = what
            self.tell("progress", **known)

    def finish(self, summary: str, *, ok: bool = True) -> None:
        self.summary, self.ok = summary, ok
