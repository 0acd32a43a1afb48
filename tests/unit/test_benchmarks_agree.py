"""Benchmarks that end with a verdict: what they call agreement, and what a promise missed."""

import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

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


@pytest.mark.parametrize(
    ("figure", "word", "unit"),
    [
        ("total_rate", "tokens/s of all", 100.0),
        ("first_token_s", "first token p50, ms", 0.1),
        ("gap_s", "between tokens p50, ms", 0.01),
        ("answer_gap_s", "between tokens, by answer, ms", 0.01),
    ],
)
def test_agreement_is_a_matter_of_five_percent_of_every_figure(
    figure: str, word: str, unit: float
) -> None:
    for share in (1.0, 0.96, 1.04):
        assert bench_agrees.table(found(**{figure: share * unit}), "vllm")[1] == []
    for share in (0.94, 1.06):
        lines, (apart,) = bench_agrees.table(found(**{figure: share * unit}), "vllm")
        assert apart == f"{word} at 4 streams: {1 / share:.3f} of vllm bench serve 0.32"
        (line,) = (line for line in lines if "| NO |" in line)
        assert line.startswith(f"| 4 | {word} |")


def test_generators_that_asked_for_something_else_are_not_compared() -> None:
    bench_agrees.refuse_other_load(found())
    with pytest.raises(SystemExit, match=r"prompt_tokens were 158\.0, not 128"):
        bench_agrees.refuse_other_load(found(prompt_tokens=158.0))


def test_one_turn_of_something_else_is_enough() -> None:
    one = found()
    one["vllm", 4] = [FIGURES, FIGURES, replace(FIGURES, output_tokens=100.0)]
    with pytest.raises(SystemExit, match=r"4 streams, turn 3: output_tokens were 100\.0"):
        bench_agrees.refuse_other_load(one)


@pytest.mark.parametrize(("command", "refused"), [(["--parallel", "4"], False), (["-x"], True)])
def test_a_stack_that_runs_is_taken_only_with_as_many_at_once(
    command: list[str], refused: bool, tmp_path: Path
) -> None:
    compose = {"services": {"engine": {"command": ["llama-server", *command]}}}
    (tmp_path / "compose.yaml").write_text(json.dumps(compose))
    with pytest.raises(SystemExit) if refused else nullcontext():
        bench_agrees.refuse_other_stack(tmp_path)


def test_why_a_stack_did_not_come_up_is_said_whatever_becomes_of_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = (sys.executable, "-c", "import sys; sys.exit(f'no {sys.argv[1]}')")
    monkeypatch.setattr(bench_agrees, "TOOL", wrong)
    with (
        pytest.raises(SystemExit, match="no up"),
        bench_agrees.gone_afterwards(tmp_path, "some-stack"),
    ):
        bench_agrees.tool(tmp_path, "up")


def test_the_first_token_is_the_first_text() -> None:
    lines = [
        b'data: {"choices":[{"delta":{"role":"assistant","content":null}}]}\n',
        b"\n",
        b'data: {"choices":[{"delta":{"content":"Once"}}]}\n',
        b'data: {"choices":[],"usage":{"completion_tokens":128}}\n',
        b"data: [DONE]\n",
    ]
    come: list[bytes] = []

    def coming() -> Iterator[bytes]:
        for line in lines:
            come.append(line)
            yield line

    assert defaults.read(coming(), lambda: len(come)) == defaults.Answer(first_s=3, tokens=128)


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
    [(139, 0.2, 100, "1.39 ×"), (140, 0.21, 100, "0.21 of"), (140, 0.2, 94, "0.94 ×")],
)
def test_each_promise_is_missed_by_itself(
    many: float, first_s: float, alone: float, word: str
) -> None:
    (said,) = defaults.missed(measured(many=many, first_s=first_s, alone=alone), defaults.PROFILE)
    assert word in said
