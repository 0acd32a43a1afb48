"""``smoke`` over fakes: what it makes goes, what others made stays, and what failed is told."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deployctl.deploy.smoke import smoke
from deployctl.deploy.smoketest import PHASES, SmokeReport, SmokeRequest, _longer, as_smoke
from deployctl.deploy.up import up
from deployctl.deploy.verify import VerifyReport
from deployctl.deploy.world import UpRequest, World
from deployctl.errors import DeployctlError
from deployctl.marks import SMOKE as MAKER
from deployctl.marks import held
from deployctl.outcomes import CheckResult
from deployctl.profiles.selection import Selection
from deployctl.recorder import TimeUpError, failed_check
from deployctl.workspace import Workspace
from tests.fakes import FakeFacts, container, facts
from tests.world import Box

SMOKE = Selection(profile="smoke")
NAME = "deployctl-smoke"


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(home=tmp_path / "home")


def fine(_world: World, stack: str, _only: tuple[str, ...]) -> VerifyReport:
    return verified(stack, CheckResult(name="chat", status="ok", summary="it answered"))


def verified(stack: str, *checks: CheckResult) -> VerifyReport:
    return VerifyReport(
        stack=stack,
        status="ok",
        profile="smoke",
        model="m",
        engine="llama.cpp",
        passed=0,
        warnings=0,
        failed=0,
        skipped=0,
        checks=checks,
        seconds=0.0,
    )


def ending(end: BaseException) -> Callable[..., VerifyReport]:
    def verify(_world: World, _stack: str, _only: tuple[str, ...]) -> VerifyReport:
        raise end

    return verify


def run(box: Box, checks: Callable[..., VerifyReport] = fine, **asked: Any) -> SmokeReport:
    request = SmokeRequest(selection=asked.pop("selection", SMOKE), **asked)
    return smoke(box.world("smoke"), request, shield=contextlib.nullcontext, checks=checks)


def left(box: Box) -> list[str]:
    """What of a smoke test is still there: on Docker, and of its folders."""
    folders = [box.home / "stacks" / NAME, box.home / "smoke"]
    there = [str(folder) for folder in folders if folder.exists()]
    return [*box.docker.states, *box.docker.kept_volumes, *there]


def refused(box: Box) -> str:
    """Why it does not even begin; nothing of it is there then."""
    report = run(box)
    assert {status for checks in told(report).values() for _, status in checks} == {
        "failed",
        "skipped",
    }
    assert "stop the stack" not in box.runner.labels
    return report.faults[0].code


def told(report: SmokeReport) -> dict[str, list[tuple[str, str]]]:
    return {
        step.name: [(check.name, check.status) for check in step.checks] for step in report.steps
    }


# ── it passes ─────────────────────────────────────────────────────────────────────────────────


def test_every_step_is_told_and_nothing_is_left(box: Box) -> None:
    report = run(box)
    assert (report.status, report.faults, report.artifacts) == ("ok", (), None)
    steps = told(report)
    assert [name for name, _ in steps["up"]][: len(PHASES)] == list(PHASES)
    assert steps["verify"] == [("chat", "ok")]
    assert steps["down"] == [("down", "ok"), ("nothing left", "ok")]
    assert all(status == "ok" for checks in steps.values() for _, status in checks)
    assert left(box) == []
    assert report.models == box.home / "models"


def test_it_leaves_the_stack_of_the_operator_alone(box: Box) -> None:
    up(box.world(), UpRequest(stack="deployctl", selection=SMOKE))
    before = sorted(path.name for path in (box.home / "stacks/deployctl").iterdir())
    box.docker.states.clear()  # the fake daemon knows one stack only
    box.docker.kept_volumes = ()
    run(box)
    assert sorted(path.name for path in (box.home / "stacks/deployctl").iterdir()) == before


def test_taken_ports_are_replaced_unless_they_were_set(box: Box) -> None:
    box.facts = FakeFacts(facts(busy_ports={7860: "container other", 7861: "nginx"}))
    seen: list[Any] = []

    def look(world: World, stack: str, only: tuple[str, ...]) -> VerifyReport:
        seen.append(Workspace(world.home, stack).manifest())
        return fine(world, stack, only)

    assert run(box, look).status == "ok"
    assert (seen[0].webui_port, seen[0].engine_port) == (7862, 8000)
    report = run(box, selection=SMOKE.with_set("ports.webui", 7861))
    assert report.faults[0].code == "port-taken"
    assert report.faults[0].hint.startswith("deployctl smoke --profile smoke --set ports.webui=")


def test_what_is_kept_is_taken_away_by_the_next(box: Box) -> None:
    report = run(box, keep=True)
    assert (report.kept, told(report)["down"]) == (True, [("down", "skipped")])
    assert box.docker.states
    assert run(box).status == "ok"
    assert any("earlier smoke test" in said for said in box.talk.said)
    assert left(box) == []


# ── it fails ──────────────────────────────────────────────────────────────────────────────────


def test_a_start_that_fails_keeps_the_evidence_and_takes_the_stack_down(box: Box) -> None:
    box.http.engine_ready = False
    box.docker.tails = {"id-engine": ("a last word",)}
    report = run(box)
    assert report.status == "failed"
    assert report.faults[0].code.startswith("engine-")
    steps = told(report)
    assert ("engine ready", "failed") in steps["up"]
    assert ("proof", "skipped") in steps["up"]
    assert steps["verify"] == [("checks", "skipped")]
    assert left(box) == []
    assert report.artifacts == box.home / "artifacts" / NAME
    kept = {str(path.relative_to(report.artifacts)) for path in report.artifacts.rglob("*.*")}
    assert {"networks.json", "bundle/compose.yaml", "plan.json", "logs/engine.log"} <= kept
    assert "a last word" in (report.artifacts / "logs/engine.log").read_text()


def test_no_secret_is_in_the_evidence(box: Box, tmp_path: Path) -> None:
    secrets: list[str] = []

    def look(world: World, stack: str, only: tuple[str, ...]) -> VerifyReport:
        kept = Workspace(world.home, stack).secrets()
        secrets.extend(
            (kept.engine_key.reveal(), kept.admin_password.reveal(), kept.webui_secret.reveal())
        )
        box.docker.tails = {"id-engine": (f"key {secrets[0]} refused",)}
        env = {"Config": {"Env": [f"PASSWORD={secrets[1]}"], "Cmd": [secrets[2]]}}
        box.docker.inspected = {"id-webui": env}
        (Workspace(world.home, stack).folder / "deployctl.log").write_text(secrets[1])
        bad = CheckResult(
            name="leak",
            status="failed",
            summary=f"saw {secrets[0]}",
            details=(secrets[1],),
            hint="deployctl logs engine",
        )
        return verified(stack, bad)

    report = run(box, look, artifacts=tmp_path / "kept")
    written = "".join(path.read_text() for path in (tmp_path / "kept").rglob("*") if path.is_file())
    assert "refused" in written
    for secret in secrets:
        assert secret not in written
        assert secret not in repr(report)
    for name in (".env", "secrets.json", "credentials", "session"):
        assert not list((tmp_path / "kept").rglob(name))


def test_what_ci_publishes_holds_no_secret_of_anybody(box: Box, tmp_path: Path) -> None:
    """What operators plant outside the stack: the job's variables, an override, labels, names."""
    planted = {
        "job": "/J8sdJobSecret",
        "override": "Overr1de;Pa55 word",
        "label": "LabelTok3n",
        "variable": "C0ntainerOnly!Secret",
        "proxy": "pr0xyPassw0rd",
        "mirror": "mirror.corp.internal",
    }
    folder = box.home / "stacks" / NAME
    folder.mkdir(parents=True)
    (folder / "compose.override.yaml").write_text(
        f'services:\n  webui:\n    environment:\n      MY_PASSWORD: "{planted["override"]}"\n'
    )

    def look(_world: World, stack: str, _only: tuple[str, ...]) -> VerifyReport:
        said = tuple(f"saw {text}" for text in planted.values())
        box.docker.tails = {"id-engine": said}
        variable, label = f"SMTP_PASSWORD={planted['variable']}", planted["label"]
        config = {"Env": [variable, "A=1"], "Labels": {"operator.api-token": label}, "Cmd": said}
        box.docker.inspected = {"id-webui": {"Config": config}}
        bad = CheckResult(
            name="leak", status="failed", summary=said[0], details=said, hint=f"x {said[0]}"
        )
        return verified(stack, bad)

    address = f"http://bob:{planted['proxy']}@{planted['mirror']}:3128"
    report = run(
        box,
        look,
        artifacts=tmp_path / "kept",
        environment={"AWS_SECRET_ACCESS_KEY": planted["job"], "https_proxy": address},
        root=tmp_path,
    )
    files = {path.name: path for path in (tmp_path / "kept").rglob("*") if path.is_file()}
    written = {name: path.read_text() for name, path in files.items()}
    assert "saw ***" in written["engine.log"]
    assert "A=***" in written["webui.json"]
    for secret in planted.values():
        assert secret not in "".join(written.values())
        assert secret not in repr(report)
    assert {path.stat().st_mode & 0o777 for path in files.values()} == {0o600}


