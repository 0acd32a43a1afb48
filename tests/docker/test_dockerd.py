"""One contract for the fake daemon and the real one: what the recipes may rely on."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import pytest

from deployctl.dockerd import Docker, DockerDaemon
from deployctl.errors import DeployctlError, Fault
from deployctl.logfeed import LogFeed
from deployctl.outcomes import ContainerState
from deployctl.vitals import moment
from tests.docker.tiny import import_image
from tests.fakes import FakeDocker, container

STACK = f"dctl-test-dockerd-{os.getpid()}"
IMAGE = f"{STACK}:1"


class Scene(Protocol):
    """Puts containers and volumes of one stack in place, for whichever daemon is under test."""

    docker: Docker

    def running(self, service: str) -> None: ...
    def exited(self, service: str, exit_code: int, *, wrote: tuple[str, ...] = ()) -> None: ...
    def restarting(self, service: str, *, wrote: str = "") -> None: ...
    def volume(self, name: str) -> None: ...
    def image(self) -> str: ...
    def unreachable(self) -> Docker: ...


class FakeScene:
    """Containers that are only said to be there."""

    def __init__(self) -> None:
        self._docker = FakeDocker()
        self.docker: Docker = self._docker

    def _add(self, state: ContainerState) -> None:
        self._docker.states[state.service] = state

    def running(self, service: str) -> None:
        state = container(service, "abc", health=None, image=IMAGE)
        self._add(state)
        self._docker.used = {**self._docker.used, state.id: 1 << 20}

    def exited(self, service: str, exit_code: int, *, wrote: tuple[str, ...] = ()) -> None:
        state = container(service, "abc", health=None, status="exited", exit_code=exit_code)
        self._add(state)
        self._docker.tails = {**self._docker.tails, state.id: wrote}

    def restarting(self, service: str, *, wrote: str = "") -> None:
        state = container(service, "abc", health=None, status="restarting", restarts=1)
        self._add(state)
        self._docker.tails = {**self._docker.tails, state.id: (wrote, wrote)}

    def volume(self, name: str) -> None:
        self._docker.kept_volumes = tuple(sorted((*self._docker.kept_volumes, name)))

    def image(self) -> str:
        return IMAGE

    def unreachable(self) -> Docker:
        return FakeDocker(down=True)


class RealScene:
    """Containers that really are there; everything it makes is removed by :meth:`clear`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._daemon = DockerDaemon()
        self.docker: Docker = self._daemon
        self._monkeypatch = monkeypatch
        self._containers: list[str] = []
        self._volumes: list[str] = []

    def run(self, service: str, *options: str, script: str, stack: str = STACK) -> str:
        labels = {"project": stack, "service": service, "config-hash": "abc", "oneoff": "False"}
        words = [
            word
            for name, value in labels.items()
            for word in ("--label", f"com.docker.compose.{name}={value}")
        ]
        words += [*options, "--network", "none", IMAGE, "/bin/sh", "-c", script]
        done = _docker("run", "--detach", *words)
        self._containers.append(done)
        return done

    def running(self, service: str) -> None:
        self.run(service, script="exec sleep 600")

    def exited(self, service: str, exit_code: int, *, wrote: tuple[str, ...] = ()) -> None:
        said = "; ".join(f"echo {line}" for line in wrote)
        name = self.run(service, script=f"{said or ':'}; exit {exit_code}")
        _docker("wait", name)

    def restarting(self, service: str, *, wrote: str = "") -> None:
        name = self.run(service, "--restart", "always", script=f"echo {wrote}; exit 3")
        _resting(name)

    def volume(self, name: str) -> None:
        label = f"com.docker.compose.project={STACK}"
        self._volumes.append(_docker("volume", "create", "--label", label, name))

    def image(self) -> str:
        return IMAGE

    def unreachable(self) -> Docker:
        self._monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        return DockerDaemon()

    def clear(self) -> None:
        self._monkeypatch.undo()
        if self._daemon._client is not None:  # a command ends with its process; a test does not
            self._daemon._client.close()
        if self._containers:
            _docker("rm", "--force", "--volumes", *self._containers)
        if self._volumes:
            _docker("volume", "rm", *self._volumes)


