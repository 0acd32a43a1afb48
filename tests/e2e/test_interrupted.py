"""Ctrl-C, a killed tool, two at once: nothing is lost, and the next ``up`` arrives."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.product import Stack

#: Phase → the lines after which it is under way. In plain output a phase speaks when it ends;
#: images and weights are fetched side by side.
UNDER_WAY = {
    "engine ready": ("✓ start",),
    "frontend ready": ("✓ engine ready",),
    "proof": ("✓ frontend ready",),
    "start": ("✓ images", "✓ weights"),
}


@pytest.fixture(scope="module")
def half(new_stack: Callable[[str], Stack], images: None) -> Stack:
    """A stack that is stopped half-way again and again."""
    return new_stack("half")


@pytest.fixture
def downed(half: Stack) -> Stack:
    """The same, down: its next ``up`` takes long enough to be caught in the middle."""
    assert half.down().exit_code == 0
    return half


@pytest.mark.parametrize("phase", UNDER_WAY)
def test_ctrl_c_is_exit_130_says_how_to_go_on_and_the_secrets_stay(
    downed: Stack, phase: str
) -> None:
    file = downed.folder / "secrets.json"
    secrets = file.read_bytes() if file.exists() else None
    with downed.start_up() as running:
        running.until(*UNDER_WAY[phase])
        running.interrupt()
        outcome = running.finish()
    assert outcome.exit_code == 130, str(outcome)
    assert f"✓ {phase}" not in outcome.stderr, str(outcome)
    assert "[interrupted]" in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert downed.up().data["answer"]["text"].strip()
    assert secrets in (None, file.read_bytes())
    assert downed.status().exit_code == 0


@pytest.mark.parametrize("phase", ["start", "engine ready"])
def test_after_a_killed_tool_the_next_up_arrives(downed: Stack, phase: str) -> None:
    with downed.start_up() as running:
        running.until(*UNDER_WAY[phase])
        running.kill()
        assert running.finish().exit_code == -9
    assert downed.up().data["answer"]["text"].strip()
    assert downed.status().exit_code == 0


def test_of_two_ups_at_once_the_second_is_exit_5_and_names_the_first_which_arrives(
    downed: Stack,
) -> None:
    with downed.start_up() as first:
        first.until("✓ images", "✓ weights")
        second = downed.up()
        assert (second.exit_code, second.error["code"]) == (5, "stack-locked"), str(second)
        assert f"(pid {first.pid})" in second.error["message"]
        assert second.error["hint"] == f"deployctl status --stack {downed.name}"
        assert first.finish().exit_code == 0


def test_down_while_up_works_is_refused_and_up_arrives(downed: Stack) -> None:
    with downed.start_up() as first:
        first.until("✓ start")
        refused = downed.down()
        assert (refused.exit_code, refused.error["code"]) == (5, "stack-locked"), str(refused)
        assert first.finish().exit_code == 0
