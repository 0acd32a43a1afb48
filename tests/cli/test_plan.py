"""`plan`, `recommend` and `render` over fakes: what they say, and that they touch nothing."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployctl.model import DockerFacts
from tests.cli.commandline import deployctl
from tests.fakes import FakeFacts, FakeWeights, facts
from tests.world import Box

GIB = 1024**3


def said(box: Box, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert deployctl(box, *arguments) == 0
    return capsys.readouterr().out


def data(box: Box, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(said(box, capsys, *arguments, "--output", "json"))["data"]
    return found


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """A machine without Docker and without a card."""
    found = facts(docker=DockerFacts(problem="docker-missing"))
    return Box(home=tmp_path, facts=FakeFacts(replace(found, bandwidth_bytes_per_s=40e9)))


def test_a_plan_needs_no_card_and_no_docker(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    out = said(box, capsys, "plan", "--profile", "rtx3060")
    assert "at most 116.6 tokens/s" in out
    assert "weights" in out
    assert "3.31 GiB" in out
    assert "needs an NVIDIA card" in out
    assert "deployctl recommend" in out
    assert box.runner.commands == []
    assert list(box.home.iterdir()) == []


def test_the_plan_is_the_same_text_every_time(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("plan", "--profile", "cpu-only")
    assert said(box, capsys, *arguments) == said(box, capsys, *arguments)


def test_what_does_not_fit_comes_with_what_would(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("plan", "--profile", "gpu-6gb", "--set", "model.context=131072")
    out = said(box, capsys, *asked)
    assert "Fit       does not fit" in out
    assert "--set model.context=" in out
    made = said(box, capsys, *asked, "--fit")
    assert "Fit       does not fit" not in made
    assert "Made to fit with --set model.context=" in made
    fitted = data(box, capsys, *asked, "--fit")
    assert fitted["fitting"]["verdict"] in ("fits", "tight")


def test_changes_name_their_lines(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    assert "engine  create" in said(box, capsys, "plan", "--profile", "smoke")
    box.facts = FakeFacts(facts())
    assert deployctl(box, "up", "--profile", "smoke") == 0
    assert "engine  as last applied" in said(box, capsys, "plan", "--profile", "smoke")
    out = said(box, capsys, "plan", "--profile", "smoke", "--set", "concurrency=5")
    assert "recreate: --parallel 2 → 5 (--set concurrency)" in out


def test_recommend_ranks_for_this_machine(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    found = data(box, capsys, "recommend")
    names = [item["profile"] for item in found["recommendations"]]
    assert names[0] == "cpu-only"
    assert len(names) >= 11
    assert {item["verdict"] for item in found["recommendations"]} <= {"fits", "tight", "no"}
    assert {m["model"] for m in found["models"]} >= {"qwen2.5-1.5b-instruct"}
    assert "Next: deployctl up --profile cpu-only" in said(box, capsys, "recommend")


def test_another_model_in_any_profile(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    out = said(box, capsys, "plan", "--profile", "rtx3060", "--model", "llama-3.2-1b-instruct")
    assert "Llama-3.2-1B-Instruct BF16" in out
    assert "gated: the hub asks for HF_TOKEN" in out
    assert "reasoning-parser" not in out
    copy = said(box, capsys, "plan", "--profile", "cpu-only", "--model", "llama-3.2-1b-instruct")
    assert "gated by its authors; this copy asks for no token" in copy


def test_render_prints_writes_and_compares(
    box: Box, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(box, capsys, "render", "--profile", "smoke").startswith("# One stack")
    folder = str(tmp_path / "out")
    said(box, capsys, "render", "--all", "--to", folder)
    assert len(list((tmp_path / "out").glob("*.yaml"))) >= 11
    said(box, capsys, "render", "--all", "--to", folder, "--check")
    stack = tmp_path / "out/smoke.yaml"
    stack.write_text(stack.read_text().replace("read_only: true", "read_only: false", 1))
    assert deployctl(box, "render", "--all", "--to", folder, "--check") == 3
    err = capsys.readouterr().err
    assert "[render-drift]" in err
    assert f"deployctl render --profile smoke --to {folder}" in err


def test_check_needs_a_folder(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    assert deployctl(box, "render", "--all", "--check") == 2
    assert "--to compose" in capsys.readouterr().err


def test_weights_that_are_here_are_not_downloaded(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "here already" in said(box, capsys, "plan", "--profile", "smoke")
    box.weights = FakeWeights(here=False)
    assert "downloaded, 98 MB (measured)" in said(box, capsys, "plan", "--profile", "smoke")
