"""``compare`` on the command line: exit codes, where results go, and what is refused at once."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployctl import charts
from deployctl.bench.nouns import Measured, Shape
from deployctl.bench.side import rows
from deployctl.cli.comparetext import text
from deployctl.cli.load import levels, words_of
from deployctl.deploy import comparing, contenders
from deployctl.deploy.comparing import CompareReport
from deployctl.deploy.world import World
from deployctl.errors import Fault
from tests.cli.commandline import deployctl
from tests.measures import level, measured
from tests.world import Box

#: The fake engine serves one name.
SERVED = ("--set", "model.served_name=smollm2-135m")
BOTH = ("compare", "smollm2", "qwen2.5", "--profile", "smoke", *SERVED)


class Measuring:
    """Stands in for the load: twice as slow each time; ``ends`` says what comes of some instead."""

    def __init__(self) -> None:
        self.count = 0
        self.ends: dict[int, Measured | BaseException] = {}

    def __call__(self, _world: World, _name: str, shape: Shape) -> Measured:
        self.count += 1
        end = self.ends.get(self.count)
        if isinstance(end, BaseException):
            raise end
        return end or measured(200.0 / 2**self.count, shape=shape)


@pytest.fixture
def measuring(monkeypatch: pytest.MonkeyPatch) -> Measuring:
    made = Measuring()
    monkeypatch.setattr(comparing, "_measured", made)
    return made


def test_the_table_and_the_verdict_are_printed(
    box: Box, measuring: Measuring, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deployctl(box, *BOTH) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["SmolLM2-135M-Instruct", "Qwen2.5-1.5B-Instruct"]
    assert lines[1].split() == ["Q4_1", "Q4_K_M"]
    assert lines[2].split() == ["load", "time", *("1.2", "s") * 2, "measured"]
    assert any(line.startswith("One answer (1 stream): SmolLM2-135M") for line in lines)
    assert any("2.00 × as many tokens/s" in line for line in lines)
    assert any(
        line.startswith("Measured with 3 rounds at 1 stream and 4 streams") for line in lines
    )
    assert not box.docker.states


def test_no_line_of_it_is_too_long_for_a_terminal(
    box: Box, measuring: Measuring, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deployctl(box, *BOTH) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 100


def test_json_has_all_of_it(
    box: Box, measuring: Measuring, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deployctl(box, *BOTH, "--output", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["command"], found["status"], found["errors"]) == ("compare", "ok", [])
    assert set(found["data"]) == {
        *("stack", "profile", "engine", "status", "context", "concurrency", "shape"),
        *("sides", "rows", "verdict", "notes", "seconds"),
    }
    first = found["data"]["sides"][0]
    assert set(first) == {
        *("model", "name", "source", "weights_bytes", "kv_bytes_per_token"),
        *("tool_template", "reasoning", "measured", "fault", "recorded"),
    }
    assert first["measured"]["levels"][0]["stream_rate"]["median"] == 100.0


def test_markdown_goes_to_stdout_or_to_a_file(
    box: Box, measuring: Measuring, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "new" / "table.md"
    assert deployctl(box, *BOTH, "--markdown", str(file)) == 0
    assert "| load time |" not in capsys.readouterr().out
    measuring.count = 0
    assert deployctl(box, *BOTH, "--markdown", "-") == 0
    printed = capsys.readouterr().out
    assert printed == file.read_text(encoding="utf-8")
    assert "| load time | 1.2 s | 1.2 s | measured |" in printed


@pytest.mark.parametrize(("name", "begins"), [("c.svg", b"<?xml"), ("c.png", b"\x89PNG")])
def test_a_chart_is_what_its_name_says(
    box: Box, measuring: Measuring, tmp_path: Path, name: str, begins: bytes
) -> None:
    assert deployctl(box, *BOTH, "--chart", str(tmp_path / name)) == 0
    assert (tmp_path / name).read_bytes().startswith(begins)


# ── it goes wrong ─────────────────────────────────────────────────────────────────────────────


def test_ctrl_c_is_130_with_what_there_is(
    box: Box, measuring: Measuring, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    partial = replace(measured(50.0), levels=(level(1, 50.0),), ended="interrupted")
    measuring.ends = {2: partial}
    chart = tmp_path / "c.png"
    assert deployctl(box, *BOTH, "--chart", str(chart)) == 130
    seen = capsys.readouterr()
    assert "100 (99.0 to 101)" in seen.out
    assert "50.0 (49.5 to 50.5)" in seen.out
    assert "Qwen2.5-1.5B-Instruct Q4_K_M was not measured to the end." in seen.out
    assert seen.err.count("[interrupted]") == 1
    assert f"next:  deployctl compare smollm2 qwen2.5 --profile smoke --set {SERVED[1]}" in seen.err
    assert chart.is_file()
    assert not box.docker.states


def test_ctrl_c_before_anything_is_looked_at_is_told(
    box: Box,
    measuring: Measuring,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(contenders, "select", _raising(KeyboardInterrupt()))
    assert deployctl(box, *BOTH, "-o", "json") == 130
    found = json.loads(capsys.readouterr().out)
    assert [error["code"] for error in found["errors"]] == ["interrupted"]


def test_ctrl_c_before_anything_is_130(
    box: Box, measuring: Measuring, capsys: pytest.CaptureFixture[str]
) -> None:
    box.runner.interrupt_at = "start the stack"
    assert deployctl(box, *BOTH, "-o", "json") == 130
    found = json.loads(capsys.readouterr().out)
    assert [error["code"] for error in found["errors"]] == ["interrupted"]
    assert [side["measured"] for side in found["data"]["sides"]] == [None, None]


def test_an_earlier_result_is_not_replaced_by_an_empty_one(
    box: Box, measuring: Measuring, tmp_path: Path
) -> None:
    (tmp_path / "t.md").write_text("an earlier one")
    box.runner.interrupt_at = "start the stack"
    assert deployctl(box, *BOTH, "--markdown", str(tmp_path / "t.md")) == 130
    assert (tmp_path / "t.md").read_text() == "an earlier one"


@pytest.mark.parametrize(
    ("hint", "told"),
    [
        ("--set model.source=file:/a.gguf", "COMMAND"),
        ("--model smollm2-135m-instruct  # the nearest", "COMMAND  # the nearest"),
        (
            "Again: `deployctl compare a b --model hf:ORG/REPO:F`.",
            "Again: `COMMAND`.",
        ),
        ("ls -l /  # then correct model.source", "ls -l /  # then name the file that is meant"),
        ("deployctl recommend", "deployctl recommend"),
    ],
)
def test_a_hint_for_one_model_becomes_the_command_for_all(hint: str, told: str) -> None:
    fault = Fault(code="source-invalid", message="x", hint=hint, where="--model a")
    found = contenders._said_here(fault, "COMMAND")
    assert (found.hint, found.where) == (told, "MODEL a")


def test_a_chart_and_a_table_are_two_files(
    box: Box, measuring: Measuring, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = str(tmp_path / "a.svg")
    assert deployctl(box, *BOTH, "--markdown", both, "--chart", both) == 2
    assert "names the same file" in capsys.readouterr().err


def test_a_model_that_is_not_ready_is_6_and_the_other_is_there(
    box: Box, measuring: Measuring, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word for word in BOTH if word not in SERVED]  # the second one's name is another
    assert deployctl(box, *words) == 6
    seen = capsys.readouterr()
    assert "100 (99.0 to 101)" in seen.out
    assert "[engine-not-ready]" in seen.err
    assert "next:  deployctl compare smollm2 qwen2.5-1.5b-instruct --profile smoke" in seen.err
    assert not box.docker.states


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("compare", "smollm2", "--profile", "smoke"), 2, "It takes two models"),
        (("compare",), 2, "The argument MODEL is missing"),
        (("compare", "smolm3", "qwen2.5", "--profile", "smoke"), 3, "[model-unknown]"),
        (("compare", "a", "b", "--profile", "smok"), 3, "deployctl compare a b --profile smoke"),
        ((*BOTH, "--set", "concurency=3"), 3, "--set concurrency=3"),
        ((*BOTH, "--set", "model.context=16384"), 4, "[context-too-long]"),
        ((*BOTH, "--prompt-tokens", "5000"), 2, f"next:  deployctl {' '.join(BOTH)} --prompt-tok"),
        ((*BOTH, "--prompt-tokens", "1900"), 2, "64 of them for the model's own template"),
        ((*BOTH, "--streams", "1,x"), 2, "--streams 1,x"),
        ((*BOTH, "--streams", "0"), 2, "whole numbers from 1"),
        ((*BOTH, "--rounds", "0"), 2, "--rounds"),
        ((*BOTH, "--chart", "c.pdf"), 2, "ends in .png or .svg"),
        ((*BOTH, "--stack", "NO NAME"), 2, "is not a stack name"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_brought_up(
    box: Box,
    measuring: Measuring,
    words: tuple[str, ...],
    code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert deployctl(box, *words) == code
    seen = capsys.readouterr()
    assert said in seen.err
    assert seen.out == ""
    assert box.runner.commands == []


def test_stdout_takes_one_of_json_and_markdown(
    box: Box, measuring: Measuring, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deployctl(box, *BOTH, "--markdown", "-", "--output", "json") == 2
    (error,) = json.loads(capsys.readouterr().out)["errors"]
    assert "stdout has the JSON" in error["message"]
    assert box.runner.commands == []


@pytest.mark.parametrize("option", ["--markdown", "--chart"])
def test_a_result_with_nowhere_to_go_is_said_at_once(
    box: Box,
    measuring: Measuring,
    tmp_path: Path,
    option: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").touch()
    assert deployctl(box, *BOTH, option, str(tmp_path / "file" / "c.png")) == 5
    assert "c.png cannot be written" in capsys.readouterr().err
    assert box.runner.commands == []


def test_a_chart_without_its_package_is_said_at_once(
    box: Box, measuring: Measuring, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "matplotlib" else real(name)
    )
    assert deployctl(box, *BOTH, "--chart", str(tmp_path / "c.png")) == 5
    err = capsys.readouterr().err
    assert "[extra-missing]" in err
    assert "pip install 'deployctl[chart]'" in err
    assert box.runner.commands == []


def test_a_stack_of_the_operator_is_refused_and_stays(
    box: Box, measuring: Measuring, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deployctl(box, "up", "--profile", "smoke") == 0
    capsys.readouterr()
    assert deployctl(box, *BOTH, "--stack", "deployctl") == 2
    assert "[trial-refused]" in capsys.readouterr().err
    assert box.docker.states
    assert measuring.count == 0


def test_no_docker_is_4(box: Box, measuring: Measuring, capsys: pytest.CaptureFixture[str]) -> None:
    box.docker.down = True
    assert deployctl(box, *BOTH) == 4
    assert "[docker-unreachable]" in capsys.readouterr().err


# ── a file that cannot be written costs nothing ───────────────────────────────────────────────


def test_a_chart_that_cannot_be_drawn_costs_nothing(
    box: Box,
    measuring: Measuring,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = (*BOTH, "--chart", str(tmp_path / "c.png"))
    with monkeypatch.context() as patch:
        patch.setattr(charts, "draw", _raising(RuntimeError("no such font")))
        assert deployctl(box, *words) == 5
    seen = capsys.readouterr()
    assert "100 (99.0 to 101)" in seen.out
    assert "c.png could not be made: RuntimeError: no such font [result-unwritten]" in seen.err
    assert f"next:  deployctl compare smollm2 qwen2.5 --profile smoke --set {SERVED[1]}" in seen.err
    assert deployctl(box, *words) == 0  # what it says to type next
    assert measuring.count == 2
    assert (tmp_path / "c.png").is_file()
    assert not (box.home / "compare").exists()


def test_json_says_which_file_is_not_there(
    box: Box,
    measuring: Measuring,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(charts, "draw", _raising(OSError(28, "No space left on device")))
    assert deployctl(box, *BOTH, "--chart", str(tmp_path / "c.png"), "-o", "json") == 5
    found = json.loads(capsys.readouterr().out)
    assert (found["exit_code"], found["status"]) == (5, "degraded")
    assert [error["code"] for error in found["errors"]] == ["workspace-unwritable"]
    assert found["data"]["sides"][1]["measured"] is not None


def test_ctrl_c_while_drawing_costs_nothing(
    box: Box,
    measuring: Measuring,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(charts, "draw", _raising(KeyboardInterrupt()))
    assert deployctl(box, *BOTH, "--chart", str(tmp_path / "c.png"), "-o", "json") == 130
    found = json.loads(capsys.readouterr().out)
    assert [error["code"] for error in found["errors"]] == ["interrupted"]
    assert found["data"]["sides"][1]["measured"] is not None


@pytest.mark.parametrize("form", ["text", "json", "markdown"])
def test_what_stdout_does_not_take_is_measured_once(
    box: Box, measuring: Measuring, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert deployctl(box, *BOTH, "-o", form) == 5
        monkeypatch.setattr(sys, "stdout", sys.__stdout__)
    assert deployctl(box, *BOTH) == 0
    assert measuring.count == 2


def _raising(end: BaseException) -> Callable[..., None]:
    def draw(*_: object, **__: object) -> None:
        raise end

    return draw


# ── parts ─────────────────────────────────────────────────────────────────────────────────────


def test_streams_are_read_each_once() -> None:
    assert levels("1,4, 16,4") == (1, 4, 16)


def test_only_what_is_not_usual_is_typed_again() -> None:
    usual = Shape(streams=(1, 4))
    assert words_of(usual, usual) == ()
    assert words_of(Shape(streams=(2,), rounds=5), usual) == ("--streams", "2", "--rounds", "5")


def test_a_long_name_is_broken_and_not_cut(box: Box, measuring: Measuring) -> None:
    assert isinstance(_report_of(box), CompareReport)
    long = replace(_report_of(box).sides[0], name="A-very-long-name-of-a-model-" * 3)
    report = replace(_report_of(box), sides=(long, _report_of(box).sides[1]))
    lines = text(report).splitlines()
    head = lines[: lines.index(next(line for line in lines if line.startswith("load time")))]
    assert "".join(line.split()[0] for line in head) == "A-very-long-name-of-a-model-" * 3


@pytest.mark.parametrize("count", [3, 4, 5])
def test_more_models_than_a_line_takes_stand_below(box: Box, count: int) -> None:
    one = _report_of(box)
    sides = tuple(
        replace(one.sides[0], name=f"Some-Model-{n}B-Instruct Q4_K_M") for n in range(count)
    )
    lines = text(replace(one, sides=sides, rows=rows(sides, one.shape))).splitlines()
    assert max(map(len, lines)) <= 100
    assert all(any(f"Some-Model-{n}B" in line for line in lines) for n in range(count))
    cells = [line.split().count("1.2") for line in lines if line.startswith("load time")]
    assert len(cells) > 1
    assert sum(cells) == count


def _report_of(box: Box) -> CompareReport:
    import contextlib

    from deployctl.deploy.contenders import CompareRequest
    from deployctl.profiles.selection import Selection

    selection = Selection(profile="smoke", sets=(SERVED[1],))
    request = CompareRequest(models=("smollm2", "qwen2.5"), selection=selection)
    return comparing.compare(
        box.world("compare"),
        request,
        shield=contextlib.nullcontext,
        measure=Measuring(),
    )
