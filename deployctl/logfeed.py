"""Follows what a container writes, in a thread of its own, across restarts of the container. Edge.

Knows nothing of Docker: it is given a way to open the stream of bytes from a moment on.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol


class LogFeed(Protocol):
    """What a container writes, as it comes."""

    def drain(self) -> tuple[str, ...]:
        """The lines since the last time, oldest first, without their times; never waits."""

    def close(self) -> None:
        """Listen no more; what was not drained is dropped."""


class LogStream(Protocol):
    """An open stream of a log: chunks of bytes, cut anywhere; each line begins with its time."""

    def __iter__(self) -> Iterator[bytes]:
        """The chunks; ends when the container stops."""

    def close(self) -> None:
        """End it, also while another thread waits for the next chunk."""


#: Opens the log from a moment on (RFC 3339, '' for the beginning) or, when the container is gone,
#: returns ``None``. ``OSError`` when the log cannot be had now.
OpenLog = Callable[[str], LogStream | None]

#: Lines kept for a reader that is slow, and characters of one line.
_MOST_LINES, _MOST_CHARS = 5000, 4000

#: Seconds until a stream that ended is opened again: soon, then ever more seldom.
_FIRST_S, _MOST_S = 0.1, 1.0

#: What closing a stream may fail with: it was closed already, and the SDK digs for its socket.
_CLOSED = (OSError, AttributeError)

#: Docker writes times with nine digits always, so that they sort like text.
_TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:]+\.\d{9}Z ?")


class FollowedLog:
    """A log that is followed until it is closed, or the container is gone, or the process ends."""

    def __init__(self, open_log: OpenLog, *, name: str = "log", since: str = "") -> None:
        self._open = open_log
        self._lines: deque[str] = deque(maxlen=_MOST_LINES)
        self._closed = threading.Event()
        self._stream: LogStream | None = None
        self._place = Place(since)
        threading.Thread(target=self._follow, name=f"follow {name}", daemon=True).start()

    def drain(self) -> tuple[str, ...]:
        """See :class:`LogFeed`."""
        taken = []
        with contextlib.suppress(IndexError):  # the other thread only adds
            while True:
                taken.append(self._lines.popleft())
        return tuple(taken)

    def close(self) -> None:
        """See :class:`LogFeed`."""
        self._closed.set()
        stream = self._stream
        if stream is not None:
            with contextlib.suppress(*_CLOSED):
                stream.close()

    def _follow(self) -> None:
        pause = _FIRST_S
        while not self._closed.is_set():
            heard = False
            # A daemon that restarts breaks the stream in one of many ways. None of them may end
            # the listening, and there is nobody above in this thread who could be told.
            with contextlib.suppress(Exception):
                stream = self._open(self._place.since)
                if stream is None:
                    return
                self._place.opened()
                heard = self._read(stream)
            pause = _FIRST_S if heard else min(_MOST_S, 2 * pause)
            self._closed.wait(pause)

    def _read(self, stream: LogStream) -> bool:
        """Take lines until the stream ends; returns whether one was new."""
        self._stream = stream
        heard = False
        try:
            if self._closed.is_set():  # closed before it could see this stream
                return False
            for line in lines_of(stream):
                text = self._place.new(line)
                if text is not None:
                    self._lines.append(text)
                    heard = True
        finally:
            self._stream = None
            with contextlib.suppress(*_CLOSED):
                stream.close()
        return heard


class Place:
    """How far a log was read: the time of the last line, and how many lines had that time.

    ``since`` is where reading begins: '' or a time as Docker writes it. Lines older than that are
    not taken, until a new one has come: what follows is new whatever its time, since a machine's
    clock may be set back.
    """

    def __init__(self, since: str = "") -> None:
        self.since = since
        self._taken = 0  # lines in a row that bear the time ``since``
        self._seen = 0  # of these, lines that the stream under way has shown
        self._repeating = False  # the stream under way has shown nothing new yet

    def opened(self) -> None:
        """Be told that a stream begins, which shows the last lines once more."""
        self._seen = 0
        self._repeating = bool(self.since)

    def new(self, line: str) -> str | None:
        """The text of a line that was not taken before; ``None`` for one that was."""
        found = _TIME.match(line)
        if found is None:  # the rest of a line that Docker has cut, or a bar drawn anew
            return None if self._repeating else line[:_MOST_CHARS]
        time = found[0].rstrip()
        if self._repeating and self._was_taken(time):
            return None
        self._repeating = False
        self._taken = self._taken + 1 if time == self.since else 1
        self.since = time
        return line[found.end() :][:_MOST_CHARS]

    def _was_taken(self, time: str) -> bool:
        if time == self.since:
            self._seen += 1
            return self._seen <= self._taken
        return time < self.since


def said_since(moment: str, raw: bytes) -> tuple[str, ...]:
    """What a log with its times says from a moment on, as Docker writes it; without the times."""
    place = Place(moment)
    place.opened()
    texts = (place.new(line) for line in lines_of((raw,)))
    return tuple(text for text in texts if text is not None)


def timed_lines(chunks: Iterable[bytes], since: str) -> Iterator[tuple[str, str]]:
    """Lines with their times, from a moment on; what bears none has that of the line before."""
    time = ""
    for line in lines_of(chunks):
        found = _TIME.match(line)
        time = found[0].rstrip() if found else time
        if time >= since:
            yield time, line[found.end() if found else 0 :][:_MOST_CHARS]


def lines_of(chunks: Iterable[bytes]) -> Iterator[str]:
    """Cut chunks of bytes into lines; a bar that redraws itself gives a line for each drawing."""
    rest = b""
    for chunk in chunks:
        *whole, rest = re.split(rb"\r\n|\n|\r(?!$)", rest + chunk)
        for line in whole:
            if line:
                yield line.decode("utf-8", "replace")
        if len(rest) > 4 * _MOST_CHARS:
            yield rest.decode("utf-8", "replace")
            rest = b""
    if rest.strip():
        yield rest.decode("utf-8", "replace")
