"""``smoke`` on the command line: exit codes, where results go, and signals."""

from __future__ import annotations

import json
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from deployctl.cli.signals import ended_once, shielded
from deployctl.cli.smoke import _hand_out
from deployctl.cli.smoketext import text
from deployctl.cli.verify import Written
from deployctl.deploy.smoketest import SmokeReport, Step
from deployctl.errors import Fault
from deployctl.marks import SMOKE as MAKER
from deployctl.marks import held
from deployctl.outcomes import CheckResult
from deployctl.recorder import TimeUpError
from tests.cli.commandline import deployctl
from tests.world import Box

SMOKE = ("smoke", "--profile", "smoke")


def report(*faults: Fault, artifacts: Path | None = None) -> SmokeReport:
    def ok(name: str, seconds: float) -> CheckResult:
        return CheckResult(name=name, status="ok", summary=f"{name} done", seconds=seconds)

    bad = CheckResult(
        name="no-egress", status="failed", summary="got out\x1b[2J", hint="x", seconds=2
    )
    skipped = CheckResult(name="model-on-gpu", status="skipped", summary="no card")
    return SmokeReport(
        stack="deployctl-smoke",
        profile="smoke",
        model="Tiny",
        status="failed" if faults else "ok",
        steps=(
            Step(name="up", checks=(ok("preflight", 0.25),)),
            Step(name="verify", checks=(skipped, *((bad,) if faults else ()))),
            Step(name="down", checks=(ok("nothing left", 0.01),)),
        ),
        kept=False,
        artifacts=artifacts,
        models=Path("/home/ann/models"),
        images=("localhost/a:1", "localhost/b:1"),
        seconds=21.25,
        faults=faults,
    )


EGRESS = Fault(code="check-failed", message="webui got out", hint="ls /a", where="no-egress")
DOWN = Fault(code="compose-failed", message="not removed", hint="x")


def test_the_table_ends_with_what_came_of_it() -> None:
    assert text(report()).splitlines() == [
        "– model-on-gpu               no card",
        "✓ nothing left        0.0 s  nothing left done",
        "",
        "Smoke test of profile smoke (Tiny): passed after 21 s",
        "A cache for the next run: /home/ann/models",
        "                          image localhost/a:1",
        "                          image localhost/b:1",
    ]


def test_what_the_phases_told_is_not_told_again(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    box.http.engine_ready = False
    assert deployctl(box, *SMOKE) == 6
    seen = capsys.readouterr()
    assert not any(name in seen.out for name in ("preflight", "engine ready", "not reached"))
    assert "nothing left" in seen.out
    assert "failed after" in seen.out


@pytest.mark.parametrize("keep", [(), ("--keep",)])
def test_a_refused_test_has_no_table(
    box: Box, keep: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert deployctl(box, "up", "--profile", "smoke") == 0
    capsys.readouterr()
    assert deployctl(box, *SMOKE, "--stack", "deployctl", *keep) == 2
    assert capsys.readouterr().out == ""


def test_evidence_is_for_its_owner_alone(box: Box, tmp_path: Path) -> None:
    kept, junit = tmp_path / "new/kept", tmp_path / "junit.xml"
    before = os.umask(0o022)
    try:
        deployctl(box, *SMOKE, "--artifacts", str(kept), "--junit", str(junit))
    finally:
        os.umask(before)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (kept, *kept.rglob("*"))}
    assert kept / "junit.xml" in modes
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}
    assert stat.S_IMODE(junit.stat().st_mode) == 0o644
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o755


