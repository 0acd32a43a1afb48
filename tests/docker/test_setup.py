"""Looking at the real Docker and the real system. Read-only: other people's containers run here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deployctl.dockerinfo import gather_docker
from deployctl.provision.apply import prove
from deployctl.provision.plan import plan_setup
from deployctl.provision.system import inspect
from deployctl.runner import SubprocessRunner

RUNNER = SubprocessRunner()


def test_the_real_docker_is_proved_and_never_touched() -> None:
    docker = prove(RUNNER, os.environ)
    assert docker.problem is None
    assert docker.compose_version
    assert docker.running_containers is not None
    plan = plan_setup(inspect(RUNNER, Path("/"), os.environ), docker)
    assert not plan.needed
    assert plan.cleanup == ()


def test_a_socket_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    docker = gather_docker(RUNNER, os.environ)
    assert docker.problem == "docker-unreachable"
    assert any("daemon" in line for line in docker.evidence)
    assert docker.compose_version
