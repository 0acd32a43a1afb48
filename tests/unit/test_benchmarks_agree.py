"""Benchmarks that end with a verdict: what they call agreement, and what a promise missed."""

from dataclasses import replace

import pytest

from benchmarks import bench_agrees, defaults
from benchmarks.outside import Figures

FIGURES = Figures(
    total_rate=100.0,
    first_token_s=0.1,
    gap_s=0.01,
    answer_gap_s=0.01,
    prompt_tokens=128.0,
    output_tokens=128.0,
)


def found(**theirs: float) -> dict[tuple[str, int], list[Figures]]:
    """Ours and another's, at both levels; the other's differ as said at four streams."""
    same = {(who, n): [FIGURES] * 3 for who in (bench_agrees.OURS, "vllm") for n in (1, 4)}
    return same | {("vllm", 4): [replace(FIGURES, **theirs)] * 3}


@pytest.mark.parametrize(("rate", "agrees"), [(100, True), (96, True), (94, False), (106, False)])
def test_agreement_is_a_matter_of_five_percent_of_tokens_per_second(
    rate: float, agrees: bool
) -> None:
    assert bench_agrees.table(found(total_rate=rate), "vllm")[1] is agrees


def test_another_figure_is_shown_as_apart_and_decides_nothing() -> None:
    lines, agrees = bench_agrees.table(found(first_token_s=0.2), "vllm")
    apart = [line for line in lines if "| NO |" in line]
    assert agrees
    assert apart == ["| 4 | first token p50, ms | 100.0 | 200.0 | 0.500 | NO | 0% · 0% |"]


def test_generators_that_asked_for_something_else_are_not_compared() -> None:
    bench_agrees.refuse_other_load(found())
    with pytest.raises(SystemExit, match=r"prompt_tokens were 158\.0, not 128"):
        bench_agrees.refuse_other_load(found(prompt_tokens=158.0))


def rounds(rate: float, first_s: float) -> list[defaults.Round]:
    return [defaults.Round(rate=rate, first_s=(first_s,))]


def measured(*, many: float, first_s: float, alone: float) -> defaults.Found:
    """An engine beside defaults of 100 tokens/s and a second until the first token."""
    return {
        (defaults.DEFAULTS, 1): rounds(100, 1),
        (defaults.DEFAULTS, 16): rounds(100, 1),
        (defaults.PROFILE, 1): rounds(alone, 1),
        (defaults.PROFILE, 16): rounds(many, first_s),
    }


def test_a_profile_that_keeps_its_promises_misses_none() -> None:
    kept = measured(many=140, first_s=0.2, alone=100)
    assert defaults.missed(kept, defaults.PROFILE) == []


@pytest.mark.parametrize(
    ("many", "first_s", "alone", "word"),
    [(139, 0.2, 100, "1.39 ×"), (140, 0.21, 100, "0.21 of"), (140, 0.2, 99, "0.99 ×")],
)
def test_each_promise_is_missed_by_itself(
    many: float, first_s: float, alone: float, word: str
) -> None:
    (said,) = defaults.missed(measured(many=many, first_s=first_s, alone=alone), defaults.PROFILE)
    assert word in said
