"""The vigil over a stack: what ends the wait, what is said, what is only passed over."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployctl.deploy.vigil import Vigil
from deployctl.deploy.world import UpRequest
from deployctl.diagnosis import Way
from deployctl.errors import DeployctlError
from deployctl.model import Plan
from deployctl.outcomes import ContainerState
from deployctl.planner import build_plan
from deployctl.profiles.resolve import resolve
from deployctl.profiles.selection import Selection
from deployctl.workspace import Workspace
from tests.fakes import FakeDocker, container
from tests.world import Box

SMOKE = UpRequest(stack="deployctl", selection=Selection(profile="smoke"))
LOG = (
    "0.00.002.627 I srv  llama_server: initializing ...",
    "0.00.949.466 I load_tensors: loading model tensors, this can take a while...",
    "0.00.952.014 I load_tensors:          CPU model buffer size =    92.10 MiB",
)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(home=tmp_path)


def plan_of(box: Box) -> Plan:
    world = box.world()
    return build_plan(resolve(SMOKE.selection, world.catalog.readers()))


class Phase:
    def __init__(self) -> None:
        self.steps: list[tuple[str, int | None]] = []

    def __call__(self, text: str, *, done: int | None = None, total: int | None = None) -> None:
        pass

    def step(self, name: str, *, done: int | None = None, **_more: object) -> None:
        self.steps.append((name, done))

    def finish(self, summary: str, *, ok: bool = True) -> None:
        pass


def vigil_of(box: Box, *before: ContainerState) -> Vigil:
    box.docker.states.setdefault("engine", container("engine"))
    box.docker.states.setdefault("webui", container("webui"))
    way = Way(stack="deployctl", selection=SMOKE.selection, again=SMOKE.again_with)
    return Vigil(box.world(), way, plan_of(box), before)


def watch(box: Box, vigil: Vigil, seconds: float, service: str = "engine") -> Phase:
    phase = Phase()
    until = box.clock.now() + seconds
    while box.clock.now() < until:
        vigil.turn(service, phase)
        box.clock.sleep(0.5)
    return phase


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "exited", "exit_code": 1},
        {"status": "restarting", "exit_code": 1},
        {"restarts": 1},
        {"oom_killed": True},
        {"health": "unhealthy"},
        {"status": "dead"},
        {"status": "paused"},
    ],
)
@pytest.mark.parametrize("service", ["engine", "webui"])
def test_a_container_that_will_not_work_is_known_at_once(
    box: Box, service: str, changes: dict[str, Any]
) -> None:
    vigil = vigil_of(box)
    box.docker.states[service] = replace(container(service), **changes)
    with pytest.raises(DeployctlError) as ended:
        watch(box, vigil, 60)
    assert ended.value.faults[0].where == service
    assert box.clock.now() < 3  # 0.5 s until it is known; a loop is looked at for 2 s at most


def test_restarts_of_before_are_history(box: Box) -> None:
    box.docker.states["engine"] = container("engine", restarts=3)
    watch(box, vigil_of(box, container("engine", restarts=3)), 5)


@pytest.mark.parametrize("replaced", [False, True])
def test_a_container_that_was_taken_away_is_said(box: Box, replaced: bool) -> None:
    vigil = vigil_of(box)
    if replaced:
        box.docker.states["webui"] = container("webui", id="another")
    else:
        del box.docker.states["webui"]
    with pytest.raises(DeployctlError) as ended:
        watch(box, vigil, 60)
    (fault,) = ended.value.faults
    what = "replaced by another one" if replaced else "removed"
    assert fault.message == f"The frontend's container was {what} while it was waited for."
    assert (fault.code, fault.hint) == ("stack-not-running", "deployctl up --profile smoke")
    assert box.clock.now() < 2


def test_silence_is_said_once_and_then_ever_more_seldom(box: Box) -> None:
    box.docker.tails = {"id-engine": LOG[:1]}
    watch(box, vigil_of(box), 100)
    said = [text.split(" in the step")[0] for text in box.talk.warned]
    assert said == [
        "The engine has been silent for 10 s",
        "The engine has been silent for 20 s",
        "The engine has been silent for 40 s",
        "The engine has been silent for 80 s",
    ]
    assert box.talk.warned[0] == (
        "The engine has been silent for 10 s in the step `starting`; up to 10 s are usual there "
        "(predicted).\nIts last line: 0.00.002.627 I srv  llama_server: initializing ..."
    )


def test_a_new_line_ends_a_silence(box: Box) -> None:
    vigil = vigil_of(box)
    watch(box, vigil, 9)
    box.docker.tails = {"id-engine": LOG[:1]}
    watch(box, vigil, 9)
    assert box.talk.warned == []


def test_weights_that_grow_in_memory_are_a_share_and_no_silence(box: Box) -> None:
    box.docker.tails = {"id-engine": LOG}
    vigil = vigil_of(box)
    steps = []
    for used in range(10, 110, 10):
        box.docker.used = {"id-engine": used * 1024**2}
        steps += watch(box, vigil, 5).steps
    shares = [done for name, done in steps if name == "loading weights" and done is not None]
    assert shares == sorted(shares)
    assert shares[-1] == round(92.1 * 1024**2)
    assert box.talk.warned == []


def test_a_daemon_may_be_away_for_a_moment(box: Box) -> None:
    vigil = vigil_of(box)
    box.docker.down = True
    watch(box, vigil, 10)
    box.docker.down = False
    box.docker.states["engine"] = container("engine", status="exited")  # it comes back with Docker
    watch(box, vigil, 3)
    box.docker.states["engine"] = container("engine")
    watch(box, vigil, 10)
    assert box.talk.warned[0] == "Docker does not answer any more; waiting up to 15 s for it."
    assert box.talk.said == ["Docker answers again."]


def test_a_daemon_that_stays_away_ends_it(box: Box) -> None:
    vigil = vigil_of(box)
    box.docker.down = True
    with pytest.raises(DeployctlError) as ended:
        watch(box, vigil, 60)
    assert ended.value.faults[0].code == "docker-unreachable"
    assert 15 <= box.clock.now() < 17


def test_a_count_that_begins_anew_is_no_history(box: Box) -> None:
    """Docker counts restarts from 0 again once somebody starts the container by hand."""
    vigil = vigil_of(box, container("engine", restarts=3))
    watch(box, vigil, 5)
    box.docker.states["engine"] = container("engine", restarts=1)
    with pytest.raises(DeployctlError):
        watch(box, vigil, 5)


def test_one_that_was_made_and_never_starts_is_trouble_after_a_moment(box: Box) -> None:
    made = container("engine", status="created", health=None, error="no space for its network")
    box.docker.states["engine"] = made
    vigil = vigil_of(box)
    watch(box, vigil, 4)
    with pytest.raises(DeployctlError) as ended:
        watch(box, vigil, 60)
    (fault,) = ended.value.faults
    assert fault.message == "The engine was made and could not be started; the cause is unknown."
    assert fault.details == ("no space for its network",)
    assert box.clock.now() < 8


# ── what is listened to ───────────────────────────────────────────────────────────────────────


def test_a_start_that_an_earlier_command_left_is_heard_from_its_beginning(box: Box) -> None:
    loading = container("engine", health="starting", started_at="2026-11-22T09:36:12Z")
    box.docker.states["engine"] = loading
    box.docker.tails = {"id-engine": LOG}
    vigil = vigil_of(box, loading, container("webui"))
    phase = watch(box, vigil, 5)
    assert vigil.starts("engine")
    assert not vigil.starts("webui")
    assert phase.steps[0][0] == "loading weights"
    assert vigil.lines("engine") == LOG
    assert box.talk.warned == []


def test_what_has_run_for_long_is_heard_from_now(box: Box) -> None:
    before = container("engine", started_at="2026-11-22T09:36:12Z")
    box.docker.states["engine"] = before
    box.docker.tails = {"id-engine": LOG}
    vigil = vigil_of(box, before)
    phase = watch(box, vigil, 1)
    assert not vigil.starts("engine")
    assert vigil.starts("webui")  # it was not there before
    assert {name for name, _ in phase.steps} == {"listening"}
    box.docker.tails = {"id-engine": (*LOG, "and now")}
    vigil.listen()
    assert vigil.lines("engine") == ("and now",)


def test_what_was_started_again_is_heard_from_that_start(box: Box) -> None:
    box.docker.states["engine"] = container("engine", started_at="2026-11-22T09:36:12Z")
    box.docker.tails = {"id-engine": LOG}
    vigil = vigil_of(box, container("engine", started_at="2026-11-20T00:00:00Z"))
    vigil.listen()
    assert vigil.lines("engine") == LOG


# ── a daemon that hangs ───────────────────────────────────────────────────────────────────────


class Hanging(FakeDocker):
    """Takes every question, and answers none until it is let go on."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = threading.Event()
        self.answers.set()

    def containers(self, stack: str) -> tuple[ContainerState, ...]:
        self.answers.wait()
        return super().containers(stack)