def _docker(*words: str) -> str:
    done = subprocess.run(
        ["docker", *words], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _resting(name: str) -> None:
    """Wait until it is between two crashes for long: Docker waits 0.1 s, 0.2 s, 0.4 s, ….

    From the fourth on it is 1.6 s, time enough to look, on a slow machine too.
    """
    deadline = time.monotonic() + 60
    shown = "{{.State.Status}} {{.RestartCount}}"
    while True:
        status, restarts = _docker("inspect", "--format", shown, name).split()
        if status == "restarting" and int(restarts) >= 4:
            return
        assert time.monotonic() < deadline, f"{name}: {status} after {restarts} restarts"


@pytest.fixture(scope="module")
def tiny_image() -> Iterator[str]:
    import_image(IMAGE)
    yield IMAGE
    _docker("image", "rm", IMAGE)


@pytest.fixture(params=["fake", "real"])
def scene(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tiny_image: str
) -> Iterator[Scene]:
    if request.param == "fake":
        yield FakeScene()
        return
    real = RealScene(monkeypatch)
    try:
        yield real
    finally:
        real.clear()


def test_a_stack_nobody_started_has_no_containers_and_no_volumes(scene: Scene) -> None:
    assert scene.docker.containers(STACK) == ()
    assert scene.docker.volumes(STACK) == ()


def test_containers_come_sorted_by_service_and_say_what_they_were_made_from(scene: Scene) -> None:
    scene.running("webui")
    scene.running("engine")
    states = scene.docker.containers(STACK)
    assert [state.service for state in states] == ["engine", "webui"]
    engine = states[0]
    assert (engine.status, engine.health, engine.restarts) == ("running", None, 0)
    assert (engine.config_hash, engine.image, engine.oom_killed) == ("abc", IMAGE, False)


def test_a_container_that_ended_is_still_listed_with_its_exit_code(scene: Scene) -> None:
    scene.exited("engine", 7)
    (state,) = scene.docker.containers(STACK)
    assert (state.status, state.exit_code) == ("exited", 7)


def test_a_container_between_two_crashes_is_restarting_not_running(scene: Scene) -> None:
    scene.restarting("engine")
    (state,) = scene.docker.containers(STACK)
    assert state.status == "restarting"
    assert state.restarts >= 1


def test_log_tail_gives_the_last_lines_in_order(scene: Scene) -> None:
    scene.exited("engine", 1, wrote=("one", "two", "three"))
    (state,) = scene.docker.containers(STACK)
    assert scene.docker.log_tail(state.id, 2) == ("two", "three")


def test_log_within_gives_lines_in_order_with_their_times(scene: Scene) -> None:
    scene.exited("engine", 1, wrote=("one", "two", "three"))
    (state,) = scene.docker.containers(STACK)
    started = moment(state.started_at) or datetime.now(UTC)
    before = f"{started - timedelta(minutes=1):%Y-%m-%dT%H:%M:%SZ}"
    said = scene.docker.log_within(state.id, 300, since=before)
    assert [text for _, text in said] == ["one", "two", "three"]
    assert all(moment(at) is not None for at, _ in said)
    assert scene.docker.log_within("0" * 64, 5, since=before) == ()


def test_only_the_real_daemon_log_within_leaves_out_what_was_before_and_after(
    real: RealScene,
) -> None:
    name = real.run("worker", script="echo first; sleep 1; echo here; sleep 3; echo later; sleep 9")
    _wrote(real, name, 3)
    _docker("restart", "--time", "0", name)
    _wrote(real, name, 6)
    (state,) = real.docker.containers(STACK)
    assert state.started_at is not None
    said = real.docker.log_within(name, 2, since=state.started_at)
    assert [text for _, text in said][-1] == "here"
    assert len(said) <= 2  # "first" may be stamped before Docker calls it started
    assert all(at >= state.started_at[:19] for at, _ in said)


def _wrote(real: RealScene, name: str, lines: int) -> None:
    deadline = time.monotonic() + 20
    while len(real.docker.log_tail(name, 9)) < lines:
        assert time.monotonic() < deadline, f"{name} never wrote {lines} lines"
        time.sleep(0.05)


def test_only_the_real_daemon_log_tail_since_a_start_leaves_out_what_was_before(
    real: RealScene,
) -> None:
    # What is written at once may bear an earlier time than that at which Docker calls it started.
    name = real.run("worker", script="sleep 0.5; echo here; exec sleep 600")
    _wrote(real, name, 1)
    _docker("restart", "--time", "0", name)
    _wrote(real, name, 2)
    (state,) = real.docker.containers(STACK)
    assert real.docker.log_tail(name, 9) == ("here", "here")
    assert real.docker.log_tail(name, 9, since=state.started_at) == ("here",)
    assert real.docker.log_tail(name, 9, since="2001-01-01T00:00:00Z") == ("here", "here")


def test_log_tail_of_a_container_that_is_gone_is_empty(scene: Scene) -> None:
    assert scene.docker.log_tail("0" * 64, 5) == ()


def heard(scene: Scene, feed: LogFeed, lines: int) -> tuple[str, ...]:
    """Drain until so many lines are there; the real daemon needs a moment."""
    deadline = time.monotonic() + 30
    found = feed.drain()
    while len(found) < lines:
        assert time.monotonic() < deadline, found
        found += feed.drain()
    return found


def test_a_log_is_followed_each_line_once(scene: Scene) -> None:
    scene.exited("engine", 1, wrote=("one", "two", "three"))
    (state,) = scene.docker.containers(STACK)
    feed = scene.docker.follow(state.id, since=state.started_at)
    assert heard(scene, feed, 3) == ("one", "two", "three")
    assert feed.drain() == ()
    feed.close()
    assert feed.drain() == ()


def test_only_what_is_new_is_heard_where_that_is_asked_for(scene: Scene) -> None:
    scene.exited("engine", 1, wrote=("one", "two", "three"))
    (state,) = scene.docker.containers(STACK)
    new = scene.docker.follow(state.id, since=state.started_at, new=True)
    whole = scene.docker.follow(state.id)
    assert heard(scene, whole, 3) == ("one", "two", "three")
    assert new.drain() == ()
    whole.close()
    new.close()


def test_a_container_that_starts_anew_is_followed_further(scene: Scene) -> None:
    scene.restarting("engine", wrote="again")
    (state,) = scene.docker.containers(STACK)
    feed = scene.docker.follow(state.id)
    assert heard(scene, feed, 2)[:2] == ("again", "again")
    feed.close()


def test_a_container_that_is_gone_says_nothing(scene: Scene) -> None:
    feed = scene.docker.follow("0" * 64)
    assert feed.drain() == ()
    feed.close()


def test_a_running_container_uses_memory_and_one_that_is_gone_none(scene: Scene) -> None:
    scene.running("engine")
    (state,) = scene.docker.containers(STACK)
    used = scene.docker.usage(state.id)
    assert used is not None
    assert 0 < used.memory_bytes < 1 << 30
    assert used.cpu_seconds > 0
    assert scene.docker.usage("0" * 64) is None


def test_a_container_is_inspected_in_dockers_own_words_and_one_that_is_gone_is_not(
    scene: Scene,
) -> None:
    scene.running("engine")
    (state,) = scene.docker.containers(STACK)
    found = scene.docker.inspect(state.id)
    assert found is not None
    assert found["Id"] == state.id
    assert scene.docker.inspect("0" * 64) is None


def test_a_stack_nobody_started_has_no_networks(scene: Scene) -> None:
    assert scene.docker.networks(STACK) == ()


def test_a_network_that_is_not_there_is_none(scene: Scene) -> None:
    assert scene.docker.network("0" * 64) is None


def test_only_the_real_daemon_a_network_of_others_is_found_by_its_id(real: RealScene) -> None:
    bridge = real.docker.network("bridge")
    assert bridge is not None
    assert real.docker.network(bridge["Id"]) == bridge
    assert bridge["Id"] not in {row["Id"] for row in real.docker.networks(STACK)}


def test_an_image_that_is_here_has_an_id_that_is_a_digest(scene: Scene) -> None:
    found = scene.docker.image_id(scene.image())
    assert found is not None
    assert found.startswith("sha256:")


def test_volumes_of_the_stack_are_named_in_order(scene: Scene) -> None:
    names = (f"{STACK}_a", f"{STACK}_b")
    for name in reversed(names):
        scene.volume(name)
    assert scene.docker.volumes(STACK) == names


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the SDK drops the failed socket unclosed
def test_a_daemon_that_does_not_answer_is_an_error_with_a_next_step(scene: Scene) -> None:
    fault = _fault(scene.unreachable())
    gc.collect()  # while that warning is ignored
    assert fault.code == "docker-unreachable"
    assert fault.hint


def _fault(docker: Docker) -> Fault:
    with pytest.raises(DeployctlError) as caught:
        docker.containers(STACK)
    return caught.value.faults[0]


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch, tiny_image: str) -> Iterator[RealScene]:
    scene = RealScene(monkeypatch)
    try:
        yield scene
    finally:
        scene.clear()


