"""The only place that prints. stdout is data, stderr is talk.

Four ways of talking: a live view on a terminal, plain lines elsewhere (CI), events for programs
(``--output json``), silence. Whoever listens may leave (``| head``, a closed terminal): that never
ends the work.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from deployctl.errors import DeployctlError
from deployctl.talk import PhaseTalk, Talk
from deployctl.visible import harmless

if TYPE_CHECKING:
    from deployctl.cli.live import LiveTalk

#: Columns for the name of a phase, in lines and in the live view.
NAME_WIDTH = 15


#: What writing to a closed pipe and to a closed terminal fails with.
_GONE = (errno.EPIPE, errno.EIO)

#: What writing to a full disk fails with, and to what was opened to be read.
_REFUSED = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EBADF)


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
    """Let any text be printed in any encoding: what that lacks is written as its number.

    A stream that whoever started us has closed leads to nothing, as nobody is to see it.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115  # stays so
            setattr(sys, name, nowhere)
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


def pour(text: str) -> None:
    """Print some more of a text to stdout, as :func:`pass_on` does, without ending the line."""
    sys.stdout.write(harmless(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()


def aside(text: str, *, dim: bool = False) -> None:
    """Print some more talk to stderr, without ending the line."""
    said = harmless(text) if sys.stderr.isatty() else text
    talked = _Talked(sys.stderr)
    talked.write(f"\x1b[2m{said}\x1b[0m" if dim else said)
    talked.flush()


def ask(prompt: str) -> str:
    """Let somebody at the terminal type a line, with what they typed before at hand.

    ``EOFError`` when they are done (Ctrl-D).
    """
    with contextlib.suppress(ImportError):  # some Pythons are built without it
        import readline  # noqa: F401  # input() then edits the line, and remembers
    return input(prompt)


def can_redraw(environment: Mapping[str, str]) -> bool:
    """Whether stdout is a screen that can be drawn over."""
    return sys.stdout.isatty() and environment.get("TERM") != "dumb"


def columns() -> int:
    """How wide lines on stdout should be: the terminal, or what a log's reader bears with."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 100


def redraw(text: str) -> None:
    """Print data in place of all that the screen showed; what does not change does not flicker."""
    lines = "".join(f"{harmless(line)}\x1b[K\n" for line in text.splitlines())
    sys.stdout.write(f"\x1b[H{lines}\x1b[J")
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


def stdout_refuses(problem: BaseException) -> str | None:
    """Why stdout takes no more, where that is what ``problem`` is; what it holds is let go.

    Asked with an empty line, which is no harm to what was printed where it is taken.
    """
    if getattr(problem, "errno", None) not in _REFUSED:
        return None
    try:
        sys.stdout.write("\n")
        sys.stdout.flush()
    except OSError as refusal:
        _mute(sys.stdout)
        return refusal.strerror
    return None


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


def far(done: int | None, total: int | None, unit: str) -> str:
    """Write how far a step is, in its unit: ``480 of 1889 MB, 25 %``, ``3/9 files``, ``12``."""
    if unit == "bytes":
        if total and done is None:
            return f"{total / 1e6:.0f} MB"
        return amount(done, max(total, 1_000_000) if total else total)
    if done is None:
        return ""
    count = f"{done}/{total}" if total else str(done)
    if unit == "files":
        return f"{count} files"
    return count if total else f"{count} done"


def ended(by: BaseException | None) -> str:
    """A word or two for how a phase ended that did not end well."""
    from deployctl.recorder import TimeUpError

    if isinstance(by, TimeUpError):
        return "ran out of time"
    return "interrupted" if interrupted(by) else "failed"


def interrupted(by: BaseException | None) -> bool:
    """Whether this is Ctrl-C, or what a library made of it.

    Python's own locks make a RuntimeError of one that comes at the wrong moment.
    """
    while by is not None and not isinstance(by, DeployctlError):
        if isinstance(by, KeyboardInterrupt):
            return True
        by = by.__context__
    return False


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
    def step(self, name: str, **known: object) -> None:
        pass

    def __call__(self, text: str, *, done: int | None = None, total: int | None = None) -> None:
        pass

    def finish(self, summary: str, *, ok: bool = True) -> None:
        pass


def talk_for(
    *, quiet: bool, json: bool, environment: Mapping[str, str], stream: TextIO
) -> Talk | LiveTalk:
    """Choose how to talk: silence, events, plain lines, or a live view on a capable terminal."""
    if quiet:
        return Silence()
    stream = cast("TextIO", _Talked(stream))
    if json:
        from deployctl.cli.events import Events

        return Events(stream)
    if not stream.isatty() or environment.get("TERM") == "dumb" or environment.get("CI"):
        from deployctl.cli.lines import Lines

        return Lines(stream)
    from deployctl.cli.live import LiveTalk  # Rich is slow to import: only where it is seen

    return LiveTalk(stream, colour=not environment.get("NO_COLOR"))
