"""A limit in time for calls that have none of their own.

Looking up a name cannot be given a timeout, and a connection timeout counts once for every address
behind a name; so a black hole can take minutes although every single step is limited.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TypeVar

from deployctl.weights.problems import UnreachableError

T = TypeVar("T")


def bounded(work: Callable[[], T], *, seconds: float) -> T:
    """The result of ``work``, which runs in a thread of its own for at most ``seconds``.

    Raises what ``work`` raises, or ``UnreachableError`` when it takes longer; the thread is then
    left behind (it is a daemon and ends with its own timeouts).
    """
    results: queue.SimpleQueue[tuple[bool, T | BaseException]] = queue.SimpleQueue()

    def run() -> None:
        try:
            results.put((True, work()))
        except BaseException as problem:  # handed to the caller's thread
            results.put((False, problem))

    threading.Thread(target=run, name="deployctl-look", daemon=True).start()
    try:
        good, value = results.get(timeout=seconds)
    except queue.Empty:
        raise UnreachableError(f"no answer within {seconds:g} s") from None
    if good:
        return value  # type: ignore[return-value]  # tagged by `good`
    assert isinstance(value, BaseException)
    raise value