def test_only_the_real_daemon_another_stack_and_one_off_containers_are_not_ours(
    real: RealScene,
) -> None:
    real.run("engine", script="exec sleep 600", stack=f"{STACK}-other")
    real.run("engine", "--label", "com.docker.compose.oneoff=True", script="exec sleep 600")
    assert real.docker.containers(STACK) == ()


def test_only_the_real_daemon_an_image_that_is_not_here_has_no_id(real: RealScene) -> None:
    assert real.docker.image_id("dctl-test-no-such-image:1") is None


def test_only_the_real_daemon_a_current_context_is_followed_as_the_client_does(
    real: RealScene, tmp_path: Path
) -> None:
    here = _docker("context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
    environment = {**os.environ, "DOCKER_CONFIG": str(tmp_path)}
    for words in (
        ("context", "create", "elsewhere", "--docker", "host=unix:///nonexistent.sock"),
        ("context", "use", "elsewhere"),
    ):
        subprocess.run(["docker", *words], env=environment, check=True, capture_output=True)
    done = subprocess.run(
        ["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "unix:///nonexistent.sock" != here
    program = "from deployctl.dockerd import DockerDaemon; DockerDaemon().containers('x')"
    followed = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "The Docker daemon does not answer." in followed.stderr


def test_only_the_real_daemon_the_context_of_the_shell_wins_over_the_one_in_use(
    real: RealScene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    for name, address in (("other", "ssh://box.invalid"), ("gone", "unix:///nonexistent.sock")):
        _docker("context", "create", name, "--docker", f"host={address}")
    monkeypatch.setenv("DOCKER_CONTEXT", "default")
    _docker("context", "use", "other")
    assert real.docker.containers(STACK) == ()
    monkeypatch.setenv("DOCKER_CONTEXT", "other")
    assert _fault(DockerDaemon()).code == "docker-remote"
    monkeypatch.setenv("DOCKER_CONTEXT", "unheard-of")
    assert _fault(DockerDaemon()).code == "docker-unreachable"
