"""How a phase is told: lines for logs, events for programs."""

import io
import json
from typing import Any

import pytest

from deployctl.cli.console import Silence, far, talk_for
from deployctl.cli.events import Events
from deployctl.cli.lines import Lines
from deployctl.cli.live import LiveTalk


class Time:
    """Seconds that pass when told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr("time.monotonic", lambda: self.now)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    return Time(monkeypatch)


def lines(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()


def events(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(stream)]


def test_a_step_is_said_once_it_lasts_a_second_then_ever_more_seldom(time: Time) -> None:
    stream = io.StringIO()
    with Lines(stream).phase("engine ready") as phase:
        for tenth in range(300):
            name = "starting" if tenth < 8 else "loading weights"
            phase.step(name, done=tenth * 10_000_000, total=3_000_000_000, unit="bytes")
            time.now += 0.1
        phase.finish("serves x")
    said = lines(stream)
    assert [line.split()[3] for line in said[:-1]] == ["1.9", "7.0", "15", "26"]
    assert said[0] == "… engine ready         1.9 s  loading weights (190 of 3000 MB, 6 %)"
    assert said[-1] == "✓ engine ready          30 s  serves x"


def test_steps_that_are_over_in_a_moment_are_not_said(time: Time) -> None:
    stream = io.StringIO()
    with Lines(stream).phase("engine ready") as phase:
        for name in ("starting", "loading weights", "warming up", "listening"):
            phase.step(name)
            time.now += 0.5
            phase.step(name)
    assert len(lines(stream)) == 1


def test_every_phase_and_step_is_an_event(time: Time) -> None:
    stream = io.StringIO()
    talk = Events(stream)
    with talk.phase("engine ready") as phase:
        phase.step("starting")
        time.now += 0.5
        phase.step("loading weights", total=92, unit="bytes")
        time.now += 2
        phase.step("loading weights", done=46, total=92, unit="bytes")
        phase.step("loading weights", done=47, total=92, unit="bytes")
        phase.step("loading weights", done=47, total=92, unit="bytes")
        phase.finish("serves x")
    talk.say("made to fit")
    talk.warn("silent")
    about = {"version": 1, "phase": "engine ready"}
    assert events(stream) == [
        about | {"event": "begin", "seconds": 0.0},
        about | {"event": "step", "step": "starting", "seconds": 0.0},
        about
        | {
            "event": "step",
            "step": "loading weights",
            "total": 92,
            "unit": "bytes",
            "seconds": 0.5,
        },
        about
        | {
            "event": "progress",
            "step": "loading weights",
            "done": 46,
            "total": 92,
            "unit": "bytes",
            "seconds": 2.5,
        },
        about | {"event": "end", "ok": True, "summary": "serves x", "seconds": 2.5},
        {"version": 1, "event": "note", "text": "made to fit"},
        {"version": 1, "event": "warning", "text": "silent"},
    ]


def test_what_is_not_said_with_steps_is_progress_too(time: Time) -> None:
    stream = io.StringIO()
    with Events(stream).phase("weights") as phase:
        time.now += 2
        phase("downloading", done=1, total=2)
    assert events(stream)[1] == {
        "version": 1,
        "event": "progress",
        "phase": "weights",
        "text": "downloading",
        "done": 1,
        "total": 2,
        "seconds": 2.0,
    }


@pytest.mark.parametrize(
    ("error", "how"), [(ValueError, "failed"), (KeyboardInterrupt, "interrupted")]
)
def test_a_phase_that_fails_ends_with_an_event(
    time: Time, error: type[BaseException], how: str
) -> None:
    stream = io.StringIO()
    with pytest.raises(error), Events(stream).phase("proof"):
        raise error
    (_, end) = events(stream)
    assert (end["event"], end["ok"], end["summary"]) == ("end", False, how)


def test_events_are_one_line_each_in_plain_ascii(time: Time) -> None:
    stream = io.StringIO()
    Events(stream).warn("two\nlines, ä and \x1b[31m")
    (line,) = lines(stream)
    assert line.isascii()
    assert "\x1b" not in line


def test_who_is_talked_to() -> None:
    def talk(*, quiet: bool = False, json: bool = False) -> object:
        return talk_for(quiet=quiet, json=json, environment={}, stream=io.StringIO())

    assert isinstance(talk(), Lines)
    assert isinstance(talk(json=True), Events)
    assert isinstance(talk(json=True, quiet=True), Silence)


def test_the_live_view_shows_step_share_and_detail() -> None:
    stream = io.StringIO()
    talk = LiveTalk(stream, colour=False)
    with talk.phase("engine ready") as phase:
        phase.step("reserving KV cache", detail="90 MiB")
        assert "reserving KV cache  90 MiB" in _drawn(talk)
        phase.step("loading weights", done=25_000_000, total=100_000_000, unit="bytes")
        assert "loading weights  25 of 100 MB, 25 %" in _drawn(talk)


def _drawn(talk: LiveTalk) -> str:
    from rich.console import Console

    screen = io.StringIO()
    Console(file=screen, width=120).print(talk)
    return screen.getvalue()


@pytest.mark.parametrize(
    ("done", "total", "unit", "text"),
    [
        (None, None, "", ""),
        (None, 98_000_000, "bytes", "98 MB"),
        (480_000_000, 1_889_000_000, "bytes", "480 of 1889 MB, 25 %"),
        (1, 2, "files", "1/2 files"),
        (12, None, "steps", "12 done"),
        (3, 7, "steps", "3/7"),
    ],
)
def test_how_far_a_step_is(done: int | None, total: int | None, unit: str, text: str) -> None:
    assert far(done, total, unit) == text


def test_a_phase_that_ends_with_something_bad_has_no_tick(time: Time) -> None:
    plain, told, live = io.StringIO(), io.StringIO(), io.StringIO()
    for talk in (Lines(plain), Events(told), LiveTalk(live, colour=False)):
        with talk.phase("checks") as phase:
            phase.finish("2 ok · 3 failed", ok=False)
    assert lines(plain)[0].startswith("✗ checks")
    assert lines(plain)[0].endswith("2 ok · 3 failed")
    assert events(told)[-1]["ok"] is False
    assert "✗ checks" in live.getvalue()
    assert "2 ok · 3 failed" in live.getvalue()
