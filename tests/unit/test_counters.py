"""Counters of both engines become the same tally: since the start, and of a stretch of time."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from deployctl.counters import (
    Counters,
    Histogram,
    Latency,
    Tally,
    not_exported,
    read_counters,
    tally,
)
from deployctl.metrics import read_metrics

RECORDS = Path(__file__).parent / "records/metrics"

# As llama-server b11434 writes it: no labels, six digits, no histogram. The numbers are examples.
LLAMA_CPP = """\
# HELP llamacpp:prompt_tokens_total Number of prompt tokens processed, excluding cached tokens
# TYPE llamacpp:prompt_tokens_total counter
llamacpp:prompt_tokens_total 300
llamacpp:prompt_tokens_cached_total 100
llamacpp:prompt_seconds_total 0.5
llamacpp:tokens_predicted_total 315
llamacpp:tokens_predicted_seconds_total 2.5
llamacpp:n_decode_total 200
llamacpp:n_busy_slots_per_decode 1.5
llamacpp:requests_processing 1
llamacpp:requests_deferred 2
"""

# vLLM 0.32's names, labels and buckets (some of them), two engines behind one server.
VLLM = """\
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_waiting{engine="0",model_name="m"} 0.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:prefix_cache_queries_total{engine="0",model_name="m"} 400.0
vllm:prefix_cache_hits_total{engine="0",model_name="m"} 100.0
vllm:num_preemptions_total{engine="0",model_name="m"} 2.0
vllm:prompt_tokens_total{engine="0",model_name="m"} 400.0
vllm:prompt_tokens_cached_total{engine="0",model_name="m"} 100.0
vllm:generation_tokens_total{engine="0",model_name="m"} 1000.0
vllm:generation_tokens_created{engine="0",model_name="m"} 1.79e+09
vllm:request_success_total{engine="0",finished_reason="stop",model_name="m"} 7.0
vllm:request_success_total{engine="1",finished_reason="stop",model_name="m"} 1.0
vllm:request_success_total{engine="0",finished_reason="abort",model_name="m"} 2.0
vllm:request_success_total{engine="0",finished_reason="error",model_name="m"} 0.0
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.1",model_name="m"} 4.0
vllm:time_to_first_token_seconds_bucket{engine="1",le="0.1",model_name="m"} 1.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.25",model_name="m"} 8.0
vllm:time_to_first_token_seconds_bucket{engine="1",le="0.25",model_name="m"} 2.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf",model_name="m"} 8.0
vllm:time_to_first_token_seconds_bucket{engine="1",le="+Inf",model_name="m"} 2.0
vllm:time_to_first_token_seconds_count{engine="0",model_name="m"} 8.0
vllm:time_to_first_token_seconds_sum{engine="0",model_name="m"} 1.0
vllm:time_to_first_token_seconds_sum{engine="1",model_name="m"} 0.5
vllm:inter_token_latency_seconds_bucket{engine="0",le="0.01",model_name="m"} 500.0
vllm:inter_token_latency_seconds_bucket{engine="0",le="0.025",model_name="m"} 1000.0
vllm:inter_token_latency_seconds_bucket{engine="0",le="+Inf",model_name="m"} 1000.0
vllm:inter_token_latency_seconds_count{engine="0",model_name="m"} 1000.0
vllm:inter_token_latency_seconds_sum{engine="0",model_name="m"} 12.5
"""


def histogram(**observed: float) -> Histogram:
    """Of bounds 1, 2, 4 and infinity, so many in each."""
    each = [observed.get(name, 0.0) for name in ("one", "two", "four", "more")]
    counts = tuple(sum(each[: n + 1]) for n in range(4))
    return Histogram(bounds=(1.0, 2.0, 4.0, math.inf), counts=counts, sum_s=10.0)


# ── histograms ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("observed", "share", "expected"),
    [
        ({"one": 10}, 0.5, 0.5),  # evenly from 0 on
        ({"one": 5, "two": 5}, 0.5, 1.0),
        ({"one": 5, "two": 5}, 0.95, 1.9),
        ({"two": 10}, 0.5, 1.5),  # empty buckets below it
        ({"one": 5, "four": 5}, 0.75, 3.0),  # and between
        ({"one": 1, "more": 9}, 0.95, 4.0),  # larger than every bound: the largest
        ({}, 0.5, None),
    ],
)
def test_a_quantile_is_prometheus_s(
    observed: dict[str, float], share: float, expected: float | None
) -> None:
    assert histogram(**observed).quantile(share) == pytest.approx(expected)


def test_a_histogram_s_growth_is_one_too() -> None:
    grown = histogram(one=5, two=9).since(histogram(one=5))
    assert grown is not None
    assert (grown.count, grown.quantile(0.5), grown.sum_s) == (9, 1.5, 0.0)
    assert histogram(one=5).since(histogram(one=6)) is None, "it began anew"
    other = Histogram(bounds=(1.0, math.inf), counts=(0.0, 0.0), sum_s=0.0)
    assert histogram().since(other) is None


@pytest.mark.parametrize(
    "rows",
    [
        'x_bucket{le="0.1"} 4\nx_sum 1\n',  # no infinite bucket
        'x_bucket{le="0.1"} 4\nx_bucket{le="+Inf"} 4\n',  # no sum
        'x_bucket{le="0.1"} 4\nx_bucket{le="+Inf"} 3\nx_sum 1\n',  # fewer than below it
        'x_bucket{le="wide"} 4\n',
        "x_sum 1\nx_count 2\n",
    ],
)
def test_what_is_no_whole_histogram_is_none(rows: str) -> None:
    text = rows.replace("x_", "vllm:time_to_first_token_seconds_")
    assert read_counters(text).histograms == {}


def told(found: Latency | None) -> tuple[float | None, ...]:
    return () if found is None else (found.count, found.mean_s, found.p50_s, found.p95_s)


# ── tallies ───────────────────────────────────────────────────────────────────────────────────


def test_llama_cpp_since_its_start() -> None:
    counted = read_counters(LLAMA_CPP)
    assert tally(counted) == Tally(
        generated_tokens=315,
        read_tokens=300,
        cached_share=0.25,  # its prompt tokens are those that the cache did not know
        answer_tokens_per_s=126,
        reading_tokens_per_s=600,
        first_token=None,
        inter_token=Latency(count=315, mean_s=2.5 / 315, p50_s=None, p95_s=None),
        finished=None,
        preemptions=None,
    )
    assert not_exported(counted, kv=False) == (
        "kv_share",
        "first_token",
        "inter_token.p50_s",
        "inter_token.p95_s",
        "finished",
        "preemptions",
    )


def test_vllm_since_its_start() -> None:
    counted = read_counters(VLLM)
    found = tally(counted)
    assert found == Tally(
        generated_tokens=1000,
        read_tokens=300,  # its prompt tokens are all of them
        cached_share=0.25,
        answer_tokens_per_s=80,
        reading_tokens_per_s=None,
        first_token=found.first_token,
        inter_token=found.inter_token,
        finished={"stop": 8, "abort": 2, "error": 0},
        preemptions=2,
    )
    assert told(found.first_token) == pytest.approx((10, 0.15, 0.1, 0.235))
    assert told(found.inter_token) == pytest.approx((1000, 0.0125, 0.01, 0.0235))
    assert not_exported(counted, kv=True) == ("reading_tokens_per_s",)


def test_what_real_vllm_wrote() -> None:
    found = tally(read_counters((RECORDS / "vllm-0.32.txt").read_text("utf-8")))
    assert (found.generated_tokens, found.preemptions) == (247, 0)
    assert found.read_tokens == 503, "its prompt_tokens_by_source says so too: local_compute"
    assert found.cached_share == 256 / 759
    assert told(found.first_token) == pytest.approx((3, 2.387956 / 3, 0.625, 2.275))
    # The 122nd of 244 lies in the bucket from 100 ms (111 of them) to 150 ms (177).
    expected = (244, 33.813214 / 244, 0.1 + 0.05 * (122 - 111) / (177 - 111), 0.38)
    assert told(found.inter_token) == pytest.approx(expected)
    reasons = {"stop": 0, "length": 2, "abort": 0, "error": 0, "repetition": 0}
    assert found.finished == reasons


def test_what_a_real_llama_server_wrote() -> None:
    found = tally(read_counters((RECORDS / "llama-server-b11434.txt").read_text("utf-8")))
    assert (found.generated_tokens, found.read_tokens) == (41, 77)
    assert found.cached_share == 108 / 185, "more were cached than read"
    assert found.reading_tokens_per_s == 77 / 6.34749
    assert told(found.inter_token) == (41, 23.5002 / 41, None, None)


@pytest.mark.parametrize("text", [LLAMA_CPP, VLLM])
def test_the_speed_of_one_answer_is_what_status_says(text: str) -> None:
    found = read_metrics(text)
    assert found is not None
    assert tally(read_counters(text)).answer_tokens_per_s == found.average_rate
    assert found.average_rate is not None


#: Rows of the texts that no tally is made of.
_UNREAD = ("_created", "requests_", "n_decode", "n_busy", "kv_cache", "first_token_seconds_count")


@pytest.mark.parametrize("text", [LLAMA_CPP, VLLM])
def test_every_figure_that_is_not_there_is_said_to_be_so(text: str) -> None:
    whole = not_exported(read_counters(text), kv=True)
    rows = [line for line in text.splitlines() if not line.startswith("#")]
    for name in {row.split("{")[0].split(" ")[0] for row in rows}:
        without = read_counters("\n".join(row for row in rows if not row.startswith(name)))
        lacks = set(not_exported(without, kv=True)) - set(whole)
        assert bool(lacks) != any(part in name for part in _UNREAD), name
        left = tally(without)
        assert [key for key in lacks if "." not in key and getattr(left, key) is not None] == []


def test_what_happened_in_between() -> None:
    later = VLLM
    for old, new in (
        ('tokens_total{engine="0",model_name="m"} 1000.0', 'tokens_total{engine="0"} 1100.0'),
        ('"0",finished_reason="stop",model_name="m"} 7.0', '"0",finished_reason="stop"} 9.0'),
        ('{engine="0",le="0.25",model_name="m"} 8.0', '{engine="0",le="0.25"} 10.0'),
        ('first_token_seconds_bucket{engine="0",le="+Inf",model_name="m"} 8', None),
    ):
        assert old in later
        later = later.replace(old, new or f"{old[:-1]}10")
    grown = read_counters(later).since(read_counters(VLLM))
    assert grown is not None
    found = tally(grown)
    assert found.generated_tokens == 100
    assert found.finished == {"stop": 2, "abort": 0, "error": 0}
    assert told(found.first_token) == pytest.approx((2, 0, 0.175, 0.2425))
    assert (found.read_tokens, found.preemptions) == (0, 0)
    assert found.cached_share is None, "nothing was looked up"
    assert found.inter_token == Latency(count=0, mean_s=None, p50_s=None, p95_s=None)


@pytest.mark.parametrize("text", [LLAMA_CPP, VLLM])
def test_an_engine_that_began_anew_has_no_window(text: str) -> None:
    now = read_counters(text)
    again = now.since(now)
    assert again is not None
    assert again.numbers == dict.fromkeys(now.numbers, 0.0)
    for name, value in now.numbers.items():
        less = Counters(numbers={**now.numbers, name: value - 1e-3})
        assert less.since(now) is None
    fewer = Counters(finished={"stop": 1})
    assert fewer.since(Counters(finished={"stop": 2})) is None


def test_a_difference_that_digits_left_out_may_make_up_is_not_told() -> None:
    text = "llamacpp:prompt_tokens_total {}\nllamacpp:prompt_seconds_total {}\n"
    first, rounded, much = (
        read_counters(text.format(*pair))
        for pair in (("4e+06", 2000), ("4.00001e+06", 2000.05), ("4.01e+06", 2100))
    )
    found = rounded.since(first)
    assert found is not None
    assert tally(found).read_tokens is None
    assert tally(found).reading_tokens_per_s is None
    found = much.since(first)
    assert found is not None
    assert (tally(found).read_tokens, tally(found).reading_tokens_per_s) == (10_000, 100)
    few = [read_counters(text.format(*pair)) for pair in ((1000, 2000), (1010, "2000.01"))]
    assert (grown := few[1].since(few[0])) is not None
    assert (tally(grown).read_tokens, tally(grown).reading_tokens_per_s) == (10, None)
    small = [read_counters(text.format(n, 1)) for n in (999_998, 999_999)]
    assert (grown := small[1].since(small[0])) is not None
    assert tally(grown).read_tokens == 1, "six digits are all of these"
    exact = [read_counters(f"vllm:generation_tokens_total {n}") for n in (4e6, 4e6 + 1)]
    assert (grown := exact[1].since(exact[0])) is not None
    assert tally(grown).generated_tokens == 1, "vLLM writes every digit"


def test_a_text_of_nobody_s_is_an_empty_tally() -> None:
    assert tally(read_counters("<html>")) == Tally()
    assert len(not_exported(read_counters(""), kv=False)) == 12
