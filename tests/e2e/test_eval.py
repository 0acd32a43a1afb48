"""``eval`` on the real engine: both rates, and whatever ends it, the same result in the end."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import machine
from tests.e2e.product import Outcome, Running, Stack

pytestmark = [pytest.mark.docker, pytest.mark.e2e]

#: Short, so that the whole of it takes seconds: most answers are cut off, which is a result, too.
WORDS = ("eval", "math", "--n", "8", "--max-tokens", "96", "--output", "json")
QUESTIONS = 8


@pytest.fixture(scope="module")
def stack(new_stack: Callable[[str], Stack], images: None) -> Stack:
    """A stack of its own: its engine is killed on the way, and nobody else asks it anything."""
    made = new_stack("eval")
    assert made.up().exit_code == 0
    return made


@pytest.fixture(scope="module")
def whole(stack: Stack) -> dict[str, Any]:
    """What one run in one piece found."""
    return evaluated(stack).data


def evaluated(stack: Stack, *more: str) -> Outcome:
    return stack.product.run(*WORDS, "--stack", stack.name, *more)


@contextmanager
def under_way(stack: Stack, rows_file: Path, answers: int) -> Iterator[Running]:
    """Begin anew; the block is entered once so many answers are kept."""
    with stack.product.start(*WORDS, "--stack", stack.name, "--again") as running:
        machine.eventually(
            lambda: len(rows(rows_file)) in range(answers, QUESTIONS),
            within_s=120,
            what=f"{answers} answers and more to come",
        )
        yield running


def rows(path: Path) -> dict[str, dict[str, Any]]:
    """The answers kept so far, whole lines only, but for how long each took."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    found = (json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n"))
    return {row["id"]: {**row, "seconds": 0} for row in found if "id" in row}


def result(data: dict[str, Any]) -> dict[str, Any]:
    """All that is not about time, or about how it came to be."""
    about = ("rates", "truncated", "tokens", "refused", "levels", "subjects", "answered")
    answers = [{**one, "seconds": 0} for one in data["results"]]
    return {**{key: data[key] for key in about}, "results": answers}


def test_math_ends_with_both_rates(stack: Stack, whole: dict[str, Any]) -> None:
    assert (whole["answered"], whole["asked"], whole["complete"]) == (QUESTIONS, QUESTIONS, True)
    for name in ("complete", "right"):
        rate = whole["rates"][name]
        assert rate["of"] == QUESTIONS
        assert 0 <= rate["low"] <= rate["share"] <= rate["high"] <= 1
    assert whole["tokens"]["total"] == sum(one["tokens"] for one in whole["results"])
    assert whole["warnings"] == []


def test_killed_in_the_middle_and_resumed_it_gives_the_same(
    stack: Stack, whole: dict[str, Any]
) -> None:
    path = Path(whole["rows_file"])
    before = rows(path)
    with under_way(stack, path, 3) as running:
        running.kill()
    kept = len(rows(path))
    assert 3 <= kept < QUESTIONS
    data = evaluated(stack).data
    assert (data["kept"], data["answered"], data["warnings"]) == (kept, QUESTIONS, [])
    assert rows(path) == before
    assert result(data) == result(whole)


def test_ctrl_c_shows_what_there_is_and_the_rest_follows(
    stack: Stack, whole: dict[str, Any]
) -> None:
    path = Path(whole["rows_file"])
    with under_way(stack, path, 2) as running:
        running.interrupt()
        outcome = running.finish()
    assert outcome.exit_code == 128 + signal.SIGINT
    assert outcome.envelope["data"]["answered"] >= 2
    assert outcome.envelope["data"]["complete"] is False
    assert outcome.error["code"] == "interrupted"
    assert result(evaluated(stack).data) == result(whole)


def test_an_engine_that_dies_is_told_with_its_cause_and_nothing_is_lost(
    stack: Stack, whole: dict[str, Any]
) -> None:
    path = Path(whole["rows_file"])
    with under_way(stack, path, 2) as running:
        machine.docker("kill", stack.container("engine")["Id"])
        outcome = running.finish()
    assert outcome.exit_code == 6, str(outcome)
    assert outcome.error["code"] == "engine-killed", str(outcome)
    assert outcome.envelope["data"]["answered"] >= 2
    assert stack.up().exit_code == 0
    data = evaluated(stack).data
    assert data["kept"] >= 2
    assert result(data) == result(whole)


def test_json_and_tools_are_asked_and_counted(stack: Stack) -> None:
    data = stack.product.run(
        *("eval", "json", "--n", "2", "--max-tokens", "64", "--stack", stack.name, "-o", "json")
    ).data
    assert (data["answered"], set(data["rates"])) == (4, {"words", "schema"})
    data = stack.product.run(
        *("eval", "tools", "--n", "2", "--max-tokens", "64", "--stack", stack.name, "-o", "json")
    ).data
    assert (data["answered"] + len(data["refused"]), set(data["rates"])) == (2, {"valid", "right"})
    assert data["warnings"], "the model was not made for tools, and nobody says so"
