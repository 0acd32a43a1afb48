"""Work in a thread of its own, so that whoever waits for it can look around meanwhile."""

from __future__ import annotations

import _thread
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

#: How long an answer is waited for, in real seconds, before whoever asked goes on without it. A
#: daemon that is well answers within some milliseconds.
_ANSWER_S = 0.5

#: No wait is longer at a time. Ctrl-C in the instant in which one begins is noticed at its end: a
#: thread may be held up between its last look at signals and its sleep (seen with Python 3.11).
_SLICE_S = 0.5


class Aside(Generic[T]):
    """Work under way. Given up, it ends by its own time limits, or with the process.

    Made of a bare lock and a bare thread: Ctrl-C inside ``threading.Condition``, of which events,
    queues and ``Thread.start`` are made, ends at times in "RuntimeError: release unlocked lock"
    instead (seen with Python 3.11, about once in a thousand times).
    """

    def __init__(self, work: Callable[[], T]) -> None:
        self._ended = False
        self._error: BaseException | None = None
        self._result: list[T] = []
        self._under_way = _thread.allocate_lock()
        self._under_way.acquire()
        _thread.start_new_thread(self._run, (work,))

    def _run(self, work: Callable[[], T]) -> None:
        try:
            self._result.append(work())
        except BaseException as error:  # raised where the result is asked for
            self._error = error
        finally:
            self._ended = True
            self._under_way.release()

    def done(self, within_s: float = 0.0) -> bool:
        """Whether it has ended; waits so many real seconds for it."""
        until = time.monotonic() + within_s
        while not self._ended:
            left = max(0.0, until - time.monotonic())
            if self._under_way.acquire(timeout=min(left, _SLICE_S)):
                self._under_way.release()
            elif left <= _SLICE_S:
                break
        return self._ended

    def result(self) -> T:
        """What came of it, or the error that ended it; waits until it has ended."""
        while not self._ended:
            self.done(_SLICE_S)
        if self._error is not None:
            raise self._error
        return self._result[0]


class Asked(Generic[T]):
    """A question that is asked again and again of somebody who may hang; that holds nobody up."""

    def __init__(self, ask: Callable[[], T]) -> None:
        self._ask = ask
        self._asking: Aside[T] | None = None

    def answer(self) -> T | None:
        """What came of it, asked now or still under way; ``None`` while there is no answer.

        Raises what asking raises.
        """
        patience = _ANSWER_S if self._asking is None else 0.0
        self._asking = self._asking or Aside(self._ask)
        if not self._asking.done(patience):
            return None
        asking, self._asking = self._asking, None
        return asking.result()
