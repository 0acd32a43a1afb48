"""How a command that has something to take down at its end is ended: once, and not in the middle.

A second end would break into what the first one sets free, a stack's lock among it, without which
nothing can be taken down.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

#: How people and CI services end a command.
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

#: What is said to who ends a command once more, which has a stack of its own.
_TAKING_DOWN = "taking the stack down first; that takes seconds"


@contextlib.contextmanager
def ended_once(within_s: int | None = None, *, said: str = _TAKING_DOWN) -> Iterator[None]:
    """End what is done here once: by the first signal, or as Ctrl-C would when its time is up.

    Time that is up raises ``recorder.TimeUpError``. A signal that our caller has set to be ignored
    stays so. ``said`` answers each further signal: what is done first.
    """
    from deployctl.recorder import TimeUpError

    if not _here():
        yield
        return

    def end(number: int, _frame: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for each in before:
            signal.signal(each, _later(said))
        raise TimeUpError if number == signal.SIGALRM else KeyboardInterrupt

    heeded = (n for n in _ENDS if signal.getsignal(n) is not signal.SIG_IGN)
    before = {n: signal.signal(n, end) for n in (*heeded, signal.SIGALRM)}
    if within_s is not None:
        signal.setitimer(signal.ITIMER_REAL, within_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def shielded(*, said: str = _TAKING_DOWN) -> Iterator[None]:
    """Take down to the end, whatever comes: CI sends a second signal soon after the first.

    ``said`` answers each.
    """
    if not _here():
        yield
        return
    signal.setitimer(signal.ITIMER_REAL, 0)
    kept = {n: signal.signal(n, _later(said)) for n in _ENDS}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def _here() -> bool:
    """Only the main thread may ask for signals."""
    return threading.current_thread() is threading.main_thread()


def _later(said: str) -> Callable[[int, object], None]:
    def tell(_number: int, _frame: object) -> None:
        from deployctl.cli import console

        console.err(said)

    return tell
