"""Engines' counters and log lines become figures of their work."""

from __future__ import annotations

import pytest

from deployctl.metrics import (
    SIX_DIGITS,
    EngineMetrics,
    last_rate,
    made_between,
    missing,
    rate_between,
    read_metrics,
    samples,
)

# As llama-server b11434 writes it; the numbers are of one answer of 300 tokens.
LLAMA_CPP = """\
# HELP llamacpp:tokens_predicted_total Number of generation tokens processed
# TYPE llamacpp:tokens_predicted_total counter
llamacpp:tokens_predicted_total 315
llamacpp:tokens_predicted_seconds_total 2.5
llamacpp:n_decode_total 200
llamacpp:n_busy_slots_per_decode 1.5
llamacpp:predicted_tokens_seconds 0
llamacpp:requests_processing 1
llamacpp:requests_deferred 2
"""

# vLLM 0.32's names and labels; the numbers are examples.
VLLM = """\
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 1.0
vllm:num_requests_waiting{engine="0",model_name="m"} 5.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:generation_tokens_total{engine="0",model_name="m"} 1.2e+03
vllm:generation_tokens_created{engine="0",model_name="m"} 1.79e+09
vllm:inter_token_latency_seconds_count{engine="0",model_name="m"} 1000.0
vllm:inter_token_latency_seconds_sum{engine="0",model_name="m"} 40.0
vllm:inter_token_latency_seconds_bucket{engine="0",le="0.1",model_name="m"} 990.0
"""


def test_llama_cpp() -> None:
    found = read_metrics(LLAMA_CPP)
    assert found == EngineMetrics(
        running=1,
        waiting=2,
        generated_tokens=315,
        timed_tokens=315,
        generated_s=2.5,
        steps=300,
        steps_off=300 * SIX_DIGITS,
    )
    assert found.average_rate == 126


def test_vllm_adds_its_engines_up() -> None:
    found = read_metrics(VLLM)
    assert found == EngineMetrics(
        running=4,
        waiting=5,
        kv_share=0.25,
        generated_tokens=1200,
        timed_tokens=1000,
        generated_s=40,
        steps=1200,
    )
    assert found.average_rate == 25


def test_every_figure_that_is_read_is_missed_where_it_is_not_there() -> None:
    assert missing("llama.cpp", LLAMA_CPP) == missing("vllm", VLLM) == ()
    for kind, text in (("llama.cpp", LLAMA_CPP), ("vllm", VLLM)):
        names = missing(kind, "")
        assert len(names) >= 4
        for name in names:
            kept = "\n".join(line for line in text.splitlines() if not line.startswith(name))
            assert missing(kind, kept) == (name,)
            assert read_metrics(kept) != read_metrics(text)


def test_a_figure_that_is_not_a_number_is_none() -> None:
    found = read_metrics("vllm:num_requests_running NaN\nvllm:num_requests_waiting 2.0\n")
    assert found == EngineMetrics(waiting=2)
    assert read_metrics("vllm:kv_cache_usage_perc +Inf\n") is None


@pytest.mark.parametrize("text", ["", "<html>", "up 1", "llamacpp:x NaNs", '{"error": 1}'])
def test_what_no_engine_wrote_is_no_figure(text: str) -> None:
    found = read_metrics(text)
    assert found is None or found == EngineMetrics()


def test_the_rate_between_two_looks() -> None:
    first, second = EngineMetrics(steps=100), EngineMetrics(steps=160)
    assert rate_between(first, second, 2.0) == 30
    assert rate_between(second, first, 2.0) is None, "the engine began anew"
    assert rate_between(first, second, 0.0) is None
    few = EngineMetrics(steps=104)
    assert rate_between(first, few, 0.2) is None, "four tokens are not 20 a second"
    assert made_between(first, few) == 4
    assert made_between(first, first) == 0
    assert made_between(second, first) is None
    assert rate_between(EngineMetrics(), second, 1.0) is None
    assert EngineMetrics(generated_tokens=5).average_rate is None


def test_six_digits_of_a_large_counter_are_no_rate() -> None:
    """llama-server writes `4e+06` for anything from 3999995 on: a C++ stream's default."""
    text = "llamacpp:n_decode_total {}\nllamacpp:n_busy_slots_per_decode 1\n"
    looks = [read_metrics(text.format(n)) for n in ("4e+06", "4.00001e+06", "4.01e+06")]
    first, rounded, much = (look for look in looks if look is not None)
    assert rate_between(first, rounded, 1.0) is None, "ten tokens, or none"
    assert rate_between(first, much, 100.0) == 100
    exact = EngineMetrics(steps=4e6), EngineMetrics(steps=4e6 + 10)
    assert rate_between(*exact, 1.0) == 10, "vLLM writes every digit"


def test_a_label_s_value_may_hold_anything() -> None:
    text = 'a{m="x} 1",n="q\\"}"} 2\na 3\nb{} 4\nc NaN\n# a 5\n'
    assert list(samples(text)) == [
        ("a", '{m="x} 1",n="q\\"}"}', 2.0),
        ("a", "", 3.0),
        ("b", "{}", 4.0),
    ]


def test_the_last_answer_s_rate_is_not_the_question_s() -> None:
    lines = (
        "1.0 I slot print_timing: id 1 | task 0 |        eval time =     424.46 ms /    15 tokens "
        "(   30.32 ms per token,    32.98 tokens per second)",
        "1.1 I slot print_timing: id 1 | task 1 | prompt eval time =      40.25 ms /    15 tokens "
        "(    2.68 ms per token,   372.68 tokens per second)",
    )
    assert last_rate(lines) == 32.98
    assert last_rate(lines[1:]) is None


def test_vllm_s_averages_with_idle_seconds_in_them_are_no_rate() -> None:
    line = (
        "Engine 000: Avg prompt throughput: 1.0 tokens/s, Avg generation throughput: 7.0 tokens/s"
    )
    assert last_rate((line,)) is None