@pytest.mark.parametrize(
    ("faults", "code"),
    [((), 0), ((EGRESS,), 6), ((EGRESS, DOWN), 6), ((DOWN,), 5)],
)
def test_the_exit_code_is_the_first_failures(
    faults: tuple[Fault, ...], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _hand_out(report(*faults), Written.TEXT, None) == code
    seen = capsys.readouterr()
    assert "\x1b" not in seen.out
    assert [fault.code in seen.err for fault in faults] == [True] * len(faults)


def test_json_has_the_report_and_the_faults(capsys: pytest.CaptureFixture[str]) -> None:
    assert _hand_out(report(EGRESS), Written.JSON, None) == 6
    found = json.loads(capsys.readouterr().out)
    assert (found["command"], found["status"], found["exit_code"]) == ("smoke", "failed", 6)
    assert [step["name"] for step in found["data"]["steps"]] == ["up", "verify", "down"]
    assert [error["code"] for error in found["errors"]] == ["check-failed"]
    assert "faults" not in found["data"]


def test_junit_has_every_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "new" / "junit.xml"
    assert _hand_out(report(EGRESS, artifacts=tmp_path / "kept"), Written.JUNIT, file) == 6
    out = capsys.readouterr().out
    (suite,) = ET.fromstring(out)
    cases = [case.get("name") for case in suite.iter("testcase")]
    assert cases == [
        "up: preflight",
        "verify: model-on-gpu",
        "verify: no-egress",
        "down: nothing left",
    ]
    assert [len(list(suite.iter(tag))) for tag in ("failure", "skipped")] == [1, 1]
    written = file.read_text(encoding="utf-8")
    assert (tmp_path / "kept/junit.xml").read_text(encoding="utf-8") == written
    assert ET.fromstring(written) is not None


# ── the command ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("time", ["15", "0s", "soon", "-5m"])
def test_a_time_that_is_none_is_a_wrong_command_line(
    box: Box, time: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deployctl(box, *SMOKE, f"--timeout={time}") == 2
    assert "next:  deployctl smoke --help" in capsys.readouterr().err


def test_a_result_with_nowhere_to_go_is_said_at_once(
    box: Box, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert deployctl(box, *SMOKE, "--junit", str(tmp_path / "file/junit.xml")) == 5
    assert "junit.xml cannot be written" in capsys.readouterr().err
    assert box.runner.commands == []


def test_a_test_that_is_refused_has_its_cause_in_the_junit_file(
    box: Box, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    junit = tmp_path / "junit.xml"
    with held(box.home, "deployctl-smoke", MAKER, doing="smoke", hint="x"):
        assert deployctl(box, *SMOKE, "--junit", str(junit)) == 5
    failure = ET.parse(junit).find(".//failure")
    assert failure is not None
    assert failure.get("type") == "stack-locked"
    assert "next:  deployctl smoke --profile smoke --stack deployctl-smoke-2" in (
        capsys.readouterr().err
    )


def test_no_empty_file_is_left_where_there_is_no_result(box: Box, tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    assert deployctl(box, *SMOKE, "--stack", "NO NAME", "--junit", str(junit)) == 2
    assert not junit.exists()


def test_a_start_that_fails_is_its_exit_code_and_the_report_is_there(
    box: Box, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    box.http.engine_ready = False
    junit = tmp_path / "junit.xml"
    kept = tmp_path / "kept"
    code = deployctl(
        box, *SMOKE, "--junit", str(junit), "--artifacts", str(kept), "--output", "json"
    )
    seen = capsys.readouterr()
    assert (code, seen.err) == (6, "")
    found = json.loads(seen.out)
    assert found["errors"][0]["code"].startswith("engine-")
    assert found["data"]["artifacts"] == str(kept)
    assert ET.parse(junit).find(".//failure") is not None
    assert box.docker.states == {}


def test_a_profile_that_is_none_is_exit_3(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    assert deployctl(box, "smoke", "--profile", "smok") == 3
    assert "next:  deployctl smoke --profile smoke" in capsys.readouterr().err


def test_the_operators_stack_is_refused(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    assert deployctl(box, "up", "--profile", "smoke") == 0
    capsys.readouterr()
    assert deployctl(box, *SMOKE, "--stack", "deployctl") == 2
    assert "[smoke-refused]" in capsys.readouterr().err
    assert box.docker.states


def test_ctrl_c_takes_down_and_is_exit_130(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    box.runner.interrupt_at = "start the stack"
    assert deployctl(box, *SMOKE) == 130
    err = capsys.readouterr().err
    assert "Interrupted; stack deployctl-smoke is taken down." in err
    assert "next:  deployctl smoke --profile smoke" in err
    assert err.count("[interrupted]") == 1
    assert "stop the stack" in box.runner.labels
    assert not (box.home / "stacks/deployctl-smoke").exists()


# ── signals ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Whatever a test does, the handlers are as they were."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    after = {number: signal.getsignal(number) for number in numbers}
    for number, handler in before.items():
        signal.signal(number, handler)
    assert after == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_taking_down_is_not_interrupted(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    with shielded():
        signal.raise_signal(number)
        signal.raise_signal(number)
    assert capsys.readouterr().err.count("taking the stack down first") == 2


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM, signal.SIGALRM])
def test_only_the_first_signal_ends_a_test(
    first: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second would break into what the first one sets free."""

    def tested() -> None:
        try:
            signal.raise_signal(first)
        finally:
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises((KeyboardInterrupt, TimeUpError)), ended_once(3600):
        tested()
    assert capsys.readouterr().err.count("taking the stack down first") == 2


def test_who_has_no_stack_to_take_down_says_what_is_done_instead(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def ended() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt), ended_once(said="writing down what was measured"):
        ended()
    with shielded(said="one moment"):
        signal.raise_signal(signal.SIGINT)
    assert capsys.readouterr().err == "writing down what was measured\none moment\n"


def test_time_ends_a_test_as_ctrl_c_does() -> None:
    with pytest.raises(TimeUpError), ended_once(3600):
        signal.raise_signal(signal.SIGALRM)
    with ended_once(3600), shielded():
        assert signal.getitimer(signal.ITIMER_REAL)[0] == 0.0
