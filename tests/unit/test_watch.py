"""`watch`: what it says, what it heals, and what it leaves alone. Time is the test's."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deployctl.deploy.down import down
from deployctl.deploy.up import up
from deployctl.deploy.watch import Watcher, WatchEvent
from deployctl.deploy.world import UpRequest
from deployctl.model import CommandResult
from deployctl.profiles.selection import Selection
from deployctl.workspace import Workspace
from tests.fakes import FakeRunner, container
from tests.panel import FakePanel
from tests.world import Box

STACK = "deployctl"


class RestartingRunner(FakeRunner):
    """Plays ``docker restart`` too."""

    def run(self, command: Any, **options: Any) -> CommandResult:
        done = super().run(command, **options)
        if command.argv[:2] == ("docker", "restart") and done.ok:
            service = command.argv[-1].removeprefix("id-")
            self.docker.states[service] = container(service, f"hash-{service}")
        return done


class Day:
    """The time of day, as a test lets it pass."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def passes(self, **time: float) -> None:
        self.time += timedelta(**time)


@pytest.fixture
def day() -> Day:
    return Day()


@pytest.fixture
def box(tmp_path: Path) -> Box:
    box = Box(home=tmp_path)
    box.http = FakePanel()
    box.runner = RestartingRunner(box.docker)
    up(box.world(), UpRequest(stack=STACK, selection=Selection(profile="smoke")))
    space = Workspace(box.home, STACK)
    manifest = space.manifest()
    assert manifest is not None
    space.save_manifest(replace(manifest, weights=None))
    _whole(box)
    return box


def _whole(box: Box) -> None:
    for service in ("engine", "webui"):
        box.docker.states[service] = container(
            service, f"hash-{service}", image=service, image_id=f"sha256:{service}"
        )


def watcher(box: Box, day: Day, **options: Any) -> Watcher:
    return Watcher(world=box.world("watch"), stack=STACK, now=day, **options)


def kinds(events: tuple[WatchEvent, ...]) -> list[str]:
    return [event.kind for event in events]


def kill(box: Box, service: str = "engine") -> None:
    box.docker.states[service] = replace(box.docker.states[service], status="exited", exit_code=137)


def restarts(box: Box) -> int:
    return sum(command.argv[:2] == ("docker", "restart") for command in box.runner.commands)


def test_it_says_what_changes_once(box: Box, day: Day) -> None:
    watch = watcher(box, day)
    assert kinds(watch.look()) == ["status"]
    assert watch.look() == ()
    kill(box)
    fault, now = watch.look()
    assert (fault.kind, fault.service, now.status) == ("fault", "engine", "degraded")
    assert watch.look() == ()
    _whole(box)
    assert kinds(watch.look()) == ["recovered", "status"]
    assert restarts(box) == 0


def test_drift_is_said_once(box: Box, day: Day) -> None:
    watch = watcher(box, day)
    watch.look()
    box.docker.states["engine"] = replace(box.docker.states["engine"], config_hash="other")
    (event,) = watch.look()
    assert (event.kind, event.status) == ("drift", "ok")
    assert watch.look() == ()


@pytest.mark.parametrize("service", ["engine", "webui"])
def test_what_stopped_is_restarted_and_logged(box: Box, day: Day, service: str) -> None:
    watch = watcher(box, day, heal=True)
    watch.look()
    kill(box, service)
    assert kinds(watch.look()) == ["fault", "status", "healing", "healed"]
    assert kinds(watch.look()) == ["recovered", "status"]
    log = Workspace(box.home, STACK).log_file.read_text(encoding="utf-8")
    assert f"Restarting {service}: " in log
    assert f"{service} was started again" in log


def test_the_budget_counts_across_watchers_and_comes_back(box: Box, day: Day) -> None:
    for left in (1, 0):
        kill(box)
        events = watcher(box, day, heal=True, per_hour=2).look()
        assert events[-1].text.endswith(f"restarts still allowed this hour: {left}.")
        day.passes(minutes=10)
    kill(box)
    watch = watcher(box, day, heal=True, per_hour=2)
    refused = watch.look()[-1]
    assert (refused.kind, restarts(box)) == ("not-healed", 2)
    assert "again from 13:00 UTC" in refused.text
    assert watch.look() == (), "said once"
    day.passes(minutes=41)
    assert kinds(watch.look()) == ["healing", "healed"]


def test_silence_must_be_seen_twice(box: Box, day: Day) -> None:
    assert isinstance(box.http, FakePanel)
    box.http.engine_silent = True
    watch = watcher(box, day, heal=True)
    (fault, _) = watch.look()
    assert fault.code == "engine-hung"
    assert kinds(watch.look()) == ["healing", "healed"]
    box.http.engine_silent = False
    assert kinds(watch.look()) == ["recovered", "status"]


def test_a_lost_card_is_healed(box: Box, day: Day) -> None:
    box.docker.inspected = {"id-engine": {"HostConfig": {"Devices": [{"PathOnHost": "/dev/kfd"}]}}}
    box.docker.tails = {"id-engine": ("CUDA error: unspecified launch failure",)}
    events = watcher(box, day, heal=True).look()
    assert [e.code for e in events if e.kind == "fault"] == ["engine-gpu-lost"]
    assert kinds(events)[-1] == "healed"


def test_a_removed_container_is_brought_back_by_compose(box: Box, day: Day) -> None:
    watch = watcher(box, day, heal=True)
    del box.docker.states["engine"]
    assert kinds(watch.look())[-1] == "healed"
    assert box.runner.labels[-1] == "start the stack"


def test_files_edited_by_hand_are_not_applied_by_a_watcher(box: Box, day: Day) -> None:
    (Workspace(box.home, STACK).folder / "compose.yaml").write_text("{}", encoding="utf-8")
    del box.docker.states["engine"]
    event = watcher(box, day, heal=True).look()[-1]
    assert event.kind == "not-healed"
    assert "compose.yaml is not the one applied" in event.text


def test_docker_refusing_is_said(box: Box, day: Day) -> None:
    kill(box)
    box.runner.fail["restart engine"] = "no such device"
    event = watcher(box, day, heal=True).look()[-1]
    assert (event.kind, event.code) == ("not-healed", "compose-failed")


@pytest.mark.parametrize("change", [{"status": "paused"}, {"status": "restarting", "restarts": 4}])
def test_what_is_paused_or_restarted_by_docker_is_left_alone(
    box: Box, day: Day, change: dict[str, Any]
) -> None:
    box.docker.states["engine"] = replace(box.docker.states["engine"], **change)
    watch = watcher(box, day, heal=True)
    watch.look()
    watch.look()
    assert restarts(box) == 0


def test_what_was_taken_down_and_what_somebody_works_on_is_left_alone(box: Box, day: Day) -> None:
    watch = watcher(box, day, heal=True)
    with Workspace(box.home, STACK).lock("up"):
        kill(box)
        (event,) = watch.look()
        assert event.kind == "resting"
        assert "`deployctl up`" in event.text
    down(box.world("down"), STACK, volumes=False)
    (event,) = watch.look()
    assert "taken down" in event.text
    assert watch.look() == ()
    assert restarts(box) == 0


def test_a_daemon_that_is_away_is_waited_for(box: Box, day: Day) -> None:
    watch = watcher(box, day, heal=True)
    box.docker.down = True
    (event,) = watch.look()
    assert (event.kind, event.code) == ("resting", "docker-unreachable")
    box.docker.down = False
    assert kinds(watch.look()) == ["status"]
