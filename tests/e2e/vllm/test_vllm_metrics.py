"""The figures of real vLLM without any add-on: its histograms, its reasons, its KV memory."""

from __future__ import annotations

import pytest

from tests.e2e.product import Stack
from tests.e2e.test_metrics import TOKENS, answer, told, watched_answer, written


def test_what_is_told_over_time_adds_up_to_the_answer_that_was_given(vllm: Stack) -> None:
    question, looks = watched_answer(vllm)
    windows = [look["window"] for look in looks]
    counted = [one["counted"] for one in windows]
    assert sum(one["generated_tokens"] for one in counted) == TOKENS
    assert written(windows) == pytest.approx(TOKENS, abs=0.01)
    assert 0 < sum(one["read_tokens"] for one in counted) <= question
    assert sum(one["finished"]["length"] for one in counted) == 1
    assert sum(one["first_token"]["count"] for one in counted) == 1
    (first,) = (one["first_token"] for one in counted if one["first_token"]["count"])
    assert 0 < first["p50_s"] <= first["p95_s"] < 60


def test_since_its_start_is_what_vllm_itself_counts(vllm: Stack) -> None:
    answer(vllm)
    data = told(vllm)
    whole = data["since_start"]
    assert whole["generated_tokens"] == vllm.engine_counter(vllm.kind.answer_tokens)
    read = vllm.engine_counter("vllm:prompt_tokens_total")
    cached = vllm.engine_counter("vllm:prompt_tokens_cached_total")
    assert whole["read_tokens"] == read - cached
    assert 0 < whole["cached_share"] < 1, "the same question was asked before"
    waits = whole["inter_token"]
    assert waits["count"] == vllm.engine_counter("vllm:inter_token_latency_seconds_count")
    assert 0 < waits["p50_s"] <= waits["p95_s"]
    # The proof of `up` stops reading early: vLLM does not count who leaves, not as aborted either.
    assert whole["first_token"]["count"] > sum(whole["finished"].values()) >= 2
    assert whole["finished"]["length"] >= 2
    assert set(whole["finished"]) == {"stop", "length", "abort", "error", "repetition"}
    assert whole["preemptions"] == vllm.engine_counter("vllm:num_preemptions_total")
    assert data["engine"]["kv_share"] == 0
    assert data["not_exported"] == ["reading_tokens_per_s"]
    assert data["engine"] == vllm.status().data["engine"]
