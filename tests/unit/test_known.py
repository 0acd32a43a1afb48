"""The same state of a stack has the same code and words, whichever command meets it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deployctl.deploy.chat import connect
from deployctl.deploy.logs import logs
from deployctl.deploy.open import Seat, open_window
from deployctl.deploy.status import status
from deployctl.deploy.up import up
from deployctl.deploy.verify import verify
from deployctl.deploy.world import UpRequest, World
from deployctl.errors import DeployctlError, Fault
from deployctl.profiles.selection import Selection
from tests.panel import FakePanel
from tests.world import Box

SEAT = Seat(environment={}, platform="linux", user="me")
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def of_logs(world: World, name: str) -> None:
    logs(world, name, (), follow=False, tail="5", on_line=lambda _line: None)


ASKED: dict[str, Callable[[World, str], object]] = {
    "chat": connect,
    "open": lambda world, name: open_window(world, name, SEAT),
    "verify": verify,
    "logs": of_logs,
}


@pytest.fixture
def box(tmp_path: Path) -> Box:
    box = Box(home=tmp_path)
    box.http = FakePanel()
    up(box.world(), UpRequest(stack="s", selection=Selection(profile="smoke")))
    return box


def refused(box: Box, command: str, name: str) -> tuple[Fault, int]:
    with pytest.raises(DeployctlError) as caught:
        ASKED[command](box.world(command), name)
    (fault,) = caught.value.faults
    return fault, int(caught.value.exit_code)


@pytest.mark.parametrize("command", ASKED)
def test_a_name_that_nothing_has(box: Box, command: str) -> None:
    box.docker.states.clear()
    with pytest.raises(DeployctlError) as caught:
        status(box.world("status"), "nosuch", NOW)
    fault, code = refused(box, command, "nosuch")
    assert fault == caught.value.faults[0]
    assert (fault.code, code) == ("stack-unknown", 5)
    assert fault.details == ("the stacks there are: s",)
    assert fault.hint.startswith("deployctl up ")


def test_who_names_none_is_led_to_the_only_one(box: Box) -> None:
    box.docker.states.clear()
    assert refused(box, "open", "deployctl")[0].hint == "--stack s"
    another = box.home / "stacks/another"
    another.mkdir()
    (another / "manifest.json").write_text("{}")
    assert refused(box, "open", "deployctl")[0].hint == "deployctl up"


@pytest.mark.parametrize("command", ASKED)
def test_a_stack_that_is_down(box: Box, command: str) -> None:
    box.docker.states.clear()
    fault, code = refused(box, command, "s")
    assert (fault.code, code) == ("stack-not-running", 6)
    assert fault.message.startswith("Stack s is down: it has no containers")
    assert fault.hint == "deployctl up --profile smoke --stack s"


@pytest.mark.parametrize(
    ("command", "service"), [("chat", "engine"), ("verify", "engine"), ("open", "webui")]
)
def test_what_is_paused(box: Box, command: str, service: str) -> None:
    box.docker.states[service] = replace(box.docker.states[service], status="paused")
    checks = status(box.world("status"), "s", NOW).checks
    told = next(check for check in checks if check.name == f"container {service}")
    fault, code = refused(box, command, "s")
    assert (fault.code, fault.message, fault.hint) == (told.code, told.summary, told.hint)
    assert (fault.code, code) == ("stack-not-running", 6)
    assert fault.hint.startswith("docker unpause ")


def test_a_chat_window_that_docker_calls_ill_and_answers_is_opened(box: Box) -> None:
    box.docker.states["webui"] = replace(box.docker.states["webui"], health="unhealthy")
    assert open_window(box.world("open"), "s", SEAT).url


def test_an_engine_off_its_network_is_told_so_by_chat(box: Box) -> None:
    panel = box.http
    assert isinstance(panel, FakePanel)
    panel.engine_silent = True
    box.docker.inspected = {
        "id-engine": {"NetworkSettings": {"Networks": {}}, "HostConfig": {"NetworkMode": "s_x"}}
    }
    fault, _ = refused(box, "chat", "s")
    assert "lost its network" in fault.message
    assert fault.hint == "deployctl up --profile smoke --stack s"
