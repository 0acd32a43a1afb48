"""`watch`: what it says, what it heals, and what it leaves alone. Time is the test's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deployctl.deploy.down import down
from deployctl.deploy.healing import Healer, find_patients
from deployctl.deploy.status import see
from deployctl.deploy.up import up
from deployctl.deploy.watch import Watcher
from deployctl.deploy.watchevent import WatchEvent
from deployctl.deploy.world import UpRequest
from deployctl.errors import DeployctlError
from deployctl.outcomes import CommandResult
from deployctl.profiles.selection import Selection
from deployctl.workspace import Workspace
from tests.fakes import FakeRunner, container
from tests.panel import FakePanel
from tests.scripted import result
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


def panel(box: Box) -> FakePanel:
    assert isinstance(box.http, FakePanel)
    return box.http


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


def test_a_service_with_two_faults_recovers_once(box: Box, day: Day) -> None:
    watch = watcher(box, day)
    watch.look()
    whole = box.docker.inspected
    box.docker.inspected = {"id-engine": {"HostConfig": {"DeviceRequests": [{}]}}}
    box.docker.tails = {"id-engine": ("CUDA error: unknown error",)}
    panel(box).engine_silent = True
    assert [event.code for event in watch.look()] == ["engine-hung", "engine-gpu-lost", None]
    box.docker.inspected, box.docker.tails = whole, {}
    panel(box).engine_silent = False
    assert [event.text for event in watch.look()] == [
        "engine works again.",
        f"Stack {STACK}: ok.",
    ]


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


def test_silence_is_healed_when_it_has_lasted_by_the_clock(box: Box, day: Day) -> None:
    panel(box).engine_silent = True
    watch = watcher(box, day, heal=True)
    (fault, _) = watch.look()
    assert fault.code == "engine-hung"
    for _ in range(20):  # however often somebody looks
        assert watch.look() == ()
    box.clock.sleep(14)
    assert watch.look() == ()
    box.clock.sleep(1)
    assert kinds(watch.look()) == ["healing", "healed"]
    panel(box).engine_silent = False
    assert kinds(watch.look()) == ["recovered", "status"]


def test_a_busy_frontend_is_given_a_minute(box: Box, day: Day) -> None:
    panel(box).frontend_silent = True
    watch = watcher(box, day, heal=True)
    watch.look()
    box.clock.sleep(59)
    assert watch.look() == ()
    panel(box).frontend_silent = False
    watch.look()
    panel(box).frontend_silent = True
    box.clock.sleep(59)
    assert "healing" not in kinds(watch.look()), "it has answered in between"
    box.clock.sleep(60)
    assert kinds(watch.look()) == ["healing", "healed"]


def test_a_name_that_nothing_has_is_refused_at_the_start(box: Box, day: Day) -> None:
    watcher(box, day).begin()
    there, box.docker.states = box.docker.states, {}
    watcher(box, day).begin()  # down, and on record
    nosuch = Watcher(world=box.world("watch"), stack="nosuch", now=day)
    with pytest.raises(DeployctlError) as refused:
        nosuch.begin()
    (fault,) = refused.value.faults
    assert (fault.code, int(refused.value.exit_code)) == ("stack-unknown", 5)
    assert fault.details == (f"the stacks there are: {STACK}",)
    box.docker.states = there
    nosuch.begin()  # containers without a record
    box.docker.down = True
    nosuch.begin()  # it may come: look() says so
    box.docker.down, box.docker.states = False, {}
    Workspace(box.home, "nosuch").ensure()
    with Workspace(box.home, "nosuch").lock("up"):
        nosuch.begin()  # it is coming up


def test_a_container_taken_off_its_network_is_left_with_the_way_out(box: Box, day: Day) -> None:
    box.docker.inspected = {
        "id-engine": {
            "NetworkSettings": {"Networks": {}},
            "HostConfig": {"NetworkMode": "deployctl_x"},
        }
    }
    panel(box).engine_silent = True
    watch = watcher(box, day, heal=True)
    fault, _ = watch.look()
    assert (fault.code, fault.hint) == ("stack-not-running", "deployctl up --profile smoke")
    assert "lost its network" in fault.text
    box.clock.sleep(600)
    assert watch.look() == ()
    assert restarts(box) == 0, "no restart gives it a network"


def test_what_docker_calls_ill_and_answers_is_left_alone(box: Box, day: Day) -> None:
    box.docker.states["engine"] = replace(box.docker.states["engine"], health="unhealthy")
    watch = watcher(box, day, heal=True)
    assert kinds(watch.look()) == ["status"]
    box.clock.sleep(600)
    watch.look()
    assert restarts(box) == 0


# ── the card ──────────────────────────────────────────────────────────────────────────────────


def with_card(box: Box, *, started: str, said: str, line: str) -> None:
    """An engine with a card, started and having said a line at these times of the day."""
    box.docker.inspected = {"id-engine": {"HostConfig": {"Devices": [{"PathOnHost": "/dev/kfd"}]}}}
    box.docker.tails = {"id-engine": (line,)}
    box.docker.said_at = {"id-engine": f"2026-11-22T{said}Z"}
    box.docker.states["engine"] = replace(
        box.docker.states["engine"], started_at=f"2026-11-22T{started}Z"
    )


LOST = "CUDA error: unspecified launch failure"


def test_a_lost_card_is_healed_once_and_what_recovers_is_left_alone(box: Box, day: Day) -> None:
    with_card(box, started="08:00:00", said="11:59:00", line=LOST)
    watch = watcher(box, day, heal=True)
    assert [e.code for e in watch.look() if e.kind == "fault"] == ["engine-gpu-lost"]
    box.clock.sleep(10)
    assert kinds(watch.look()) == ["healing", "healed"]
    # It runs again, reads its model, and its log still has what it died of.
    with_card(box, started="12:00:00", said="11:59:00", line=LOST)
    box.docker.states["engine"] = replace(box.docker.states["engine"], health="starting")
    panel(box).engine_silent = True
    for _ in range(5):
        watch.look()
        box.clock.sleep(30)
    panel(box).engine_silent = False
    box.docker.states["engine"] = replace(box.docker.states["engine"], health="healthy")
    watch.look()
    assert restarts(box) == 1


def test_a_card_that_is_lost_again_waits_for_the_end_of_the_start(box: Box, day: Day) -> None:
    with_card(box, started="11:59:50", said="11:59:55", line=LOST)
    box.docker.states["engine"] = replace(box.docker.states["engine"], health="starting")
    watch = watcher(box, day, heal=True)
    for _ in range(5):
        watch.look()
        box.clock.sleep(30)
    assert restarts(box) == 0
    box.docker.states["engine"] = replace(box.docker.states["engine"], health="unhealthy")
    watch.look()
    assert restarts(box) == 1


class Unused(RestartingRunner):
    """An engine that finds no card, however often it is started."""

    def run(self, command: Any, **options: Any) -> CommandResult:
        if command.argv[:2] == ("docker", "logs"):
            return result(command, 0, "load_tensors: offloaded 0/31 layers to GPU")
        done = super().run(command, **options)
        if command.argv[:2] == ("docker", "restart"):
            with_card_started(self.docker, f"2026-11-22T12:{len(self.commands):02}:00Z")
        return done


def with_card_started(docker: Any, moment: str) -> None:
    docker.states["engine"] = replace(
        docker.states["engine"], image="engine", image_id="sha256:engine", started_at=moment
    )


def test_a_card_that_is_not_used_is_worth_one_restart(box: Box, day: Day) -> None:
    with_card(box, started="08:00:00", said="08:00:00", line="")
    box.runner = Unused(box.docker)
    watch = watcher(box, day, heal=True)
    said: list[WatchEvent] = []
    for _ in range(8):
        said += watch.look()
        box.clock.sleep(60)
        day.passes(minutes=30)
    assert restarts(box) == 1
    (refused,) = (event for event in said if event.kind == "not-healed")
    assert "for the same reason, and that did not help" in refused.text
    anew = watcher(box, day, heal=True)
    anew.look()
    box.clock.sleep(60)
    anew.look()
    assert restarts(box) == 1, "another watcher knows it too"
    kill(box, "webui")
    assert "healed" in kinds(watch.look()), "what else is sick is healed all the same"
    with_card_started(box.docker, "2026-11-22T16:00:00Z")  # by somebody else
    watch.look()
    assert restarts(box) == 3


def test_what_a_start_said_is_asked_once(box: Box, day: Day) -> None:
    with_card(box, started="08:00:00", said="08:00:00", line="")
    watch = watcher(box, day)
    for _ in range(3):
        watch.look()
    assert box.runner.labels.count("engine's start") == 1
    with_card_started(box.docker, "2026-11-22T12:00:00Z")
    watch.look()
    assert box.runner.labels.count("engine's start") == 2


# ── a container that is gone ──────────────────────────────────────────────────────────────────


def test_a_removed_container_is_brought_back_alone(box: Box, day: Day) -> None:
    watch = watcher(box, day, heal=True)
    del box.docker.states["engine"]
    assert kinds(watch.look())[-1] == "healed"
    assert box.runner.labels[-1] == "start engine"
    assert box.runner.commands[-1].argv[-2:] == ("--no-deps", "engine")


@pytest.mark.parametrize("name", ["compose.yaml", "compose.override.yaml"])
def test_files_edited_by_hand_are_not_applied_by_a_watcher(box: Box, day: Day, name: str) -> None:
    (Workspace(box.home, STACK).folder / name).write_text("services: {", encoding="utf-8")
    del box.docker.states["engine"]
    watch = watcher(box, day, heal=True)
    said = watch.look()[-1]
    assert said.kind == "not-healed"
    assert f"{name} differs from what was applied" in said.text
    assert watch.look() == (), "said once"
    assert "start engine" not in box.runner.labels
    assert Workspace(box.home, STACK).healed_at() == (), "nothing was restarted"


def test_variables_edited_by_hand_are_not_applied_by_a_watcher(box: Box, day: Day) -> None:
    class Edited(RestartingRunner):
        def run(self, command: Any, **options: Any) -> CommandResult:
            if "--hash" in command.argv:
                return result(command, 0, "engine other\nwebui hash-webui")
            return super().run(command, **options)

    box.runner = Edited(box.docker)
    del box.docker.states["engine"]
    said = watcher(box, day, heal=True).look()[-1]
    assert "its files differ from what was applied" in said.text


# ── somebody else was faster ──────────────────────────────────────────────────────────────────


def down_in_between(box: Box) -> None:
    down(box.world("down"), STACK, volumes=False)


def started_in_between(box: Box) -> None:
    with_card_started(box.docker, "2026-11-22T12:00:00Z")


def up_in_between(box: Box) -> None:
    space = Workspace(box.home, STACK)
    manifest = space.manifest()
    assert manifest is not None
    space.save_manifest(replace(manifest, fingerprint="other"))


@pytest.mark.parametrize("other", [down_in_between, started_in_between, up_in_between])
def test_what_another_command_did_after_the_look_is_left_so(
    box: Box, day: Day, other: Callable[[Box], None]
) -> None:
    kill(box)
    world, space = box.world("watch"), Workspace(box.home, STACK)
    manifest = space.manifest()
    assert manifest is not None
    seen = see(world, STACK, day())
    patients = find_patients(dict.fromkeys(seen.faults, 60.0), seen.report, day())
    assert [patient.service for patient in patients] == ["engine"]
    other(box)
    healer = Healer(world=world, space=space, now=day, per_hour=3)
    assert healer.heal(manifest, patients, "degraded") == ()
    assert (restarts(box), space.healed_at()) == (0, ())


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


def test_what_another_command_mended_is_said(box: Box, day: Day) -> None:
    watch = watcher(box, day)
    kill(box)
    assert kinds(watch.look()) == ["fault", "status"]
    with Workspace(box.home, STACK).lock("up"):
        assert kinds(watch.look()) == ["resting"]
    assert kinds(watch.look()) == ["fault", "status"], "still so, and said afresh"
    with Workspace(box.home, STACK).lock("up"):
        assert kinds(watch.look()) == ["resting"]
        _whole(box)
    assert kinds(watch.look()) == ["recovered", "status"]
    assert watch.look() == ()


def test_a_daemon_that_is_away_is_waited_for(box: Box, day: Day) -> None:
    watch = watcher(box, day, heal=True)
    box.docker.down = True
    (event,) = watch.look()
    assert (event.kind, event.code) == ("resting", "docker-unreachable")
    box.docker.down = False
    assert kinds(watch.look()) == ["status"]
