"""The only place that prints. stdout is data, stderr is talk.

Three ways of talking: a live view on a terminal, plain lines elsewhere (CI), silence. Whoever
listens may leave (``| head``, a closed terminal): that never ends the work.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TextIO, cast

from deployctl.talk import PhaseTalk, Talk
from deployctl.visible import harmless

if TYPE_CHECKING:
    from deployctl.cli.live import LiveTalk

#: In plain output a phase that goes on speaks after so many seconds, then ever more seldom, until
#: once a minute: a log should show that it lives, not every breath.
_PLAIN_FIRST_S, _PLAIN_MORE, _PLAIN_MOST_S = 5.0, 1.5, 60.0

#: Columns for the name of a phase, in lines and in the live view.
NAME_WIDTH = 15


#: What writing to a closed pipe and to a closed terminal fails with.
_GONE = (errno.EPIPE, errno.EIO)


class _Talked:
    """A stream that stays silent once its reader is gone, or its disk full."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # whatever the stream has
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            _mute(self._stream)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            _mute(self._stream)


def _mute(stream: TextIO) -> None:
    """Point a stream at nothing: what it still holds would fail again when Python ends."""
    with contextlib.suppress(OSError):
        handle, nothing = stream.fileno(), os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, handle)
        os.close(nothing)


def prepare() -> None:
    """Let any text be printed in any encoding: what that lacks is written as its number."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def out(text: str) -> None:
    """Print data, to stdout; nowhere, when nobody reads it any more."""
    try:
        pass_on(text)
    except OSError as problem:
        if problem.errno not in _GONE:
            raise
        _mute(sys.stdout)


def pass_on(line: str) -> None:
    """Print data as it came, to stdout; ``BrokenPipeError`` when nobody reads it any more.

    On a terminal it is made harmless first.
    """
    sys.stdout.write((harmless(line) if sys.stdout.isatty() else line) + "\n")
    sys.stdout.flush()


def stdout_is_gone() -> bool:
    """Whether nobody reads stdout any more; then what it holds is let go."""
    try:
        handle = sys.stdout.fileno()
    except OSError:  # a test's, in memory
        return False
    asked = select.poll()
    asked.register(handle, 0)  # an error is told unasked
    gone = any(events & select.POLLERR for _, events in asked.poll(0))
    if gone:
        _mute(sys.stdout)
    return gone


def err(text: str) -> None:
    """Print talk, to stderr."""
    talked = _Talked(sys.stderr)
    talked.write(harmless(text) + "\n")
    talked.flush()


def can_ask() -> bool:
    """Whether somebody sits at both ends of the terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def duration(seconds: float) -> str:
    """Write seconds for people: ``0.3 s``, ``42 s``, ``4 min 05 s``."""
    if seconds < 10:  # where a decimal stops saying anything
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def amount(done: int | None, total: int | None) -> str:
    """Write progress for people: percent of bytes above a megabyte, else ``3/9``."""
    if done is None:
        return ""
    if not total:
        return f"{done / 1e6:.0f} MB" if done > 1_000_000 else str(done)
    if total < 1_000_000:  # steps, not bytes
        return f"{done}/{total}"
    return f"{done / 1e6:.0f} of {total / 1e6:.0f} MB, {100 * done / total:.0f} %"


def ended(by: BaseException | None) -> str:
    """One word for how a phase ended that did not end well."""
    return "interrupted" if isinstance(by, KeyboardInterrupt) else "failed"


class Silence:
    """Says nothing; warnings are said even so."""

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[PhaseTalk]:  # noqa: ARG002  # the protocol's name
        """See :class:`deployctl.talk.Talk`."""
        yield _Quiet()

    def say(self, text: str) -> None:
        """See :class:`deployctl.talk.Talk`."""

    def warn(self, text: str) -> None:
        """See :class:`deployctl.talk.Talk`."""
        err(f"warning: {text}")


class _Quiet:
    def __call__(self, text: str, *, done: int | None = None, total: int | None = None) -> None:
        pass

    def finish(self, summary: str) -> None:
        pass


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
        self._line(f"✓ {name:<{NAME_WIDTH}} {duration(talk.elapsed()):>10}  {talk.summary}")

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
        self.summary = ""

    def elapsed(self) -> float:
        return time.monotonic() - self._started

    def __call__(self, text: str, *, done: int | None = None, total: int | None = None) -> None:
        now = time.monotonic()
        if now - self._spoke < self._pause:
            return
        self._spoke = now
        self._pause = min(_PLAIN_MOST_S, self._pause * _PLAIN_MORE)
        far = amount(done, total)
        said = f"{text} ({far})" if far else text
        self._write(f"… {self._name:<{NAME_WIDTH}} {duration(self.elapsed()):>10}  {said}")

    def finish(self, summary: str) -> None:
        self.summary = summary


def talk_for(
    *, quiet: bool, json: bool, environment: Mapping[str, str], stream: TextIO
) -> Talk | LiveTalk:
    """Choose how to talk: silence, plain lines, or a live view on a capable terminal."""
    if quiet or json:
        return Silence()
    stream = cast("TextIO", _Talked(stream))
    if not stream.isatty() or environment.get("TERM") == "dumb" or environment.get("CI"):
        return Lines(stream)
    from deployctl.cli.live import LiveTalk  # Rich is slow to import: only where it is seen

    return LiveTalk(stream, colour=not environment.get("NO_COLOR"))
