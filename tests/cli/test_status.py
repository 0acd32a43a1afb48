"""`status`, `reconcile` and `watch` on the command line, over fakes."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from deployctl.cli.reconcile import text
from deployctl.cli.vitalstext import lines_of
from deployctl.deploy.reconcile import ReconcileReport, SetBack
from deployctl.deploy.status import status
from tests.cli.commandline import deployctl
from tests.fakes import FakeClock
from tests.panel import FakePanel
from tests.world import Box

ASKED = ["ENABLE_SIGNUP=false", "ENABLE_PERSISTENT_CONFIG=false"]


class LimitedClock(FakeClock):
    """Ctrl-C after so many sleeps."""

    def __init__(self, sleeps: int) -> None:
        super().__init__()
        self.left = sleeps

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


@pytest.fixture
def running(box: Box, capsys: pytest.CaptureFixture[str]) -> Box:
    """A stack that is up; its frontend lets people sign up, which nobody asked for."""
    box.http = FakePanel(**{"ui.enable_signup": True})
    deployctl(box, "up", "--profile", "smoke")
    box.docker.inspected = {"id-webui": {"Config": {"Env": ASKED}}}
    capsys.readouterr()
    return box


def test_drift_is_shown_with_the_way_back(running: Box, capsys: pytest.CaptureFixture[str]) -> None:
    assert deployctl(running, "status") == 0
    out = capsys.readouterr().out
    assert "General > New Sign Ups (ui.enable_signup) is on; the profile asks for off." in out
    assert "next: deployctl reconcile webui --stack deployctl" in out
    assert "KV use not told by llama.cpp" in out
    assert deployctl(running, "reconcile", "webui", "--dry-run") == 0
    assert "Would be set back:" in capsys.readouterr().out
    assert deployctl(running, "reconcile", "webui") == 0
    assert "New Sign Ups (ui.enable_signup): on → off" in capsys.readouterr().out
    assert deployctl(running, "reconcile", "webui") == 0
    assert "is as its profile asks" in capsys.readouterr().out


def test_status_as_json_has_figures_and_drift(
    running: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deployctl(running, "status", "--output", "json") == 0
    data = json.loads(capsys.readouterr().out)["data"]
    assert {"services", "engine", "drift", "checks", "containers"} <= set(data)
    assert "ui.enable_signup" in [drift["name"] for drift in data["drift"]]


def test_watching_is_a_line_each_until_ctrl_c(
    running: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    running.clock = LimitedClock(2)
    assert deployctl(running, "status", "--watch") == 130
    seen = capsys.readouterr()
    assert len(seen.out.splitlines()) == 3
    assert seen.err == ""
    assert " ok · engine running, healthy · " in seen.out


@pytest.mark.parametrize("words", [("status", "--watch"), ("watch",)])
def test_watching_as_json_is_an_envelope_in_each_line(
    running: Box, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    running.clock = LimitedClock(1)
    assert deployctl(running, *words, "--output", "json") == 130
    lines = capsys.readouterr().out.splitlines()
    assert lines
    for line in lines:
        found = json.loads(line)
        assert (found["version"], found["command"], found["exit_code"]) == (1, words[0], 0)


def test_watch_heals_and_says_so(running: Box, capsys: pytest.CaptureFixture[str]) -> None:
    running.clock = LimitedClock(0)
    engine = running.docker.states["engine"]
    running.docker.states["engine"] = replace(engine, status="exited")
    assert deployctl(running, "watch", "--heal") == 130
    out = capsys.readouterr().out
    assert " healing: Restarting engine: " in out
    assert " healed: engine was started again" in out


def test_only_the_chat_window_is_reconciled(
    running: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deployctl(running, "reconcile", "engine") == 2
    assert "webui" in capsys.readouterr().err


def test_no_line_of_a_report_is_wider_than_asked(running: Box) -> None:
    panel = running.http
    assert isinstance(panel, FakePanel)
    panel.engine_silent = True
    running.docker.states["engine"] = replace(
        running.docker.states["engine"], image="a/b:" + "c" * 40
    )
    report = status(running.world("status"), "deployctl", datetime(2026, 11, 22, tzinfo=UTC))
    whole = lines_of(report, 10_000)
    assert max(map(len, whole)) > 100
    for width in (60, 80, 100):
        told = [line for line in lines_of(report, width) if "next: " not in line]
        assert max(map(len, told)) <= width
        squeezed = " ".join(" ".join(lines_of(report, width)).split())
        assert squeezed.replace("· ", "") == " ".join(" ".join(whole).split()).replace("· ", "")


def test_watching_a_name_that_nothing_has_ends_at_once(
    running: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    running.docker.states.clear()
    running.clock = LimitedClock(1)
    assert deployctl(running, "watch", "--stack", "nosuch") == 5
    err = capsys.readouterr().err
    assert "[stack-unknown]" in err
    assert "the stacks there are: deployctl" in err


def test_a_secret_that_is_set_back_is_said_to_be_one() -> None:
    one = SetBack(name="openai.api_keys", where="Connections", before="***", after="***")
    report = ReconcileReport(stack="s", dry_run=True, set_back=(one,), left=())
    assert text(report).endswith("Connections (openai.api_keys): (a secret; not shown)")
