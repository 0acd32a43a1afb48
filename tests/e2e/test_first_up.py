"""From nothing to an answer; and all the way back to nothing."""

from __future__ import annotations

import pytest

from tests.e2e import machine
from tests.e2e.product import Outcome, Stack

PHASES = [
    "preflight",
    "images",
    "weights",
    "start",
    "engine ready",
    "frontend ready",
    "proof",
]


def test_up_from_nothing_ends_with_exit_0(cold: tuple[Stack, Outcome]) -> None:
    _, outcome = cold
    assert outcome.exit_code == 0, str(outcome)


def test_up_says_where_to_go_how_to_sign_in_and_what_the_model_answered(
    cold: tuple[Stack, Outcome],
) -> None:
    stack, outcome = cold
    pairs = (line.strip().partition("  ") for line in outcome.stdout.splitlines())
    values = {name: value.strip() for name, _, value in pairs if value}
    assert values["Chat window"] == stack.webui
    assert values["Sign in with"] == str(stack.folder / "credentials")
    assert values["OpenAI API"] == f"{stack.engine}/v1"
    assert values["It said"]


def test_up_speaks_of_every_phase_while_it_works_and_never_of_a_secret(
    cold: tuple[Stack, Outcome],
) -> None:
    stack, outcome = cold
    ended = [line[2:17].strip() for line in outcome.stderr.splitlines() if line.startswith("✓")]
    assert sorted(ended) == sorted(PHASES)
    for secret in stack.secrets().values():
        assert secret not in outcome.stdout + outcome.stderr


def test_down_with_volumes_leaves_nothing_on_docker_and_no_secret_on_disk(
    cold: tuple[Stack, Outcome],
) -> None:
    stack, _ = cold
    secrets = stack.secrets().values()
    report = stack.down("--volumes").data
    assert report["kept_volumes"] == []
    assert stack.leftovers() == {"containers": [], "networks": [], "volumes": []}
    files = [path for path in stack.folder.rglob("*") if path.is_file()]
    assert all(s not in path.read_text("utf-8") for path in files for s in secrets)
    assert [path.name for path in files if path.name != "lock"] == []


def test_after_down_the_ports_are_free(cold: tuple[Stack, Outcome]) -> None:
    stack, _ = cold
    stack.down("--volumes")
    assert not machine.listens("127.0.0.1", stack.webui_port)
    assert not machine.listens("127.0.0.1", stack.engine_port)


def test_json_of_the_first_up_is_one_envelope_with_status_ok(
    first_up: tuple[Stack, Outcome],
) -> None:
    _, outcome = first_up
    envelope = outcome.envelope
    assert set(envelope) == {"version", "command", "status", "exit_code", "data", "errors"}
    assert (envelope["version"], envelope["command"], envelope["status"]) == (1, "up", "ok")
    assert (envelope["exit_code"], envelope["errors"]) == (outcome.exit_code, []) == (0, [])


def test_the_first_up_changed_the_machine_and_ends_with_an_answer_of_the_model(
    first_up: tuple[Stack, Outcome],
) -> None:
    stack, outcome = first_up
    data = outcome.data
    assert data["changed"] is True
    assert data["answer"]["text"].strip()
    assert (data["stack"], data["profile"]) == (stack.name, "smoke")
    assert (data["webui_url"], data["engine_url"]) == (stack.webui, f"{stack.engine}/v1")


def test_every_phase_of_the_first_up_says_how_many_seconds_it_took(
    first_up: tuple[Stack, Outcome],
) -> None:
    _, outcome = first_up
    phases = {phase["name"]: phase["seconds"] for phase in outcome.data["phases"]}
    assert sorted(phases) == sorted(PHASES)
    assert all(seconds >= 0 for seconds in phases.values())
    assert sum(phases.values()) <= 2 * outcome.seconds


def test_status_of_a_stack_that_is_up_is_ok(stack: Stack) -> None:
    outcome = stack.status()
    assert (outcome.exit_code, outcome.envelope["status"]) == (0, "ok")
    names = {check["name"]: check["status"] for check in outcome.data["checks"]}
    assert names == {
        "container engine": "ok",
        "container webui": "ok",
        "engine answers": "ok",
        "frontend answers": "ok",
        "model listed": "ok",
    }


def test_logs_of_one_service_are_its_own_lines(stack: Stack) -> None:
    outcome = stack.product.run("logs", "engine", "--tail", "5", "--stack", stack.name)
    lines = outcome.stdout.splitlines()
    assert outcome.exit_code == 0
    assert lines
    assert [line for line in lines if not line.startswith("engine")] == []


def test_status_of_a_stack_that_never_was_is_exit_5_with_the_command_that_makes_it(
    stack: Stack,
) -> None:
    outcome = stack.product.run("status", "--stack", "dctl-e2e-never", "--output", "json")
    assert (outcome.exit_code, outcome.error["code"]) == (5, "stack-unknown")
    assert outcome.error["hint"] == "deployctl up --stack dctl-e2e-never"


@pytest.mark.parametrize("service", ["engine", "webui"])
def test_what_status_says_of_a_container_is_what_docker_says(stack: Stack, service: str) -> None:
    rows = {row["service"]: row for row in stack.status().data["containers"]}
    seen = stack.container(service)
    assert rows[service]["id"] == seen["Id"]
    assert (rows[service]["status"], rows[service]["health"]) == ("running", "healthy")
