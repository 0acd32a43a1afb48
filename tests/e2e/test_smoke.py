"""``smoke`` beside a running stack: what it makes goes, whatever ends it; the rest stays."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.e2e import machine
from tests.e2e.product import Outcome, Running, Stack

#: A flag that llama.cpp once had: the engine says so and leaves.
NO_FLAG = ("--set", 'engine.extra_args=["--mlock"]')


@pytest.fixture
def tested(new_stack: Callable[[str], Stack], images: None) -> Iterator[Stack]:
    """The name and ports of a smoke test's stack. It has to be gone whatever happened to it."""
    stack = new_stack("smoke")
    yield stack
    assert stack.leftovers() == {"containers": [], "networks": [], "volumes": []}
    assert not stack.folder.exists()
    assert not (stack.product.home / "smoke").exists()


def words(stack: Stack, *more: str) -> tuple[str, ...]:
    _, *selection = stack.up_words
    return ("smoke", *selection, *more)


def start(stack: Stack, *more: str) -> Running:
    return stack.product.start(*words(stack, *more), patience_s=300)


def run(stack: Stack, *more: str) -> Outcome:
    return stack.product.run(*words(stack, *more), patience_s=300)


def secrets_in(folder: Path, secrets: dict[str, str]) -> list[str]:
    """The files below a folder that hold one of these."""
    return [
        str(path)
        for path in folder.rglob("*")
        if path.is_file() and any(value.encode() in path.read_bytes() for value in secrets.values())
    ]


def test_beside_a_running_stack_on_ports_of_its_own(
    stack: Stack, tested: Stack, tmp_path: Path
) -> None:
    before = stack.identity()
    taken = tmp_path / "ports.yaml"
    taken.write_text(f"ports: {{webui: {stack.webui_port}, engine: {stack.engine_port}}}\n")
    kept, junit = tmp_path / "kept", tmp_path / "junit.xml"
    outcome = stack.product.run(
        *("smoke", "--profile", "smoke", "--overlay", str(taken), "--stack", tested.name),
        *("--junit", str(junit), "--artifacts", str(kept)),
        patience_s=300,
    )
    assert outcome.exit_code == 0, str(outcome)
    assert f"port {stack.webui_port} is held by container {stack.name}-webui-1" in outcome.stderr
    assert outcome.stdout.splitlines()[-1].startswith(" " * 26 + "image ")
    assert stack.identity() == before
    (suite,) = ET.fromstring(junit.read_text(encoding="utf-8"))
    cases = {case.get("name", "") for case in suite.iter("testcase")}
    assert len([name for name in cases if name.startswith("verify: ")]) >= 18
    assert {"up: proof", "down: nothing left"} <= cases
    assert list(suite.iter("failure")) == []
    names = {str(path.relative_to(kept)) for path in kept.rglob("*") if path.is_file()}
    assert {
        *("bundle/compose.yaml", "plan.json", "containers/engine.json", "events.txt", "junit.xml"),
        *("logs/engine.log", "logs/webui.log", "logs/deployctl.log"),
    } <= names
    # The daemon remembers its last 256 events, of all containers there are.
    told = (kept / "events.txt").read_text(encoding="utf-8").splitlines()
    assert all(tested.name in line for line in told if " container " in line)


def test_an_engine_that_does_not_start_is_its_exit_code_with_evidence(
    tested: Stack, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    outcome = run(tested, *NO_FLAG, "--artifacts", str(kept), "--output", "json")
    assert (outcome.exit_code, outcome.error["code"]) == (6, "engine-flag-unknown"), str(outcome)
    assert "--mlock" in json.dumps(outcome.error)
    assert "deployctl up" not in outcome.error["hint"]
    assert "mlock" in (kept / "logs/engine.log").read_text(encoding="utf-8")
    failures = ET.parse(kept / "junit.xml").findall(".//failure")
    assert len(failures) == 1


@pytest.mark.parametrize("phase", ["engine ready", "frontend ready"])
def test_whoever_ends_it_nothing_is_left(tested: Stack, phase: str) -> None:
    ends = {"engine ready": 2, "frontend ready": 15}  # Ctrl-C; as a CI service ends a job
    with start(tested) as running:
        running.until("✓ start" if phase == "engine ready" else "✓ engine ready")
        secrets = tested.secrets()
        os.kill(running.pid, ends[phase])
        os.kill(running.pid, 15)  # they come in pairs
        outcome = running.finish()
    assert outcome.exit_code == 130, str(outcome)
    assert "Traceback" not in outcome.stderr
    evidence = tested.product.home / "artifacts" / tested.name
    assert (evidence / "containers/engine.json").is_file()
    assert secrets_in(evidence, secrets) == []


def test_a_killed_one_is_taken_away_by_the_next(tested: Stack) -> None:
    with start(tested) as running:
        running.until("✓ start")
        running.kill()
        assert running.finish().exit_code == -9
    assert tested.leftovers()["containers"]
    outcome = run(tested, *NO_FLAG)
    assert outcome.exit_code == 6, str(outcome)
    assert "taking away what an earlier smoke test left" in outcome.stderr


def test_the_operators_stack_is_not_touched(stack: Stack) -> None:
    before = stack.identity()
    outcome = run(stack, "--output", "json")
    assert (outcome.exit_code, outcome.error["code"]) == (2, "smoke-refused"), str(outcome)
    assert stack.identity() == before
    assert machine.http("GET", f"{stack.webui}/ready").status_code == 200
