"""How often a service is probed: soon when it is nearly there, seldom when it takes long."""

from __future__ import annotations

import pytest

from deployctl.deploy.rhythm import Rhythm
from deployctl.engines import phases
from deployctl.readiness import PROBE_EVERY_S
from tests.fakes import FakeClock

LOADING = "loading weights"


def pauses(*steps: tuple[str, float]) -> list[float]:
    """The pause at each step when it has lasted so many seconds more."""
    clock = FakeClock()
    rhythm = Rhythm(clock)
    found = []
    for step, more in steps:
        clock.sleep(more)
        found.append(rhythm.pause(step))
    return found


def test_what_begins_is_asked_often() -> None:
    assert pauses((LOADING, 0), (LOADING, 1), (LOADING, 4)) == [PROBE_EVERY_S] * 3


def test_what_takes_long_is_asked_seldom_and_what_takes_for_ever_not_never() -> None:
    found = pauses((LOADING, 0), (LOADING, 10), (LOADING, 10), (LOADING, 1000))
    assert found == pytest.approx([PROBE_EVERY_S, 0.1, 0.2, 0.5])


def test_what_is_nearly_there_is_asked_soon_however_long_it_took_until_then() -> None:
    _, long, soon = pauses((LOADING, 0), (LOADING, 300), (phases.LISTENING, 1))
    assert long == pytest.approx(0.5)
    assert soon < PROBE_EVERY_S


def test_what_never_gets_there_is_not_asked_fifty_times_a_second() -> None:
    assert pauses((phases.LISTENING, 0), (phases.LISTENING, 60)) == pytest.approx([0.02, 0.5])


def test_a_wait_of_ten_minutes_is_some_thousand_questions() -> None:
    clock = FakeClock()
    rhythm = Rhythm(clock)
    asked = 0
    while clock.now() < 600:
        clock.sleep(rhythm.pause(phases.LISTENING))
        asked += 1
    assert asked < 2000
