"""How a container beside engine and chat window ended last: seen, said, and the way out of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deployctl.deploy.kept import kept_request, way_of
from deployctl.deploy.lastend import last_end, last_words
from deployctl.deploy.status import status
from deployctl.deploy.up import up
from deployctl.deploy.world import UpRequest, World
from deployctl.diagnosis import Way
from deployctl.errors import DeployctlError, Fault
from deployctl.kernellog import KilledFor
from deployctl.model import Service
from deployctl.outcomes import CheckResult, ContainerState
from deployctl.planner import build_plan
from deployctl.profiles.selection import Selection
from deployctl.verify.nouns import Subject
from deployctl.workspace import Workspace
from tests.fakes import FakeDocker, container
from tests.panel import FakePanel
from tests.verifyworld import verify_box
from tests.world import Box

STACK = "deployctl"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SETS = ("addons.cache.memory=64MiB",)
AGAIN = "deployctl up --profile smoke --with cache --set addons.cache.memory="
LIMIT = "was killed because it needed more memory than its limit"
MIB = 1024**2

#: As Docker shows one that is killed and started again, and one that is killed at this moment.
RUNS: dict[str, Any] = {"restarts": 3, "health": "starting", "started_at": "2026-11-22T11:59:59Z"}
KILLED: dict[str, Any] = {
    "status": "restarting",
    "restarts": 4,
    "exit_code": 137,
    "oom_killed": True,
}


@dataclass
class TurningDocker(FakeDocker):
    """One of its containers changes with every look at it."""

    whose: str = "cache"
    turns: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str | None] = field(default_factory=list)  # since when a log was

    def log_tail(
        self, container_id: str, lines: int, *, since: str | None = None
    ) -> tuple[str, ...]:
        self.asked.append(since)
        return super().log_tail(container_id, lines, since=since)

    def containers(self, stack: str) -> tuple[ContainerState, ...]:
        if self.turns:
            turn = self.turns.pop(0)
            self.states[self.whose] = container(self.whose, f"hash-{self.whose}", **turn)
        return super().containers(stack)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """A stack with a cache that is up."""
    box = Box(home=tmp_path, docker=TurningDocker())
    box.http = FakePanel()
    box.runner.services = ("engine", "webui", "cache")
    up(box.world(), request())
    return box


def request() -> UpRequest:
    selection = Selection(profile="smoke", addons=("cache",), sets=SETS)
    return UpRequest(stack=STACK, selection=selection)


def world(box: Box, killed_for: KilledFor = "unknown") -> World:
    return replace(box.world("status"), killed_for=lambda _state: killed_for)


def planned(box: Box) -> tuple[Service, Way]:
    plan = build_plan(box.world().resolve(request().selection))
    space = Workspace(box.home, STACK)
    return plan.service("cache"), way_of(kept_request(STACK, space.manifest()))


def checked(box: Box, **changes: Any) -> CheckResult:
    box.docker.states["cache"] = container("cache", "hash-cache", **changes)
    seen = {check.name: check for check in status(world(box), STACK, NOW).checks}
    return seen["container cache"]


# ── for memory ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("killed_for", ["unknown", "limit"])
def test_one_that_docker_calls_killed_is_told_with_its_limit(
    box: Box, killed_for: KilledFor
) -> None:
    box.docker.inspected = {"id-cache": {"HostConfig": {"Memory": 64 * MIB}}}
    end = last_end(world(box, killed_for), STACK, container("cache", **KILLED))
    assert end.what == f"{LIMIT}, 64 MiB"
    hint = end.way_out(*planned(box))
    assert hint is not None
    assert hint.startswith(AGAIN)
    assert "=64MiB" not in hint


def test_one_that_runs_again_is_looked_at_until_it_ends(box: Box) -> None:
    assert isinstance(box.docker, TurningDocker)
    box.docker.turns = [RUNS, RUNS, {**KILLED, "started_at": "2026-11-22T12:00:01Z"}]
    end = last_end(world(box), STACK, container("cache", **RUNS))
    assert end.what == LIMIT
    assert end.state.started_at == "2026-11-22T12:00:01Z"
    assert 0 < box.clock.seconds < 1


def test_looking_ends_and_says_only_what_was_seen(box: Box) -> None:
    box.docker.states["cache"] = container("cache", **RUNS)
    end = last_end(world(box), STACK, container("cache", **RUNS), patience_s=2)
    assert (end.what, round(box.clock.seconds)) == ("keeps restarting (3 restarts)", 2)
    assert end.way_out(*planned(box)) is None


def test_where_the_kernel_tells_nobody_waits(box: Box) -> None:
    end = last_end(world(box, "limit"), STACK, container("cache", **RUNS))
    assert (end.memory, box.clock.seconds) == ("limit", 0)


def test_one_killed_for_the_machine_s_memory_needs_no_higher_limit(box: Box) -> None:
    end = last_end(world(box, "machine"), STACK, container("cache", **KILLED))
    assert end.what == "was killed because this machine ran out of memory"
    hint = end.way_out(*planned(box))
    assert hint is not None
    assert hint.startswith("docker stats --no-stream")
    assert f"{AGAIN}64MiB" in hint


def test_a_restart_for_another_reason_is_told_with_its_exit_code(box: Box) -> None:
    assert isinstance(box.docker, TurningDocker)
    box.docker.turns = [{"status": "restarting", "restarts": 4, "exit_code": 2}]
    end = last_end(world(box, "neither"), STACK, container("cache", **RUNS))
    assert (end.what, end.memory) == ("keeps restarting (exit code 2, 4 restarts)", None)


def test_a_limit_of_the_operator_s_own_file_is_changed_there(box: Box) -> None:
    own = Workspace(box.home, STACK).folder / "compose.override.yaml"
    own.write_text("services: {cache: {mem_limit: 32m}}\n")
    box.docker.inspected = {"id-cache": {"HostConfig": {"Memory": 32 * MIB}}}
    hint = last_end(world(box), STACK, container("cache", **KILLED)).way_out(*planned(box))
    assert hint is not None
    assert hint.startswith(f"${{EDITOR:-vi}} {own} && ")


def test_one_whose_memory_no_key_says_has_its_log(box: Box) -> None:
    service, way = planned(box)
    end = last_end(world(box), STACK, container("cache", **KILLED))
    assert end.way_out(replace(service, memory_key=""), way) is None
    assert end.way_out(None, way) is None  # nothing is planned any more


# ── where it is said ──────────────────────────────────────────────────────────────────────────


def refused(box: Box) -> Fault:
    with pytest.raises(DeployctlError) as problem:
        up(box.world(), request())
    return problem.value.faults[0]


def test_up_and_status_say_the_same_of_one_without_enough_memory(box: Box) -> None:
    assert isinstance(box.docker, TurningDocker)
    box.docker.states["cache"] = container("cache", "hash-cache", **KILLED)
    fault, check = refused(box), checked(box, **KILLED)
    assert (fault.code, check.code) == ("addon-not-ready", "stack-not-running")
    assert f"its container `cache` {LIMIT}." in fault.message
    assert check.summary == (f"It keeps restarting, 4 times so far. Container `cache` {LIMIT}.")
    assert fault.hint == check.hint
    assert fault.hint.startswith(AGAIN)
    assert "=64MiB" not in fault.hint


def test_a_profile_that_is_gone_leaves_the_cause_and_the_log(box: Box) -> None:
    space = Workspace(box.home, STACK)
    manifest = space.manifest()
    assert manifest is not None
    space.save_manifest(
        replace(manifest, profile="gone", selection={**manifest.selection, "profile": "gone"})
    )
    check = checked(box, **KILLED)
    assert LIMIT in check.summary
    assert check.hint == f"deployctl logs cache --stack {STACK}"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (0, "stopped with exit code 0"),
        (130, "was stopped by somebody (exit code 130)"),
        (143, "was stopped by somebody (exit code 143)"),
        (137, "was killed by somebody (exit code 137)"),
    ],
)
def test_one_that_somebody_stopped_comes_back_by_the_same_up(
    box: Box, code: int, said: str
) -> None:
    box.docker.tails = {"id-cache": ("started",)}
    check = checked(box, status="exited", health=None, exit_code=code)
    assert check.details == ()  # no evidence of who, or why
    assert check.summary == f"Container `cache` {said}."
    assert check.hint == f"{AGAIN}64MiB"


def test_one_that_ended_by_itself_has_its_log(box: Box) -> None:
    box.docker.tails = {"id-cache": ("cannot read its file",)}
    check = checked(box, status="exited", health=None, exit_code=1)
    assert check.details == ("cannot read its file",)
    assert check.hint == f"deployctl logs cache --stack {STACK}"


# ── its last words ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("since", "asked"),
    [
        ("2026-11-22T12:00:00Z", ["2026-11-22T12:00:00Z"]),
        ("2026-11-22T12:00:09Z", ["2026-11-22T12:00:09Z", None]),
    ],
)
def test_only_the_last_start_is_shown_where_it_said_anything(
    box: Box, since: str, asked: list[str | None]
) -> None:
    assert isinstance(box.docker, TurningDocker)
    box.docker.tails = {"id-cache": ("it begins", "it ends")}
    box.docker.said_at = {"id-cache": "2026-11-22T12:00:05Z"}
    state = container("cache", started_at=since)
    box.docker.asked.clear()
    assert last_words(box.world(), STACK, state, 9) == ("it begins", "it ends")
    assert box.docker.asked == asked


# ── verify ────────────────────────────────────────────────────────────────────────────────────


def test_verify_has_the_same_way_out(tmp_path: Path) -> None:
    box = verify_box(tmp_path)

    def killed(subject: Subject) -> Subject:
        changes: dict[str, Any] = {"status": "exited", "exit_code": 137, "oom_killed": True}
        box.docker.states["cache"] = container("cache", **changes)
        return subject

    def planned_too(subject: Subject) -> Subject:
        return replace(killed(subject), plan=build_plan(box.world().resolve(request().selection)))

    alone = box.look("memory", killed)
    assert (alone.where, alone.hint) == ("cache", "deployctl plan --profile smoke")
    seen = box.look("memory", planned_too)
    assert seen.where == "cache"
    assert seen.hint is not None
    assert seen.hint.startswith("deployctl up --profile smoke --set addons.cache.memory=")


def test_verify_looks_until_one_that_is_started_again_and_again_ends(tmp_path: Path) -> None:
    box = verify_box(tmp_path)

    def loops(subject: Subject) -> Subject:
        docker = TurningDocker(**vars(box.docker), whose="webui", turns=[RUNS, RUNS, KILLED])
        return replace(subject, ports=replace(subject.ports, docker=docker))

    before = box.clock.seconds
    seen = box.look("memory", loops)
    assert (seen.status, seen.where) == ("failed", "webui")
    assert f"webui {LIMIT} (Docker)" in seen.summary
    assert 0 < box.clock.seconds - before < 1
