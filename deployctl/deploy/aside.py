"""Work in a thread of its own, so that whoever waits for it can look around meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Aside(Generic[T]):
    """Work under way. Given up, it ends by its own time limits, or with the process."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._ended = threading.Event()
        self._error: BaseException | None = None
        self._result: list[T] = []
        threading.Thread(target=self._run, args=(work,), daemon=True).start()

    def _run(self, work: Callable[[], T]) -> None:
        try:
            self._result.append(work())
        except BaseException as error:  # raised where the result is asked for
            self._error = error
        finally:
            self._ended.set()

    def done(self, within_s: float = 0.0) -> bool:
        """Whether it has ended; waits so many real seconds for it."""
        return self._ended.wait(within_s)

    def result(self) -> T:
        """What came of it, or the error that ended it; waits until it has ended."""
        self._ended.wait()
        if self._error is not None:
            raise self._error
        return self._result[0]
