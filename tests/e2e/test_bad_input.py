"""Bad days before anything runs: the right exit code, the culprit, a next step that works."""

from __future__ import annotations

import os
import shlex
import socket
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.product import Outcome, Stack

#: The discard port: nobody listens there.
NO_HUB_PORT = 9


@pytest.fixture(scope="module")
def fresh(new_stack: Callable[[str], Stack], images: None) -> Stack:
    """A stack that is not there."""
    return new_stack("fresh")


@pytest.fixture
def port_taken(fresh: Stack) -> Iterator[Outcome]:
    """What ``up`` says while this very process listens on its port."""
    with socket.create_server(("127.0.0.1", fresh.webui_port)):
        yield fresh.up()


def test_a_taken_port_is_exit_4_and_names_who_holds_it(port_taken: Outcome, fresh: Stack) -> None:
    assert (port_taken.exit_code, port_taken.error["code"]) == (4, "port-taken")
    assert port_taken.error["where"] == "webui"
    assert f"Port {fresh.webui_port} " in port_taken.error["message"]
    assert f"(pid {os.getpid()})" in port_taken.error["message"]


def test_a_taken_port_changes_nothing(port_taken: Outcome, fresh: Stack) -> None:
    assert port_taken.exit_code == 4
    assert fresh.leftovers() == {"containers": [], "networks": [], "volumes": []}


def test_the_hint_for_a_taken_port_works_when_typed(port_taken: Outcome, fresh: Stack) -> None:
    program, *words = shlex.split(port_taken.error["hint"])
    assert program == "deployctl"
    typed = fresh.product.run(*words, "--output", "json")
    try:
        assert typed.data["stack"] == fresh.name
        assert typed.data["webui_url"] == f"http://127.0.0.1:{fresh.webui_port + 1}"
        assert typed.data["engine_url"] == f"{fresh.engine}/v1"
    finally:
        fresh.down("--volumes")


def test_a_port_of_another_container_names_that_container(stack: Stack, fresh: Stack) -> None:
    stack.up()
    outcome = fresh.up("--set", f"ports.engine={stack.engine_port}")
    assert (outcome.exit_code, outcome.error["code"]) == (4, "port-taken")
    assert stack.container("engine")["Name"].lstrip("/") in outcome.error["message"]


@pytest.fixture(scope="module")
def no_hub(fresh: Stack) -> Outcome:
    """``up`` of the profile whose model is on a hub, with a hub that is not there."""
    closed = f"http://127.0.0.1:{NO_HUB_PORT}"
    words = [word.replace("smoke", "cpu-only") for word in fresh.up_words]
    hub = {"HF_ENDPOINT": closed, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    return fresh.product.run(*words, "--output", "json", env=hub)


def test_without_a_hub_the_profile_that_needs_one_is_exit_5(no_hub: Outcome) -> None:
    assert (no_hub.exit_code, no_hub.error["code"]) == (5, "weights-unreachable")


def test_without_a_hub_the_error_names_the_file_the_hub_and_how_to_bring_the_file(
    no_hub: Outcome,
) -> None:
    said = " ".join([no_hub.error["message"], *no_hub.error["details"]])
    assert "DeepSeek-R1-Distill-Qwen-1.5B-Q4_K_M.gguf" in said
    assert f"127.0.0.1:{NO_HUB_PORT}" in said
    assert "--set model.source=file:" in no_hub.error["hint"]
    assert "HF_ENDPOINT" in no_hub.error["hint"]


def test_without_a_hub_nothing_is_started(no_hub: Outcome, fresh: Stack) -> None:
    assert no_hub.exit_code == 5
    assert fresh.leftovers() == {"containers": [], "networks": [], "volumes": []}


def test_a_daemon_that_does_not_answer_is_exit_4(fresh: Stack) -> None:
    outcome = fresh.up(env={"DOCKER_HOST": "unix:///nonexistent/docker.sock"})
    assert (outcome.exit_code, outcome.error["code"]) == (4, "docker-unreachable")
    assert outcome.error["hint"] == "deployctl setup"