@pytest.fixture
def hanging(box: Box, monkeypatch: pytest.MonkeyPatch) -> Hanging:
    monkeypatch.setattr("deployctl.aside._ANSWER_S", 0.01)
    box.docker = Hanging()
    return box.docker


def test_a_daemon_that_hangs_is_said_soon_and_given_up_in_time(box: Box, hanging: Hanging) -> None:
    vigil = vigil_of(box)
    hanging.answers.clear()
    watch(box, vigil, 2)
    assert box.talk.warned == []  # it may only be busy
    watch(box, vigil, 2)
    assert box.talk.warned == ["Docker does not answer any more; waiting up to 15 s for it."]
    with pytest.raises(DeployctlError) as ended:
        watch(box, vigil, 60)
    hanging.answers.set()
    assert ended.value.faults[0].code == "docker-unreachable"
    assert 15 <= box.clock.now() < 17
    assert len(box.talk.warned) == 1  # no service was called silent: nothing could be heard


def test_a_daemon_that_hangs_for_a_moment_is_waited_for(box: Box, hanging: Hanging) -> None:
    vigil = vigil_of(box)
    hanging.answers.clear()
    watch(box, vigil, 10)
    hanging.answers.set()
    for _ in range(1_000_000):  # the question under way is answered in its own thread
        vigil.look(now=True)
        if box.talk.said:
            break
    assert box.talk.said == ["Docker answers again."]


# ── secrets ───────────────────────────────────────────────────────────────────────────────────


def test_what_a_container_wrote_is_shown_without_the_stacks_secrets(box: Box) -> None:
    key = Workspace(box.home, "deployctl").make_secrets().engine_key.reveal()
    words = (LOG[0], f"refused: Authorization Bearer {key}", f"loading model with {key} failed")
    box.docker.tails = {"id-engine": words}
    vigil = vigil_of(box)
    watch(box, vigil, 15)
    box.docker.states["engine"] = container("engine", status="exited", exit_code=3)
    with pytest.raises(DeployctlError) as ended:
        watch(box, vigil, 5)
    shown = (*box.talk.warned, *ended.value.faults[0].details, *vigil.lines("engine"))
    assert any("loading model with *** failed" in text for text in box.talk.warned)
    assert any("***" in text for text in ended.value.faults[0].details)
    assert not any(key in text for text in shown)
