"""Work done side by side, in threads that never hold the process.

The threads of ``concurrent.futures`` are joined when the interpreter ends, so that Ctrl-C would
wait for an answer that may take minutes; these are daemons and end with the process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def apart(work: Callable[[], R], *, name: str) -> Future[R]:
    """Begin ``work`` in a thread of its own; the future holds what comes of it, errors too."""
    outcome: Future[R] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as problem:  # raised where the result is asked for
            outcome.set_exception(problem)

    threading.Thread(target=run, name=name, daemon=True).start()
    return outcome


def side_by_side(work: Callable[[T], R], of: Iterable[T], *, name: str) -> list[R]:
    """Do ``work`` for each, all at once; the results in their order, or the first error."""

    def one(each: T) -> Future[R]:
        return apart(lambda: work(each), name=name)

    return [future.result() for future in [one(each) for each in of]]
