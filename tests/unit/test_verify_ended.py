"""`verify` ends when it is told to: nothing of it holds the process, nobody waits for ever."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

from deployctl.loopback import Reply
from deployctl.sidebyside import apart, side_by_side
from tests.verifyworld import VerifyBox, verify_box


@pytest.fixture
def box(tmp_path: Path) -> VerifyBox:
    return verify_box(tmp_path)


@pytest.fixture(autouse=True)
def others() -> set[threading.Thread]:
    """The threads that are there before a test begins."""
    return set(threading.enumerate())


@pytest.fixture(autouse=True)
def default_signals() -> Iterator[None]:
    """Have SIGINT raise, also where the tests run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def ctrl_c() -> None:
    """Interrupt the main thread as the terminal does, whatever it waits for."""
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGINT)


def left(others: set[threading.Thread]) -> list[threading.Thread]:
    """Threads of the checks that do not end soon, and those that would hold the process."""
    mine = [thread for thread in threading.enumerate() if thread not in others]
    for thread in mine:
        while thread.ident is None:  # it is just being started
            pass
        thread.join(5)
    return [thread for thread in mine if thread.is_alive()]


def test_a_bug_in_a_check_ends_all_the_others(
    box: VerifyBox, others: set[threading.Thread]
) -> None:
    """The engine's lane stops at once; eight checks beside it wait for its first."""

    def broken(url: str, **_: object) -> Reply:
        raise ZeroDivisionError

    box.stack.call = broken  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        box.verify()
    assert left(others) == []


def test_ctrl_c_ends_it_while_a_check_waits_for_the_engine(
    box: VerifyBox, others: set[threading.Thread]
) -> None:
    answers, real = threading.Event(), box.stack._chat
    begun: list[threading.Thread] = []

    def mute(body: dict[str, object]) -> Reply:
        first = not begun
        begun.append(threading.current_thread())
        if first:
            ctrl_c()
        answers.wait(30)
        return real(body)

    box.stack._chat = mute  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        box.verify()
    waiting = begun.copy()  # another lane may come to ask before this thread hears of Ctrl-C
    assert all(lane.is_alive() for lane in waiting)
    assert all(lane.daemon for lane in waiting)  # the process does not wait for them
    others.update(waiting)
    assert left(others) == []
    answers.set()
    others.difference_update(waiting)
    assert left(others) == []
    assert begun == waiting  # nothing of their lanes began after the end


def test_ctrl_c_while_the_page_is_answered_deletes_its_chat(
    box: VerifyBox, others: set[threading.Thread]
) -> None:
    """The wait for the answer notices that nobody waits any more, and clears away first."""
    box.stack.ui_busy = 1_000_000
    sleep = box.clock.sleep

    def interrupted(seconds: float) -> None:
        box.clock.sleep = sleep  # type: ignore[method-assign]
        ctrl_c()

    box.clock.sleep = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        box.verify("ui-browser-path")
    assert left(others) == []
    assert box.stack.chats == {}
    assert len(box.stack.deleted) == 1


def test_work_apart_hands_on_what_came_of_it_and_holds_nothing() -> None:
    assert apart(lambda: threading.current_thread().daemon, name="x").result(5) is True
    assert side_by_side(lambda n: n * 2, (1, 2, 3), name="x") == [2, 4, 6]
    with pytest.raises(CancelledError):
        side_by_side(lambda _: _cancelled(), (1, 2), name="x")


def _cancelled() -> None:
    raise CancelledError
