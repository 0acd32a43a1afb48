"""``deployctl bench``: exit codes, the table, the envelope, and its history."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchworld import BenchBox, bench_box
from tests.cli.commandline import deployctl
from tests.world import Box

SMALL = ("--streams", "1,2", "--rounds", "2", "--output-tokens", "51")


@pytest.fixture
def up(tmp_path: Path) -> BenchBox:
    return bench_box(tmp_path)


def test_exit_0_with_a_row_for_each_level(up: BenchBox, capsys: pytest.CaptureFixture[str]) -> None:
    assert deployctl(up, "bench", *SMALL) == 0
    out = capsys.readouterr().out
    assert out.startswith("Stack deployctl: SmolLM2-135M-Instruct Q4_1 on llama.cpp, profile smoke")
    assert "200 MiB held by the engine (measured)" in out
    rows = [line.split() for line in out.splitlines() if line.strip()[:1] in ("1", "2")]
    assert rows[0][:3] == ["1", "0.50", "s"]
    assert "the first measurement" in out
    assert max(map(len, out.splitlines())) <= 100


def test_json_has_every_figure(up: BenchBox, capsys: pytest.CaptureFixture[str]) -> None:
    assert deployctl(up, "bench", *SMALL, "--output", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["version"], found["command"], found["status"]) == (1, "bench", "ok")
    data = found["data"]["measured"]
    assert {"subject", "at", "shape", "seed", "load_s", "memory_bytes", "levels", "bound"} <= set(
        data
    )
    first = data["levels"][0]
    assert {
        *("streams", "first_token_p50_s", "first_token_p95_s", "inter_token_p50_s"),
        *("stream_rate", "total_rate", "ceiling_share", "joules_per_1000", "used"),
    } <= set(first)
    assert first["total_rate"]["median"] == pytest.approx(51)
    assert found["data"]["verdict"] is None


def test_a_second_run_is_held_against_the_first_and_history_shows_both(
    up: BenchBox, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deployctl(up, "bench", *SMALL) == 0
    up.load.gap_s = 0.02
    assert deployctl(up, "bench", *SMALL) == 0
    assert "SLOWER" in capsys.readouterr().out
    assert deployctl(up, "bench", *SMALL, "--fail-if-slower") == 0  # as slow as the last
    up.load.gap_s = 0.04
    assert deployctl(up, "bench", *SMALL, "--fail-if-slower") == 6
    assert "[bench-slower]" in capsys.readouterr().err
    assert deployctl(up, "bench", "history", "--output", "json") == 0
    runs = json.loads(capsys.readouterr().out)["data"]["runs"]
    trends = [run["verdict"] and run["verdict"]["trend"] for run in runs]
    assert trends == ["slower", "same", "slower", None]
    assert deployctl(up, "bench", "history", "--last", "1") == 0
    assert "SLOWER" in capsys.readouterr().out


def test_exit_5_for_no_stack_and_for_nothing_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deployctl(Box(home=tmp_path), "bench") == 5
    assert "[stack-unknown]" in capsys.readouterr().err
    assert deployctl(Box(home=tmp_path), "bench", "history") == 5
    assert "[bench-none]" in capsys.readouterr().err
    assert deployctl(Box(home=tmp_path), "bench", "history", "--stack", "other") == 5
    assert "next:  deployctl bench --stack other" in capsys.readouterr().err


def test_exit_6_keeps_and_prints_what_was_measured(
    up: BenchBox, capsys: pytest.CaptureFixture[str]
) -> None:
    up.load.dies_after = 2 + 3 + 2
    assert deployctl(up, "bench", *SMALL, "--output", "json") == 6
    found = json.loads(capsys.readouterr().out)
    assert found["status"] == "degraded"
    assert found["errors"][0]["code"].startswith("engine-")
    assert [level["streams"] for level in found["data"]["measured"]["levels"]] == [1]
    assert deployctl(up, "bench", "history") == 0
    assert "failed" in capsys.readouterr().out


def test_exit_6_for_a_stack_that_is_down(up: BenchBox, capsys: pytest.CaptureFixture[str]) -> None:
    up.docker.states.clear()
    assert deployctl(up, "bench") == 6
    assert "[stack-not-running]" in capsys.readouterr().err


def test_exit_130_keeps_the_rounds_that_were_whole(
    up: BenchBox, capsys: pytest.CaptureFixture[str]
) -> None:
    up.load.interrupts_after = 2 + 3 + 2 + 2  # in the second round of two at once
    assert deployctl(up, "bench", *SMALL, "--output", "json") == 130
    found = json.loads(capsys.readouterr().out)
    assert [error["code"] for error in found["errors"]] == ["interrupted"]
    again = "deployctl bench --streams 1,2 --output-tokens 51 --rounds 2"
    assert found["errors"][0]["hint"] == again
    levels = found["data"]["measured"]["levels"]
    assert [level["requests"] for level in levels] == [2, 2]
    up.load.interrupts_after = None
    assert deployctl(up, "bench", "history") == 0
    assert "(interrupted)" in capsys.readouterr().out


@pytest.mark.parametrize("output", ["text", "json"])
def test_exit_130_before_anything_is_told_as_well(
    up: BenchBox, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def pressed(*_: object, **__: object) -> object:
        raise KeyboardInterrupt

    up.docker.containers = pressed  # type: ignore[method-assign,assignment]
    assert deployctl(up, "bench", "--output", output) == 130
    said = capsys.readouterr()
    assert "interrupted" in (said.out if output == "json" else said.err)


def test_figures_are_printed_also_where_they_cannot_be_kept(
    up: BenchBox, capsys: pytest.CaptureFixture[str]
) -> None:
    (up.home / "bench" / "deployctl.jsonl").mkdir(parents=True)
    assert deployctl(up, "bench", *SMALL) == 5
    said = capsys.readouterr()
    assert "tokens/s" in said.out
    assert "[workspace-unwritable]" in said.err


def test_two_measurements_of_one_stack_at_once_would_measure_each_other(
    up: BenchBox, capsys: pytest.CaptureFixture[str]
) -> None:
    from deployctl.benchhistory import History

    with History(up.home, "deployctl").held("bench"):
        assert deployctl(up, "bench", *SMALL) == 5
    assert "[journal-busy]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--streams", "1,x"), "--streams 1,x: whole numbers"),
        (("--streams", "0"), "whole numbers from 1"),
        (("--rounds", "0"), "at least 1"),
        (("--stack", "other", "history"), "--stack stands before history"),
        (("--output-tokens", "9999"), "are more than a conversation here holds"),
    ],
)
def test_exit_2_for_a_load_that_is_none(
    up: BenchBox, words: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deployctl(up, "bench", *words) == 2
    err = capsys.readouterr().err
    assert says in err
    assert "next:  deployctl bench" in err


def test_a_figure_above_the_ceiling_is_printed_with_a_warning(
    up: BenchBox, capsys: pytest.CaptureFixture[str]
) -> None:
    from dataclasses import replace

    up.facts.facts = replace(up.facts.facts, bandwidth_bytes_per_s=5e9)
    assert deployctl(up, "bench", *SMALL) == 0
    out = capsys.readouterr().out
    assert "of what the memory can give, which cannot be" in " ".join(out.split())
