"""A stack is measured as it runs: every figure is there, kept, and what ends it loses nothing.

Nothing here depends on how fast this machine is; benchmarks/bench_agrees.py holds the figures
against a load generator of others.
"""

from __future__ import annotations

import subprocess

import pytest

from tests.e2e.product import Stack

LOAD = ("--streams", "1,2", "--rounds", "2", "--prompt-tokens", "64", "--output-tokens", "24")


@pytest.fixture
def up(stack: Stack) -> Stack:
    assert stack.up().exit_code == 0
    return stack


def test_every_figure_of_a_real_stack(up: Stack) -> None:
    done = up.product.run("bench", "--stack", up.name, *LOAD, "--output", "json")
    assert done.exit_code == 0, done.stderr
    measured = done.envelope["data"]["measured"]
    assert 0 < measured["load_s"] < 600
    assert 100 * 1024**2 < measured["memory_bytes"] < 1024**3  # 98 MB of weights and its context
    assert measured["bound"]["bytes_per_s"] > 1e9
    assert [level["streams"] for level in measured["levels"]] == [1, 2]
    for level in measured["levels"]:
        assert level["requests"] == 2 * level["streams"]
        assert level["output_tokens"] == 24
        assert abs(level["prompt_tokens"] - 64) <= 4
        assert 0 < level["first_token_p50_s"] <= level["first_token_p95_s"]
        assert 0 < level["inter_token_p50_s"] <= level["inter_token_p95_s"]
        assert level["stream_rate"]["low"] <= level["stream_rate"]["high"]
        assert 0 < level["total_rate"]["low"] <= level["total_rate"]["median"]
        assert 0 < level["ceiling_share"] < 2  # its weights may lie in a cache
        assert level["used"]["engine_cpus"] > 0
    first = measured["levels"][0]
    # One answer: in all is never faster than while it is written.
    assert first["total_rate"]["median"] <= first["stream_rate"]["median"]


def test_a_question_is_read_whole_unless_it_is_asked_again(up: Stack) -> None:
    """The real prefix cache: fresh questions miss it, the same one is found in it."""

    def cached(*more: str) -> float:
        words = (
            "--streams",
            "1",
            "--rounds",
            "3",
            "--prompt-tokens",
            "200",
            "--output-tokens",
            "4",
        )
        done = up.product.run("bench", "--stack", up.name, *words, *more, "--output", "json")
        assert done.exit_code == 0, done.stderr
        return float(done.envelope["data"]["measured"]["levels"][0]["cached_share"])

    assert cached() < 0.2  # what the model's template begins with
    assert cached("--cached") > 0.9


def test_a_second_run_is_held_against_the_first(up: Stack) -> None:
    words = ("bench", "--stack", up.name, *LOAD, "--output", "json")
    assert up.product.run(*words).exit_code == 0
    verdict = up.product.run(*words).envelope["data"]["verdict"]
    assert verdict["other_settings"] is False
    compared = {each["what"] for each in verdict["differences"]}
    assert {"tokens/s", "first token, s", "2 at once: tokens/s", "load, s"} <= compared
    told = up.product.run("bench", "history", "--stack", up.name, "--output", "json")
    assert len(told.envelope["data"]["runs"]) >= 2


#: A load that lasts for minutes; the tests end it.
LONG = ("--streams", "1", "--rounds", "500", "--prompt-tokens", "8", "--output-tokens", "8")


def test_ctrl_c_keeps_the_rounds_that_were_whole(up: Stack) -> None:
    words = ("bench", "--stack", up.name, *LONG, "--output", "json")
    with up.product.start(*words) as running:
        running.until("round 3 of 500")
        running.interrupt()
        done = running.finish()
    assert (done.exit_code, done.error["code"]) == (130, "interrupted")
    (level,) = done.envelope["data"]["measured"]["levels"]
    assert 2 <= level["requests"] < 500


def test_an_engine_that_dies_in_the_middle_is_named(up: Stack) -> None:
    words = ("bench", "--stack", up.name, *LONG, "--output", "json")
    with up.product.start(*words) as running:
        running.until("round 3 of 500")
        subprocess.run(("docker", "kill", f"{up.name}-engine-1"), check=True, capture_output=True)
        done = running.finish()
    assert (done.exit_code, done.error["code"]) == (6, "engine-killed")
    assert done.envelope["status"] == "degraded"
    assert done.envelope["data"]["measured"]["levels"][0]["requests"] >= 2
    assert up.up().exit_code == 0  # and the next command brings it back
