"""Talk in plain lines, for logs: what goes on is said, and ever more seldom while it does."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any, TextIO

from deployctl.cli.console import NAME_WIDTH, amount, duration, ended, far
from deployctl.talk import PhaseTalk
from deployctl.visible import harmless

#: A step of a phase that lasts longer than this is worth a line.
_STEP_S = 1.0

#: In plain output a phase that goes on speaks after so many seconds, then ever more seldom, until
#: once a minute: a log should show that it lives, not every breath.
_PLAIN_FIRST_S, _PLAIN_MORE, _PLAIN_MOST_S = 5.0, 1.5, 60.0


class Lines:
    """Plain lines, for logs: when a phase starts to take long, how far it is, when it ends."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def _line(self, text: str) -> None:
        with self._lock:
            self._stream.write(harmless(text) + "\n")
            self._stream.flush()

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[PhaseTalk]:
        """See :class:`deployctl.talk.Talk`."""
        talk = _Line(name, self._line)
        try:
            yield talk
        except BaseException as end:
            how = ended(end)
            self._line(f"✗ {name:<{NAME_WIDTH}} {duration(talk.elapsed()):>10}  {how}")
            raise
        mark = "✓" if talk.ok else "✗"
        self._line(f"{mark} {name:<{NAME_WIDTH}} {duration(talk.elapsed()):>10}  {talk.summary}")

    def say(self, text: str) -> None:
        """See :class:`deployctl.talk.Talk`."""
        self._line(text)

    def warn(self, text: str) -> None:
        """See :class:`deployctl.talk.Talk`."""
        first, *rest = text.splitlines()
        self._line("\n".join([f"! {first}", *(f"  {line}" for line in rest)]))


class _Line:
    def __init__(self, name: str, write: Any) -> None:  # noqa: ANN401  # a bound method
        self._name = name
        self._write = write
        self._started = self._spoke = time.monotonic()
        self._pause = _PLAIN_FIRST_S
        self._step = ""
        self.summary, self.ok = "", True

    def elapsed(self) -> float:
        return time.monotonic() - self._started

    def __call__(self, text: str, *, done: int | None = None, total: int | None = None) -> None:
        if time.monotonic() - self._spoke < self._pause:
            return
        come = amount(done, total)
        self._say(f"{text} ({come})" if come else text)

    def step(
        self,
        name: str,
        *,
        done: int | None = None,
        total: int | None = None,
        unit: str = "",
        detail: str = "",
    ) -> None:
        now = time.monotonic()
        if name != self._step:
            # It may be over in a moment: it is said when it turns out that it lasts.
            self._step, self._spoke, self._pause = name, now, _STEP_S
        if now - self._spoke < self._pause:
            return
        if self._pause == _STEP_S:
            self._pause = _PLAIN_FIRST_S / _PLAIN_MORE
        come = ", ".join(filter(None, (far(done, total, unit), detail)))
        self._say(f"{name} ({come})" if come else name)

    def _say(self, text: str) -> None:
        self._spoke = time.monotonic()
        self._pause = min(_PLAIN_MOST_S, self._pause * _PLAIN_MORE)
        self._write(f"… {self._name:<{NAME_WIDTH}} {duration(self.elapsed()):>10}  {text}")

    def finish(self, summary: str, *, ok: bool = True) -> None:
        self.summary, self.ok = summary, ok
