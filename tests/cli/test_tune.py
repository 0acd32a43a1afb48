"""``tune`` on the command line: what it refuses, what it prints, and its exit codes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from deployctl.bench.nouns import Spread
from deployctl.cli.options import Output
from deployctl.cli.session import Session
from deployctl.cli.tune import _hand_out
from deployctl.cli.tunetext import text
from deployctl.deploy.tunereport import TuneReport
from deployctl.errors import Fault
from deployctl.tuning.nouns import Candidate, Confirmed, Found, Outcome, Step, Tried, Try
from tests.cli.commandline import deployctl
from tests.tuningworld import level, measured
from tests.world import Box

BASE = Candidate(values={"concurrency": 2, "engine.cpus": None})
MORE = BASE.turned("concurrency", 16)
FAILED = "failed: x\x1b[2J"
WAS, NOW = level(212, first_s=5.5, spread=0.02), level(301, first_s=0.9, spread=0.02)


def tried(candidate: Candidate, outcome: Outcome, verdict: str, pair: str = "") -> Tried:
    return Tried(
        asked=Try(candidate=candidate, streams=16, pair=pair),
        outcome=outcome,
        changes=candidate.changed(BASE),
        verdict=verdict,
    )


FOUND = Found(
    streams=16,
    winner=MORE,
    changes=MORE.changed(BASE),
    steps=(Step(key="concurrency", before=2, after=16, was=WAS, became=NOW),),
    confirmed=Confirmed(winner=(NOW,), base=(WAS,), gain=Spread(median=1.42, low=1.38, high=1.46)),
    why="",
)
REPORT = TuneReport(
    profile="smoke",
    model="Tiny",
    goal="throughput",
    slo=("ttft=2s",),
    streams=16,
    load="16 answers at once",
    machine="a box",
    tried=(
        tried(BASE, measured(WAS), "as it is"),
        tried(MORE, replace(measured(NOW), earlier=True), "better: adopted"),
        tried(
            BASE.turned("engine.cpus", 1), Outcome(failed="failed: x\x1b[2J"), "failed: x\x1b[2J"
        ),
    ),
    on_record=1,
    found=FOUND,
    settings=(("concurrency", 16),),
    lossy=(),
    overlay=Path("/here/smoke-tuned.yaml"),
    overlay_text="concurrency: 16\n",
    command="deployctl up --profile smoke --overlay /here/smoke-tuned.yaml",
    longer="deployctl tune --profile smoke --goal throughput",
    journal=Path("/home/ann/tune/1.jsonl"),
    seconds=100.0,
    warnings=("The machine was busy.",),
)


def handed_out(report: TuneReport, output: Output = Output.TEXT) -> int:
    return _hand_out(Session.open("tune", output), report)


def test_the_table_the_result_and_last_the_command() -> None:
    assert text(REPORT).splitlines() == [
        "Profile smoke (Tiny), tuned for throughput, ttft=2s",
        "Machine  a box",
        "Load     16 answers at once",
        "",
        "                                              first token",
        "                        tokens/s in total     p50     p95",
        "  nothing changed  212.0 (207.8 to 216.2)  2.75 s  5.50 s  as it is",
        "  concurrency 16   301.0 (295.0 to 307.0)  0.45 s  0.90 s  better: adopted",
        "  engine.cpus 1                         –       –       –  failed: x\x1b[2J",
        "",
        "Of an earlier run, kept in /home/ann/tune/1.jsonl: 1 measurement. `--again` makes all "
        "anew.",
        "",
        "Measured again in turns with the profile as it is: 212.0 → 301.0 tokens/s, first token "
        "(p95) 5.50 s → 0.90 s; 1.42 times the tokens/s (1.38 to 1.46).",
        "Wrote /here/smoke-tuned.yaml:",
        "  concurrency: 16",
        "Nothing is applied yet. To use it:",
        "deployctl up --profile smoke --overlay /here/smoke-tuned.yaml",
    ]


def test_it_is_handed_out_harmless_with_its_warnings_beside(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert handed_out(REPORT) == 0
    seen = capsys.readouterr()
    assert "\x1b" not in seen.out
    assert seen.out.endswith("--overlay /here/smoke-tuned.yaml\n")
    assert seen.err == "warning: The machine was busy.\n"


def test_without_anything_better_no_overlay_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    found = Found(streams=16, why="Nothing is better.", complete=False)
    assert handed_out(replace(REPORT, found=found, overlay=None, command="", settings=())) == 0
    *_, before, last = capsys.readouterr().out.splitlines()
    assert before == (
        "The budget ended the search. With more it goes on from here: "
        "deployctl tune --profile smoke --goal throughput"
    )
    assert last == "No overlay is written: the profile stays as it is."


@pytest.mark.parametrize(
    ("code", "exit_code"), [("interrupted", 130), ("slo-unreachable", 4), ("engine-crashed", 6)]
)
def test_what_ended_it_is_said_beside_what_there_is(
    code: str, exit_code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    fault = Fault(code=code, message="It ended.", hint="deployctl tune")
    partial = replace(REPORT, found=None, overlay=None, faults=(fault,))
    assert handed_out(partial) == exit_code
    seen = capsys.readouterr()
    assert "better: adopted" in seen.out
    assert f"[{code}]" in seen.err
    assert handed_out(partial, Output.JSON) == exit_code
    found = json.loads(capsys.readouterr().out)
    assert (found["exit_code"], found["status"]) == (exit_code, "failed")
    assert [error["code"] for error in found["errors"]] == [code]
    assert len(found["data"]["tried"]) == 3
    assert "faults" not in found["data"]


def test_json_has_it_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert handed_out(REPORT, Output.JSON) == 0
    found = json.loads(capsys.readouterr().out)
    data = found["data"]
    assert (found["version"], found["command"], found["errors"]) == (1, "tune", [])
    assert data["settings"] == [["concurrency", 16]]
    assert data["overlay"] == "/here/smoke-tuned.yaml"
    assert data["overlay_text"] == "concurrency: 16\n"
    assert data["tried"][1]["changes"] == [["concurrency", 16]]
    assert data["tried"][1]["outcome"]["level"]["total_rate"]["median"] == 301.0
    assert data["found"]["confirmed"]["gain"] == {"median": 1.42, "low": 1.38, "high": 1.46}


# ── the command ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ((), "--goal"),
        (("--goal", "speed"), "speed"),
        (("--goal", "people", "--slo", "ttft=1.5s"), "--slo ttft=1500ms"),
        (("--goal", "people", "--slo", "2s"), "--slo ttft=2s"),
        (("--goal", "latency", "--budget", "10"), "--budget 10s"),
        (("--goal", "latency", "--streams", "0"), "--streams"),
        (("--goal", "latency", "--streams", "257"), "--streams"),
    ],
)
def test_a_wrong_command_line_says_what_would_be_right(
    box: Box, typed: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deployctl(box, "tune", "--profile", "smoke", *typed) == 2
    seen = capsys.readouterr()
    assert (seen.out, said in seen.err) == ("", True), seen.err


def test_a_file_that_is_there_is_refused(
    box: Box, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = tmp_path / "mine.yaml"
    there.write_text("concurrency: 3\n")
    typed = ("tune", "--profile", "smoke", "--goal", "latency")
    assert deployctl(box, *typed, "--write", str(there)) == 2
    seen = capsys.readouterr()
    assert (seen.out, "[overlay-exists]" in seen.err) == ("", True)
    assert box.docker.states == {}


def test_an_unknown_profile_is_answered_with_the_whole_line(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deployctl(box, "tune", "--profile", "smok", "--goal", "latency") == 3
    assert "next:  deployctl tune --profile smoke --goal latency" in capsys.readouterr().err


def test_a_profile_that_does_not_start_ends_it_with_its_cause(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    box.http.engine_ready = False
    typed = ("tune", "--profile", "smoke", "--goal", "latency", "--output", "json")
    assert deployctl(box, *typed) == 6
    found = json.loads(capsys.readouterr().out)
    assert found["errors"][0]["code"].startswith("engine-")
    assert found["data"]["tried"] == []
    assert box.docker.states == {}
