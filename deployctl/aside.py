"""Work in a thread of its own, so that whoever waits for it can look around meanwhile."""

from __future__ import annotations

import _thread
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

#: How long an answer is waited for, in real seconds, before whoever asked goes on without it. A
#: daemon that is well answers within some milliseconds.
_ANSWER_S = 0.5


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
        if not self._ended and self._under_way.acquire(timeout=within_s):
            self._under_way.release()
        return self._ended

    def result(self) -> T:
        """What came of it, or the error that ended it; waits until it has ended."""
        while not self._ended:
            self.done(60)
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