def test_evidence_that_cannot_be_had_takes_the_stack_down_all_the_same(
    box: Box, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    report = run(box, artifacts=tmp_path / "file/kept")
    assert any("evidence is not whole" in said for said in box.talk.warned)
    assert report.status == "ok"
    assert left(box) == []


def test_a_failed_check_is_the_tests_failure(box: Box) -> None:
    bad = CheckResult(
        name="no-egress",
        status="failed",
        summary="webui got out",
        hint=f"deployctl logs webui --stack {NAME}",
        code="check-failed",
    )
    report = run(box, lambda _w, stack, _o: verified(stack, bad))
    (fault,) = report.faults
    assert (fault.code, fault.where, fault.message) == (
        "check-failed",
        "no-egress",
        "webui got out",
    )
    assert fault.hint == f"ls -R {report.artifacts}  # logs, states and events"
    assert told(report)["verify"] == [("no-egress", "failed")]
    assert report.steps[1].checks[0].hint == fault.hint
    assert left(box) == []


@pytest.mark.parametrize(
    ("end", "code"),
    [(KeyboardInterrupt(), "interrupted"), (TimeUpError(), "smoke-timeout")],
)
def test_whoever_ends_it_the_stack_is_taken_down(box: Box, end: BaseException, code: str) -> None:
    report = run(box, ending(end))
    assert [fault.code for fault in report.faults] == [code]
    assert report.faults[0].hint.startswith("deployctl smoke --profile smoke")
    assert left(box) == []


def test_time_that_was_up_is_told_as_that_with_twice_as_much(box: Box) -> None:
    report = run(box, ending(TimeUpError()))
    assert report.faults[0].hint.endswith(" --timeout 2h")
    assert failed_check("start", TimeUpError(), 1.0).summary == "ran out of time"
    assert failed_check("start", KeyboardInterrupt(), 1.0).summary == "interrupted"


@pytest.mark.parametrize(("seconds", "longer"), [(9, "5m"), (200, "7m"), (5400, "3h")])
def test_more_time_is_twice_what_was_given_and_at_least_five_minutes(
    seconds: int, longer: str
) -> None:
    assert _longer(seconds) == longer


def test_whoever_ends_it_while_it_clears_away_an_earlier_one_clears_that_away_too(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(box, keep=True)
    monkeypatch.setattr("deployctl.deploy.smoke._sweep", _interrupted)
    report = run(box)
    assert [fault.message for fault in report.faults] == [
        f"Interrupted; stack {NAME} is taken down."
    ]
    assert told(report)["down"] == [("down", "ok"), ("nothing left", "ok")]
    assert left(box) == []


def test_whoever_ends_it_before_anything_hears_that_nothing_was_made(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployctl.deploy.passing._there", _interrupted)
    report = run(box, keep=True)
    assert [fault.message for fault in report.faults] == ["Interrupted; nothing was made yet."]
    assert left(box) == []


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_the_evidence_is_of_this_test_alone(box: Box, tmp_path: Path) -> None:
    for folder in (box.home / "artifacts" / NAME, tmp_path / "kept"):
        folder.mkdir(parents=True)
        (folder / "earlier.log").touch()
    box.http.engine_ready = False
    assert run(box).artifacts == box.home / "artifacts" / NAME
    assert not (box.home / "artifacts" / NAME / "earlier.log").exists()
    assert (box.home / "artifacts" / NAME / "plan.json").is_file()
    run(box, artifacts=tmp_path / "kept")
    assert (tmp_path / "kept/earlier.log").is_file()  # the operator's own folder


def test_an_interruption_that_broke_something_is_one(box: Box) -> None:
    broken = RuntimeError("release unlocked lock")
    broken.__context__ = KeyboardInterrupt()
    assert [fault.code for fault in run(box, ending(broken)).faults] == ["interrupted"]
    assert left(box) == []


def test_a_bug_takes_the_stack_down_and_stays_a_bug(box: Box) -> None:
    with pytest.raises(ZeroDivisionError):
        run(box, ending(ZeroDivisionError()))
    assert left(box) == []


def test_a_down_that_fails_does_not_hide_why(box: Box) -> None:
    box.runner.fail = {"stop the stack": "daemon gone"}
    report = run(box, ending(DeployctlError("no answer", code="proof-failed", hint="x")))
    assert [fault.code for fault in report.faults] == ["proof-failed", "compose-failed"]
    assert told(report)["down"] == [("down", "failed")]
    assert (box.home / "smoke" / NAME).is_dir()  # the next one takes it away
    box.runner.fail = {}
    assert run(box).status == "ok"
    assert left(box) == []


def test_a_down_that_fails_is_a_failure_of_its_own(box: Box) -> None:
    box.docker.nets = ({"Name": f"{NAME}_default"},)
    assert refused(box) == "smoke-refused"  # there before: not a smoke test's
    box.docker.nets = ()

    def look(world: World, stack: str, only: tuple[str, ...]) -> VerifyReport:
        box.docker.nets = ({"Name": f"{NAME}_default"},)
        return fine(world, stack, only)

    report = run(box, look)
    assert [fault.code for fault in report.faults] == ["smoke-leftovers"]
    assert told(report)["down"][-1] == ("nothing left", "failed")
    assert box.clock.seconds > 0  # it tried again: a killed `docker compose` may have gone on


def test_what_no_docker_can_tell_is_said_before_anything(box: Box) -> None:
    box.docker.down = True
    report = run(box)
    assert (report.faults[0].code, report.artifacts) == ("docker-unreachable", None)
    assert told(report)["up"][0] == ("preflight", "failed")
    assert left(box) == []


def test_a_wrong_profile_is_the_first_phases_failure(box: Box) -> None:
    report = run(box, selection=Selection(profile="smok"))
    assert report.faults[0].code == "profile-unknown"
    assert told(report)["up"][0] == ("preflight", "failed")
    assert left(box) == []


# ── whose it is ───────────────────────────────────────────────────────────────────────────────


def test_a_stack_that_no_smoke_test_made_is_refused(box: Box) -> None:
    up(box.world(), UpRequest(stack=NAME, selection=SMOKE))
    (fault,) = run(box).faults
    assert fault.code == "smoke-refused"
    assert fault.hint.startswith(f"deployctl smoke --profile smoke --stack {NAME}-2  # or,")
    assert box.docker.states
    assert not (box.home / "smoke").exists()


@pytest.mark.parametrize("there", ["volumes", "containers", "folder"])
def test_whatever_is_there_is_not_a_smoke_tests(box: Box, there: str) -> None:
    if there == "volumes":
        box.docker.kept_volumes = (f"{NAME}_webui-data",)
    elif there == "containers":
        box.docker.states = {"engine": container("engine")}
    else:
        folder = box.home / "stacks" / NAME
        folder.mkdir(parents=True)
        (folder / "secrets.json").write_text("{}")
    assert refused(box) == "smoke-refused"


def test_what_an_operator_took_over_is_refused(box: Box) -> None:
    run(box, keep=True)
    up(box.world("up"), UpRequest(stack=NAME, selection=SMOKE))
    assert refused(box) == "smoke-refused"
    assert box.docker.states


def test_an_override_of_the_operator_is_honoured_and_stays(box: Box) -> None:
    folder = box.home / "stacks" / NAME
    folder.mkdir(parents=True)
    (folder / "compose.override.yaml").write_text("services: {}\n")
    assert run(box).status == "ok"
    assert [path.name for path in folder.iterdir() if path.name != "lock"] == [
        "compose.override.yaml"
    ]
    assert run(box).status == "ok"


def test_of_two_at_once_the_second_is_refused(box: Box) -> None:
    others: list[SmokeReport] = []

    def second(world: World, stack: str, only: tuple[str, ...]) -> VerifyReport:
        others.append(run(box))
        return fine(world, stack, only)

    assert run(box, second).status == "ok"
    (other,) = others
    assert told(other)["up"][0] == ("preflight", "failed")
    assert other.faults[0].code == "stack-locked"
    assert other.faults[0].hint == f"deployctl smoke --profile smoke --stack {NAME}-2"


def test_a_mark_outlives_a_killed_run_and_its_lock_does_not(tmp_path: Path) -> None:
    with held(tmp_path, "s", MAKER, doing="smoke", hint="x") as mark:
        assert not mark.found
        with (mark.folder / "lock").open() as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with held(tmp_path, "s", MAKER, doing="smoke", hint="x") as mark:
        mark.remove()
        assert not (tmp_path / "smoke").exists()
        with held(
            tmp_path, "s", MAKER, doing="smoke", hint="x"
        ) as anew:  # the name is free for a new file's lock
            assert not anew.found


@pytest.mark.parametrize(
    ("hint", "said"),
    [
        (
            "deployctl up --profile x --stack deployctl-smoke --on-failure keep",
            "deployctl smoke --profile x",
        ),
        ("edit it, then: deployctl up --debug", "edit it, then: deployctl smoke --debug"),
        ("df -h /x", "df -h /x"),
    ],
)
def test_hints_name_the_command_that_was_typed(hint: str, said: str) -> None:
    assert as_smoke(hint, NAME) == said


@pytest.fixture(autouse=True)
def _no_signals() -> Iterator[None]:
    """These tests hand in their own shield: no handler is set or left."""
    import signal

    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)}
    yield
    assert {n: signal.getsignal(n) for n in before} == before
