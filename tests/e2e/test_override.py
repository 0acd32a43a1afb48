"""The operator's own compose.override.yaml: honoured, never written, never fatal to what runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e import machine
from tests.e2e.product import Outcome, Stack

LABEL = """\
# mine
services:
    engine: {labels: {"example.invalid/owner": "me"}}   # odd spacing is kept
"""

JOINED = """\
services:
  webui: {{networks: {{mine: {{}}}}}}
networks:
  mine: {{external: true, name: {network}}}
"""

BROKEN = """\
services:
  engine:
    no_such_key: true
"""

NO_MODEL = """\
services:
  engine:
    command: ["--model", "/models/nothing.gguf", "--host", "0.0.0.0", "--port", "8080"]
"""


@pytest.fixture
def own(stack: Stack) -> Iterator[Stack]:
    """The stack, up; whatever override a test puts in place is taken away afterwards."""
    assert stack.up().exit_code == 0
    yield stack
    stack.override.unlink(missing_ok=True)


def test_an_override_is_honoured_and_stays_as_it_was_written(own: Stack) -> None:
    own.override.write_text(LABEL, encoding="utf-8")
    assert own.up().data["changed"] is True
    assert own.container("engine")["Config"]["Labels"]["example.invalid/owner"] == "me"
    assert own.override.read_text(encoding="utf-8") == LABEL
    assert own.up().data["changed"] is False


def test_a_removed_override_is_undone_by_the_next_up(own: Stack) -> None:
    own.override.write_text(LABEL, encoding="utf-8")
    own.up()
    own.override.unlink()
    assert own.up().data["changed"] is True
    assert "example.invalid/owner" not in own.container("engine")["Config"]["Labels"]


def test_a_network_of_the_operators_costs_no_new_container_whatever_its_name(own: Stack) -> None:
    name = f"{own.name}_mine"
    machine.docker("network", "create", name)
    try:
        own.override.write_text(JOINED.format(network=name), encoding="utf-8")
        assert own.up().data["changed"] is True
        with_it = own.identity()
        assert own.up().data["changed"] is False
        assert own.identity() == with_it
        own.override.unlink()
        assert own.up().data["changed"] is True
    finally:
        machine.attempt("docker", "network", "disconnect", "--force", name, f"{own.name}-webui-1")
        machine.docker("network", "rm", name)


def test_a_broken_override_is_exit_5_names_the_file_and_leaves_the_running_stack_alone(
    own: Stack,
) -> None:
    before = own.identity()
    own.override.write_text(BROKEN, encoding="utf-8")
    outcome = own.up()
    assert (outcome.exit_code, outcome.error["code"]) == (5, "render-invalid")
    assert str(own.override) in outcome.error["hint"]
    assert any("no_such_key" in line for line in outcome.error["details"])
    assert own.identity() == before
    assert own.status().exit_code == 0
    own.override.unlink()
    assert own.up().data["changed"] is False
    assert own.identity() == before


@pytest.fixture
def dead_engine(own: Stack) -> Iterator[tuple[Stack, Outcome]]:
    """What ``up`` says when the engine cannot find its model and keeps ending."""
    own.override.write_text(NO_MODEL, encoding="utf-8")
    yield own, own.up()
    own.override.unlink()
    own.up()


def test_an_engine_that_cannot_start_is_exit_6_with_its_last_words(
    dead_engine: tuple[Stack, Outcome],
) -> None:
    stack, outcome = dead_engine
    assert (outcome.exit_code, outcome.error["code"]) == (6, "engine-weights-missing")
    assert outcome.error["where"] == "engine"
    assert any("nothing.gguf" in line for line in outcome.error["details"])
    assert outcome.error["hint"].startswith("deployctl "), outcome.error["hint"]
    status = stack.status()
    assert (status.exit_code, status.envelope["status"]) == (6, "degraded")
