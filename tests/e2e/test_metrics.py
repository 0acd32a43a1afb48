"""The figures of a running stack without any add-on, held against what was asked of it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.e2e import machine
from tests.e2e.product import Stack

MIB = 1024**2

#: Tokens of the answer that the figures are held against.
TOKENS = 120

#: Longer than a block of vLLM's prefix cache, which on a processor is 128 tokens.
QUESTION = "Tell a long story about a river and a boat. " * 30


@pytest.fixture
def up(stack: Stack) -> Stack:
    assert stack.up().exit_code == 0
    return stack.settled()


def told(stack: Stack, *more: str) -> dict[str, Any]:
    words = ("metrics", "--stack", stack.name, "--interval", "0.5", "--output", "json")
    return stack.product.run(*words, *more).data


def answer(stack: Stack) -> int:
    """One answer of exactly so many tokens; returns how long its question was, in tokens."""
    body = {
        "model": stack.ask("/v1/models").json()["data"][0]["id"],
        "messages": [{"role": "user", "content": QUESTION}],
        "max_tokens": TOKENS,
        "ignore_eos": True,
    }
    usage = stack.ask("/v1/chat/completions", body).json()["usage"]
    assert usage["completion_tokens"] == TOKENS
    return int(usage["prompt_tokens"])


def watched_answer(stack: Stack) -> tuple[int, list[dict[str, Any]]]:
    """Watch while one answer is given: (tokens of the question, what was told each second)."""
    words = ("metrics", "--watch", "--interval", "1", "--stack", stack.name, "--output", "json")
    with stack.product.start(*words) as watching:
        looks = [_data(watching.line())]
        asked = answer(stack)
        over = datetime.now(UTC) + timedelta(seconds=1)  # whose window begins after the answer
        while datetime.fromisoformat(looks[-1]["at"]) <= over:
            looks.append(_data(watching.line()))
        watching.interrupt()
        outcome = watching.finish()
    assert (outcome.exit_code, outcome.stderr) == (130, "")
    return asked, looks


def _data(line: str) -> dict[str, Any]:
    found = json.loads(line)
    assert (found["command"], found["exit_code"]) == ("metrics", 0)
    return dict(found["data"])


def written(windows: list[dict[str, Any]]) -> float:
    """The tokens that all windows together tell of."""
    return float(sum(one["seconds"] * (one["generated_tokens_per_s"] or 0) for one in windows))


def test_what_is_told_over_time_adds_up_to_the_answer_that_was_given(up: Stack) -> None:
    question, looks = watched_answer(up)
    windows = [look["window"] for look in looks]
    # Its steps are tokens or nearly so.
    assert written(windows) == pytest.approx(TOKENS, abs=5)
    last = windows[-1]
    assert (last["generated_tokens_per_s"], last["read_tokens_per_s"]) == (0, 0), "idle again"
    read = sum(one["counted"]["read_tokens"] for one in windows)
    assert 0 < read <= question
    assert sum(one["counted"]["generated_tokens"] for one in windows) == TOKENS


def test_since_its_start_is_what_the_engine_itself_counts(up: Stack) -> None:
    answer(up)
    data = told(up)
    whole = data["since_start"]
    assert whole["generated_tokens"] == up.engine_counter(up.kind.answer_tokens)
    assert whole["read_tokens"] == up.engine_counter(up.kind.prompt_tokens)
    cached = up.engine_counter("llamacpp:prompt_tokens_cached_total")
    asked = whole["read_tokens"] + cached
    assert whole["cached_share"] == pytest.approx(cached / asked, abs=1e-6)
    assert 0 < whole["cached_share"] < 1, "the same question was asked before"
    waits = whole["inter_token"]
    assert waits["mean_s"] * whole["answer_tokens_per_s"] == pytest.approx(1, abs=0.01)
    assert (waits["p50_s"], whole["first_token"], whole["finished"]) == (None, None, None)
    assert {"first_token", "kv_share", "finished", "preemptions"} <= set(data["not_exported"])


def test_what_status_tells_too_is_the_same(up: Stack) -> None:
    ours, theirs = told(up), up.status().data
    assert ours["engine"] == theirs["engine"]
    assert (ours["engine"]["running"], ours["engine"]["waiting"]) == (0, 0)
    for mine, other in zip(ours["services"], theirs["services"], strict=True):
        same = ("service", "state", "health", "restarts", "image", "memory_limit_bytes")
        assert [mine[key] for key in same] == [other[key] for key in same]
        assert mine["memory_bytes"] == pytest.approx(other["memory_bytes"], rel=0.2)
        assert mine["cpus_basis"] == "now"
        assert 50 * MIB < mine["memory_bytes"] < mine["memory_limit_bytes"]


def test_in_words_each_figure_has_its_unit(up: Stack) -> None:
    outcome = up.product.run("metrics", "--stack", up.name)
    assert outcome.exit_code == 0
    assert outcome.seconds < 2 + 5, "the window, and a moment"
    for words in ("0 requests", "0.0 tokens/s", " tokens\n", " MiB of "):
        assert words in outcome.stdout, outcome.stdout
    assert re.search(r"now +last 2\.\d s +since its start", outcome.stdout)
    assert "Not exported by llama.cpp: time to first token" in outcome.stdout


def test_without_the_engine_the_containers_are_told_and_the_way_out(up: Stack) -> None:
    engine = up.container("engine")["Id"]
    machine.docker("pause", engine)
    try:
        outcome = up.product.run("metrics", "--stack", up.name, "--output", "json")
    finally:
        machine.docker("unpause", engine)
    assert outcome.exit_code == 6
    assert outcome.error["code"] == "stack-not-running"
    assert outcome.error["hint"].startswith("docker unpause ")
    data = outcome.envelope["data"]
    assert (data["engine"], data["window"]) == (None, None)
    services = {service["service"]: service for service in data["services"]}
    assert services["engine"]["state"] == "paused"
    assert services["webui"]["memory_bytes"] > 50 * MIB
    assert told(up)["engine"] is not None
