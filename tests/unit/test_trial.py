"""A stack made only to be measured, over fakes: it goes, and nobody else's is touched."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deployctl.deploy.trial import Stand, StillThereError, trial
from deployctl.deploy.up import up
from deployctl.deploy.world import UpRequest
from deployctl.errors import DeployctlError
from deployctl.marks import SMOKE as SMOKE_TESTS
from deployctl.marks import TRIAL, held, set_mark
from deployctl.outcomes import ContainerState
from deployctl.profiles.selection import Selection
from deployctl.workspace import Workspace
from tests.fakes import FakeDocker, FakeFacts, container, facts
from tests.world import Box

SMOKE = Selection(profile="smoke")
NAME = "deployctl-compare"


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(home=tmp_path / "home")


@contextlib.contextmanager
def a_trial(box: Box, doing: str = "compare") -> Iterator[Stand]:
    with trial(box.world(doing), name=NAME, shield=contextlib.nullcontext) as stand:
        yield stand


def measure(box: Box, then: Callable[[], None]) -> None:
    with a_trial(box) as stand:
        stand.up(SMOKE)
        then()


def ending(end: BaseException) -> Callable[[], None]:
    def then() -> None:
        raise end

    return then


def left(box: Box) -> list[str]:
    folders = [box.home / "stacks" / NAME, box.home / "trial"]
    there = [str(folder) for folder in folders if folder.exists()]
    return [*box.docker.states, *box.docker.kept_volumes, *there]


def test_it_stands_and_then_nothing_is_left(box: Box) -> None:
    with a_trial(box) as stand:
        report = stand.up(SMOKE)
        assert (report.stack, report.profile) == (NAME, "smoke")
        assert box.docker.states
    assert left(box) == []


def test_the_next_goes_over_the_one_that_stands(box: Box) -> None:
    with a_trial(box) as stand:
        stand.up(SMOKE)
        report = stand.up(SMOKE.with_set("model.context", 1024))
        assert {change.service: change.action for change in report.changes} == {
            "engine": "recreate",
            "webui": "keep",
        }
        assert "stop the stack" not in box.runner.labels
    assert left(box) == []


def test_its_ports_are_its_own_and_stay_the_same(box: Box) -> None:
    box.facts = FakeFacts(facts(busy_ports={7860: "container other", 7861: "nginx"}))
    with a_trial(box) as stand:
        for selection in (SMOKE, SMOKE.with_set("model.context", 1024)):
            stand.up(selection)
            manifest = Workspace(box.home, NAME).manifest()
            assert manifest is not None
            assert (manifest.webui_port, manifest.engine_port) == (7862, 8000)
    assert len([said for said in box.talk.said if "is held by" in said]) == 1


def test_a_port_that_was_set_is_not_replaced(box: Box) -> None:
    box.facts = FakeFacts(facts(busy_ports={7861: "nginx"}))
    with a_trial(box) as stand, pytest.raises(DeployctlError) as refused:
        stand.up(SMOKE.with_set("ports.webui", 7861))
    assert refused.value.faults[0].code == "port-taken"
    assert left(box) == []


@pytest.mark.parametrize("end", [KeyboardInterrupt(), ZeroDivisionError()])
def test_whatever_ends_it_it_is_taken_down(box: Box, end: BaseException) -> None:
    with pytest.raises(type(end)):
        measure(box, ending(end))
    assert left(box) == []


def test_an_interruption_that_broke_something_is_one(box: Box) -> None:
    broken = RuntimeError("release unlocked lock")
    broken.__context__ = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        measure(box, ending(broken))
    assert left(box) == []


def test_one_that_does_not_start_leaves_room_for_the_next(box: Box) -> None:
    with a_trial(box) as stand:
        box.http.engine_ready = False
        with pytest.raises(DeployctlError) as failed:
            stand.up(SMOKE)
        (fault,) = failed.value.faults
        assert failed.value.after is None
        assert fault.code.startswith("engine-")
        assert fault.hint == "deployctl compare --profile smoke --set deadlines.engine=360s"
        box.http.engine_ready = True
        assert stand.up(SMOKE).stack == NAME
    assert left(box) == []


def test_one_whose_file_cannot_be_had_does_not_stop_the_next(box: Box) -> None:
    gone = DeployctlError("no such file", code="weights-not-found", hint="x")
    with a_trial(box) as stand:
        box.weights.error = gone
        with pytest.raises(DeployctlError):
            stand.up(SMOKE)
        assert box.weights.stopped
        box.weights.error = None
        stand.up(SMOKE)
        assert not box.weights.stopped
    assert left(box) == []


def test_who_wants_to_look_at_it_is_told_how_to_have_it_alone(box: Box) -> None:
    box.runner.fail = {"start the stack": "no such thing"}
    with a_trial(box) as stand, pytest.raises(DeployctlError) as failed:
        stand.up(SMOKE)
    assert failed.value.faults[0].hint == (
        f"deployctl up --profile smoke --stack {NAME}-look  # alone, to look at it"
    )


def test_hints_name_the_command_that_measures_and_no_port_that_nobody_typed(box: Box) -> None:
    box.facts = FakeFacts(facts(busy_ports={7860: "x"}))
    box.http.engine_ready = False
    with a_trial(box, doing="tune") as stand, pytest.raises(DeployctlError) as failed:
        stand.up(SMOKE)
    hint = failed.value.faults[0].hint
    assert hint == "deployctl tune --profile smoke --set deadlines.engine=360s"


# ── whose it is ───────────────────────────────────────────────────────────────────────────────


def refused(box: Box) -> str:
    before = dict(box.docker.states)
    with pytest.raises(DeployctlError) as problem, a_trial(box):
        pytest.fail("it began")
    assert box.docker.states == before
    assert "stop the stack" not in box.runner.labels
    assert not (box.home / "trial").exists()
    return problem.value.faults[0].code


def test_a_stack_of_an_operator_is_refused(box: Box) -> None:
    up(box.world(), UpRequest(stack=NAME, selection=SMOKE))
    assert refused(box) == "trial-refused"


def test_what_a_smoke_test_keeps_is_refused(box: Box) -> None:
    with held(box.home, NAME, SMOKE_TESTS, doing="smoke", hint="x") as mark:
        set_mark(mark)
    up(box.world("smoke"), UpRequest(stack=NAME, selection=SMOKE))
    assert refused(box) == "trial-refused"


def test_volumes_alone_are_somebodys(box: Box) -> None:
    box.docker.kept_volumes = (f"{NAME}_webui-data",)
    assert refused(box) == "trial-refused"


@pytest.mark.parametrize("doing", ["compare", "tune"])
def test_what_a_killed_one_left_is_taken_away(box: Box, doing: str) -> None:
    with held(box.home, NAME, TRIAL, doing=doing, hint="x") as mark:
        set_mark(mark)
        up(box.world(doing), UpRequest(stack=NAME, selection=SMOKE))
    with a_trial(box):
        assert box.docker.states == {}
    assert any("an earlier measurement" in said for said in box.talk.said)
    assert left(box) == []


def test_what_an_operator_took_over_is_refused(box: Box) -> None:
    with held(box.home, NAME, TRIAL, doing="compare", hint="x") as mark:
        set_mark(mark)
        up(box.world("compare"), UpRequest(stack=NAME, selection=SMOKE))
    up(box.world("up"), UpRequest(stack=NAME, selection=SMOKE))
    with pytest.raises(DeployctlError) as problem, a_trial(box):
        pytest.fail("it began")
    assert problem.value.faults[0].code == "trial-refused"
    assert box.docker.states


def test_two_at_once_are_one_too_many(box: Box) -> None:
    with a_trial(box), pytest.raises(DeployctlError) as busy, a_trial(box):
        pytest.fail("it began")
    (fault,) = busy.value.faults
    assert (fault.code, fault.hint) == ("stack-locked", "deployctl compare  # once that has ended")
    assert "`deployctl compare` (pid " in fault.message
    assert left(box) == []


def test_what_no_docker_can_tell_is_said_before_anything(box: Box) -> None:
    box.docker.down = True
    assert refused_without_docker(box) == "docker-unreachable"


def refused_without_docker(box: Box) -> str:
    with pytest.raises(DeployctlError) as problem, a_trial(box):
        pytest.fail("it began")
    assert not (box.home / "trial").exists()
    return problem.value.faults[0].code


class _Busy(FakeDocker):
    """Another stack runs beside."""

    def containers(self, stack: str) -> tuple[ContainerState, ...]:
        return (container("engine"),) if stack == "chat" else super().containers(stack)


def test_stacks_that_take_part_of_the_machine_are_named(tmp_path: Path) -> None:
    box = Box(home=tmp_path, docker=_Busy())
    for name in ("chat", "down", NAME):
        (tmp_path / "stacks" / name).mkdir(parents=True)
    (tmp_path / "stacks" / NAME).rmdir()
    with a_trial(box):
        pass
    (said,) = box.talk.warned
    assert said.splitlines() == [
        "On this machine stack chat is running meanwhile: what is measured is what that leaves.",
        "next: deployctl down --stack chat",
    ]


def test_containers_of_others_are_counted(box: Box) -> None:
    busy = facts()
    box.facts = FakeFacts(replace(busy, docker=replace(busy.docker, running_containers=2)))
    with a_trial(box):
        pass
    (said,) = box.talk.warned
    assert said.startswith("On this machine 2 containers are running meanwhile")


# ── taking down ───────────────────────────────────────────────────────────────────────────────


def test_a_down_that_fails_is_told_and_the_next_takes_it_away(box: Box) -> None:
    with pytest.raises(DeployctlError) as problem:
        measure(box, lambda: box.runner.fail.update({"stop the stack": "daemon gone"}))
    assert problem.value.faults[0].code == "compose-failed"
    assert (box.home / "trial" / NAME).is_dir()
    box.runner.fail = {}
    with a_trial(box):
        pass
    assert left(box) == []


def test_an_error_has_what_keeps_it_from_being_taken_down_too(box: Box) -> None:
    box.runner.fail = {"stop the stack": "daemon gone"}
    end = DeployctlError("no", code="bench-broken", hint="x")
    with pytest.raises(DeployctlError) as problem:
        measure(box, ending(end))
    assert [fault.code for fault in problem.value.faults] == ["bench-broken", "compose-failed"]


def test_ctrl_c_has_what_keeps_it_from_being_taken_down(box: Box) -> None:
    box.runner.fail = {"stop the stack": "daemon gone"}
    with pytest.raises(StillThereError) as problem:
        measure(box, ending(KeyboardInterrupt()))
    assert [fault.code for fault in problem.value.faults] == ["compose-failed"]


def test_a_down_that_fails_does_not_hide_why(box: Box) -> None:
    box.runner.fail = {"stop the stack": "daemon gone"}
    with pytest.raises(ZeroDivisionError):
        measure(box, ending(ZeroDivisionError()))
    assert any("failed to stop the stack" in said for said in box.talk.warned)


def test_what_cannot_be_removed_is_named(box: Box) -> None:
    def stuck() -> None:
        box.docker.nets = ({"Name": f"{NAME}_default"},)

    with pytest.raises(DeployctlError) as problem:
        measure(box, stuck)
    (fault,) = problem.value.faults
    assert (fault.code, fault.details) == ("trial-leftovers", (f"networks: {NAME}_default",))
    assert fault.hint == f"deployctl down --volumes --stack {NAME}"
