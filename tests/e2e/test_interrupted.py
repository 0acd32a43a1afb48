"""Ctrl-C, a killed tool, two at once: nothing is lost, and the next ``up`` arrives."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.product import Stack

#: Phase → the line after which it is under way. In plain output a phase speaks when it ends.
UNDER_WAY = {
    "start": "✓ weights",
    "engine ready": "✓ start",
    "frontend ready": "✓ engine ready",
    "proof": "✓ frontend ready",
}


@pytest.fixture(scope="module")
def half(new_stack: Callable[[str], Stack], images: None) -> Stack:
    """A stack that is stopped half-way again and again."""
    return new_stack("half")


@pytest.mark.parametrize("phase", UNDER_WAY)
def test_ctrl_c_is_exit_130_and_says_how_to_go_on(half: Stack, phase: str) -> None:
    running = half.start_up()
    running.until(UNDER_WAY[phase])
    running.interrupt()
    outcome = running.finish()
    assert outcome.exit_code == 130, str(outcome)
    assert "[interrupted]" in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert "✓ proof" not in outcome.stderr
    assert f"✗ {phase}" in outcome.stderr
    kept = half.product.home / f"{half.name}.secrets"
    secrets = (half.folder / "secrets.json").read_bytes()
    if kept.exists():
        assert kept.read_bytes() == secrets, "an interrupted up must not make new secrets"
    kept.write_bytes(secrets)


def test_after_ctrl_c_the_next_up_arrives(half: Stack) -> None:
    assert half.up().data["answer"]["text"].strip()
    assert half.status().exit_code == 0


@pytest.mark.parametrize("line", ["✓ weights", "✓ start"], ids=["start", "engine ready"])
def test_after_a_killed_tool_the_next_up_arrives(half: Stack, line: str) -> None:
    half.down()
    running = half.start_up()
    running.until(line)
    running.kill()
    assert running.finish().exit_code == -9
    assert half.up().data["answer"]["text"].strip()
    assert half.status().exit_code == 0


def test_of_two_ups_at_once_the_second_is_exit_5_and_names_the_first_which_arrives(
    half: Stack,
) -> None:
    half.down()
    first = half.start_up()
    first.until("✓ weights")
    second = half.up()
    assert (second.exit_code, second.error["code"]) == (5, "stack-locked")
    assert f"(pid {first.pid})" in second.error["message"]
    assert second.error["hint"] == f"deployctl status --stack {half.name}"
    assert first.finish().exit_code == 0


def test_down_while_up_works_is_refused_and_up_arrives(half: Stack) -> None:
    half.down()
    first = half.start_up()
    first.until("✓ start")
    refused = half.down()
    assert (refused.exit_code, refused.error["code"]) == (5, "stack-locked")
    assert first.finish().exit_code == 0
